//! Configurations in one expression: what is not said stays as the constructor set it, and is checked when opened.

use std::net::IpAddr;
use std::time::Duration;

use super::config::{LinkConfig, Profile, ReceiverConfig, SenderConfig};
use crate::bond::SchedulerParams;
use crate::rist::auth::{Credentials, Verifiers};
use crate::rist::tunnel::Psk;

impl SenderConfig {
    /// With another latency: at least that of the receiver; 1 ms to 60 s.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// With other scheduling.
    #[must_use]
    pub fn with_scheduler(self, scheduler: SchedulerParams) -> Self {
        Self { scheduler, ..self }
    }

    /// With another canonical name in RTCP.
    #[must_use]
    pub fn with_cname(self, cname: impl Into<String>) -> Self {
        Self { cname: cname.into(), ..self }
    }

    /// By another profile.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// Encrypted, and so by the Main Profile.
    #[must_use]
    pub fn with_psk(self, psk: Psk) -> Self {
        Self { psk: Some(psk), profile: Profile::Main, ..self }
    }

    /// As this user, and so by the Main Profile.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), profile: Profile::Main, ..self }
    }

    /// Without null packets, and so by the Main Profile.
    #[must_use]
    pub fn without_null_packets(self) -> Self {
        Self { null_packet_deletion: true, profile: Profile::Main, ..self }
    }

    /// With sequence numbers of 32 bits, and so by the Main Profile.
    #[must_use]
    pub fn with_sequence_extension(self) -> Self {
        Self { sequence_extension: true, profile: Profile::Main, ..self }
    }
}

impl LinkConfig {
    /// Bound to an interface.
    #[must_use]
    pub fn with_interface(self, name: impl Into<String>) -> Self {
        Self { interface: Some(name.into()), ..self }
    }

    /// With a source address, of the family of the remote one.
    #[must_use]
    pub fn with_source(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Used only when the other links do not suffice.
    #[must_use]
    pub fn as_backup(self) -> Self {
        Self { backup: true, ..self }
    }
}

impl ReceiverConfig {
    /// With another latency, 1 ms to 60 s.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// With another canonical name in RTCP.
    #[must_use]
    pub fn with_cname(self, cname: impl Into<String>) -> Self {
        Self { cname: cname.into(), ..self }
    }

    /// With the key senders have too: nothing is taken in clear.
    #[must_use]
    pub fn with_psk(self, psk: Psk) -> Self {
        Self { psk: Some(psk), ..self }
    }

    /// For these users alone.
    #[must_use]
    pub fn with_users(self, users: Verifiers) -> Self {
        Self { users: Some(users), ..self }
    }

    /// With room for so many packets that the consumer has not taken.
    #[must_use]
    pub fn with_output_capacity(self, packets: usize) -> Self {
        Self { output_capacity: packets, ..self }
    }
}
