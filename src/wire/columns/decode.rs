//! Columns into records, whoever made them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::event::{to_event, to_raw};
use super::name::{narrow, octets, to_function, to_mbus, to_origin, to_security, to_standing, to_time_quality};
use super::number::{Place, Predictor, RSSI_OFFSET, Running, to_date, to_time};
use super::{MOST_OCTETS, MOST_RECORDS, Reject};
use crate::reading::{
    ClockStatus, Interval, Link, MeterId, MeterTime, Obis, Path, Quality, Reading, Received, Register, Source, Unit,
    Value,
};
use crate::store::Body;
use crate::wire::v1::{self, ValueKind, records::Kind};

/// Gives back the records' bodies in their order.
///
/// # Errors
/// Whatever breaks the rules of records.proto, and more than `MOST_RECORDS` or `MOST_OCTETS`.
pub fn decode(records: v1::Records) -> Result<Vec<Body>, Reject> {
    let count = records.spans.iter().try_fold(0_usize, |sum, span| sum.checked_add(span.count as usize));
    let count = count.filter(|count| *count <= MOST_RECORDS).ok_or(Reject::TooMany)?;
    let mut budget = Budget(MOST_OCTETS);
    let receivers: Vec<Arc<str>> = records.receivers.into_iter().map(Into::into).collect();
    let mut events = Column::new(records.events, "events");
    let mut raw_telegrams = Column::new(records.raw_telegrams, "raw_telegrams");
    let mut rows = Rows::new(
        records.rows.unwrap_or_default(),
        records.meters.unwrap_or_default(),
        records.registers,
        records.layouts,
        records.shapes,
        &records.boot_ids,
        receivers.clone(),
    )?;
    let mut bodies = Vec::with_capacity(count);
    for span in records.spans {
        let end = bodies.len() + span.count as usize;
        while bodies.len() < end {
            match Kind::try_from(span.kind).map_err(|_| Reject::Field("span"))? {
                Kind::Reading => rows.row(&mut bodies, &mut budget)?,
                Kind::Event => bodies.push(Body::Event(to_event(events.next()?)?)),
                Kind::Raw => {
                    let raw = raw_telegrams.next()?;
                    budget.spend(raw.links.len() * size_of::<Link>())?;
                    bodies.push(Body::Raw(to_raw(raw, &receivers)?));
                }
            }
        }
        if bodies.len() > end {
            return Err(Reject::Length("spans"));
        }
    }
    events.end()?;
    raw_telegrams.end()?;
    rows.end()?;
    Ok(bodies)
}

struct Rows {
    meters: Vec<MeterId>,
    boot_ids: Vec<[u8; 16]>,
    receivers: Vec<Arc<str>>,
    registers: Vec<RegisterColumn>,
    layouts: Vec<v1::Layout>,
    shapes: Vec<v1::Shape>,
    columns: Columns,
    predictor: Predictor,
    sums: Sums,
    access_octets_before: HashMap<u32, u8>,
    access_counters_before: HashMap<u32, i64>,
}

#[derive(Default)]
struct Sums {
    meter: Running,
    boot_ms: Running,
    utc_offset_ms: Running,
    meter_time: Running,
    meter_utc_offset: Running,
    interval_end: Running,
}

struct Columns {
    meter: Column<i32>,
    shape: Column<u32>,
    layout: Column<u32>,
    boot_ms: Column<i64>,
    utc_offset_ms: Column<i64>,
    meter_time: Column<i64>,
    meter_utc_offset: Column<i64>,
    access_octets: Column<u8>,
    access_counters: Column<i64>,
    rssi_dbm: Column<i32>,
    lqi: Column<u32>,
    interval_end: Column<i64>,
    evidence: Column<Vec<u8>>,
}

struct RegisterColumn {
    register: Register,
    kind: ValueKind,
    scaler: i8,
    numbers: Column<i64>,
    texts: Column<String>,
    octets: Column<Vec<u8>>,
}

