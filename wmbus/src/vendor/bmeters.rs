//! BMeters: hydrodigit and RFM-TX1 water meters, Hydroclima heat cost allocators.
//!
//! ```text
//! hydrodigit   0F MM [0b] [ttYYMMDD] [YYMMDD] [bbbbbbbb] [vvvvvv x 12]
//! M  which fields follow: 0 battery, 1 fraud, 7 leak, 2 back flow, 4 months, in this order
//! b  battery by the table, back flow in litres, all bits set is none    t  kind of fraud    Y M D  BCD, but see
//! `fraud_month`    v  register at the ends of the calendar's months, January first, 10 litres; from ten million on: none
//!
//! RFM-TX1      7A NN SS 0610 ssssssssssss .. (7) ssmmhhDDMMYY ..
//! N  access number: with the table's row of its low nibble it hides a data record 0C 13 in six octets
//! s m h D M Y  clock, BCD
//!
//! Hydroclima   0F 10 SSSS tttt dddd aaaa mmmm DDDD nnnn llll hhhh uuuu TTTTTT
//!              0F 11 SSSS tttt dddd OOOO hhhh aaaa mmmm DDDD HHHH llll uuuu x 4 llll x 3 .. (9) TTTTTT
//! RKN9         0F uuuu x 12 OOOO dddd ..                                no record 03 6E before it
//! S  status    t d  time, date    a l  ambient temperature of this period, of the last    h H  heater's
//! m D  greatest, its date    n  measurements    u T  units, in all    O  housing opened    temperatures in 0.01 degrees,
//! 8000 is none
//!
//! RFM-AMB      status: 0 busy, 1 error of the application, 2 battery low, 3 module removed, 4 sensor not read,
//!              5 temperature, 6 humidity out of range
//! IWM-TX5      status: 6 tampered
//! Hydrocal M3  status: 7 sabotage. Records with the VIFs 06 and 13 are repeated: heating, cooling, first and second input
//! ```
//!
//! Known from public decoders; how the time t of Hydroclima is laid out, nobody tells: it stays out, as do the bits of its
//! status.

use bytes::Buf;

