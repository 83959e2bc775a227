//! A G3-PLC network in virtual time: site, channel, medium access, LOADng in every node, joining, meters that answer.
//!
//! Event-driven, in integer microseconds, the same run for the same seed. It models what decides about routes and
//! airtime: links that differ in both directions, noise that many meters hear together, hidden nodes, floods of route
//! requests, tables that are too small. It models no samples and no tones. What it yields are outputs of a model: ratios
//! between two runs mean something, absolute times little.

mod channel;
mod contention;
mod duty;
mod feeder;
mod figures;
mod hosted;
mod hybrid;
mod job;
mod join;
mod mac;
mod message;
mod options;
mod phy;
mod reach;
mod route;
mod routing;
mod server;
mod site;
#[cfg(test)]
mod tests;
mod world;

pub use channel::Conditions;
pub use feeder::{Feeder, FeederFault};
pub use figures::{Count, Figures};
pub use hosted::Step;
pub use message::{Hosted, Kind, NodeNo, Output, Parcel, Request};
pub use options::{Cluster, Flood, Manner, Options};
pub use phy::{Medium, Micros, Modulation};
pub use route::Metric;
pub use site::{Cabinet, Phase, Place, Shape, Site};
pub use world::World;
