//! strata-media.
