//! Pipelines with real parts: real sockets, real files, GStreamer, and ffmpeg as the judge.

#![cfg(all(feature = "gst", feature = "testing"))]

mod judge;
mod sending;
