//! Qundis, Siemens: the walk-by data set of heat cost allocators, heat and water meters.
//!
//! ```text
//! 0D FF5F 35  00 82 cc 0000 .. .. 07 kk uu EEEE vvvvvvvv DDDD dddddddd MMMM mmmmmmmm wwww x 12 2F
//! c  counts telegrams    k  kind: B0 allocator, C0 heat, C1 water    u  VIF of all values
//! E  date of an error    D  due date    M  end of the last month     all of type G
//! v  register            d  at D        m  at M                      all of eight digits
//! w  consumption of a month, the one that ends at M last; 8000 and FFFF are none
//! ```
//!
//! A value that the telegram has in a record of its own as well is left out of the set: the record is the fresher one.
//!
//! Words of heat and water meters have no sign. An allocator begins anew at the due date: the word of that month is the
//! difference of its counter, which may be negative and then is the consumption of no month.
//!
//! Known from public decoders; the order of the months, and what the words of allocators are, follow from the values.

use bytes::Buf;

use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::{Translation, counted};
use crate::Address;
use crate::record::{DataField, DataRecord, Date, Dib, Draft, Function, Records, Value, Vib};

pub(super) const MAKER: Maker =
    Maker { manufacturers: &["QDS", "LSE"], address: Some(inner), layouts: &[WALK_BY], ..Maker::PLAIN };

/// A radio converter sends for a meter, which it names in its records (07 79: the address as in a long header).
fn inner(link: &Address, rest: &[u8]) -> Option<Address> {
    let records = rest.strip_prefix(&[CI_RECORDS]).filter(|_| link.device_type == CONVERTER)?;
    let named = |record: DataRecord<'_>| {
        let mut address = record.octets.strip_prefix(&ENHANCED_IDENTIFICATION)?;
        Address::parse_long(&mut address).ok()
    };
    Records::new(records).flatten().find_map(named)
}

/// Others sell these meters too.
pub(super) const WALK_BY: &[Layout] =
    &[Layout { models: &[], place: Place::Record(&[0xff, 0x5f]), translate: walk_by }];

fn walk_by(sent: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let mut buf = octets.strip_prefix(&DATA_SET).filter(|buf| buf.len() == LENGTH).ok_or(Fault::Other)?;
    let _counter = buf.try_get_u8()?;
    let _zero_and_flags = buf.try_get_uint(5)?;
    let kind = buf.try_get_u8()?;
    let vif = buf.try_get_u8()?;
    if !KINDS.iter().any(|(k, vifs)| *k == kind && vifs.contains(&vif)) {
        return Err(Fault::Other);
    }
    let error_date = date(&mut buf)?;
    digits(sent, 0, vif, &mut buf, out)?;
    let mut month_end = None;
    for storage_number in [DUE, MONTH_END] {
        month_end = date(&mut buf)?;
        if digits(sent, storage_number, vif, &mut buf, out)? {
            out.date(storage_number, month_end);
        }
    }
    if error_date.is_some() {
        let value = error_date.map_or(Value::Invalid, Value::Date);
        out.draft(Draft::new(DataField::Integer16, &[VIF_DATE], value).function(Function::Error));
    }
    for storage_number in FIRST_MONTH..=LAST_MONTH {
        let vib = [vif | EXTENSION, A_MONTH];
        match buf.try_get_u16_le()? {
            INVALID => out.sent(stored(DataField::Integer16, storage_number), &vib, &INVALID.to_le_bytes()),
            word => {
                let is_difference = kind == ALLOCATOR && word > INVALID;
                let month = counted(word.into(), u16::BITS).filter(|_| !is_difference);
                out.stored_or_none(storage_number, &vib, month);
            }
        }
    }
    let mut end = month_end.filter(Date::is_month_end);
    for storage_number in (FIRST_MONTH..=LAST_MONTH).rev() {
        let Some(date) = end else { break };
        out.date(storage_number, end);
        end = Some(date.previous_month_end());
    }
    Ok(())
}

/// Eight digits are a data record already; whether they are needed.
fn digits(
    sent: &Sent<'_>,
    storage_number: u64,
    vif: u8,
    buf: &mut &[u8],
    out: &mut Translation<'_>,
) -> Result<bool, Fault> {
    let digits = buf.try_get_u32()?.to_be_bytes();
    let quantity = Vib::parse(&mut &[vif][..])?.quantity;
    let is_plain = |record: DataRecord<'_>| {
        record.vib.quantity == quantity
            && record.vib.modifiers.is_empty()
            && (u64::from(record.storage_number), record.tariff, record.subunit) == (storage_number, 0, 0)
            && record.function == Function::Instantaneous
            && matches!(record.value, Value::Integer(_))
    };
    let is_needed = !Records::new(sent.application).flatten().any(is_plain);
    if is_needed {
        out.sent(stored(DataField::Bcd8, storage_number), &[vif], &digits);
    }
    Ok(is_needed)
}

fn stored(data_field: DataField, storage_number: u64) -> Dib {
    Dib { data_field, function: Function::Instantaneous, storage_number, tariff: 0, subunit: 0 }
}

fn date(buf: &mut &[u8]) -> Result<Option<Date>, Fault> {
    Ok(Date::parse(buf.try_get_u16()?.to_be_bytes()))
}

const DATA_SET: [u8; 6] = [0x0d, 0xff, 0x5f, 0x35, 0x00, 0x82];
/// Without the two octets above.
const LENGTH: usize = 51;
/// The kind of meter, and the VIFs it may have.
const KINDS: &[(u8, &[u8])] = &[(ALLOCATOR, &[0x6e]), (0xc0, &[0x05, 0x06, 0x0d, 0x0e]), (0xc1, &[0x13])];

const ALLOCATOR: u8 = 0xb0;
/// The standard's mark in signed words.
const INVALID: u16 = 0x8000;

const CI_RECORDS: u8 = 0x78;
/// The device type of a radio converter on the meter's side.
const CONVERTER: u8 = 0x37;
const ENHANCED_IDENTIFICATION: [u8; 2] = [0x07, 0x79];

const DUE: u64 = 1;
const FIRST_MONTH: u64 = 2;
const LAST_MONTH: u64 = 13;
const MONTH_END: u64 = 17;
const VIF_DATE: u8 = 0x6c;
const EXTENSION: u8 = 0x80;
/// VIFE: per month.
const A_MONTH: u8 = 0x25;
