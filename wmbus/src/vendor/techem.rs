//! Techem: water and heat meters, heat cost allocators, smoke detectors with CI-fields A0 to A2. Not encrypted.
//!
//! ```text
//! water, heat (27)    SS DDDD pppp RRRR cccc ..
//! heat (22 39 45 57 71)  SS DDDD pppppp .. cccccc ..        octet 6 has the running month, octets 10, 11 the day
//! allocator (69)      SS DDDD pppp RRRR cccc tttt uuuu ..
//! allocator (94)      SS DDDD pppp RRRR cccc .. tttt uuuu ..
//! allocator (61 64)   SS DDDD pppp RRRR cccc ..
//! water (50)          .... TTTT vvvvvv (.. aa bb) x 13
//! smoke (76)          SS DDDD .... .... TTTT ..
//! S  status, 0 smoke   D  due date, form A      R  running date, form B, without a year
//! p  at the due date   c  since the due date    T  day, form A
//! t  room temperature  u  radiator temperature  v  register    a b  halves of a month
//! p, c, v with all bits set are none; so is a temperature of 8000
//! form A  yyyyyyym mmmddddd    form B  ...mmmmd dddd....
//! ```
//!
//! Known from public decoders, which agree on all but what is left out here: the history of allocators and water
//! meters, of which the order is not published, CI-field A3, and the day before that of the smoke detector, which the
//! decoders take for one of form B: it was heard with the octets of the other day, which is of form A.

use bytes::Buf;

use super::field::{ANY, Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent, Translate};
use super::translation::{Translation, counted};
use crate::record::{Date, Unit};

