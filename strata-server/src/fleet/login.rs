//! How an agent proves who it is. Asked once per login; the only place where a connection waits for the
//! database.

use std::sync::Arc;

use base64::Engine as _;
use strata_proto::control::{ErrorCode, Fault};
use strata_proto::id::{SenderId, UserId};
use strata_proto::time::Timestamp;
use strata_proto::token::{Claims, Secret};
use subtle::ConstantTimeEq as _;

use super::Fleet;
use super::registry::secret_hash;
use crate::session::connection::Connection;
use crate::session::machine::{Accepted, Attempt, Verdict, decode_base64};
use crate::store::{Binding, DeviceInfo, Enrollment, EnrollmentRefusal, SenderRow, StoreError};

/// The database's word on a login that may open a session.
struct Proof {
    sender: SenderId,
    owner: UserId,
    info: DeviceInfo,
    device_key: Option<Secret>,
}

/// What an enrolment token came to.
enum Enrolled {
    /// The device is bound.
    Proof(Proof),
    /// Its key was bound to this sender before, and is still to be proven.
    Before(SenderId),
}

impl Fleet {
    /// Checks a login. A first login of a connection (`current` is `None`) gets the fenced connection,
    /// which replaces the sender's older one; a later one keeps what it has.
    pub(crate) async fn authenticate(
        &self,
        attempt: Attempt,
        current: Option<&Arc<Connection>>,
        now: Timestamp,
    ) -> (Verdict, Option<Arc<Connection>>) {
        let proof = match attempt {
            Attempt::Challenge { sender, public_key } => {
                return (self.challenge(&sender, public_key).await, None);
            }
            Attempt::Enroll { token, public_key, info } => {
                match self.by_enrollment(token.expose(), public_key, info, now).await {
                    Ok(Enrolled::Proof(proof)) => Ok(proof),
                    Ok(Enrolled::Before(sender)) => return (self.challenge(&sender, public_key).await, None),
                    Err(fault) => Err(fault),
                }
            }
            Attempt::DeviceKey { sender, key, info } => self.by_device_key(&sender, &key, info).await,
            Attempt::Proven { sender, public_key, info } => self.by_proof(&sender, &public_key, info).await,
        };
        let proof = match proof {
            Ok(proof) => proof,
            Err(fault) => return (Verdict::Refused(fault), None),
        };
        let expires_at = now.after(self.inner.settings.token_ttl);
        let token = match self.session_token(&proof, now, expires_at) {
            Ok(token) => token,
            Err(fault) => return (Verdict::Refused(fault), None),
        };
        let connection = match current {
            Some(connection) => Some(Arc::clone(connection)),
            None => self.connected(&proof.sender, &proof.owner, proof.info.capabilities, now),
        };
        if connection.is_none() {
            return (Verdict::Refused(revoked()), None);
        }
        let accepted = Accepted {
            sender: proof.sender,
            token,
            expires_at,
            device_key: proof.device_key,
            settings: self.inner.settings.agent.clone(),
        };
        (Verdict::Accepted(accepted), connection)
    }

    async fn challenge(&self, sender: &SenderId, public_key: Option<[u8; 32]>) -> Verdict {
        let row = match self.known(sender).await {
            Ok(row) => row,
            Err(fault) => return Verdict::Refused(fault),
        };
        let bound = row.public_key.as_deref().and_then(decode_base64::<32>);
        match bound {
            Some(bound) if public_key.is_none_or(|key| key == bound) => {
                let random: [u8; 32] = crate::entropy::bytes();
                let challenge = encode_base64(&random);
                Verdict::Challenge { sender: sender.clone(), challenge, public_key: bound }
            }
            _ => Verdict::Refused(
                not_proven("the device key is not the one bound at enrollment")
                    .with_field("payload.device_public_key"),
            ),
        }
    }

