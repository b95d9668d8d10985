//! The harness of the demo and of the end-to-end tests: real daemons, emulated links, checked recordings.
//!
//! ```text
//!                    Stage: one machine's worth of Strata, on loopback addresses of its own
//!  ┌───────────────────────────────────────────────────────────────────────────────────────┐
//!  │ Agent (process) ══RIST══► Links (relays in this process) ══► receiver (process)        │
//!  │   └──────────── wss ────────────► ControlPlane (process) ──spawns──┘  └─► recording    │
//!  └───────────────────────────────────────────▲───────────────────────────────────│───────┘
//!                        Rest, Live (clients) ─┘                recording::check ◄─┘
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `wait` | the one way to wait: poll what can be observed, up to a deadline |
//! | `place` | loopback addresses and ports nobody else has |
//! | `program`, `daemon` | where the programs are; one running program and its output |
//! | `control`, `agent` | the daemons, and how they are started again |
//! | `rest`, `live` | clients of the control plane |
//! | `clip`, `links` | what is sent, and over what |
//! | `stage` | all of it together |
//! | `show` | what the demo prints |
//! | `recording` | what a viewer would see in a recorded file |

pub mod agent;
pub mod clip;
pub mod control;
pub mod daemon;
pub mod links;
pub mod live;
pub mod place;
pub mod program;
pub mod recording;
pub mod rest;
pub mod show;
pub mod stage;
pub mod wait;
