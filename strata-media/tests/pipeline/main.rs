//! Pipelines with real parts: real sockets, real files, GStreamer, and ffmpeg as the judge.

#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

mod adapting;
mod camera;
mod faults;
mod forwarding;
mod judge;
mod keyframes;
mod rig;
mod secure;
mod sending;
mod updating;