    async fn by_enrollment(
        &self,
        token: &str,
        public_key: Option<[u8; 32]>,
        info: DeviceInfo,
        now: Timestamp,
    ) -> Result<Enrolled, Fault> {
        let (binding, device_key) = match public_key {
            Some(key) => (Binding::PublicKey(encode_base64(&key)), None),
            None => {
                let random: [u8; 32] = crate::entropy::bytes();
                let key = Secret::new(format!("dvk_{}", encode_base64(&random)));
                (Binding::DeviceKeyHash(secret_hash(key.expose())), Some(key))
            }
        };
        let enrolled = self.inner.store.enroll(&secret_hash(token), &binding, &info, now).await;
        match enrolled.map_err(|e| broken(&e))? {
            Ok(Enrollment::Bound(sender, owner)) => {
                self.audit(&sender, "sender.enroll", now).await;
                Ok(Enrolled::Proof(Proof { sender, owner, info, device_key }))
            }
            Ok(Enrollment::Repeated(sender)) => Ok(Enrolled::Before(sender)),
            Err(EnrollmentRefusal::Revoked) => Err(revoked()),
            Err(refusal) => Err(Fault::new(ErrorCode::INVALID_ENROLLMENT_TOKEN, refusal.to_string())
                .with_field("payload.enrollment_token")),
        }
    }

    async fn by_device_key(&self, sender: &SenderId, key: &Secret, info: DeviceInfo) -> Result<Proof, Fault> {
        let row = self.known(sender).await?;
        let hash = secret_hash(key.expose());
        let fits = row.device_key_hash.as_deref().is_some_and(|h| h.as_bytes().ct_eq(hash.as_bytes()).into());
        if !fits {
            return Err(not_proven("the device key is not this sender's").with_field("payload.device_key"));
        }
        self.proof(row, info).await
    }

    async fn by_proof(
        &self,
        sender: &SenderId,
        public_key: &[u8; 32],
        info: DeviceInfo,
    ) -> Result<Proof, Fault> {
        // Asked again: the sender may have been decommissioned while it signed.
        let row = self.known(sender).await?;
        if row.public_key.as_deref() != Some(&encode_base64(public_key)) {
            return Err(not_proven("the device key was changed meanwhile"));
        }
        self.proof(row, info).await
    }

    async fn proof(&self, row: SenderRow, info: DeviceInfo) -> Result<Proof, Fault> {
        let same = row.hostname.as_ref() == Some(&info.hostname)
            && row.agent_version.as_ref() == Some(&info.agent_version)
            && row.arch.as_ref() == Some(&info.arch)
            && row.capabilities == info.capabilities;
        if !same {
            self.inner.store.save_device_info(&row.id, &info).await.map_err(|e| broken(&e))?;
        }
        Ok(Proof { sender: row.id, owner: row.owner, info, device_key: None })
    }

    async fn known(&self, sender: &SenderId) -> Result<SenderRow, Fault> {
        let row = self.inner.store.sender(sender).await.map_err(|e| broken(&e))?;
        let row = row.ok_or_else(|| not_proven("there is no such sender").with_field("payload.sender_id"))?;
        if row.revoked_at.is_some() { Err(revoked()) } else { Ok(row) }
    }

    fn session_token(&self, proof: &Proof, now: Timestamp, expires_at: Timestamp) -> Result<Secret, Fault> {
        let claims = Claims {
            sub: proof.sender.to_string(),
            iss: self.inner.tokens.issuer().to_owned(),
            iat: now.unix_seconds(),
            exp: expires_at.unix_seconds(),
            role: "sender".to_owned(),
            owner: Some(proof.owner.to_string()),
            epoch: 0,
        };
        self.inner.tokens.issue(&claims).map_err(|error| {
            tracing::error!(%error, "session token not signed");
            Fault::new(ErrorCode::INTERNAL, "something broke on the server")
        })
    }

    async fn audit(&self, sender: &SenderId, action: &str, at: Timestamp) {
        let entry = crate::store::AuditEntry {
            at,
            actor: sender.to_string(),
            action: action.to_owned(),
            target: Some(sender.to_string()),
            address: None,
            detail: None,
        };
        if let Err(error) = self.inner.store.audit(&entry).await {
            tracing::error!(%error, action, "audit entry not written");
        }
    }
}

fn encode_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn not_proven(message: &str) -> Fault {
    Fault::new(ErrorCode::INVALID_CREDENTIALS, message)
}

fn revoked() -> Fault {
    Fault::new(ErrorCode::REVOKED, "this sender was decommissioned")
}

fn broken(error: &StoreError) -> Fault {
    tracing::error!(%error, "login not checked");
    Fault::new(ErrorCode::INTERNAL, "something broke on the server; try again later")
}
