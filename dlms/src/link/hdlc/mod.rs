//! HDLC, IEC 62056-46: frame format type 3, normal response mode.
//!
//! The client is the primary station and polls, the meter is the secondary and answers. A frame's length stands in
//! it, so that no octet is escaped; after damage the next flag begins anew.

mod address;
mod deframer;
mod fcs;
mod frame;
mod parameters;
mod primary;
mod secondary;
mod sequence;

pub use address::Address;
pub use deframer::Deframer;
pub use frame::{Control, Frame};
pub use parameters::Parameters;
pub use primary::{Primary, Timing};
pub use secondary::Secondary;

use crate::Reject;

/// The LLC header of what the client sends.
pub const LLC_REQUEST: [u8; 3] = [0xe6, 0xe6, 0x00];
/// The LLC header of what the meter sends.
pub const LLC_RESPONSE: [u8; 3] = [0xe6, 0xe7, 0x00];

/// Takes the LLC header off.
fn strip_llc(mut octets: Vec<u8>, header: [u8; 3]) -> Result<Vec<u8>, Reject> {
    if !octets.starts_with(&header) {
        return Err(Reject::BadLlc);
    }
    octets.drain(..header.len());
    Ok(octets)
}

#[cfg(test)]
mod tests;
