//! Any operations, by chance: each machine holds what is asserted of it where they are carried out.

use proptest::prelude::*;

use super::{operations, start};

fn code() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_receiver_bears_any_operations(code in code()) {
        operations::receiver::run(start(), &code);
    }

    #[test]
    fn a_sender_bears_any_operations(code in code()) {
        operations::sender::run(start(), &code);
    }

    #[test]
    fn a_host_bears_any_operations(code in code()) {
        operations::host::run(start(), &code);
    }

    #[test]
    fn links_may_come_go_and_change_in_any_order(code in code()) {
        operations::links::run(start(), &code);
    }

    #[test]
    fn many_streams_bear_any_operations(code in code()) {
        operations::streams::run(start(), &code);
    }

    #[test]
    fn a_client_bears_any_operations(code in code()) {
        operations::client::run(start(), &code);
    }

    #[test]
    fn a_listener_bears_any_operations(code in code()) {
        operations::tunnel::run(start(), &code);
    }
}

/// A peer with the key is owed a keep-alive message after 5 s, as soon as enough has come from there. What comes then of who has another
/// key is noise, a quarter of which looks like RTP.
#[test]
fn noise_draws_nothing_that_is_owed_to_another() {
    // With a key; a report from host 0; 10 s, and the same from host 5; media with another key from host 0.
    let code = [&[1, 4, 0, 41, 200][..], &[3, 1].repeat(50)].concat();
    operations::tunnel::run(start(), &code);
}
