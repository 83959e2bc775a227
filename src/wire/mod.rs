//! What the head-end reads: types generated from `proto/dcu/v1`, columns, hashes, signatures over octets.

pub mod signed;
pub mod trust;
pub mod v1;
