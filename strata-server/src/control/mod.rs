//! Streams: their lives, the ports they use, the receiver processes that take them in.
//!
//! ```text
//!  REST ──► Streams ──► Task ◄──► Life          one task and one pure machine per stream
//!              │          ├─────► Receiver      process, Unix socket, JSON lines
//!  agents ─► Observer ──► inbox   └─► Fleet     stream.start, stream.stop, config.update
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `life` | pure: the states of a stream and what follows from what |
//! | `ports` | pure: the pool of RTP/RTCP port pairs |
//! | `links` | pure: links of requests, checked, and where they lead |
//! | `plan` | pure: from a request to links, addresses and the agent's command |
//! | `receiver` | starting, steering and finding receiver processes |
//! | `task`, `driver` | one stream's driver; what runs all of them |
//! | `streams`, `observe`, `recover` | all streams: start and stop; agents' words; after a restart |
//! | `update` | a change of a running stream: `config.update` |
//! | `close` | the end of a stream: written down, let go, also when its task broke off |
//! | `totals` | sums over all streams, for metrics |
//! | `run_dir`, `logs` | where receivers' sockets and logs are; which of the logs stay |

mod active;
mod close;
mod config;
mod driver;
mod forwards;
mod inbox;
mod life;
mod links;
mod logs;
mod observe;
mod plan;
mod ports;
mod receiver;
mod recover;
pub(crate) mod run_dir;
mod streams;
mod task;
mod totals;
mod update;

pub use config::StreamsConfig;
pub use driver::StreamsDriver;
pub use life::{Gone, Graces, Input, Life, Outcome, Output};
pub use plan::Plan;
pub use ports::{PortPool, PortsExhausted};
pub use receiver::{Launch, News, Receiver, ReceiverError, launch};
pub use streams::{NotStreaming, StartError, Streams};
pub use totals::Summary;
pub use update::UpdateError;
