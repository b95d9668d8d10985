//! Numbers with bounds: what lies outside is refused on reading, with the field's path.
//!
//! Measured values ([`ratio`], [`percent`], [`millis`]) are limited to their bounds on writing, so
//! that rounding (a load of 100.02 %) never costs a report; not-a-number is written as the lower bound.

use std::fmt::Display;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

macro_rules! measured {
    ($($(#[$doc:meta])* $name:ident = $low:expr, $high:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) mod $name {
            pub(crate) fn serialize<S: serde::Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_f64(super::limited(*value, $low, $high))
            }

            pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
                super::check(serde::Deserialize::deserialize(d)?, $low, $high)
            }
        }
    )*};
}

macro_rules! optional {
    ($($(#[$doc:meta])* $optional:ident = $low:expr, $high:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) mod $optional {
            pub(crate) fn serialize<S: serde::Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
                match value {
                    Some(value) => s.serialize_f64(super::limited(*value, $low, $high)),
                    None => s.serialize_none(),
                }
            }

            pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
                let value: Option<f64> = serde::Deserialize::deserialize(d)?;
                value.map(|value| super::check(value, $low, $high)).transpose()
            }
        }
    )*};
}

measured! {
    /// A share, 0 to 1.
    ratio = 0.0, 1.0;
    /// A share in percent, 0 to 100.
    percent = 0.0, 100.0;
    /// A duration in ms, at most 10¹² (30 years).
    millis = 0.0, 1e12;
}

optional! {
    /// A share, 0 to 1.
    optional_ratio = 0.0, 1.0;
    /// A duration in ms, at most 10¹² (30 years).
    optional_millis = 0.0, 1e12;
}

/// An optional setting from `LOW` to `HIGH`.
pub(crate) fn setting<'de, const LOW: u32, const HIGH: u32, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let value = Option::<u32>::deserialize(deserializer)?;
    value.map(|value| check(value, LOW, HIGH)).transpose()
}

fn limited(value: f64, low: f64, high: f64) -> f64 {
    if value.is_nan() { low } else { value.clamp(low, high) }
}

fn check<T: PartialOrd + Display, E: Error>(value: T, low: T, high: T) -> Result<T, E> {
    if value >= low && value <= high {
        Ok(value)
    } else {
        Err(E::custom(format_args!("{value} is out of range, expected {low} to {high}")))
    }
}