pub(super) const MAKER: Maker = Maker { manufacturers: &["TCH"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const LAYOUTS: &[Layout] = &[
    layout(&[(0x74, 0x62), (0x74, 0x72), (0x70, 0x62), (0x70, 0x72), (0x95, 0x62), (0x95, 0x72)], water),
    layout(&[(0x50, 0x72)], water_by_month),
    layout(&[(0x69, 0x80)], |_, octets, out| allocator(octets, Some(0), out)),
    layout(&[(0x94, 0x80)], |_, octets, out| allocator(octets, Some(1), out)),
    layout(&[(0x61, ANY), (0x64, 0x80)], |_, octets, out| allocator(octets, None, out)),
    layout(&[(0x27, 0x04), (0x27, 0xc3)], heat_16),
    layout(
        &[(0x22, 0x43), (0x39, 0x43), (0x45, 0x43), (0x45, 0x04), (0x45, 0xc3), (0x71, 0x43), (0x57, 0x44)],
        heat_24,
    ),
    layout(&[(0x76, 0xf0)], smoke),
];

const fn layout(models: &'static [(u8, u8)], translate: Translate) -> Layout {
    Layout { models, place: Place::Ci(&[0xa0, 0xa1, 0xa2]), translate }
}

const ROWS: &[Row] = &[
    Row { models: &[], vifes: VOLUME, fields: &[since("volume_since_due_date", Unit::CubicMetre, -1)] },
    Row { models: &[], vifes: MEGAJOULE, fields: &[since("energy_since_due_date", Unit::Joule, 6)] },
    Row { models: &[], vifes: KILOWATT_HOUR, fields: &[since("energy_since_due_date", Unit::WattHour, 3)] },
    Row { models: &[], vifes: HALF_MONTH, fields: &[since("volume_of_half_month", Unit::CubicMetre, -1)] },
    Row { models: &[], vifes: SMOKE, fields: &[Field::whole("smoke", Unit::None)] },
    Row { models: &[], vifes: STATUS_DATE, fields: &[Field::date("status_date")] },
];

const fn since(name: &'static str, unit: Unit, exponent: i8) -> Field {
    Field { exponent, ..Field::whole(name, unit) }
}

fn water(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let sums = Sums::parse_16(&mut buf)?;
    sums.emit(VIB_100_LITRES, VOLUME, out);
    Ok(())
}

fn heat_16(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let sums = Sums::parse_16(&mut buf)?;
    sums.emit(VIB_MEGAJOULES, MEGAJOULE, out);
    Ok(())
}

fn heat_24(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let sums = Sums::parse_24(&mut buf)?;
    sums.emit(VIB_KILOWATT_HOURS, KILOWATT_HOUR, out);
    Ok(())
}

/// What most layouts have: the value at the due date, and what came since then.
#[derive(Debug, Clone, Copy)]
struct Sums {
    due_date: Option<Date>,
    due: Option<u32>,
    date: Option<Date>,
    since: Option<u32>,
}

impl Sums {
    fn parse_16(buf: &mut &[u8]) -> Result<Self, Fault> {
        buf.try_get_u8()?;
        let due_date = form_a(buf.try_get_u16_le()?);
        let due = counted(buf.try_get_u16_le()?.into(), u16::BITS);
        let running = buf.try_get_u16_le()?;
        let date = form_b(running, due_date);
        Ok(Self { due_date, due, date, since: counted(buf.try_get_u16_le()?.into(), u16::BITS) })
    }

    fn parse_24(buf: &mut &[u8]) -> Result<Self, Fault> {
        buf.try_get_u8()?;
        let due_date = form_a(buf.try_get_u16_le()?);
        let due = counted(buf.try_get_uint_le(3)? as u32, 24);
        let month = buf.try_get_u8()? >> 3 & 0x0f;
        let since = counted(buf.try_get_uint_le(3)? as u32, 24);
        let day = (buf.try_get_u16_le()? >> 7) as u8 & 0x1f;
        Ok(Self { due_date, due, date: after(due_date, month, day), since })
    }

    /// The register is not sent: it is the sum, as long as it never overflowed.
    fn emit(&self, vib: &[u8], since: &[u8], out: &mut Translation<'_>) {
        let sum = self.due.zip(self.since).map(|(due, since)| due + since);
        out.number_or_none(vib, sum);
        out.date(0, self.date);
        out.own_or_none(0, since, self.since);
        out.stored_or_none(1, vib, self.due);
        out.date(1, self.due_date);
    }
}

/// Units since the due date, at which the counter begins anew; temperatures behind so many unknown octets.
fn allocator(mut buf: &[u8], temperatures: Option<usize>, out: &mut Translation<'_>) -> Result<(), Fault> {
    let Sums { due_date, due, date, since } = Sums::parse_16(&mut buf)?;
    out.number_or_none(VIB_UNITS, since);
    out.date(0, date);
    out.stored_or_none(1, VIB_UNITS, due);
    out.date(1, due_date);
    if let Some(unknown) = temperatures {
        for _ in 0..unknown {
            buf.try_get_u8()?;
        }
        out.temperature(0, VIB_ROOM, buf.try_get_i16_le()?);
        out.temperature(0, VIB_RADIATOR, buf.try_get_i16_le()?);
        let _counter = buf.try_get_u8()?;
    }
    Ok(())
}

/// Consumption of halves of months, the newest first. In the second half of a month two of them are a month.
fn water_by_month(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    buf.try_get_u16_le()?;
    let date = form_a(buf.try_get_u16_le()?);
    out.number_or_none(VIB_100_LITRES, counted(buf.try_get_uint_le(3)? as u32, 24));
    out.date(0, date);
    let Some(date) = date else { return Ok(()) };
    let mut end = date;
    let mut storage_number = 2;
    for _ in 0..MONTHS {
        buf.try_get_u8()?;
        let halves = [buf.try_get_u8()?, buf.try_get_u8()?];
        if date.day > HALF {
            out.stored(storage_number, VIB_100_LITRES_A_MONTH, halves.iter().map(|half| i64::from(*half)).sum::<i64>());
            out.date(storage_number, Some(end));
            end = end.previous_month_end();
            storage_number += 1;
        } else {
            for half in halves {
                out.own(storage_number, HALF_MONTH, half);
                storage_number += 1;
            }
        }
    }
    Ok(())
}

fn smoke(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let status = buf.try_get_u8()?;
    let date = form_a(buf.try_get_u16_le()?);
    out.own(0, SMOKE, status & 1);
    out.flags(&[status]);
    out.date(1, date);
    let mut later = buf;
    // Of the smoke, else today.
    if let (Ok(_), Ok(day)) = (later.try_get_u32_le(), later.try_get_u16_le()) {
        out.own_date(0, STATUS_DATE, form_a(day));
    }
    Ok(())
}

/// Form A: day, month, year from the least significant bit on.
fn form_a(raw: u16) -> Option<Date> {
    Date::new(2000 + (raw >> 9 & 0x3f), (raw >> 5) as u8 & 0x0f, raw as u8 & 0x1f)
}

fn form_b(raw: u16, due_date: Option<Date>) -> Option<Date> {
    after(due_date, (raw >> 9) as u8 & 0x0f, (raw >> 4) as u8 & 0x1f)
}

/// The next such day after the due date.
fn after(due_date: Option<Date>, month: u8, day: u8) -> Option<Date> {
    let due_date = due_date?;
    let is_next_year = (month, day) <= (due_date.month, due_date.day);
    Date::new(due_date.year + u16::from(is_next_year), month, day)
}

const VIB_KILOWATT_HOURS: &[u8] = &[0x06];
const VIB_MEGAJOULES: &[u8] = &[0x0e];
const VIB_100_LITRES: &[u8] = &[0x15];
const VIB_100_LITRES_A_MONTH: &[u8] = &[0x95, 0x25];
const VIB_ROOM: &[u8] = &[0x65];
const VIB_RADIATOR: &[u8] = &[0x59];
const VIB_UNITS: &[u8] = &[0x6e];

const VOLUME: &[u8] = &[0xff, 0x01];
const MEGAJOULE: &[u8] = &[0xff, 0x02];
const KILOWATT_HOUR: &[u8] = &[0xff, 0x03];
const HALF_MONTH: &[u8] = &[0xff, 0x04];
const SMOKE: &[u8] = &[0xff, 0x05];
const STATUS_DATE: &[u8] = &[0xff, 0x06];

const MONTHS: u8 = 12;
const HALF: u8 = 15;
