//! The commonest records, read in one piece: at most one DIFE, no VIFE, data of a fixed length.
//!
//! What is said of them is what [`DataRecord::split`] says, in less time; a test compares the two.

use super::table::{self, Table};
use super::value::{Treatment, little_endian};
use super::{DataField, DataRecord, Function, Modifiers, Value, Vib};

/// The record in front of `octets`, and what follows; None where it is not one of the commonest.
#[inline(always)]
pub(super) fn record(octets: &[u8]) -> Option<(DataRecord<'_>, &[u8])> {
    let head: &[u8; HEAD] = octets.first_chunk()?;
    let [dif, second, ..] = *head;
    let dife = if dif & EXTENSION == 0 { 0 } else { second };
    let at = 1 + usize::from(dif >> 7);
    let vif = *head.get(at)?;
    let (table, code, end) = if vif & EXTENSION == 0 {
        (Table::Primary, vif, at + 1)
    } else {
        let table = match vif {
            0xfb => Table::Alternate,
            0xfd => Table::Main,
            _ => return None,
        };
        (table, *head.get(at + 1)?, at + 2)
    };
    if (dife | code) & EXTENSION != 0 {
        return None;
    }
    let meaning = table::meaning(table, code);
    let row = DIFS.get(usize::from(dif))?;
    let treatment = (*row.treatments.get(meaning.coding as usize)?)?;
    let data = octets.get(end..)?;
    let (own, rest) = data.split_at_checked(usize::from(row.len))?;
    let raw = match data.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk) & row.mask,
        None => little_endian(own),
    };
    let value = Value::of(own, raw, treatment);
    let numbers = DIFES.get(usize::from(dife))?;
    let record = DataRecord {
        function: row.function,
        storage_number: u64::from(row.storage_number | numbers.storage_number),
        tariff: u32::from(numbers.tariff),
        subunit: u16::from(numbers.subunit),
        data_field: row.data_field,
        vib: Vib {
            quantity: meaning.quantity,
            unit: meaning.unit,
            exponent: meaning.exponent,
            modifiers: Modifiers::new(&[]),
            octets: octets.get(at..end)?,
        },
        value,
        octets: octets.get(..end + own.len())?,
    };
    Some((record, rest))
}

/// What a DIF says.
#[derive(Debug, Clone, Copy)]
struct Dif {
    /// By [`table::Coding`].
    treatments: [Option<Treatment>; 5],
    len: u8,
    data_field: DataField,
    function: Function,
    storage_number: u8,
    /// The octets of the data among eight, the least significant first.
    mask: u64,
}

/// What the only DIFE says; 0 says what none says.
#[derive(Debug, Clone, Copy)]
struct Dife {
    storage_number: u8,
    tariff: u8,
    subunit: u8,
}

static DIFS: [Dif; 256] = difs();
static DIFES: [Dife; 128] = difes();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn difs() -> [Dif; 256] {
    let none = Dif {
        treatments: [None; 5],
        len: 0,
        data_field: DataField::None,
        function: Function::Instantaneous,
        storage_number: 0,
        mask: 0,
    };
    let mut difs = [none; 256];
    let mut dif = 0;
    while dif < difs.len() {
        if let Some(data_field) = DataField::from_code(dif as u8) {
            let len = data_field.fixed_size();
            difs[dif] = Dif {
                treatments: Treatment::by_coding(data_field),
                len: len as u8,
                data_field,
                function: Function::from_dif(dif as u8),
                storage_number: dif as u8 >> 6 & 1,
                mask: if len == 0 { 0 } else { u64::MAX >> (64 - 8 * len) },
            };
        }
        dif += 1;
    }
    difs
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn difes() -> [Dife; 128] {
    let mut difes = [Dife { storage_number: 0, tariff: 0, subunit: 0 }; 128];
    let mut dife = 0;
    while dife < difes.len() {
        let octet = dife as u8;
        difes[dife] = Dife { storage_number: (octet & 0x0f) << 1, tariff: octet >> 4 & 3, subunit: octet >> 6 & 1 };
        dife += 1;
    }
    difes
}

const EXTENSION: u8 = 0x80;
/// DIF, DIFE and a VIF of two octets.
const HEAD: usize = 4;
