//! The machine between a store, a broker and consumers of ours; time is a variable.

mod acknowledge;
mod command;
mod delivery;
mod order;
mod world;
