//! The VIF tables of EN 13757-3, one row a row: primary, FB, FD, FD FD, and the orthogonal VIFEs.
//!
//! A row's range counts the exponent up by one from code to code, as all ranges of the standard do.

mod alternate;
mod main;
mod primary;
pub(super) mod vife;

use super::{Quantity, Unit};

/// One range of codes with one meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    first: u8,
    last: u8,
    quantity: Quantity,
    unit: Unit,
    /// Of the first code.
    exponent: i8,
    coding: Coding,
}

/// What one code means.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Meaning {
    pub(super) quantity: Quantity,
    pub(super) unit: Unit,
    pub(super) exponent: i8,
    pub(super) coding: Coding,
}

/// How integers of a quantity are coded. EN 13757-3:2018, annex A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Type B.
    Signed,
    /// Type C.
    Unsigned,
    /// Type D, and containers: octets.
    Octets,
    /// Type G.
    Date,
    /// Types F, I and J, by their length.
    DateTime,
    /// Types F, G, I and J, by their length.
    Time,
    /// The code leads to another table.
    Elsewhere,
}

impl Coding {
    /// All of them, each in its own place.
    pub(super) const ALL: [Self; 7] =
        [Self::Signed, Self::Unsigned, Self::Octets, Self::Date, Self::DateTime, Self::Time, Self::Elsewhere];

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Signed | Self::Unsigned)
    }

    /// What is read is a moment, of whatever type.
    pub(super) const fn is_moment(self) -> bool {
        matches!(self, Self::Date | Self::DateTime | Self::Time)
    }
}

/// Which table a code is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Primary = 0,
    /// After FB.
    Alternate = 1,
    /// After FD.
    Main = 2,
    /// After FD FD.
    SecondLevel = 3,
    /// After EF: all reserved.
    Third = 4,
    /// Plain text and the manufacturer's own: in no table.
    Own = 5,
}

/// What `code` (bit 7 ignored) of a table means.
#[inline(always)]
pub(super) fn meaning(table: Table, code: u8) -> &'static Meaning {
    MEANINGS.get(usize::from(code & 0x7f) | (table as usize) << 7).unwrap_or(&RESERVED)
}

const fn row(first: u8, last: u8, quantity: Quantity, unit: Unit, exponent: i8) -> Row {
    Row { first, last, quantity, unit, exponent, coding: Coding::Signed }
}

/// One code without unit and exponent.
const fn coded(code: u8, quantity: Quantity, coding: Coding) -> Row {
    Row { first: code, last: code, quantity, unit: Unit::None, exponent: 0, coding }
}

/// A code without a row.
const RESERVED: Meaning =
    Meaning { quantity: Quantity::Reserved, unit: Unit::None, exponent: 0, coding: Coding::Signed };

const TABLES: [&[Row]; 6] =
    [primary::ROWS, alternate::ROWS, main::ROWS, main::SECOND_LEVEL, &[], &[MANUFACTURER, PLAIN_TEXT]];
const MANUFACTURER: Row = coded(0x7f, Quantity::Manufacturer, Coding::Signed);
const PLAIN_TEXT: Row = coded(0x7c, Quantity::PlainText, Coding::Signed);

static MEANINGS: [Meaning; TABLES.len() << 7] = meanings();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn meanings() -> [Meaning; TABLES.len() << 7] {
    let mut meanings = [RESERVED; TABLES.len() << 7];
    let mut table = 0;
    while table < TABLES.len() {
        let index = index(TABLES[table]);
        let mut code = 0;
        while code < index.len() {
            meanings[table << 7 | code] = index[code];
            code += 1;
        }
        table += 1;
    }
    meanings
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn index(rows: &[Row]) -> [Meaning; 128] {
    let mut index = [RESERVED; 128];
    let mut at = 0;
    while at < rows.len() {
        let row = rows[at];
        let mut code = row.first;
        while code <= row.last {
            assert!(matches!(index[code as usize].quantity, Quantity::Reserved), "two rows for one code");
            let exponent = row.exponent + (code - row.first) as i8;
            let (quantity, unit, coding) = (row.quantity, row.unit, row.coding);
            index[code as usize] = Meaning { quantity, unit, exponent, coding };
            code += 1;
        }
        at += 1;
    }
    index
}
