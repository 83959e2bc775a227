//! The data concentrator unit: rooms of the service and of the command line tool.
//!
//! Data flows one way: octets, `Telegram`, `Reading`, `Record`, `Batch`, head-end; acknowledgements flow back.
//! `docs/ARCHITECTURE.md` names the rooms and what each of them may not do.

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod journal;
pub mod reading;
pub mod registry;
pub mod schedule;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod store;
pub mod task;
pub mod uplink;
pub mod wire;
