//! Apator Metrix: the gas meter unismart.
//!
//! ```text
//! 02 FD 74  ssss        status flags, where the standard has the days of a battery
//! 04 6D     tttttttt    the moment of the register; the meter's clock is a second record, to the second
//! ```
//!
//! Known from public decoders.

use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::Translation;
use crate::record::{DataRecord, Quantity, Records};

pub(super) const MAKER: Maker = Maker { manufacturers: &["AMX"], layouts: &[LAYOUTS], ..Maker::PLAIN };

const UNISMART: &[(u8, u8)] = &[(0x01, 0x03)];

const LAYOUTS: &[Layout] = &[
    Layout::vib(UNISMART, &[0xfd, 0x74], &[0xfd, 0x17]),
    Layout { models: UNISMART, place: Place::Record(&[0x6d]), translate: moment },
];

/// The moment is set apart where there is a clock as well.
fn moment(sent: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let [0x04, _, data @ ..] = octets else { return Err(Fault::Other) };
    let is_clock = |record: &DataRecord<'_>| {
        record.vib.quantity == Quantity::DateTime && record.storage_number == 0 && record.octets != octets
    };
    if !Records::new(sent.application).flatten().any(|record| is_clock(&record)) {
        return Err(Fault::Other);
    }
    out.octets(&[0x04]);
    out.octets(VIB_MOMENT);
    out.octets(data);
    Ok(())
}

/// Date and time, behind a VIFE of the manufacturer's own.
const VIB_MOMENT: &[u8] = &[0xed, 0xff, 0x01];
