//! The machines of RIST and of bonds over emulated links, in virtual time: the scenarios that the targets are set for, a room for
//! each thing that they are to do, and the world in which it happens.

mod adaptation;
mod allocations;
mod any_network;
mod bonding;
mod bottleneck;
mod changes;
mod costs;
mod disturbances;
mod echoes;
mod estimates;
mod fast;
mod fec;
mod frames;
mod held_up;
mod links;
mod long_sequence;
mod metered;
mod overload;
mod pacing;
mod parameters;
mod priorities;
mod recovery;
mod redundancy;
mod requests;
mod rtcp;
mod scenarios;
mod slow_path;
mod standard;
mod standard_ways;
mod updates;
mod waiting;
mod ways;
mod wire;
mod world;
