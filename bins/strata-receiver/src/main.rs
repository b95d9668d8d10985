//! Receiver of one Strata stream: bonded RIST in, MPEG-TS file, SRT and RTMP out.

fn main() {}
