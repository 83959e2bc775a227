//! The commonest records, read in one piece: at most two DIFEs and one VIFE, codes of the standard's tables, data of a
//! fixed length.
//!
//! What is said of them is what [`DataRecord::split`] says, in less time; a test compares the two.

use super::modifier::Effect;
use super::table::vife::first_effect;
use super::table::{self, Coding, Meaning, Table};
use super::value::{Treatment, number};
use super::{DataField, DataRecord, Function, Modifiers, Value, Vib};

/// The record in front of `octets`; None where it is not one of the commonest.
#[inline(always)]
pub(super) fn record(octets: &[u8]) -> Option<DataRecord<'_>> {
    let head: &[u8; HEAD] = octets.first_chunk()?;
    let [dif, first, second, _] = *head;
    let dife = if dif & EXTENSION == 0 { 0 } else { first };
    let mut vif_at = 1 + usize::from(dif >> 7);
    let both;
    let numbers = match DIFES.get(usize::from(dife)) {
        Some(numbers) => numbers,
        None if second & EXTENSION == 0 => {
            (both, vif_at) = (Dife::of(first).with(second, 1), 3);
            &both
        }
        None => return None,
    };
    let vif = *head.get(vif_at)?;
    let (table, code, mut data_at) = match vif {
        ..EXTENSION => (Table::Primary, vif, vif_at + 1),
        0xfb => (Table::Alternate, *octets.get(vif_at + 1)?, vif_at + 2),
        0xfd => match *octets.get(vif_at + 1..vif_at + 3)? {
            [0xfd, code] => (Table::SecondLevel, code, vif_at + 3),
            [code, _] => (Table::Main, code, vif_at + 2),
            _ => return None,
        },
        // The one VIFE behind it is the manufacturer's, and says nothing here.
        0xff if *octets.get(vif_at + 1)? & EXTENSION == 0 => (Table::Own, vif & !EXTENSION, vif_at + 2),
        0xef | 0xfc | 0xff => return None,
        _ => (Table::Primary, vif, vif_at + 1),
    };
    let mut meaning = table::meaning(table, code);
    let mut vifes: &[u8] = &[];
    let modified;
    if code & EXTENSION != 0 {
        vifes = octets.get(data_at..=data_at)?;
        let vife = *vifes.first()?;
        data_at += 1;
        if vife & EXTENSION != 0 {
            return None;
        }
        if !matches!(first_effect(vife), Effect::Nothing | Effect::Error) {
            let offset;
            (modified, offset) = meaning.modified(vifes);
            if offset.is_some() {
                return None;
            }
            meaning = &modified;
        }
    }
    Parts { octets, dif, numbers, vif_at, vifes, data_at }.record(meaning)
}

/// A record whose VIF has been looked up.
struct Parts<'a, 'n> {
    /// The record and what follows.
    octets: &'a [u8],
    dif: u8,
    numbers: &'n Dife,
    vif_at: usize,
    vifes: &'a [u8],
    data_at: usize,
}

impl<'a> Parts<'a, '_> {
    /// None where the data are not of a fixed length.
    #[inline(always)]
    fn record(self, meaning: &Meaning) -> Option<DataRecord<'a>> {
        let Self { octets, dif, numbers, vif_at, vifes, data_at } = self;
        let row = DIFS.get(usize::from(dif))?;
        let data = octets.get(data_at..)?;
        let (own, _) = data.split_at_checked(usize::from(row.len))?;
        let raw = number(data, own);
        let value = Value::of(own, raw, row.unused.into(), *row.treatments.get(meaning.coding as usize)?)?;
        let &Meaning { quantity, unit, exponent, coding } = meaning;
        let modifiers = Modifiers::new(vifes);
        Some(DataRecord {
            value,
            vib: Vib { octets: octets.get(vif_at..data_at)?, modifiers, quantity, unit, exponent, coding },
            octets: octets.get(..data_at + own.len())?,
            storage_number: u32::from(row.storage_number) | numbers.storage_number,
            tariff: numbers.tariff,
            subunit: numbers.subunit,
            data_field: row.data_field,
            function: row.function,
        })
    }
}

/// What a DIF says.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Dif {
    data_field: DataField,
    function: Function,
    storage_number: u8,
    /// Octets of data.
    len: u8,
    /// Bits of 64 that the data leaves.
    unused: u8,
    /// By [`Coding`].
    treatments: [Treatment; Coding::ALL.len()],
}

/// What the DIFEs say together.
#[derive(Debug, Clone, Copy)]
struct Dife {
    storage_number: u32,
    tariff: u32,
    subunit: u16,
}

impl Dife {
    /// What the only one says; of 0, what none says.
    const fn of(dife: u8) -> Self {
        Self { storage_number: 0, tariff: 0, subunit: 0 }.with(dife, 0)
    }

    /// One more, behind as many as `place` says.
    const fn with(self, dife: u8, place: usize) -> Self {
        Self {
            storage_number: self.storage_number | (dife as u32 & 0x0f) << (1 + 4 * place),
            tariff: self.tariff | (dife as u32 >> 4 & 3) << (2 * place),
            subunit: self.subunit | (dife as u16 >> 6 & 1) << place,
        }
    }
}

static DIFS: [Dif; 256] = difs();
static DIFES: [Dife; 128] = difes();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn difs() -> [Dif; 256] {
    let none = Dif {
        treatments: [Treatment::Elsewhere; Coding::ALL.len()],
        len: 0,
        unused: 0,
        data_field: DataField::None,
        function: Function::Instantaneous,
        storage_number: 0,
    };
    let mut difs = [none; 256];
    let mut dif = 0;
    while dif < difs.len() {
        if let Some(data_field) = DataField::from_code(dif as u8) {
            difs[dif] = Dif {
                treatments: treatments(data_field),
                len: data_field.fixed_size() as u8,
                unused: 64 - 8 * data_field.fixed_size() as u8,
                data_field,
                function: Function::from_dif(dif as u8),
                storage_number: dif as u8 >> 6 & 1,
            };
        }
        dif += 1;
    }
    difs
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn treatments(data_field: DataField) -> [Treatment; Coding::ALL.len()] {
    let mut treatments = [Treatment::Elsewhere; Coding::ALL.len()];
    let mut at = 0;
    while at < treatments.len() {
        let coding = Coding::ALL[at];
        treatments[coding as usize] = Treatment::of(data_field, coding);
        at += 1;
    }
    treatments
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn difes() -> [Dife; 128] {
    let mut difes = [Dife::of(0); 128];
    let mut dife = 0;
    while dife < difes.len() {
        difes[dife] = Dife::of(dife as u8);
        dife += 1;
    }
    difes
}

const EXTENSION: u8 = 0x80;
/// DIF, two DIFEs and VIF.
const HEAD: usize = 4;
