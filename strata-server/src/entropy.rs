//! The operating system's random numbers, for secrets and identifiers.

use strata_proto::id::MessageId;
use strata_proto::time::Timestamp;

/// `N` random bytes.
///
/// # Panics
/// When the operating system has no random numbers to give: nothing safe can be done without.
#[must_use]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "a server without random numbers must not go on")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A new message id.
#[must_use]
pub(crate) fn message_id(now: Timestamp) -> MessageId {
    MessageId::generate(now, bytes())
}