impl Rows {
    fn new(
        rows: v1::Rows,
        meters: v1::Meters,
        registers: Vec<v1::Register>,
        layouts: Vec<v1::Layout>,
        shapes: Vec<v1::Shape>,
        boot_ids: &[Vec<u8>],
        receivers: Vec<Arc<str>>,
    ) -> Result<Self, Reject> {
        if registers.len() > MOST_RECORDS || shapes.len() > MOST_RECORDS || layouts.len() > MOST_RECORDS {
            return Err(Reject::TooMany);
        }
        Ok(Self {
            meters: to_meters(&meters)?,
            boot_ids: boot_ids.iter().map(|id| octets(id, "boot_id")).collect::<Result<_, _>>()?,
            receivers,
            registers: registers.into_iter().map(RegisterColumn::new).collect::<Result<_, _>>()?,
            layouts,
            shapes,
            columns: Columns {
                meter: Column::new(rows.meter, "meter"),
                shape: Column::new(rows.shape, "shape"),
                layout: Column::new(rows.layout, "layout"),
                boot_ms: Column::new(rows.boot_ms, "boot_ms"),
                utc_offset_ms: Column::new(rows.utc_offset_ms, "utc_offset_ms"),
                meter_time: Column::new(rows.meter_time, "meter_time"),
                meter_utc_offset: Column::new(rows.meter_utc_offset, "meter_utc_offset"),
                access_octets: Column::new(rows.access_octets, "access_octets"),
                access_counters: Column::new(rows.access_counters, "access_counters"),
                rssi_dbm: Column::new(rows.rssi_dbm, "rssi_dbm"),
                lqi: Column::new(rows.lqi, "lqi"),
                interval_end: Column::new(rows.interval_end, "interval_end"),
                evidence: Column::new(rows.evidence, "evidence"),
            },
            predictor: Predictor::default(),
            sums: Sums::default(),
            access_octets_before: HashMap::new(),
            access_counters_before: HashMap::new(),
        })
    }

    /// Appends the readings of the next row: at least one.
    fn row(&mut self, bodies: &mut Vec<Body>, budget: &mut Budget) -> Result<(), Reject> {
        let meter = narrow(self.sums.meter.number(self.columns.meter.next()?.into()), "meter")?;
        let source = Arc::new(self.source(meter, budget)?);
        let layout = self.columns.layout.next()? as usize;
        let layout = self.layouts.get(layout).ok_or(Reject::Field("layout"))?;
        let count = layout.register.len();
        if count == 0 {
            return Err(Reject::Length("layout"));
        }
        if bodies.len() + count > MOST_RECORDS {
            return Err(Reject::TooMany);
        }
        for (column, field) in [(layout.quality.len(), "quality"), (layout.interval.len(), "interval")] {
            if column != 0 && column != count {
                return Err(Reject::Length(field));
            }
        }
        let qualities = layout.quality.iter().copied().chain(std::iter::repeat(0));
        let intervals = layout.interval.iter().copied().chain(std::iter::repeat(0));
        for ((index, quality), interval) in layout.register.iter().zip(qualities).zip(intervals) {
            let column = self.registers.get_mut(*index as usize).ok_or(Reject::Field("register"))?;
            budget.spend(size_of::<Body>() + column.register.quantity.len())?;
            let interval = match interval.checked_sub(1) {
                None => None,
                Some(length) => Some(Interval {
                    end_utc: self.sums.interval_end.number(self.columns.interval_end.next()?),
                    length_s: narrow(length, "interval")?,
                }),
            };
            bodies.push(Body::Reading(Reading {
                source: Arc::clone(&source),
                register: column.register.clone(),
                value: column.value(meter, *index, &mut self.predictor)?,
                interval,
                quality: Quality::from_bits(narrow(quality, "quality")?),
            }));
        }
        Ok(())
    }

