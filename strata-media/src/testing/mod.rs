//! Bad networks on demand: a seeded link emulator, and a UDP relay that puts it between real processes.
//!
//! [`netem`] is the pure core: a machine in virtual time that takes packets and says which arrive when.
//! [`relay`] drives the same core between UDP sockets. The program `netem` in `benches/` is the relay with flags.
//!
//! ```text
//!            ┌───────────────────────── netem::Link, one per direction ─────────────────────────┐
//!  push ───► │ queue (tail drop) ──► rate or trace ──► outage, loss ──► delay, jitter, reorder, │ ───► poll
//!            │                                                          duplication             │
//!            └──────────────────────────────────────────────────────────────────────────────────┘
//! ```

pub mod netem;
pub mod relay;
