//! Everything with a text form of its own: times, ids, topics, sizes, fingerprints, tokens.

#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use strata_proto::control::{CommandKind, Resolution, Topic};
use strata_proto::id::{DestinationId, MessageId, SenderId, StreamId, UserId};
use strata_proto::time::Timestamp;
use strata_proto::token::{EnrollmentToken, Fingerprint};

fuzz_target!(|text: &str| {
    check::<Timestamp>(text);
    check::<MessageId>(text);
    check::<SenderId>(text);
    check::<StreamId>(text);
    check::<UserId>(text);
    check::<DestinationId>(text);
    check::<Topic>(text);
    check::<Resolution>(text);
    check::<Fingerprint>(text);
    check::<CommandKind>(text);
    if let Ok(token) = text.parse::<EnrollmentToken>() {
        assert_eq!(token.expose(), text);
    }
});

fn check<T: FromStr + Display + PartialEq + Debug>(text: &str)
where
    T::Err: Debug,
{
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().expect("what was written can be read"), value);
    }
}
