//! Control plane of Strata: enrols devices, steers streams, supervises receivers.

fn main() {}
