//! Records into columns.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::event::{from_event, from_raw};
use super::name::{from_function, from_origin, from_security, from_standing, from_time_quality};
use super::number::{Place, Predictor, RSSI_OFFSET, Running, from_date, from_time};
use crate::reading::{Link, MeterId, MeterTime, Path, Reading, ReadingTypes, Register, Source, Value};
use crate::store::{Body, Record};
use crate::wire::v1::{self, ValueKind, records::Kind, records::Span};

/// Lays records out in columns. Their names (lane, sequence) are not in it.
pub fn encode(records: &[Record], types: &ReadingTypes) -> v1::Records {
    let mut encoder = Encoder { types: Some(types), ..Encoder::default() };
    encoder.meters(records);
    let mut rest = records;
    while let Some(record) = rest.first() {
        let taken = match &record.body {
            Body::Reading(reading) => encoder.row(reading, rest),
            Body::Event(event) => {
                encoder.out.events.push(from_event(event));
                encoder.span(Kind::Event, 1)
            }
            Body::Raw(raw) => {
                let raw = from_raw(raw, |name| encoder.receivers.index(name));
                encoder.out.raw_telegrams.push(raw);
                encoder.span(Kind::Raw, 1)
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    encoder.finish()
}

#[derive(Debug, Default)]
struct Encoder<'a> {
    types: Option<&'a ReadingTypes>,
    out: v1::Records,
    rows: v1::Rows,
    receivers: Dictionary<Arc<str>>,
    boot_ids: Dictionary<[u8; 16]>,
    models: Dictionary<v1::meters::Model>,
    mbus: Dictionary<(u32, u32)>,
    system_titles: Dictionary<[u8; 8]>,
    registers: Dictionary<(Register, ValueKind, i8, Option<Arc<str>>)>,
    layouts: Dictionary<v1::Layout>,
    shapes: Dictionary<v1::Shape>,
    predictor: Predictor,
    meter: Running,
    boot_ms: Running,
    utc_offset_ms: Running,
    meter_time: Running,
    meter_utc_offset: Running,
    interval_end: Running,
    access_octets: HashMap<u32, u8>,
    access_counters: HashMap<u32, u32>,
}

impl<'a> Encoder<'a> {
    /// The first reading and those behind it from the same source; returns how many.
    fn row(&mut self, first: &Reading, records: &[Record]) -> usize {
        let source = &first.source;
        let readings: Vec<&Reading> = records
            .iter()
            .map_while(|record| match &record.body {
                Body::Reading(reading) if Arc::ptr_eq(&reading.source, source) || reading.source == *source => {
                    Some(reading)
                }
                _ => None,
            })
            .collect();
        let meter = self.meter(source.meter);
        self.source(source, meter);
        let layout = self.layout(&readings, meter);
        let layout = self.layouts.index(&layout);
        self.rows.layout.push(layout);
        self.span(Kind::Reading, readings.len())
    }

    fn span(&mut self, kind: Kind, count: usize) -> usize {
        let more = u32::try_from(count).expect("a message holds a few thousand records");
        match self.out.spans.last_mut() {
            Some(span) if span.kind == i32::from(kind) => span.count += more,
            _ => self.out.spans.push(Span { kind: kind.into(), count: more }),
        }
        count
    }

    fn source(&mut self, source: &Source, meter: u32) {
        let received = source.received;
        self.rows.meter.push(self.meter.difference(meter.into()) as i32);
        let boot_ms = received.boot_ms as i64;
        self.rows.boot_ms.push(self.boot_ms.difference(boot_ms));
        self.rows.utc_offset_ms.push(self.utc_offset_ms.difference(received.utc_ms.wrapping_sub(boot_ms)));
        let access_number = self.access_number(source.access_number, meter);
        self.rows.evidence.extend(source.evidence.clone());
        let shape = v1::Shape {
            origin: from_origin(source.origin),
            behind: match source.path {
                Path::Direct => 0,
                Path::Behind(other) => self.meter(other) + 1,
            },
            security: from_security(source.security),
            time_quality: from_time_quality(received.quality),
            boot: self.boot_ids.index(&received.boot_id),
            hops: source.hops.map(Into::into),
            status: source.status.clone(),
            links: source.links.iter().map(|link| self.link(link)).collect(),
            access_number: access_number.into(),
            has_evidence: source.evidence.is_some(),
            meter_clock: source.meter_time.as_ref().map(|time| self.meter_clock(time)),
            standing: from_standing(source.standing),
        };
        self.rows.shape.push(self.shapes.index(&shape));
    }

    fn access_number(&mut self, number: Option<u32>, meter: u32) -> v1::AccessNumber {
        let Some(number) = number else { return v1::AccessNumber::None };
        match u8::try_from(number) {
            Ok(octet) => {
                let before = self.access_octets.insert(meter, octet).unwrap_or(0);
                self.rows.access_octets.push(octet.wrapping_sub(before));
                v1::AccessNumber::Octet
            }
            Err(_) => {
                let before = self.access_counters.insert(meter, number).unwrap_or(0);
                self.rows.access_counters.push(i64::from(number) - i64::from(before));
                v1::AccessNumber::Counter
            }
        }
    }

    fn link(&mut self, link: &Link) -> v1::LinkShape {
        self.rows.rssi_dbm.extend(link.rssi_dbm.map(|dbm| i32::from(dbm) + RSSI_OFFSET));
        self.rows.lqi.extend(link.lqi.map(u32::from));
        v1::LinkShape {
            receiver: self.receivers.index(&link.receiver),
            has_rssi: link.rssi_dbm.is_some(),
            has_lqi: link.lqi.is_some(),
        }
    }

    fn meter_clock(&mut self, time: &MeterTime) -> v1::MeterClock {
        let (kind, number) = from_time(time.civil);
        self.rows.meter_time.push(self.meter_time.difference(number));
        if let Some(utc) = time.utc {
            self.rows.meter_utc_offset.push(self.meter_utc_offset.difference(utc.wrapping_sub(number)));
        }
        v1::MeterClock {
            kind: kind.into(),
            invalid: time.status.invalid,
            summer_time: time.status.summer_time,
            has_utc: time.utc.is_some(),
        }
    }

    fn layout(&mut self, readings: &[&Reading], meter: u32) -> v1::Layout {
        let mut layout = v1::Layout::default();
        for reading in readings {
            layout.register.push(self.value(reading, meter));
            layout.quality.push(reading.quality.bits().into());
            layout.interval.push(reading.interval.map_or(0, |interval| u64::from(interval.length_s) + 1));
            if let Some(interval) = reading.interval {
                self.rows.interval_end.push(self.interval_end.difference(interval.end_utc));
            }
        }
        if layout.quality.iter().all(|quality| *quality == 0) {
            layout.quality.clear();
        }
        if layout.interval.iter().all(|interval| *interval == 0) {
            layout.interval.clear();
        }
        layout
    }

    /// Puts the value into the column of its register and returns the register's index.
    fn value(&mut self, reading: &Reading, meter: u32) -> u32 {
        let Reading { register, value, .. } = reading;
        let typed = |types: &'a ReadingTypes| types.of(register, reading.interval, reading.source.origin);
        let reading_type = self.types.and_then(typed);
        let (kind, scaler, number) = match value {
            Value::None => (ValueKind::None, 0, None),
            Value::Decimal { mantissa, scaler } => (ValueKind::Decimal, *scaler, Some(*mantissa)),
            Value::Float32 { bits, scaler } => (ValueKind::Float32, *scaler, Some(i64::from(*bits))),
            Value::Float64 { bits, scaler } => (ValueKind::Float64, *scaler, Some(*bits as i64)),
            Value::Date(date) => {
                let (kind, number) = from_date(*date);
                (kind, 0, Some(number))
            }
            Value::DateTime(time) => {
                let (kind, number) = from_time(*time);
                (kind, 0, Some(number))
            }
            Value::Text(_) => (ValueKind::Text, 0, None),
            Value::Octets(_) => (ValueKind::Octets, 0, None),
        };
        let index = self.registers.index(&(register.clone(), kind, scaler, reading_type.cloned()));
        if index as usize == self.out.registers.len() {
            self.out.registers.push(new_register(register, kind, scaler, reading_type));
        }
        let column = self.out.registers.get_mut(index as usize).expect("every register of the dictionary has a column");
        match value {
            Value::Text(text) => column.texts.push(text.to_string()),
            Value::Octets(octets) => column.octets.push(octets.to_vec()),
            _ => {}
        }
        if let Some(number) = number {
            let place = Place { meter, register: index, kind, unit: column.unit, scaler: column.scaler };
            column.numbers.push(self.predictor.difference(place, number));
        }
        index
    }

    /// Fills the dictionaries of meters: system titles are numbered behind all M-Bus meters.
    fn meters(&mut self, records: &[Record]) {
        for record in records {
            if let Body::Reading(Reading { source, .. }) = &record.body {
                self.meter(source.meter);
                if let Path::Behind(other) = source.path {
                    self.meter(other);
                }
            }
        }
    }

    fn meter(&mut self, meter: MeterId) -> u32 {
        match meter {
            MeterId::MBus { manufacturer, identification, version, device_type } => {
                let model = self.models.index(&v1::meters::Model {
                    manufacturer: manufacturer.0.into(),
                    version: version.into(),
                    device_type: device_type.into(),
                });
                self.mbus.index(&(model, identification))
            }
            MeterId::SystemTitle(title) => {
                self.system_titles.index(&title) + u32::try_from(self.mbus.items.len()).unwrap_or(u32::MAX)
            }
        }
    }

    fn finish(self) -> v1::Records {
        let (model, identification) = self.mbus.items.into_iter().unzip();
        v1::Records {
            receivers: self.receivers.items.iter().map(|name| name.to_string()).collect(),
            boot_ids: self.boot_ids.items.iter().map(|id| id.to_vec()).collect(),
            meters: Some(v1::Meters {
                models: self.models.items,
                model,
                identification,
                system_titles: self.system_titles.items.iter().map(|title| title.to_vec()).collect(),
            }),
            layouts: self.layouts.items,
            shapes: self.shapes.items,
            rows: Some(self.rows),
            ..self.out
        }
    }
}

fn new_register(register: &Register, kind: ValueKind, scaler: i8, reading_type: Option<&Arc<str>>) -> v1::Register {
    v1::Register {
        obis: register.obis.map(|obis| obis.0.to_vec()).unwrap_or_default(),
        quantity: register.quantity.to_string(),
        unit: register.unit.0.into(),
        function: from_function(register.function),
        storage: register.storage,
        tariff: register.tariff,
        subunit: register.subunit.into(),
        modifier: register.modifier.to_string(),
        kind: kind.into(),
        scaler: scaler.into(),
        reading_type: reading_type.map(|it| it.to_string()).unwrap_or_default(),
        ..v1::Register::default()
    }
}

/// Different values in the order of their first appearance.
#[derive(Debug)]
struct Dictionary<T> {
    items: Vec<T>,
    indices: HashMap<T, u32>,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Self { items: Vec::new(), indices: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Dictionary<T> {
    fn index(&mut self, item: &T) -> u32 {
        if let Some(index) = self.indices.get(item) {
            return *index;
        }
        let index = u32::try_from(self.items.len()).expect("a message holds a few thousand records");
        self.items.push(item.clone());
        self.indices.insert(item.clone(), index);
        index
    }
}
