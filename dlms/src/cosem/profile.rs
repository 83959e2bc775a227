//! Class 7: rows of a profile as the meter means them, compressed or not.

use crate::apdu::CaptureObject;
use crate::cosem::class;
use crate::{Data, DateTime, Reject};

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The clock: a null is the row before plus the capture period.
    Clock,
    /// A null is what the row before had.
    Value,
}

impl From<&CaptureObject> for Column {
    fn from(object: &CaptureObject) -> Self {
        if object.attribute.class_id == class::CLOCK { Self::Clock } else { Self::Value }
    }
}

/// The columns of a profile: attribute 3.
pub fn capture_objects(data: Data<'_>) -> Result<Vec<CaptureObject>, Reject> {
    data.array()?.map(CaptureObject::try_from).collect()
}

/// Reads the rows of a buffer: attribute 2. Nothing is allocated for a row.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    items: crate::data::Items<'a>,
    clock_column: Option<usize>,
    period: i64,
    clock: Option<DateTime>,
    /// What each column had last; a row that lacks it does not change it.
    last: Vec<Data<'a>>,
    values: Vec<Data<'a>>,
}

/// One row, with what was compressed put back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'r, 'a> {
    /// None where neither this row nor one before it has a clock.
    pub clock: Option<DateTime>,
    /// The meter left the clock out.
    pub is_clock_derived: bool,
    /// As many as the profile has columns. What a short row lacks is null.
    pub values: &'r [Data<'a>],
    /// Columns that the meter sent: fewer or more than there are after a loss of power, with some meters.
    pub sent: usize,
}

impl<'a> Rows<'a> {
    /// `period` is the capture period in seconds.
    pub fn new(buffer: Data<'a>, columns: &[Column], period: u32) -> Result<Self, Reject> {
        Ok(Self {
            items: buffer.array()?,
            clock_column: columns.iter().position(|column| *column == Column::Clock),
            period: i64::from(period),
            clock: None,
            last: vec![Data::NullData; columns.len()],
            values: vec![Data::NullData; columns.len()],
        })
    }

    /// Rows that are left.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next row.
    #[expect(clippy::should_implement_trait, reason = "the row lends what the next one overwrites")]
    pub fn next(&mut self) -> Option<Result<Row<'_, 'a>, Reject>> {
        let item = self.items.next()?;
        Some(self.row(item))
    }

    fn row(&mut self, item: Data<'a>) -> Result<Row<'_, 'a>, Reject> {
        let mut cells = item.structure()?;
        let sent = cells.len();
        let mut is_clock_derived = false;
        for (place, (value, last)) in self.values.iter_mut().zip(&mut self.last).enumerate() {
            let Some(cell) = cells.next() else {
                *value = Data::NullData;
                continue;
            };
            if Some(place) == self.clock_column {
                is_clock_derived = cell == Data::NullData;
                self.clock = match (cell, self.clock) {
                    (Data::NullData, Some(before)) => later(&before, self.period),
                    (Data::NullData, None) => None,
                    (cell, _) => Some(cell.date_time()?),
                };
                *value = self.clock.map_or(Data::NullData, Data::DateTime);
            } else {
                if cell != Data::NullData {
                    *last = delta(last, cell)?;
                }
                *value = *last;
            }
        }
        Ok(Row { clock: self.clock, is_clock_derived, values: &self.values, sent })
    }
}

/// The same clock so many seconds later; its deviation does not change.
fn later(before: &DateTime, seconds: i64) -> Option<DateTime> {
    Some(DateTime::from_local(before.local_seconds()? + seconds, before.deviation, before.status))
}

/// A value that is given as a difference from the one before, IEC 62056-6-2:2021, 4.1.5, delta types.
fn delta<'a>(before: &Data<'_>, cell: Data<'a>) -> Result<Data<'a>, Reject> {
    if !matches!(cell.tag(), 28..=33) {
        return Ok(cell);
    }
    let sum = before.integer()? + cell.integer()?;
    let overflow = |_| Reject::Mismatch("a difference");
    Ok(match before {
        Data::Integer(_) => Data::Integer(sum.try_into().map_err(overflow)?),
        Data::Long(_) => Data::Long(sum.try_into().map_err(overflow)?),
        Data::DoubleLong(_) => Data::DoubleLong(sum.try_into().map_err(overflow)?),
        Data::Long64(_) => Data::Long64(sum.try_into().map_err(overflow)?),
        Data::Unsigned(_) => Data::Unsigned(sum.try_into().map_err(overflow)?),
        Data::LongUnsigned(_) => Data::LongUnsigned(sum.try_into().map_err(overflow)?),
        Data::DoubleLongUnsigned(_) => Data::DoubleLongUnsigned(sum.try_into().map_err(overflow)?),
        Data::Long64Unsigned(_) => Data::Long64Unsigned(sum.try_into().map_err(overflow)?),
        _ => return Err(Reject::Mismatch("a difference")),
    })
}
