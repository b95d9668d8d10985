//! UTC time stamps in milliseconds, written as RFC 3339 with a `Z`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A point in UTC time, in milliseconds since the Unix epoch.
///
/// Written as `2026-02-14T10:30:00.000Z`; read with any offset, any precision (cut to milliseconds),
/// and without a zone as UTC (control-facts, *Envelope*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time stamp.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid time stamp {0:?}, expected RFC 3339 such as 2026-02-14T10:30:00.000Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// From milliseconds since the Unix epoch, limited to the years 0 to 9999.
    #[must_use]
    pub fn from_unix_millis(ms: i64) -> Self {
        Self(ms.clamp(MIN_MS, MAX_MS))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as session tokens count them.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time plus `duration`, at most the end of year 9999.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(self.0.saturating_add(ms))
    }

    /// The time from `earlier` until this, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        // File systems hand out any time: no conversion that panics on a far one.
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => ms(after),
            Err(before) => -ms(before.duration()),
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH);
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ms = DateTime::parse_from_rfc3339(text)
            .map(|t| t.timestamp_millis())
            .or_else(|_| text.parse::<NaiveDateTime>().map(|t| t.and_utc().timestamp_millis()))
            .map_err(|_| TimestampError(text.chars().take(64).collect()))?;
        if !(MIN_MS..=MAX_MS).contains(&ms) {
            return Err(TimestampError(text.chars().take(64).collect()));
        }
        Ok(Self(ms))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// 0000-01-01T00:00:00Z and the last millisecond of 9999: what RFC 3339 can write with four digits.
const MIN_MS: i64 = -62_167_219_200_000;
const MAX_MS: i64 = 253_402_300_799_999;
