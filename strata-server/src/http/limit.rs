//! How often somebody may try to log in: per address, per account from one address, and per account
//! wherever the tries come from.
//!
//! The limits are asked in this order, and a try that one of them refuses is not counted by the next: from
//! one address an account can be tried only so often that others still get in.

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
    by_account_and_address: DefaultKeyedRateLimiter<(u64, Option<IpAddr>)>,
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
            by_account_and_address: limiter(config.logins_per_min_account),
            by_account: limiter(config.logins_per_min_account_total),
            clock: DefaultClock::default(),
            seed: std::hash::RandomState::new(),
        }
    }

    /// Counts one try. `address` is `None` when the server was not told of peers; those share one count.
    pub(super) fn check_address(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        self.check(&self.by_address, &address.map(network))
    }

    /// Counts one try for an account, whether it exists or not.
    pub(super) fn check_account(&self, email: &str, address: Option<IpAddr>) -> Result<(), ApiError> {
        use std::hash::BuildHasher as _;
        // A hash: strangers choose the text, which may be long.
        let account = self.seed.hash_one(email.trim().to_lowercase());
        self.check(&self.by_account_and_address, &(account, address.map(network)))?;
        self.check(&self.by_account, &account)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(account: u32, total: u32) -> LoginLimit {
        LoginLimit::new(&HttpConfig {
            logins_per_min_account: account,
            logins_per_min_account_total: total,
            ..HttpConfig::default()
        })
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_stranger_locks_nobody_out_from_another_address() {
        let limit = limit(2, 5);
        let tries =
            |address| (0..100).filter(|_| limit.check_account("ann@example.com", address).is_ok()).count();
        assert_eq!(tries(address(1)), 2);
        assert!(limit.check_account(" Ann@Example.com", address(2)).is_ok());
        assert!(limit.check_account("bob@example.com", address(1)).is_ok());
    }

    #[test]
    fn many_addresses_together_are_limited() {
        let limit = limit(2, 5);
        let tries = (1..=100).filter(|n| limit.check_account("ann@example.com", address(*n)).is_ok());
        assert_eq!(tries.count(), 5);
        assert!(limit.check_account("bob@example.com", address(1)).is_ok());
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let limit = limit(1, 5);
        let six = |text: &str| Some(text.parse().unwrap());
        assert!(limit.check_account("ann@example.com", six("2001:db8:0:1::1")).is_ok());
        assert!(limit.check_account("ann@example.com", six("2001:db8:0:1::2")).is_err());
        assert!(limit.check_account("ann@example.com", six("2001:db8:0:2::1")).is_ok());
        // An IPv4 address is the same one whichever way the socket shows it.
        assert!(limit.check_account("ann@example.com", address(1)).is_ok());
        assert!(limit.check_account("ann@example.com", six("::ffff:192.0.2.1")).is_err());
    }
}
