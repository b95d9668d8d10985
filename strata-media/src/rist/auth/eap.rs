//! The exchange: EAP (RFC 3748) in EAPOL (IEEE 802.1X), one question at a time, asked by the server.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

use super::Part;
use super::srp::{self, Hashing};
use super::verifiers::{Verifier, Verifiers};

/// A question, or a start, that is not answered is sent again after so long, so often (librist's values).
const AGAIN: Duration = Duration::from_millis(500);
const MOST_TIMES: u8 = 5;
/// After so many failures a peer is not asked again for a while.
const MOST_FAILURES: u8 = 3;
const PENANCE: Duration = Duration::from_secs(10);

/// A peer that is let in is asked again after so long. librist says once, after 3 s, that it wants to be, and 1.5 s later
/// it has forgotten that it was let in, and sends nothing: this leaves time for four tries.
const REPEAT: Duration = Duration::from_millis(2500);
/// A peer that has shown its password may do so again after so long, and a client's server may ask for it: a round takes
/// some milliseconds of a core.
const PROOF_INTERVAL: Duration = Duration::from_secs(1);
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(100);
/// EAPOL types.
const EAPOL_EAP: u8 = 0;
const EAPOL_START: u8 = 1;
/// EAP codes.
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;
/// EAP types, and subtypes of SRP.
const IDENTITY: u8 = 1;
const SRP: u8 = 19;
const CHALLENGE: u8 = 1;
const KEY: u8 = 2;
const VALIDATOR: u8 = 3;

/// One exchange after the other with one peer. `Debug` shows no secrets.
pub(in super::super) struct Eap {
    part: Part,
    /// Where numbers nobody may guess come from.
    entropy: [u8; 32],
    /// Where salts of unknown users come from.
    decoys: [u8; 32],
    drawn: u64,
    step: Step,
    authenticated: bool,
    hashing: Hashing,
    identifier: u8,
    /// What is sent again, when, and how often it was.
    pending: Option<(Vec<u8>, u8)>,
    due: Option<Instant>,
    /// The last question, and its answer.
    answered: Option<(Vec<u8>, Vec<u8>)>,
    failures: u8,
    /// Whether the peer has answered a question: before, its address may be forged.
    present: bool,
    /// Whether the peer may forget that it was let in.
    forgetful: bool,
    /// When it last computed for a peer that no other budget bounds.
    worked: Option<Instant>,
    out: VecDeque<Vec<u8>>,
}

/// What is waited for.
enum Step {
    /// A client: a question; a server: a start.
    Start,
    Identity,
    ClientKey {
        name: String,
    },
    ClientProof(Box<srp::Server>),
    Acknowledgement,
    ServerKey(Box<srp::Client>),
    ServerProof([u8; 32]),
    Done,
}

impl Eap {
    /// `entropy` is to be random, and of this exchange alone; `decoys` random, and of all exchanges of this end.
    pub(in super::super) fn new(now: Instant, part: Part, entropy: [u8; 32], decoys: [u8; 32]) -> Self {
        let mut eap = Self {
            identifier: entropy[0],
            part,
            entropy,
            decoys,
            drawn: 0,
            step: Step::Start,
            authenticated: false,
            hashing: Hashing::Fixed,
            pending: None,
            due: None,
            answered: None,
            failures: 0,
            present: false,
            forgetful: true,
            worked: None,
            out: VecDeque::new(),
        };
        eap.start(now);
        eap
    }

    /// Whether the peer has shown that it knows the password; to a client, the server too.
    pub(in super::super) fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// When to [let time pass](Self::timeout).
    pub(in super::super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The next message for the peer.
    pub(in super::super) fn poll(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// A client says that it is there.
    fn start(&mut self, now: Instant) {
        self.step = Step::Start;
        if matches!(self.part, Part::Client(_)) {
            let frame = vec![2, EAPOL_START, 0, 0];
            self.out.push_back(frame.clone());
            (self.pending, self.due) = (Some((frame, 0)), Some(now + AGAIN));
        }
    }

    /// A number nobody can guess.
    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut out = [0; 32];
        let seed = [&self.entropy[..], &self.drawn.to_be_bytes()].concat();
        out.copy_from_slice(digest(&SHA256, &seed).as_ref());
        out
    }

    /// The peer is one that does not forget that it was let in.
    pub(in super::super) fn remembers(&mut self) {
        self.forgetful = false;
    }

    /// Whether a peer is let in, and this end the one that lets it.
    fn has_let_in(&self) -> bool {
        self.authenticated && matches!(self.part, Part::Server(_))
    }

    /// Sends again what was not answered; but no question to a peer that never answered one. That is asked anew when it sends something.
    pub(in super::super) fn timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = None;
        let is_server = matches!(self.part, Part::Server(_));
        match self.pending.take() {
            Some((frame, times)) if times < MOST_TIMES && (self.present || !is_server) => {
                self.out.push_back(frame.clone());
                (self.pending, self.due) = (Some((frame, times + 1)), Some(now + AGAIN));
            }
            // It may be an outage: as long as the peer is there, it is asked.
            Some(_) if self.has_let_in() => self.rest(now),
            None if self.has_let_in() => {
                if self.forgetful || !matches!(self.step, Step::Done) {
                    self.ask_identity(now);
                }
            }
            _ => self.start(now),
        }
    }

