//! Configurations in one expression: what is not said stays as the constructor set it, and is checked when opened.

use std::net::IpAddr;
use std::time::Duration;

use super::config::{LinkConfig, Membership, Profile, ReceiverConfig, SenderConfig};
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

    /// For these users alone, who call links that listen, and so by the Main Profile.
    #[must_use]
    pub fn with_users(self, users: Verifiers) -> Self {
        Self { users: Some(users), profile: Profile::Main, ..self }
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

    /// With whole datagrams of IPv4 in the tunnels, by the Main Profile.
    #[must_use]
    pub fn with_full_datagrams(self) -> Self {
        Self { full_datagrams: true, profile: Profile::Main, ..self }
    }

    /// To this port within the tunnels, an even one, and so by the Main Profile.
    #[must_use]
    pub fn with_virtual_port(self, port: u16) -> Self {
        Self { virtual_port: Some(port), profile: Profile::Main, ..self }
    }

    /// Of a source that can wait, such as a file.
    #[must_use]
    pub fn with_waiting_source(self) -> Self {
        Self { live: false, ..self }
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

    /// To a group that is so many routers away, less one.
    #[must_use]
    pub fn with_hops(self, hops: u8) -> Self {
        Self { hops: Some(hops), ..self }
    }

    /// Used only when the other links do not suffice.
    #[must_use]
    pub fn as_backup(self) -> Self {
        Self { backup: true, ..self }
    }

    /// Every byte costs: used last of all.
    #[must_use]
    pub fn as_metered(self) -> Self {
        Self { metered: true, ..self }
    }

    /// May carry so many bytes in all, both ways, with all headers.
    #[must_use]
    pub fn with_cap(self, bytes: u64) -> Self {
        Self { cap_bytes: Some(bytes), ..self }
    }

    /// Gets more than links of less weight, in proportion, as far as it carries it; a hint.
    #[must_use]
    pub fn with_weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }
}

impl ReceiverConfig {
    /// With a sender that is called.
    #[must_use]
    pub fn with_call(mut self, link: LinkConfig) -> Self {
        self.calls.push(link);
        self
    }

    /// As this user, where senders are called.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// With a group that is joined in this way.
    #[must_use]
    pub fn with_membership(mut self, membership: Membership) -> Self {
        self.memberships.push(membership);
        self
    }

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

    /// Without repair packets, whatever a sender could spare.
    #[must_use]
    pub fn without_fec(self) -> Self {
        Self { fec: false, ..self }
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
