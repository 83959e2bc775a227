//! COSEM attributes to readings: one value, one reading.
//!
//! Values stay as the meter sent them: integer and scaler, or the bits of its real. A row of a profile has one source
//! of its own: its stamp and its status stand there.

mod clock;
mod register;

use std::sync::Arc;

use bytes::BufMut;
use dlms::Data;
use dlms::apdu::CaptureObject;
use dlms::cosem::{Row, ScalerUnit, class};

pub use clock::ClockRule;
pub use register::register;

use super::{
    CivilDate, CivilTime, Interval, Link, MeterId, Origin, Path, Quality, Reading, Received, Security, Source,
    Standing, Value,
};

/// What a column of a profile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub object: CaptureObject,
    /// None where the object has none.
    pub scaler_unit: Option<ScalerUnit>,
}

/// What all readings of one answer have in common.
#[derive(Debug, Clone)]
pub struct Context {
    pub meter: MeterId,
    pub path: Path,
    pub origin: Origin,
    pub received: Received,
    /// The channel.
    pub links: Vec<Link>,
    pub security: Security,
    pub clock: ClockRule,
    /// The bits of a profile's status are known: those of IDIS.
    pub has_idis_status: bool,
}

impl Column {
    fn is_clock(&self) -> bool {
        self.object.attribute.class_id == class::CLOCK
    }

    /// IEC 62056-6-1: 0-b:96.10.x, the status that a profile captures.
    fn is_status(&self) -> bool {
        let [a, _, c, d, ..] = self.object.attribute.logical_name.0;
        self.object.attribute.class_id == class::DATA && (a, c, d) == (0, 96, 10)
    }

    /// The last code that a log captures: 0-b:96.11.x, IEC 62056-6-1.
    pub fn is_event_code(&self) -> bool {
        let [a, _, c, d, ..] = self.object.attribute.logical_name.0;
        (self.object.attribute.class_id, self.object.attribute.attribute) == (class::DATA, 2)
            && (a, c, d) == (0, 96, 11)
    }

    /// The value of the object, and not its time, its status and so on.
    pub fn is_value(&self) -> bool {
        !self.is_clock() && !self.is_status()
    }
}

impl Context {
    fn source(&self, time: Option<&dlms::DateTime>, status: Vec<u8>) -> Arc<Source> {
        Arc::new(Source {
            meter: self.meter,
            origin: self.origin,
            path: self.path.clone(),
            standing: Standing::Sole,
            meter_time: time.and_then(|time| self.clock.meter_time(time)),
            received: self.received,
            status,
            links: self.links.clone(),
            hops: None,
            security: self.security,
            access_number: None,
            evidence: None,
        })
    }

    /// The values of a row. What it lacks is no reading.
    pub fn row(&self, row: &Row<'_, '_>, columns: &[Column], interval: Option<Interval>) -> Vec<Reading> {
        let mut status = Vec::new();
        let mut flags = Quality::GOOD;
        for (_, value) in columns.iter().zip(row.values).filter(|(column, _)| column.is_status()) {
            if let Ok(number) = value.number::<u32>() {
                let octets = number.to_be_bytes();
                let used = octets.iter().position(|octet| *octet != 0).unwrap_or(3);
                status.extend_from_slice(octets.get(used..).unwrap_or_default());
                if self.has_idis_status {
                    flags = flags.with(idis_flags(number));
                }
            } else if let Ok(bits) = value.octet_string() {
                status.extend_from_slice(bits);
            }
        }
        let source = self.source(row.clock.as_ref(), status);
        let cells = columns.iter().zip(row.values).take(row.sent).filter(|(column, _)| column.is_value());
        cells
            .map(|(column, cell)| {
                let scaler = column.scaler_unit.map_or(0, |it| it.scaler);
                let (value, quality) = value(cell, scaler);
                Reading {
                    source: Arc::clone(&source),
                    register: register(&column.object, column.scaler_unit),
                    value,
                    interval,
                    quality: quality.with(flags),
                }
            })
            .collect()
    }

    /// The value of a register that was asked for itself.
    pub fn registers(
        &self,
        values: &[(CaptureObject, Option<ScalerUnit>, Data<'_>)],
        time: Option<&dlms::DateTime>,
        interval: Option<Interval>,
    ) -> Vec<Reading> {
        let source = self.source(time, Vec::new());
        values
            .iter()
            .map(|(object, scaler_unit, data)| {
                let (value, quality) = value(data, scaler_unit.map_or(0, |it| it.scaler));
                let register = register(object, *scaler_unit);
                Reading { source: Arc::clone(&source), register, value, interval, quality }
            })
            .collect()
    }
}

/// A value as the meter sent it.
fn value(data: &Data<'_>, scaler: i8) -> (Value, Quality) {
    let good = |value| (value, Quality::GOOD);
    match *data {
        Data::NullData | Data::DontCare => (Value::None, Quality::INVALID),
        Data::Boolean(flag) => good(Value::Decimal { mantissa: i64::from(flag), scaler: 0 }),
        Data::Enum(number) => good(Value::Decimal { mantissa: i64::from(number), scaler: 0 }),
        Data::Float32(real) => good(Value::Float32 { bits: real.to_bits(), scaler }),
        Data::Float64(real) => good(Value::Float64 { bits: real.to_bits(), scaler }),
        Data::VisibleString(octets) | Data::Utf8String(octets) => match std::str::from_utf8(octets) {
            Ok(text) => good(Value::Text(text.into())),
            Err(_) => good(Value::Octets(octets.into())),
        },
        Data::OctetString(octets) => good(Value::Octets(octets.into())),
        Data::DateTime(time) => match civil(&time) {
            Some(civil) => good(Value::DateTime(civil)),
            None => (Value::None, Quality::INVALID),
        },
        _ => match data.integer().map(i64::try_from) {
            Ok(Ok(mantissa)) => good(Value::Decimal { mantissa, scaler }),
            // Above what a mantissa holds, or no number at all: the octets as they came.
            _ => good(Value::Octets(data.octets().into())),
        },
    }
}

/// IDIS, profile status: critical error, clock invalid, data not valid, daylight saving, clock adjusted, power down.
fn idis_flags(status: u32) -> Quality {
    let flags = [
        (0x01, Quality::ERROR_STATE),
        (0x04, Quality::INVALID),
        (0x20, Quality::CLOCK_ADJUSTED),
        (0x80, Quality::POWER_DOWN),
    ];
    let set = flags.iter().filter(|(bit, _)| status & bit != 0);
    set.fold(Quality::GOOD, |all, (_, flag)| all.with(*flag))
}

/// None where the time is not a moment.
fn civil(time: &dlms::DateTime) -> Option<CivilTime> {
    time.local_seconds()?;
    let date = CivilDate { year: time.date.year, month: time.date.month, day: time.date.day };
    let second = Some(time.time.second).filter(|second| *second != 0xff);
    Some(CivilTime { date, hour: time.time.hour, minute: time.time.minute, second })
}

/// Tells one layout of a profile from another: what its columns are, and its period.
pub fn fingerprint(columns: &[CaptureObject], period: u32) -> u64 {
    let mut octets = Vec::new();
    octets.put_u32_le(period);
    for column in columns {
        octets.put_u16_le(column.attribute.class_id);
        octets.put_slice(&column.attribute.logical_name.0);
        octets.put_i8(column.attribute.attribute);
        octets.put_u16_le(column.data_index);
    }
    // FNV-1a: kept on disk, so that it must be the same in every build.
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests;
