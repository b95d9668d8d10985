//! Secrets that open a session: enrolment tokens, the enrolment string, and the session token's claims.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use url::Url;

use crate::id::SenderId;

/// A text that must never be shown: `Debug` is redacted, [`Secret::expose`] gives the text.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the wire or for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretText)
    }
}

/// Takes a text; does not repeat what else it was given, since that may be a secret without quotes.
struct SecretText;

impl serde::de::Visitor<'_> for SecretText {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret(text))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("invalid type: number, expected a string"))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("invalid type: number, expected a string"))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("invalid type: number, expected a string"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A one-time enrolment token, `enr_…` (control-facts, *Identity and login*).
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EnrollmentToken(Secret);

impl EnrollmentToken {
    /// What every enrolment token starts with.
    pub const PREFIX: &'static str = "enr_";

    /// A token from 32 random bytes.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random);
        Self(Secret(format!("{}{body}", Self::PREFIX)))
    }

    /// The token itself, for the wire or for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentToken(enr_…)")
    }
}

impl FromStr for EnrollmentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let body = text.strip_prefix(Self::PREFIX).ok_or(TokenError::Enrollment)?;
        let fits = (1..=128).contains(&body.len()) && body.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(Secret::new(text))) } else { Err(TokenError::Enrollment) }
    }
}

impl<'de> Deserialize<'de> for EnrollmentToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer)?.expose().parse().map_err(serde::de::Error::custom)
    }
}

/// SHA-256 of a certificate (DER), by which an agent pins the control plane's own CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        if hex.len() != 64 {
            return Err(TokenError::Fingerprint);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |b: u8| char::from(b).to_digit(16).ok_or(TokenError::Fingerprint);
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| TokenError::Fingerprint)?;
        }
        Ok(Self(bytes))
    }
}

/// All that a fresh agent needs to join: `strata://enroll?url=wss%3A%2F%2F…&token=enr_…&ca=sha256%3A…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollUri {
    /// Where the agent connects: `wss://host[:port]/agent/ws`.
    pub url: Url,
    /// The one-time token.
    pub token: EnrollmentToken,
    /// The control plane's own CA, if its certificate is not from a public one.
    pub ca: Option<Fingerprint>,
}

impl fmt::Display for EnrollUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("url", self.url.as_str()).append_pair("token", self.token.expose());
        if let Some(ca) = &self.ca {
            query.append_pair("ca", &ca.to_string());
        }
        write!(f, "strata://enroll?{}", query.finish())
    }
}

impl FromStr for EnrollUri {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let query = text
            .trim()
            .strip_prefix("strata://enroll?")
            .ok_or(TokenError::Uri("it starts with strata://enroll?"))?;
        let (mut url, mut token, mut ca) = (None, None, None);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "url" => {
                    url = Some(Url::parse(&value).map_err(|_| TokenError::Uri("url is a wss:// address"))?)
                }
                "token" => token = Some(value.parse()?),
                "ca" => ca = Some(value.parse()?),
                _ => {}
            }
        }
        let url = url
            .filter(|u| u.scheme() == "wss" && u.has_host())
            .ok_or(TokenError::Uri("url is a wss:// address"))?;
        Ok(Self { url, token: token.ok_or(TokenError::Uri("token is present"))?, ca })
    }
}

/// A token, fingerprint or enrolment string that does not parse. Never contains the secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not an enrolment token.
    #[error("invalid enrollment token, expected enr_ and up to 128 visible ASCII characters")]
    Enrollment,
    /// Not a SHA-256 fingerprint.
    #[error("invalid fingerprint, expected sha256: and 64 hexadecimal digits")]
    Fingerprint,
    /// Not an enrolment string.
    #[error("invalid enrollment string: expected that {0}")]
    Uri(&'static str),
}

/// Claims of the session token, an EdDSA JWT (control-facts, *Identity and login*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The sender, or the user (`usr_…`) for a REST token.
    pub sub: String,
    /// Who issued it: the control plane's name.
    pub iss: String,
    /// Issued at, seconds since the Unix epoch.
    pub iat: i64,
    /// Valid until, seconds since the Unix epoch.
    pub exp: i64,
    /// What the bearer may do: `sender`, `admin`, `operator` or `viewer`.
    pub role: String,
    /// The user or tenant that owns the sender, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// For a user's token: how often the user's tokens had been revoked when it was issued. A token of
    /// an earlier epoch than the user's is worth nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Claims {
    /// The sender this token was issued to, if it is a sender's.
    #[must_use]
    pub fn sender_id(&self) -> Option<SenderId> {
        self.sub.parse().ok()
    }
}
