//! The generated types. Their documentation is in `proto/dcu/v1/*.proto`.
#![allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    rustdoc::all,
    reason = "generated from proto/dcu/v1, not written here"
)]

include!(concat!(env!("OUT_DIR"), "/dcu.v1.rs"));

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey({:016x}, ..)", self.eui64)
    }
}
