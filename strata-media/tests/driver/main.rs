//! The drivers, over sockets and in real time.
#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

mod allocations;
mod held_up;
mod updates;