    /// The peer is in, for now.
    fn rest(&mut self, now: Instant) {
        (self.step, self.pending) = (Step::Done, None);
        self.due = self.forgetful.then_some(now + REPEAT);
    }

    /// Whether so long has passed since the last time that this was true: a round costs milliseconds of a core, and a
    /// peer's address can be forged.
    fn is_rested(&mut self, now: Instant, interval: Duration) -> bool {
        let may = self.worked.is_none_or(|at| now >= at + interval);
        if may {
            self.worked = Some(now);
        }
        may
    }

    /// A peer sent something else: a server asks who it is, if it does not wait for an answer.
    pub(in super::super) fn challenge(&mut self, now: Instant) {
        if matches!((&self.part, &self.step), (Part::Server(_), Step::Start)) && self.due.is_none() {
            self.ask_identity(now);
        }
    }

    /// Takes a message. `may_work` tells whether a server may do what takes it time.
    pub(in super::super) fn receive(&mut self, now: Instant, frame: &[u8], may_work: impl FnOnce() -> bool) {
        let Some((&[version, kind, l0, l1], body)) = frame.split_first_chunk::<4>() else { return };
        let is_server = matches!(self.part, Part::Server(_));
        match kind {
            EAPOL_START if is_server => {
                if matches!(self.step, Step::Done) {
                    (self.step, self.due) = (Step::Start, None);
                }
                self.challenge(now);
            }
            EAPOL_EAP => {
                let len = usize::from(u16::from_be_bytes([l0, l1]));
                let Some((&[code, identifier, ..], data)) =
                    body.get(..len).and_then(<[u8]>::split_first_chunk::<4>)
                else {
                    return;
                };
                match (code, is_server) {
                    (REQUEST, false) => self.question(now, version, identifier, data),
                    (RESPONSE, true) if identifier == self.identifier => {
                        self.answer(now, version, data, may_work);
                    }
                    (SUCCESS, true) if identifier == self.identifier => self.acknowledged(now),
                    (FAILURE, false) if self.awaits(identifier) => self.fail(now),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn frame(&self, code: u8, identifier: u8, data: &[&[u8]]) -> Vec<u8> {
        let version = if self.hashing == Hashing::Fixed { 3 } else { 2 };
        let data = data.concat();
        let len = (data.len() as u16 + 4).to_be_bytes();
        let header = [version, EAPOL_EAP, len[0], len[1], code, identifier, len[0], len[1]];
        [&header[..], &data].concat()
    }

    // The client.

    /// Whether this question was answered, and what comes of it is not known yet.
    fn awaits(&self, identifier: u8) -> bool {
        let asked = self.answered.as_ref().and_then(|(question, _)| question.first());
        asked == Some(&identifier) && self.pending.is_none() && !matches!(self.step, Step::Done)
    }

    fn question(&mut self, now: Instant, version: u8, identifier: u8, data: &[u8]) {
        let asked = [&[identifier], data].concat();
        if let Some((question, answer)) = &self.answered
            && *question == asked
        {
            return self.out.push_back(answer.clone());
        }
        let Some(answer) = self.respond(now, version, identifier, data) else { return };
        self.out.push_back(answer.clone());
        self.answered = Some((asked, answer));
        self.pending = None;
        // A server that no longer asks is told anew that this end is there.
        self.due = (!matches!(self.step, Step::Done)).then_some(now + AGAIN * 4);
    }

    fn respond(&mut self, now: Instant, version: u8, identifier: u8, data: &[u8]) -> Option<Vec<u8>> {
        let Part::Client(credentials) = self.part.clone() else { return None };
        let (name, password) = (&credentials.name, &credentials.password);
        match (data, std::mem::replace(&mut self.step, Step::Start)) {
            ([IDENTITY, ..], _) => {
                self.hashing = Hashing::Fixed;
                Some(self.frame(RESPONSE, identifier, &[&[IDENTITY], name.as_bytes()]))
            }
            ([SRP, CHALLENGE, ..], step) if !self.is_rested(now, CHALLENGE_INTERVAL) => {
                self.step = step;
                None
            }
            ([SRP, CHALLENGE, challenge @ ..], _) => {
                let salt = salt(challenge)?;
                self.hashing = if version >= 3 { Hashing::Fixed } else { Hashing::Old };
                let client = srp::Client::new(&self.draw(), salt, self.hashing);
                let frame = self.frame(RESPONSE, identifier, &[&[SRP, CHALLENGE], &client.public()]);
                self.step = Step::ServerKey(Box::new(client));
                Some(frame)
            }
            ([SRP, KEY, public @ ..], Step::ServerKey(client)) => {
                let (own, servers) = client.prove(name, password, public)?;
                self.step = Step::ServerProof(servers);
                Some(self.frame(RESPONSE, identifier, &[&[SRP, KEY, 0, 0, 0, 0], &own]))
            }
            ([SRP, VALIDATOR, _, _, _, _, proof @ ..], Step::ServerProof(servers)) => {
                if !srp::is_same(proof.get(..32)?, &servers) {
                    self.fail(now);
                    return None;
                }
                (self.step, self.authenticated, self.failures) = (Step::Done, true, 0);
                let code = if self.hashing == Hashing::Fixed { SUCCESS } else { RESPONSE };
                Some(self.frame(code, identifier, &[&[SRP, VALIDATOR]]))
            }
            (_, step) => {
                self.step = step;
                None
            }
        }
    }

    // The server.

    fn ask_identity(&mut self, now: Instant) {
        // The newest version; what the client knows is seen by its answer.
        self.hashing = Hashing::Fixed;
        self.step = Step::Identity;
        self.ask(now, &[&[IDENTITY]]);
    }

    fn ask(&mut self, now: Instant, data: &[&[u8]]) {
        self.identifier = self.identifier.wrapping_add(1);
        let frame = self.frame(REQUEST, self.identifier, data);
        self.out.push_back(frame.clone());
        (self.pending, self.due) = (Some((frame, 0)), Some(now + AGAIN));
    }

    /// What checks a user. Who is not known is asked as others are, and fails in the end, after the same work: nobody learns who is known.
    fn verifier(&self, verifiers: &Verifiers, name: &str, knows_fixed: bool) -> Option<(Hashing, Verifier)> {
        let decoy = verifiers.decoy(name, knows_fixed, &self.decoys)?;
        let found = verifiers.find(name, knows_fixed);
        Some(found.map_or(decoy, |(hashing, verifier)| (hashing, verifier.clone())))
    }

    fn answer(&mut self, now: Instant, version: u8, data: &[u8], may_work: impl FnOnce() -> bool) {
        let Part::Server(verifiers) = self.part.clone() else { return };
        match (data, std::mem::replace(&mut self.step, Step::Start)) {
            ([IDENTITY, name @ ..], Step::Identity) => {
                self.present = true;
                let name = String::from_utf8_lossy(name).into_owned();
                let Some((hashing, verifier)) = self.verifier(&verifiers, &name, version >= 3) else {
                    return self.refuse(now);
                };
                self.hashing = hashing;
                let len = (verifier.salt.len() as u16).to_be_bytes();
                self.step = Step::ClientKey { name };
                // No name of this server; the group is the usual one.
                self.ask(now, &[&[SRP, CHALLENGE, 0, 0], &len, &verifier.salt, &[0, 0]]);
            }
            ([SRP, KEY | CHALLENGE, public @ ..], Step::ClientKey { name }) => {
                // Later: the peer sends it again. One that has shown its password is no stranger, and has its own budget.
                let may = if self.authenticated { self.is_rested(now, PROOF_INTERVAL) } else { may_work() };
                if !may {
                    self.step = Step::ClientKey { name };
                    return;
                }
                let found = self.verifier(&verifiers, &name, self.hashing == Hashing::Fixed);
                let secret = self.draw();
                let server = found.and_then(|(hashing, user)| {
                    srp::Server::new(&secret, &name, &user.salt, &user.verifier, hashing, public)
                });
                let Some(server) = server else { return self.refuse(now) };
                self.ask(now, &[&[SRP, KEY], &server.public()]);
                self.step = Step::ClientProof(Box::new(server));
            }
            ([SRP, _, _, _, _, _, proof @ ..], Step::ClientProof(server)) => {
                let Some(own) = proof.get(..32).and_then(|proof| server.verify(proof)) else {
                    return self.refuse(now);
                };
                (self.step, self.authenticated, self.failures) = (Step::Acknowledgement, true, 0);
                self.ask(now, &[&[SRP, VALIDATOR, 0, 0, 0, 0], &own]);
            }
            ([SRP, VALIDATOR, ..], step @ Step::Acknowledgement) => {
                self.step = step;
                self.acknowledged(now);
            }
            (_, step) => self.step = step,
        }
    }

    fn acknowledged(&mut self, now: Instant) {
        if matches!(self.step, Step::Acknowledgement) {
            self.rest(now);
            // Version 2 wants to hear it from the server, with a number of its own.
            self.identifier = self.identifier.wrapping_add(1);
            let frame = self.frame(SUCCESS, self.identifier, &[]);
            self.out.push_back(frame);
        }
    }

    fn refuse(&mut self, now: Instant) {
        let frame = self.frame(FAILURE, self.identifier, &[]);
        self.out.push_back(frame);
        self.fail(now);
    }

    /// It was not who it should be; until later. Who is in stays so for some failures: answers that cross questions sent
    /// again fail too, and what anyone sends in its name must not put it out.
    fn fail(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.authenticated = self.has_let_in() && self.failures < MOST_FAILURES;
        (self.pending, self.answered) = (None, None);
        self.step = Step::Start;
        let wait = if self.failures >= MOST_FAILURES { PENANCE } else { AGAIN };
        self.due = Some(now + wait);
    }
}

impl fmt::Debug for Eap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eap").field("authenticated", &self.authenticated).finish_non_exhaustive()
    }
}

/// The salt of a challenge: a name that is not needed, the salt, and no group but the usual one.
fn salt(challenge: &[u8]) -> Option<&[u8]> {
    let field = |data: &'_ [u8]| -> Option<(usize, usize)> {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        (len <= rest.len()).then_some((2, 2 + len))
    };
    let (_, name) = field(challenge)?;
    let rest = challenge.get(name..)?;
    let (start, end) = field(rest)?;
    let group = rest.get(end..)?;
    let usual = group.is_empty() || group.starts_with(&[0, 0]);
    (usual && start < end).then(|| &rest[start..end])
}

#[cfg(test)]
mod tests {
    use super::super::Credentials;
    use super::*;