    fn source(&mut self, meter: u32, budget: &mut Budget) -> Result<Source, Reject> {
        let boot_ms = self.sums.boot_ms.number(self.columns.boot_ms.next()?);
        let utc_offset_ms = self.sums.utc_offset_ms.number(self.columns.utc_offset_ms.next()?);
        let shape = self.columns.shape.next()? as usize;
        let shape = self.shapes.get(shape).ok_or(Reject::Field("shape"))?;
        budget.spend(size_of::<Source>() + shape.status.len() + shape.links.len() * size_of::<Link>())?;
        let meter_id = |index: u32| self.meters.get(index as usize).copied().ok_or(Reject::Field("meter"));
        let links = shape.links.iter().map(|link| {
            Ok(Link {
                receiver: self.receivers.get(link.receiver as usize).cloned().ok_or(Reject::Field("receiver"))?,
                rssi_dbm: match self.columns.rssi_dbm.next_if(link.has_rssi)? {
                    None => None,
                    Some(number) => Some(narrow(i64::from(number) - i64::from(RSSI_OFFSET), "rssi_dbm")?),
                },
                lqi: self.columns.lqi.next_if(link.has_lqi)?.map(|lqi| narrow(lqi, "lqi")).transpose()?,
            })
        });
        let links = links.collect::<Result<_, _>>()?;
        let access_number = match v1::AccessNumber::try_from(shape.access_number) {
            Ok(v1::AccessNumber::None) => None,
            Ok(v1::AccessNumber::Octet) => {
                let octet = self.access_octets_before.entry(meter).or_default();
                *octet = octet.wrapping_add(self.columns.access_octets.next()?);
                Some((*octet).into())
            }
            Ok(v1::AccessNumber::Counter) => {
                let counter = self.access_counters_before.entry(meter).or_default();
                *counter = counter.wrapping_add(self.columns.access_counters.next()?);
                Some(narrow(*counter, "access_counters")?)
            }
            Err(_) => return Err(Reject::Field("access_number")),
        };
        let meter_time = match &shape.meter_clock {
            None => None,
            Some(clock) => {
                let number = self.sums.meter_time.number(self.columns.meter_time.next()?);
                let offset = self.columns.meter_utc_offset.next_if(clock.has_utc)?;
                let utc = offset.map(|offset| self.sums.meter_utc_offset.number(offset).wrapping_add(number));
                Some(MeterTime {
                    civil: to_time(clock_kind(clock)?, number)?,
                    status: ClockStatus { invalid: clock.invalid, summer_time: clock.summer_time },
                    utc,
                })
            }
        };
        Ok(Source {
            meter: meter_id(meter)?,
            origin: to_origin(shape.origin)?,
            path: shape.behind.checked_sub(1).map_or(Ok(Path::Direct), |other| meter_id(other).map(Path::Behind))?,
            standing: to_standing(shape.standing)?,
            meter_time,
            received: Received {
                boot_id: *self.boot_ids.get(shape.boot as usize).ok_or(Reject::Field("boot"))?,
                boot_ms: boot_ms as u64,
                utc_ms: boot_ms.wrapping_add(utc_offset_ms),
                quality: to_time_quality(shape.time_quality)?,
            },
            status: shape.status.clone(),
            links,
            hops: shape.hops.map(|hops| narrow(hops, "hops")).transpose()?,
            security: to_security(shape.security)?,
            access_number,
            evidence: self.columns.evidence.next_if(shape.has_evidence)?,
        })
    }

    fn end(self) -> Result<(), Reject> {
        for column in self.registers {
            column.numbers.end()?;
            column.texts.end()?;
            column.octets.end()?;
        }
        self.columns.meter.end()?;
        self.columns.shape.end()?;
        self.columns.layout.end()?;
        self.columns.boot_ms.end()?;
        self.columns.utc_offset_ms.end()?;
        self.columns.meter_time.end()?;
        self.columns.meter_utc_offset.end()?;
        self.columns.access_octets.end()?;
        self.columns.access_counters.end()?;
        self.columns.rssi_dbm.end()?;
        self.columns.lqi.end()?;
        self.columns.interval_end.end()?;
        self.columns.evidence.end()
    }
}

