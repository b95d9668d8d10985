//! Login, challenge, and the renewal of the session token on the open connection.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use strata_proto::control::{
    self, AgentMessage, Challenge, ChallengeResponse, Envelope, ErrorCode, Fault, LoginResponse,
};
use strata_proto::id::MessageId;
use strata_proto::token::{Claims, Secret};

use super::config::LONGEST;
use super::{Disconnect, Event, Now, Phase, Session, Transmit};

/// A login under way.
#[derive(Debug)]
pub(super) struct Login {
    id: MessageId,
    challenge_id: Option<MessageId>,
    is_enrollment: bool,
    pub(super) deadline: Instant,
}

impl Login {
    /// Whether the server's challenge is answered.
    pub(super) fn is_proved(&self) -> bool {
        self.challenge_id.is_some()
    }

    fn is_about(&self, id: &MessageId) -> bool {
        self.id == *id || self.challenge_id.as_ref() == Some(id)
    }
}

/// A session token, while it is valid.
#[derive(Debug)]
pub(super) struct Grant {
    token: Secret,
    /// Counts the tokens, so that a late refusal of an older one is not taken for one of this.
    pub(super) generation: u64,
    pub(super) renew_at: Option<Instant>,
}

impl Grant {
    /// The envelope `text` with the token in it.
    pub(super) fn stamp(&self, text: &str) -> String {
        let token = serde_json::to_string(&self.token).unwrap_or_default();
        match text.strip_prefix('{') {
            Some(rest) => format!("{{\"token\":{token},{rest}"),
            None => text.to_owned(),
        }
    }
}

impl Session {
    /// The transport is open: the first message.
    pub(super) fn log_in(&mut self, now: Now) {
        let login = self.send_login(now);
        self.phase = Phase::LoggingIn(login);
    }

    /// A new session token on the open connection.
    pub(super) fn renew(&mut self, now: Now) {
        if matches!(self.phase, Phase::Ready) {
            let login = self.send_login(now);
            self.phase = Phase::Renewing(login);
        }
    }

    fn send_login(&mut self, now: Now) -> Login {
        let id = self.message_id(now);
        let message = self.login_message();
        let is_enrollment = message.enrollment_token.is_some();
        self.transmit_as_it_is(now, id.clone(), AgentMessage::Login(message));
        let deadline = now.monotonic + self.config.login_timeout;
        Login { id, challenge_id: None, is_enrollment, deadline }
    }

    fn login_message(&self) -> control::Login {
        let about = &self.about;
        let mut login = control::Login {
            agent_version: about.agent_version.clone(),
            hostname: about.hostname.clone(),
            arch: about.arch.clone(),
            capabilities: Some(self.capabilities.clone()),
            ..control::Login::default()
        };
        match (&self.enrollment, self.identity.device_key()) {
            (Some(token), _) => {
                login.enrollment_token = Some(token.clone());
                login.device_public_key = Some(self.identity.public_key());
            }
            (None, Some(key)) => {
                login.sender_id = self.identity.sender_id().cloned();
                login.device_key = Some(key.clone());
            }
            (None, None) => {
                login.sender_id = self.identity.sender_id().cloned();
                login.device_public_key = Some(self.identity.public_key());
            }
        }
        login
    }

    /// Sends what belongs to the connection and is not kept.
    pub(super) fn transmit_as_it_is(&mut self, now: Now, id: MessageId, message: AgentMessage) {
        let is_login = matches!(message, AgentMessage::Login(_) | AgentMessage::ChallengeResponse(_));
        let mut envelope = Envelope::new(id, now.wall, message);
        if !is_login {
            envelope.token = self.grant.as_ref().map(|grant| grant.token.clone());
        }
        if let Ok(text) = envelope.encode() {
            self.transmit(Transmit::Text(text));
        }
    }

    pub(super) fn on_challenge(&mut self, now: Now, id: MessageId, challenge: &Challenge) {
        let (Phase::LoggingIn(login) | Phase::Renewing(login)) = &mut self.phase else { return };
        if login.is_proved() {
            return;
        }
        // An enrolment is challenged when it was answered before, and the answer was lost.
        let told = challenge.sender_id.as_ref().filter(|_| login.is_enrollment);
        let Some(sender_id) = told.or(self.identity.sender_id()).cloned() else {
            let cause = Disconnect::Protocol("it challenges a device that has not enrolled");
            return self.close(now, 1008, "unexpected challenge", cause);
        };
        login.challenge_id = Some(id.clone());
        let signature = self.identity.sign(&challenge.challenge);
        let response = ChallengeResponse { sender_id, signature };
        self.transmit_as_it_is(now, id, AgentMessage::ChallengeResponse(response));
    }

