//! Driver and bootstrap server against the emulated modem: whole networks, and what goes wrong in them.

mod chaos;
mod house;
mod joins;
mod lines;
mod network;
mod rekeys;
