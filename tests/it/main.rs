//! The integration tests: real brokers, real sockets, emulated hardware.
//!
//! Without mosquitto the tests that need it say that they are skipped; under `CI=true` they fail instead.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests: a panic is a failure, and real time passes"
)]

mod behind;
mod companion;
mod consumer;
mod datagrams;
mod days;
mod dlms;
mod electricity;
mod forged;
mod life;
mod mqtt;
mod plc;
mod push;
mod receivers;
mod replay;
mod resend;
mod service;
mod shared;
mod support;
mod tampered;
mod two_way;
mod uplink;
mod ways;
