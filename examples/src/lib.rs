//! Examples of the Strata SDK; each file under `examples/` is one of them.