    pub(super) fn on_login_response(&mut self, now: Now, id: &MessageId, response: LoginResponse) {
        let (Phase::LoggingIn(login) | Phase::Renewing(login)) = &self.phase else { return };
        if !login.is_about(id) {
            return;
        }
        if !response.success {
            let unexplained = || Fault::new(ErrorCode::INVALID_CREDENTIALS, "the server gave no reason");
            return self.refused(now, response.error.unwrap_or_else(unexplained));
        }
        let is_enrollment = login.is_enrollment;
        if let Err(what) = self.accept(now, is_enrollment, &response) {
            return self.close(now, 1008, "bad login response", Disconnect::Protocol(what));
        }
        let was_renewal = matches!(self.phase, Phase::Renewing(_));
        self.phase = Phase::Ready;
        if was_renewal {
            return self.event(Event::Renewed);
        }
        let settings = response.config.unwrap_or_default();
        if let Some(seconds) = settings.status_interval_s {
            self.status.set_interval(Duration::from_secs(seconds.into()));
        }
        self.opened_at = Some(now.monotonic);
        self.status.start(now.monotonic);
        if let Some(sender_id) = self.identity.sender_id().cloned() {
            self.event(Event::LoggedIn { sender_id, settings });
        }
    }

    /// Takes over identity and token of a successful login.
    fn accept(
        &mut self,
        now: Now,
        is_enrollment: bool,
        response: &LoginResponse,
    ) -> Result<(), &'static str> {
        let token = response.session_token.clone().ok_or("its login response has no session token")?;
        if token.expose().len() > TOKEN_ROOM - 64 {
            return Err("its session token is too long");
        }
        if is_enrollment {
            let sender_id = response.sender_id.clone().ok_or("its login response has no sender id")?;
            let device_key = response.device_key.clone();
            self.identity.enrol(sender_id.clone(), device_key.clone(), self.enrollment.take().as_ref());
            self.event(Event::Enrolled { sender_id, device_key });
        } else if response.sender_id.is_some() && response.sender_id.as_ref() != self.identity.sender_id() {
            return Err("its login response is for another sender");
        }
        self.generation += 1;
        let renew_at = lifetime(&token).map(|lifetime| {
            // Before it is over, and not the whole fleet at once.
            let share = self.rng.random_range(0.85..=0.95);
            now.monotonic + lifetime.mul_f64(share).clamp(SHORTEST_RENEWAL, LONGEST)
        });
        self.grant = Some(Grant { token, generation: self.generation, renew_at });
        Ok(())
    }

    /// The server does not open the session, or not any longer.
    pub(super) fn refused(&mut self, now: Now, fault: Fault) {
        let (Phase::LoggingIn(login) | Phase::Renewing(login)) = &self.phase else { return };
        if login.is_enrollment && self.identity.sender_id().is_some() && is_lasting(&fault) {
            // The new token is no good, but the device is known by its key.
            self.enrollment = None;
        }
        self.event(Event::Refused(fault.clone()));
        self.close(now, 1000, "login refused", Disconnect::Refused(fault));
    }

    /// Whether an `error` with this id answers the login under way.
    pub(super) fn is_about_login(&self, id: &MessageId) -> bool {
        matches!(&self.phase, Phase::LoggingIn(login) | Phase::Renewing(login) if login.is_about(id))
    }

    /// The server did not take message `id` because its session token is over.
    pub(super) fn on_token_refused(&mut self, now: Now, id: &MessageId) {
        let sent = self.outbox.unsend(id);
        let is_current = |generation| self.grant.as_ref().is_some_and(|grant| grant.generation == generation);
        if !matches!(self.phase, Phase::Ready) || sent.is_some_and(|sent| !is_current(sent.generation)) {
            return; // It goes out again with the new token.
        }
        self.refusals.retain(|at| *at + REFUSALS_WITHIN > now.monotonic);
        if self.refusals.len() >= MAX_REFUSALS {
            let cause = Disconnect::Protocol("it refuses every session token it issues");
            return self.close(now, 1008, "no valid token", cause);
        }
        self.refusals.push_back(now.monotonic);
        self.renew(now);
    }
}

/// Whether trying again soon is in vain.
pub(super) fn is_lasting(fault: &Fault) -> bool {
    ![ErrorCode::INTERNAL, ErrorCode::TIMEOUT].contains(&fault.code)
}

/// How long a session token is valid, by its own claims; it is not for us to verify it. The
/// difference of two of the server's times, so that the device's clock may be wrong.
fn lifetime(token: &Secret) -> Option<Duration> {
    let claims = token.expose().split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let seconds = u64::try_from(claims.exp.checked_sub(claims.iat)?).ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// What is left free in a message for the session token.
pub(super) const TOKEN_ROOM: usize = 8 * 1024;
/// However short a token lives.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(1);
/// A server that refuses more of its own tokens than this …
const MAX_REFUSALS: usize = 5;
/// … within this time is broken, and is to be left alone for a while.
const REFUSALS_WITHIN: Duration = Duration::from_secs(60);