use super::field::{Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::{Translation, bcd_date, counted, two_digits};
use crate::Reject;
use crate::record::{DataField, Date, DateTime, Draft, Function, Quantity, Records, Time, Unit, Value};

pub(super) const MAKER: Maker =
    Maker { manufacturers: &["BMT", "BMP"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const LAYOUTS: &[Layout] = &[
    Layout {
        models: &[
            (0x13, 0x06),
            (0x13, 0x07),
            (0x15, 0x06),
            (0x15, 0x07),
            (0x17, 0x06),
            (0x17, 0x07),
            (0x1e, 0x06),
            (0x1e, 0x07),
        ],
        place: Place::Tail,
        translate: hydrodigit,
    },
    Layout { models: &[(0x05, 0x07)], place: Place::Protected, translate: rfm_tx1 },
    Layout { models: &[(0x53, 0x08), (0x85, 0x08)], place: Place::Tail, translate: hydroclima },
    Layout { models: RFM_AMB, place: Place::Status(0x7f), translate: status },
    Layout { models: IWM_TX5, place: Place::Status(0x40), translate: status },
    Layout { models: HYDROCAL_M3, place: Place::Status(0x80), translate: status },
    Layout::repeated(HYDROCAL_M3, &[0x06], HEAT_COLD_INPUTS),
    Layout::repeated(HYDROCAL_M3, &[0x13], HEAT_COLD_INPUTS),
];

const RFM_AMB: &[(u8, u8)] = &[(0x10, 0x1b)];
const IWM_TX5: &[(u8, u8)] = &[(0x18, 0x06), (0x18, 0x07)];
const HYDROCAL_M3: &[(u8, u8)] = &[(0x0b, 0x0d)];
/// Tariff and subunit as Hydrocal M4 has them, after the first, which is of heating.
const HEAT_COLD_INPUTS: &[(u32, u16)] = &[(1, 0), (0, 1), (0, 2)];

const ROWS: &[Row] = &[
    Row {
        models: &[],
        vifes: BATTERY,
        fields: &[Field { exponent: -2, ..Field::whole("battery_voltage", Unit::Volt) }],
    },
    Row { models: &[], vifes: FRAUD, fields: &[Field::word("fraud_kind")] },
    Row { models: &[], vifes: FRAUD_DATE, fields: &[Field::date("fraud_date")] },
    Row { models: &[], vifes: LEAK_DATE, fields: &[Field::date("leak_date")] },
    Row { models: &[], vifes: OPENED_DATE, fields: &[Field::date("housing_opened_date")] },
    Row { models: &[], vifes: INDICATION, fields: &[Field::count("hca_indication", Unit::None)] },
    Row { models: &[], vifes: MEASUREMENTS, fields: &[Field::count("measurements", Unit::None)] },
    Row { models: &[], vifes: TOTAL, fields: &[Field::count("hca_units_total", Unit::None)] },
    Row {
        models: RFM_AMB,
        vifes: STATUS,
        fields: &[
            Field::bits("busy", 0, 1),
            Field::bits("application_error", 1, 1),
            Field::bits("low_battery", 2, 1),
            Field::bits("module_removed", 3, 1),
            Field::bits("sensor_error", 4, 1),
            Field::bits("temperature_out_of_range", 5, 1),
            Field::bits("humidity_out_of_range", 6, 1),
        ],
    },
    Row { models: IWM_TX5, vifes: STATUS, fields: &[Field::bits("tampered", 6, 1)] },
    Row { models: HYDROCAL_M3, vifes: STATUS, fields: &[Field::bits("sabotage", 7, 1)] },
];

/// Also of a meter without errors: that is what the bits then say.
fn status(_: &Sent<'_>, mut octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    out.own(0, STATUS, octets.try_get_u8()?);
    Ok(())
}

/// Frames may end before the fields they announce.
fn hydrodigit(sent: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let mask = buf.try_get_u8()?;
    for (bit, field) in FIELDS {
        if mask & bit != 0 && field(sent, &mut buf, out).is_err() {
            break;
        }
    }
    Ok(())
}

type ReadField = fn(&Sent<'_>, &mut &[u8], &mut Translation<'_>) -> Result<(), Fault>;

/// In the order they follow.
const FIELDS: &[(u8, ReadField)] = &[
    (0x01, |_, buf, out| {
        let level = usize::from(buf.try_get_u8()? & 0x0f);
        let volts = VOLTS.get(level).copied().unwrap_or(FULL);
        out.own(0, BATTERY, volts);
        Ok(())
    }),
    (0x02, |_, buf, out| {
        let kind = buf.try_get_u8()?;
        let (year, month, day) = (buf.try_get_u8()?, buf.try_get_u8()?, buf.try_get_u8()?);
        out.own(0, FRAUD, kind);
        let year = two_digits(year).map(|year| 2000 + u16::from(year));
        let date = year.zip(fraud_month(month)).zip(two_digits(day));
        out.own_date(0, FRAUD_DATE, date.and_then(|((year, month), day)| Date::new(year, month, day)));
        Ok(())
    }),
    (0x80, |_, buf, out| {
        let (year, month, day) = (buf.try_get_u8()?, buf.try_get_u8()?, buf.try_get_u8()?);
        out.own_date(0, LEAK_DATE, bcd_date(year, month, day));
        Ok(())
    }),
    (0x04, |_, buf, out| {
        out.number_or_none(VIB_BACKWARD, counted(buf.try_get_u32_le()?, u32::BITS));
        Ok(())
    }),
    (0x10, |sent, buf, out| {
        let today = date_of(sent.application);
        for month in 1..=12_u8 {
            let register = buf.try_get_uint_le(3)? as u32;
            let storage_number = u64::from(month) + 1;
            out.stored_or_none(
                storage_number,
                VIB_10_LITRES,
                Some(register).filter(|register| *register < NO_REGISTER),
            );
            if let Some(today) = today {
                out.date(storage_number, today.last_end_of(month));
            }
        }
        Ok(())
    }),
];

/// Told to be BCD, and to be in the low nibble alone: the month where both can be, and where only one of them is a month.
fn fraud_month(octet: u8) -> Option<u8> {
    let units = octet & 0x0f;
    let is_month = |month: &u8| (1..=12).contains(month);
    let by_nibble = Some(units).filter(is_month);
    let by_tens = Some(units + 10).filter(|month| octet & TENS != 0 && is_month(month));
    if by_nibble.is_some() && by_tens.is_some() { None } else { by_nibble.or(by_tens) }
}

/// The day of the record 04 6D.
fn date_of(application: &[u8]) -> Option<Date> {
    Records::new(application).flatten().find_map(|record| match record.value {
        Value::DateTime(time) if record.storage_number == 0 => Some(time.date),
        _ => None,
    })
}

fn rfm_tx1(sent: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let header = sent.header()?;
    if header.configuration.field != HIDDEN {
        return Err(Fault::Other);
    }
    let row = HIDING.get(usize::from(header.access_number & 0x0f)).ok_or(Fault::Other)?;
    let mut record = [0; 6];
    for (octet, hiding) in record.iter_mut().zip(row) {
        *octet = buf.try_get_u8()? ^ header.access_number ^ hiding;
    }
    if !record.starts_with(&EIGHT_DIGITS_OF_LITRES) {
        return Err(Reject::ManufacturerLayout("hidden record").into());
    }
    let _unknown = buf.try_get_uint(7)?;
    let mut clock = [0; 6];
    for octet in &mut clock {
        *octet = buf.try_get_u8()?;
    }
    out.octets(&record);
    out.date_time(0, bcd_time(clock));
    Ok(())
}

fn bcd_time([second, minute, hour, day, month, year]: [u8; 6]) -> Option<DateTime> {
    let time = Time::new(two_digits(hour)?, two_digits(minute)?, two_digits(second)?)?;
    Some(DateTime::new(bcd_date(year, month, day)?, time))
}

fn hydroclima(sent: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let has_units = Records::new(sent.application).flatten().any(|record| record.vib.quantity == Quantity::HcaUnits);
    if !has_units {
        return rkn9(buf, out);
    }
    let version = buf.try_get_u8()?;
    let status = buf.try_get_u16_le()?;
    out.flags(&status.to_le_bytes());
    let _time = buf.try_get_u16()?;
    out.date(0, date(&mut buf)?);
    match version {
        0x10 => {
            out.temperature(0, VIB_MEAN_AMBIENT, buf.try_get_i16_le()?);
            greatest(0, &mut buf, out)?;
            out.own_or_none(0, MEASUREMENTS, counted(buf.try_get_u16_le()?.into(), u16::BITS));
            out.temperature(1, VIB_MEAN_AMBIENT, buf.try_get_i16_le()?);
            out.temperature(1, VIB_MEAN_HEATER, buf.try_get_i16_le()?);
            out.own_or_none(0, INDICATION, counted(buf.try_get_u16_le()?.into(), u16::BITS));
        }
        0x11 => {
            out.own_date(0, OPENED_DATE, date(&mut buf)?);
            out.temperature(0, VIB_MEAN_HEATER, buf.try_get_i16_le()?);
            out.temperature(0, VIB_MEAN_AMBIENT, buf.try_get_i16_le()?);
            greatest(1, &mut buf, out)?;
            out.temperature(1, VIB_MEAN_HEATER, buf.try_get_i16_le()?);
            out.temperature(1, VIB_MEAN_AMBIENT, buf.try_get_i16_le()?);
            for storage_number in 2..6 {
                out.stored_or_none(storage_number, VIB_UNITS, counted(buf.try_get_u16_le()?.into(), u16::BITS));
            }
            for storage_number in 2..5 {
                out.temperature(storage_number, VIB_MEAN_AMBIENT, buf.try_get_i16_le()?);
            }
            let _frequencies = (buf.try_get_u64()?, buf.try_get_u8()?);
        }
        _ => return Err(Fault::Other),
    }
    out.own_or_none(0, TOTAL, counted(buf.try_get_uint_le(3)? as u32, 24));
    Ok(())
}

fn rkn9(mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    for storage_number in 2..14 {
        out.stored_or_none(storage_number, VIB_TENTHS_OF_UNITS, counted(buf.try_get_u16_le()?.into(), u16::BITS));
    }
    out.own_date(0, OPENED_DATE, date(&mut buf)?);
    out.date(0, date(&mut buf)?);
    Ok(())
}

/// The greatest ambient temperature of a period and its day.
fn greatest(storage_number: u64, buf: &mut &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let temperature = Value::Integer(buf.try_get_i16_le()?.into());
    let date = date(buf)?.map_or((DataField::None, Value::None), |date| (DataField::Integer16, Value::Date(date)));
    for (vib, (data_field, value)) in [(VIB_AMBIENT, (DataField::Integer16, temperature)), (VIB_DATE, date)] {
        let draft = Draft::new(data_field, vib, value).storage(storage_number);
        out.draft(draft.function(Function::Maximum));
    }
    Ok(())
}

fn date(buf: &mut &[u8]) -> Result<Option<Date>, Fault> {
    Ok(Date::parse(buf.try_get_u16()?.to_be_bytes()))
}

/// The lowest bit of the upper digit.
const TENS: u8 = 0x10;
/// Hundredths of a volt by the battery's level.
const VOLTS: [u16; 14] = [FULL, 190, 210, 220, 230, 240, 250, 265, 280, 290, 305, 320, 335, 350];
const FULL: u16 = 370;
const NO_REGISTER: u32 = 10_000_000;

const HIDDEN: u16 = 0x1006;
const EIGHT_DIGITS_OF_LITRES: [u8; 2] = [0x0c, 0x13];
const HIDING: [[u8; 6]; 16] = [
    [0x75, 0x96, 0x7a, 0x10, 0x1a, 0x0a],
    [0x5b, 0x7f, 0x70, 0x13, 0x22, 0x13],
    [0xb3, 0x18, 0xb9, 0x0b, 0x8e, 0x99],
    [0x8e, 0x7d, 0x79, 0x07, 0x4a, 0x16],
    [0xb5, 0x91, 0x07, 0x9a, 0xcb, 0x69],
    [0xb8, 0xa3, 0x32, 0xa1, 0x39, 0x0e],
    [0xbd, 0x80, 0x9c, 0x7e, 0x60, 0x99],
    [0x27, 0x5c, 0xb4, 0xc4, 0x80, 0xa3],
    [0x30, 0xd0, 0x0a, 0xce, 0x19, 0x03],
    [0xc2, 0x4c, 0xf0, 0x05, 0xa5, 0x86],
    [0x54, 0x4b, 0x16, 0x98, 0x11, 0x5e],
    [0x4b, 0xee, 0x0c, 0xc9, 0x7d, 0xa2],
    [0x87, 0xca, 0x4a, 0x48, 0xe4, 0x1f],
    [0xc4, 0x87, 0x77, 0x2e, 0x8a, 0xe8],
    [0xe3, 0x30, 0xbd, 0x78, 0x57, 0x8c],
    [0xa4, 0x9a, 0x39, 0x6f, 0x28, 0x05],
];

const VIB_DATE: &[u8] = &[0x6c];
const VIB_10_LITRES: &[u8] = &[0x14];
/// Litres, backward.
const VIB_BACKWARD: &[u8] = &[0x93, 0x3c];
const VIB_UNITS: &[u8] = &[0x6e];
const VIB_TENTHS_OF_UNITS: &[u8] = &[0xee, 0x75];
const VIB_AMBIENT: &[u8] = &[0x65];
/// With the VIFE of averages.
const VIB_MEAN_AMBIENT: &[u8] = &[0xe5, 0x12];
const VIB_MEAN_HEATER: &[u8] = &[0xd9, 0x12];

const BATTERY: &[u8] = &[0xff, 0x01];
const FRAUD: &[u8] = &[0xff, 0x02];
const FRAUD_DATE: &[u8] = &[0xff, 0x03];
const LEAK_DATE: &[u8] = &[0xff, 0x04];
const OPENED_DATE: &[u8] = &[0xff, 0x05];
const INDICATION: &[u8] = &[0xff, 0x06];
const TOTAL: &[u8] = &[0xff, 0x07];
const MEASUREMENTS: &[u8] = &[0xff, 0x08];
const STATUS: &[u8] = &[0xff, 0x09];