    fn credentials() -> Credentials {
        Credentials::new("user1", "pass1").unwrap()
    }

    /// Who never answers may not be there: it is asked when it says something, twice a second at most, and not again by itself.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn who_never_answered_is_asked_once_per_start() {
        let now = Instant::now();
        let mut server =
            Eap::new(now, Part::Server(Verifiers::of(&credentials(), [9; 32])), [4; 32], [0; 32]);
        let mut asked = Vec::new();
        for tick in 0..3000u32 {
            let now = now + Duration::from_millis(10) * tick;
            // Once, then nothing for ten seconds; then all the time for ten.
            if tick == 0 || (1000..2000).contains(&tick) {
                server.receive(now, &[3, EAPOL_START, 0, 0], || true);
            }
            server.timeout(now);
            asked.extend(std::iter::from_fn(|| server.poll()).map(|_| tick));
        }
        let once = asked.iter().filter(|&&tick| tick < 1000).count();
        assert_eq!((once, asked.iter().filter(|&&tick| tick >= 2000).count()), (1, 0), "{asked:?}");
        assert!((18..=20).contains(&(asked.len() - once)), "{asked:?}");
    }

    /// The address of one that is let in can be forged, and so can a server's.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn what_a_peer_may_have_computed_is_bounded() {
        let now = Instant::now();
        let verifiers = Verifiers::of(&credentials(), [9; 32]);
        let mut server = Eap::new(now, Part::Server(verifiers), [4; 32], [0; 32]);
        server.authenticated = true;
        let mut computed = 0;
        for i in 0..300 {
            let now = now + Duration::from_millis(10) * i;
            (server.step, server.due) = (Step::ClientKey { name: "user1".into() }, None);
            let key = server.frame(RESPONSE, server.identifier, &[&[SRP, KEY], &[2; 256]]);
            server.receive(now, &key, || panic!("that is for strangers"));
            computed += usize::from(matches!(server.step, Step::ClientProof(_)));
        }
        assert_eq!(computed, 3, "in three seconds");
        let mut client = Eap::new(now, Part::Client(credentials()), [3; 32], [0; 32]);
        let mut answers = 0;
        for i in 0..100u8 {
            let salt = [0, 0, 0, 1, i, 0, 0];
            let question = server.frame(REQUEST, i, &[&[SRP, CHALLENGE], &salt]);
            client.out.clear();
            client.receive(now + Duration::from_millis(10) * u32::from(i), &question, || true);
            answers += client.out.len();
        }
        assert_eq!(answers, 10, "in a second");
    }
}
