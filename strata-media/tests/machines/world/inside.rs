//! Which machine is at work, for a test that wants to know what it does apart from the world around it.

use std::cell::Cell;

/// A machine of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    Sender,
    Receiver,
}

thread_local! {
    static AT_WORK: Cell<Option<Machine>> = const { Cell::new(None) };
}

/// The machine that is at work on this thread.
pub(crate) fn at_work() -> Option<Machine> {
    AT_WORK.get()
}

/// Lets a machine work.
pub(crate) fn work<R>(machine: Machine, work: impl FnOnce() -> R) -> R {
    AT_WORK.set(Some(machine));
    let result = work();
    AT_WORK.set(None);
    result
}
