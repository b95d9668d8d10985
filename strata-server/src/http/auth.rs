//! `POST /api/auth/login` and `/api/auth/refresh`.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::StatusCode;
use http::request::Parts;
use std::net::IpAddr;
use strata_proto::control::{ErrorCode, LoginRequest, LoginTokens, RefreshRequest};
use strata_proto::id::UserId;
use strata_proto::token::Secret;

use super::caller::{bearer, peer_address};
use super::{ApiError, App, Body, OptionalBody};
use crate::fleet::UserError;

pub(super) async fn login(
    State(app): State<App>,
    from: From,
    Body(body): Body<LoginRequest>,
) -> Result<Json<LoginTokens>, ApiError> {
    app.login_limit().check_address(from.address)?;
    app.login_limit().check_account(&body.email, from.address)?;
    // A caller that goes away while it waits for the hash costs no hash.
    let LoginRequest { email, password } = body;
    let checked = app.users().check(&email, password).await;
    let own = app.clone();
    let login = async move {
        let tokens = match checked {
            Ok(user) => own.users().admit(&user).await,
            Err(error) => Err(error),
        };
        own.metrics().user_login(tokens.is_ok());
        match &tokens {
            Ok(tokens) => {
                let user = &tokens.user.id;
                audit(&own, user.to_string(), "user.login", Some(user), &from).await;
            }
            Err(UserError::Credentials) => {
                // Not what was typed: people type their password into the wrong field.
                let tried = own.users().id_of(&email).await?;
                audit(&own, "anonymous".to_owned(), "user.login_failed", tried.as_ref(), &from).await;
            }
            Err(_) => {}
        }
        Ok(Json(tokens?))
    };
    app.uninterrupted(login).await
}

/// The refresh token comes in `Authorization: Bearer` or in the body.
pub(super) async fn refresh(
    State(app): State<App>,
    from: From,
    OptionalBody(body): OptionalBody<RefreshRequest>,
) -> Result<Json<LoginTokens>, ApiError> {
    app.login_limit().check_address(from.address)?;
    let From { address, token } = from;
    let token = body.refresh_token.or(token).ok_or_else(|| {
        let detail = "this needs a refresh token, in Authorization: Bearer or as refresh_token in the body";
        ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::other("unauthorized"), detail)
    })?;
    let own = app.clone();
    let refresh = async move {
        let tokens = own.users().refresh(&token).await;
        if let Err(UserError::Refresh(crate::store::RefreshRefusal::Reused)) = &tokens {
            let from = From { address, token: None };
            audit(&own, "anonymous".to_owned(), "user.refresh_token_reused", None, &from).await;
        }
        Ok(Json(tokens?))
    };
    app.uninterrupted(refresh).await
}

/// Where a request came from, and the token it carries.
pub(super) struct From {
    address: Option<IpAddr>,
    token: Option<Secret>,
}

impl FromRequestParts<App> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self { address: peer_address(parts), token: bearer(parts).map(Secret::new) })
    }
}

async fn audit(app: &App, actor: String, action: &str, target: Option<&UserId>, from: &From) {
    let entry = crate::store::AuditEntry {
        at: crate::clock::wall(),
        actor,
        action: action.to_owned(),
        target: target.map(UserId::to_string),
        address: from.address.map(|address| address.to_string()),
        detail: None,
    };
    app.write_audit(&entry).await;
}
