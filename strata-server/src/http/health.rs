//! `/healthz` and `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, StatusCode, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use strata_proto::control::ErrorCode;

use super::{ApiError, App};
use crate::control::Summary;

/// Totals of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    user_logins: Family<OutcomeLabels, Counter>,
    agents: Gauge<i64>,
    live: Gauge<i64>,
    events: Gauge<u64, AtomicU64>,
    streams: Family<StateLabels, Gauge<u64, AtomicU64>>,
    receivers: Gauge<u64, AtomicU64>,
    packets: Family<OutcomeLabels, Counter>,
}

/// Never a stream's id: as many series as states and outcomes, however many streams come and go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("strata"),
            requests: Family::default(),
            user_logins: Family::default(),
            agents: Gauge::default(),
            live: Gauge::default(),
            events: Gauge::default(),
            streams: Family::default(),
            receivers: Gauge::default(),
            packets: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("http_requests", "HTTP requests answered", metrics.requests.clone());
        registry.register("user_logins", "Logins of users", metrics.user_logins.clone());
        registry.register("agents_online", "Senders connected", metrics.agents.clone());
        registry.register("live_connections", "Live WebSockets connected", metrics.live.clone());
        registry.register("live_events_seq", "Number of the last live event", metrics.events.clone());
        registry.register("streams", "Streams that are not over", metrics.streams.clone());
        registry.register("receivers", "Receiver processes", metrics.receivers.clone());
        registry.register(
            "receiver_packets",
            "Packets of all receivers, by outcome",
            metrics.packets.clone(),
        );
        metrics
    }

    /// Takes over what streams and receivers counted.
    fn note(&self, summary: &Summary) {
        let states = [("starting", summary.starting), ("live", summary.live), ("stopping", summary.stopping)];
        for (state, count) in states {
            self.streams.get_or_create(&StateLabels { state }).set(count);
        }
        self.receivers.set(summary.receivers);
        for (outcome, total) in summary.packets {
            // Set, not added: two scrapes at once must not count the same packets twice.
            let counter = self.packets.get_or_create(&OutcomeLabels { outcome }).clone();
            counter.inner().fetch_max(total, Ordering::Relaxed);
        }
    }

    /// Counts one answer. `route` is the route's pattern, never the path: strangers choose paths.
    pub(super) fn answered(&self, method: &http::Method, route: Option<&str>, status: StatusCode) {
        let labels = RequestLabels {
            method: method_label(method),
            route: route.unwrap_or("unknown").to_owned(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn user_login(&self, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.user_logins.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(super) fn live_connections(&self) -> &Gauge<i64> {
        &self.live
    }
}

/// 200 when the database answers, else 503.
pub(super) async fn healthz(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    app.store().ping().await.map_err(|error| {
        tracing::error!(%error, "database does not answer");
        let code = ErrorCode::other("database_unavailable");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, "the database does not answer")
    })?;
    Ok(Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })))
}

/// OpenMetrics text.
pub(super) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    if !app.config().http.metrics {
        return Err(ApiError::not_found("metrics are switched off"));
    }
    let metrics = app.metrics();
    metrics.agents.set(i64::try_from(app.fleet().online_count()).unwrap_or(i64::MAX));
    metrics.events.set(app.events().seq());
    metrics.note(&app.streams().summary());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics.registry).map_err(ApiError::internal)?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

fn method_label(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "GET",
        http::Method::POST => "POST",
        http::Method::PUT => "PUT",
        http::Method::PATCH => "PATCH",
        http::Method::DELETE => "DELETE",
        _ => "other",
    }
}
