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
    /// Types F, G, I, J, by their length.
    Time,
}

/// What `code` (bit 7 ignored) of the table after `table` means; `table` is 0 for the primary table.
#[inline]
pub(super) fn meaning(table: u8, code: u8) -> Meaning {
    let rows = match table {
        0 => &PRIMARY,
        0xfb => &ALTERNATE,
        0xfd => &MAIN,
        0x7d => &SECOND_LEVEL,
        _ => return RESERVED,
    };
    rows.get(usize::from(code & 0x7f)).copied().unwrap_or(RESERVED)
}

const fn row(first: u8, last: u8, quantity: Quantity, unit: Unit, exponent: i8) -> Row {
    Row { first, last, quantity, unit, exponent, coding: Coding::Signed }
}

/// One code without unit and exponent.
const fn coded(code: u8, quantity: Quantity, coding: Coding) -> Row {
    Row { first: code, last: code, quantity, unit: Unit::None, exponent: 0, coding }
}

/// A code without a row.
pub(super) const RESERVED: Meaning =
    Meaning { quantity: Quantity::Reserved, unit: Unit::None, exponent: 0, coding: Coding::Signed };

type Index = [Meaning; 128];

static PRIMARY: Index = index(primary::ROWS);
static ALTERNATE: Index = index(alternate::ROWS);
static MAIN: Index = index(main::ROWS);
static SECOND_LEVEL: Index = index(main::SECOND_LEVEL);

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn index(rows: &[Row]) -> Index {
    let mut index: Index = [RESERVED; 128];
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
