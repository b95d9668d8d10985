//! How often somebody may try to log in: per address, and per account wherever the tries come from.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::StatusCode;
use strata_proto::control::ErrorCode;

use super::ApiError;
use crate::config::HttpConfig;

pub(super) struct LoginLimit {
    by_address: DefaultKeyedRateLimiter<Option<IpAddr>>,
    by_account: DefaultKeyedRateLimiter<u64>,
    clock: DefaultClock,
    seed: std::hash::RandomState,
}

impl std::fmt::Debug for LoginLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginLimit").finish_non_exhaustive()
    }
}

impl LoginLimit {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            by_address: limiter(config.logins_per_min_address),
            by_account: limiter(config.logins_per_min_account),
            clock: DefaultClock::default(),
            seed: std::hash::RandomState::new(),
        }
    }

    /// Counts one try. `address` is `None` when the server was not told of peers; those share one count.
    pub(super) fn check_address(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        self.check(&self.by_address, &address.map(network))
    }

    /// Counts one try for an account, whether it exists or not.
    pub(super) fn check_account(&self, email: &str) -> Result<(), ApiError> {
        use std::hash::BuildHasher as _;
        // A hash: strangers choose the text, which may be long.
        self.check(&self.by_account, &self.seed.hash_one(email.trim().to_lowercase()))
    }

    fn check<K: Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), ApiError> {
        if limiter.len() > MAX_KEYS {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now()).as_secs() + 1;
            let detail = format!("too many login attempts; try again in {wait} s");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RATE_LIMITED, detail).retry_after(wait)
        })
    }
}

/// One household or provider customer: IPv6 hands out /64 networks, so single addresses mean nothing.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

fn limiter<K: Hash + Eq + Clone>(per_minute: u32) -> DefaultKeyedRateLimiter<K> {
    RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN)))
}

/// Above this many addresses or accounts, those whose count is full again are forgotten.
const MAX_KEYS: usize = 50_000;
