//! Who calls: the user of the access token, its role, and what it may see.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{StatusCode, header, request::Parts};
use strata_proto::control::{ErrorCode, Role};
use strata_proto::id::UserId;
use strata_proto::time::Timestamp;
use strata_proto::token::Claims;

use super::{ApiError, App};
use crate::fleet::Scope;
use crate::session::TokenRefusal;
use crate::store::users::role_of;

/// The user of a request; as an extractor it answers 401 without a valid access token.
///
/// It says who calls, not what is allowed: what changes something takes [`Operator`] instead.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// What the user may do.
    pub role: Role,
    /// The account the user belongs to; owner of what it creates.
    pub account: UserId,
    /// Until when the token is good.
    pub expires_at: Timestamp,
    /// Where the request came from, if the server was told (`into_make_service_with_connect_info`).
    pub address: Option<IpAddr>,
    /// The token's epoch; see [`Claims::epoch`].
    epoch: u64,
}

impl Caller {
    /// Goes on only for callers of at least this role.
    ///
    /// # Errors
    /// 403 `forbidden`.
    pub fn require(&self, least: Role) -> Result<(), ApiError> {
        if rank(self.role) >= rank(least) {
            return Ok(());
        }
        let detail = format!("this needs the role {}", crate::store::users::role_text(least));
        Err(ApiError::new(StatusCode::FORBIDDEN, ErrorCode::other("forbidden"), detail))
    }

    /// Whose senders and streams the caller may see.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.role {
            Role::Admin => Scope::All,
            Role::Operator | Role::Viewer => Scope::Account(self.account.clone()),
        }
    }

    /// The caller of an access token.
    pub(super) async fn of_token(app: &App, token: &str, now: Timestamp) -> Result<Self, ApiError> {
        let claims = app.tokens().verify(token, now).map_err(|refusal| {
            let code = match refusal {
                TokenRefusal::Expired => ErrorCode::TOKEN_EXPIRED,
                TokenRefusal::Invalid => ErrorCode::TOKEN_INVALID,
            };
            ApiError::new(StatusCode::UNAUTHORIZED, code, refusal.to_string())
        })?;
        // A sender's session token has the same signature, but is nobody's access token.
        let caller = Self::of_claims(&claims).ok_or_else(|| {
            let detail = "token is not a user's; log in with POST /api/auth/login";
            ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::TOKEN_INVALID, detail)
        })?;
        caller.check_admitted(app).await?;
        Ok(caller)
    }

    /// Goes on unless the user's tokens were revoked since this one was issued.
    ///
    /// # Errors
    /// 401 `token_invalid`.
    pub(super) async fn check_admitted(&self, app: &App) -> Result<(), ApiError> {
        if app.users().admits(&self.user, self.epoch).await? {
            return Ok(());
        }
        let detail = "token was revoked: the user was disabled or has a new password; log in again";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::TOKEN_INVALID, detail))
    }

    fn of_claims(claims: &Claims) -> Option<Self> {
        Some(Self {
            user: claims.sub.parse().ok()?,
            role: role_of(&claims.role)?,
            account: claims.owner.as_deref()?.parse().ok()?,
            expires_at: Timestamp::from_unix_millis(claims.exp.saturating_mul(1000)),
            address: None,
            epoch: claims.epoch,
        })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or_else(|| {
            let detail = "this needs an access token: Authorization: Bearer …";
            ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::other("unauthorized"), detail)
        })?;
        let mut caller = Self::of_token(app, token, crate::clock::wall()).await?;
        caller.address = peer_address(parts);
        Ok(caller)
    }
}

/// A [`Caller`] who may steer; as an extractor it answers 403 to others, before the body is looked at.
#[derive(Debug, Clone)]
pub struct Operator(pub Caller);

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.require(Role::Operator)?;
        Ok(Self(caller))
    }
}

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The socket's peer. Headers such as `X-Forwarded-For` are a stranger's words and are not read.
pub(super) fn peer_address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Admin => 2,
        Role::Operator => 1,
        Role::Viewer => 0,
    }
}