impl RegisterColumn {
    fn new(register: v1::Register) -> Result<Self, Reject> {
        let obis = match register.obis.as_slice() {
            [] => None,
            code => Some(Obis(octets(code, "obis")?)),
        };
        Ok(Self {
            register: Register {
                obis,
                quantity: Cow::Owned(register.quantity),
                unit: Unit(narrow(register.unit, "unit")?),
                function: to_function(register.function)?,
                storage: register.storage,
                tariff: register.tariff,
                subunit: narrow(register.subunit, "subunit")?,
                modifier: register.modifier.into(),
            },
            kind: ValueKind::try_from(register.kind).map_err(|_| Reject::Field("kind"))?,
            scaler: narrow(register.scaler, "scaler")?,
            numbers: Column::new(register.numbers, "numbers"),
            texts: Column::new(register.texts, "texts"),
            octets: Column::new(register.octets, "octets"),
        })
    }

    fn value(&mut self, meter: u32, index: u32, predictor: &mut Predictor) -> Result<Value, Reject> {
        let (kind, scaler) = (self.kind, self.scaler);
        let unit = self.register.unit.0.into();
        let mut number = || {
            let place = Place { meter, register: index, kind, unit, scaler: scaler.into() };
            self.numbers.next().map(|difference| predictor.number(place, difference))
        };
        Ok(match kind {
            ValueKind::None => Value::None,
            ValueKind::Decimal => Value::Decimal { mantissa: number()?, scaler },
            ValueKind::Float32 => Value::Float32 { bits: narrow(number()?, "numbers")?, scaler },
            ValueKind::Float64 => Value::Float64 { bits: number()? as u64, scaler },
            ValueKind::Date | ValueKind::DateFields => Value::Date(to_date(kind, number()?)?),
            ValueKind::DateTime | ValueKind::DateTimeMinutes | ValueKind::DateTimeFields => {
                Value::DateTime(to_time(kind, number()?)?)
            }
            ValueKind::Text => Value::Text(self.texts.next()?.into()),
            ValueKind::Octets => Value::Octets(self.octets.next()?.into()),
        })
    }
}

fn clock_kind(clock: &v1::MeterClock) -> Result<ValueKind, Reject> {
    match ValueKind::try_from(clock.kind) {
        Ok(kind @ (ValueKind::DateTime | ValueKind::DateTimeMinutes | ValueKind::DateTimeFields)) => Ok(kind),
        _ => Err(Reject::Field("meter_clock")),
    }
}

fn to_meters(meters: &v1::Meters) -> Result<Vec<MeterId>, Reject> {
    if meters.model.len() != meters.identification.len() {
        return Err(Reject::Length("meters"));
    }
    let mbus = meters.model.iter().zip(&meters.identification).map(|(model, identification)| {
        let model = meters.models.get(*model as usize).ok_or(Reject::Field("model"))?;
        to_mbus(model, *identification)
    });
    let titles = meters.system_titles.iter().map(|title| octets(title, "system_title").map(MeterId::SystemTitle));
    mbus.chain(titles).collect()
}

/// A column that is taken from front to back, and must then be empty.
struct Column<T> {
    items: std::vec::IntoIter<T>,
    name: &'static str,
}

impl<T> Column<T> {
    fn new(items: Vec<T>, name: &'static str) -> Self {
        Self { items: items.into_iter(), name }
    }

    fn next(&mut self) -> Result<T, Reject> {
        self.items.next().ok_or(Reject::Length(self.name))
    }

    fn next_if(&mut self, has_one: bool) -> Result<Option<T>, Reject> {
        if has_one { self.next().map(Some) } else { Ok(None) }
    }

    fn end(mut self) -> Result<(), Reject> {
        self.items.next().map_or(Ok(()), |_| Err(Reject::Length(self.name)))
    }
}

/// Octets of memory that may still be taken.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, octets: usize) -> Result<(), Reject> {
        self.0 = self.0.checked_sub(octets).ok_or(Reject::TooRich)?;
        Ok(())
    }
}
