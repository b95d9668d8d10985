//! Field-device agent of Strata: joins a control plane and sends bonded live video.

fn main() {}
