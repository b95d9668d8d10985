//! Lists in pages: `?limit=…&after=…`, and a `Link` header that says where the next page is.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Uri, header};
use serde::Serialize;

use super::{ApiError, App};
use crate::store::Page;

/// What stands behind the `?` of a request. Of a repeated parameter the last counts; unknown ones do not.
#[derive(Debug)]
pub(super) struct Query {
    uri: Uri,
    values: HashMap<String, String>,
}

impl FromRequestParts<App> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let values = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Self { uri: parts.uri.clone(), values })
    }
}

impl Query {
    /// One parameter; 422 naming it when it is not what is `expected`.
    pub(super) fn get<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        let parse = |text: &String| text.parse().map_err(|_| ApiError::invalid(name, expected));
        self.values.get(name).map(parse).transpose()
    }

    /// Which page is asked for.
    pub(super) fn wanted<I: FromStr>(&self) -> Result<Wanted<I>, ApiError> {
        let expected = format!("expected a number from 1 to {MAX_LIMIT}");
        let limit = self.get("limit", &expected)?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::invalid("limit", expected));
        }
        let after = self.get("after", "expected the id of the last item of the page before")?;
        Ok(Wanted { limit, after })
    }

    /// The answer: the items of the page, and the address of the next one when there is more.
    pub(super) fn answer<T: Serialize, I: Display>(
        &self,
        limit: u32,
        mut items: Vec<T>,
        id: impl Fn(&T) -> I,
    ) -> Result<Response, ApiError> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| self.next(limit, &id(last).to_string()));
        let mut response = Json(items).into_response();
        if let Some(next) = next {
            let link = HeaderValue::from_str(&next).map_err(ApiError::internal)?;
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }

    fn next(&self, limit: u32, after: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.values.iter().filter(|(name, _)| *name == "all") {
            query.append_pair(name, value);
        }
        query.append_pair("limit", &limit.to_string()).append_pair("after", after);
        format!("<{}?{}>; rel=\"next\"", self.uri.path(), query.finish())
    }
}

/// The page that is asked for.
#[derive(Debug)]
pub(super) struct Wanted<I> {
    pub(super) limit: u32,
    after: Option<I>,
}

impl<I> Wanted<I> {
    /// One item more than is shown: whether there is a next page.
    pub(super) fn page(&self) -> Page<'_, I> {
        Page { after: self.after.as_ref(), limit: self.limit + 1 }
    }
}

/// How much a list shows when nobody says.
const DEFAULT_LIMIT: u32 = 100;
/// Some hundred bytes each: an answer stays well below a megabyte.
const MAX_LIMIT: u32 = 500;
