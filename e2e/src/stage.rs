//! A whole Strata on one machine: control plane, device, links.
