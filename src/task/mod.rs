//! Drivers: sockets, serial ports, clocks, and the tasks that join the rooms. No protocol knowledge.

pub mod backoff;
pub mod mqtt;
pub mod tls;
