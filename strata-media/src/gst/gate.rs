//! How a streaming thread that waits is called back (`unlock` and `unlock_stop` of GStreamer's base classes).

use tokio::sync::watch;

/// Open while the streaming thread is wanted elsewhere.
#[derive(Debug)]
pub(super) struct Gate(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    open: bool,
    /// How often it was opened.
    opened: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl Gate {
    /// Lets the streaming thread out.
    pub(super) fn open(&self) {
        self.0.send_modify(|state| *state = State { open: true, opened: state.opened + 1 });
    }

    /// Lets it wait again.
    pub(super) fn close(&self) {
        self.0.send_modify(|state| state.open = false);
    }

    /// Waits until it is open, or was since this was called, however shortly.
    pub(super) fn opened(&self) -> impl Future<Output = ()> + use<> {
        let mut states = self.0.subscribe();
        let before = states.borrow().opened;
        async move {
            let is_open = |state: &State| state.open || state.opened != before;
            // Without a gate nobody waits.
            let _ = states.wait_for(is_open).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::wait::block_on_for;
    use super::*;

    #[test]
    fn it_lets_out_who_waits_and_who_comes_while_it_is_open() {
        let wait = |waits| block_on_for(Duration::ZERO, waits);
        let gate = Gate::default();
        let before = gate.opened();
        assert_eq!(wait(gate.opened()), None);
        gate.open();
        assert_eq!(wait(gate.opened()), Some(()));
        gate.close();
        assert_eq!(wait(gate.opened()), None);
        assert_eq!(wait(before), Some(()));
    }
}
