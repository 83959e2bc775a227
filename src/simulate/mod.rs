//! The digital twin: meters of all kinds, emulated receivers and modems, a broker, outages and the reference head-end around a
//! real service.
//!
//! `dcu simulate` writes a configuration and starts `dcu run` as a child process; the service knows nothing of any of this.
//! What should arrive is taken from the values the fleet generated, never from the parsers under test. All randomness comes
//! from one printed seed.

pub mod account;
pub mod air;
pub mod awaited;
pub mod broker;
mod consumer;
pub mod control;
pub mod electricity;
pub mod faults;
pub mod figures;
pub mod fleet;
mod garbage;
pub mod head_end;
pub mod kills;
pub mod ledger;
pub mod modem;
mod outage;
pub mod proxy;
mod pty;
mod radio;
pub mod receiver;
pub mod receivers;
pub mod report;
pub mod run;
pub mod scene;
pub mod sequences;
pub mod service;
mod stage;
