//! GWF: water and gas meters, what follows DIF 0F.
//!
//! ```text
//! 01 aa bb ..
//! a  1 continuous flow, 3 broken pipe, 5 battery low, 6 back flow
//! b  0 power saving, 3-7 battery in half years
//!
//! 44 13 FFFFFFFF      no value at the due date
//! ```
//!
//! Known from public decoders. Other types than 01 are not, and stay as they are.

use bytes::Buf;

use super::field::{Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::Translation;
use crate::record::{DataRecord, Unit, Value};

pub(super) const MAKER: Maker = Maker {
    manufacturers: &["GWF"],
    layouts: &[&[
        Layout { models: &[], place: Place::Tail, translate: tail },
        Layout { models: &[], place: Place::Record(VIB_LITRES), translate: due },
    ]],
    rows: &[Row { models: &[], vifes: BATTERY, fields: &[HALF_YEARS] }],
    ..Maker::PLAIN
};

fn tail(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    if buf.try_get_u8()? != TYPE {
        return Err(Fault::Other);
    }
    let (flags, power) = (buf.try_get_u8()?, buf.try_get_u8()?);
    out.flags(&[flags, power & POWER_SAVING]);
    out.own(0, BATTERY, power >> 3);
    Ok(())
}

/// There is no value at the due date where all bits are set.
fn due(_: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let record = DataRecord::parse(&mut &*octets)?;
    if record.storage_number == 0 || record.value != Value::Integer(-1) {
        return Err(Fault::Other);
    }
    out.stored_or_none(record.storage_number.into(), VIB_LITRES, None::<i64>);
    Ok(())
}

const TYPE: u8 = 0x01;
const POWER_SAVING: u8 = 0x01;
const VIB_LITRES: &[u8] = &[0x13];
/// Beside the standard's remaining battery life, which these meters send as well.
const BATTERY: &[u8] = &[0xff, 0x01];
const HALF_YEARS: Field = Field { exponent: -1, factor: 5, ..Field::whole("battery_life", Unit::Year) };
