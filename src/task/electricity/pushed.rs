//! What meters send unasked: who sent it, whether that is proven and new, and what is in it.
//!
//! A meter with keys is believed by its key and a counter above those before, which is durable together with what it
//! told. One without keys is believed by its address.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dlms::apdu::{Apdu, Attribute, CaptureObject};
use dlms::cosem::{self, Rows, ScalerUnit, class};
use dlms::security::{Ciphered, Opened, SecurityControl, Suite, is_ciphered};
use dlms::{Data, Reject};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::client::ciphering;
use super::collector::{Batch, Collector};
use super::demand::Demand;
use super::known::{Known, event, of_meter};
use super::push::{Listener, Peer, Pushed, of_nodes};
use crate::clock::Now;
use crate::control::Pushes;
use crate::reading::from_cosem::Context;
use crate::reading::{MeterEvent, MeterTime, Obis, Origin, Reading, Unit, Value};
use crate::schedule::MeterNo;
use crate::store::{Body, Lane};
use crate::task::plc;

impl Collector {
    /// Listens on the addresses of the configuration, and to the nodes of all networks with meters.
    pub(super) async fn listen(&mut self, stop: &CancellationToken) -> mpsc::Receiver<Pushed> {
        let (out, pushed) = mpsc::channel(PUSHES);
        for listener in self.config.push.iter().flat_map(Listener::of) {
            tokio::spawn(listener.run(out.clone(), self.push_counts.clone(), stop.clone()));
        }
        for network in &self.networks {
            // One that ends is heard no more.
            let _ = network.send(plc::Question::Listen(of_nodes(out.clone(), self.push_counts.clone()))).await;
        }
        pushed
    }

    pub(super) fn pushes(&self) -> Pushes {
        self.push_counts.pushes()
    }

    /// A notification from outside an association.
    pub(super) fn pushed(&mut self, pushed: &Pushed) {
        let now = (self.clock)();
        let (no, apdu) = match self.opened(pushed, now) {
            Ok(opened) => opened,
            Err(reason) => {
                debug!(peer = ?pushed.peer, reject = reason, "push not taken");
                return self.push_counts.refused(reason);
            }
        };
        let records = self.notified(no, &apdu, now);
        self.schedule.handle_alive(no, now);
        self.store_with_mark(no, records);
    }

    /// Whose it is, and what it says in the clear.
    fn opened(&mut self, pushed: &Pushed, now: Now) -> Result<(MeterNo, Vec<u8>), &'static str> {
        let Some(tag) = pushed.apdu.first() else { return Err("garbage") };
        if !is_ciphered(*tag) {
            let no = self.in_the_clear(pushed)?;
            return Ok((no, pushed.apdu.clone()));
        }
        let said = Ciphered::parse(&pushed.apdu).map_err(|_| "garbage")?;
        let candidates: Vec<usize> = match said.system_title {
            Some(title) => self.places(|known| known.party.meter.id == title.0),
            // Without a title only one who has the key can be told from another.
            None if !said.control.is_authenticated() => return Err("unknown_meter"),
            None => self.places(|known| is_at(known, pushed.peer)),
        };
        if candidates.is_empty() {
            return Err("unknown_meter");
        }
        let own_title = self.config.system_title;
        for place in candidates {
            let Some(known) = self.meters.get_mut(place) else { continue };
            let mut apdu = pushed.apdu.clone();
            let Ok(opened) = open(known, own_title, &mut apdu) else { continue };
            let wanted = SecurityControl(known.party.meter.manner.security);
            if !opened.control.covers(wanted) || !opened.control.is_authenticated() {
                return Err("too_weak");
            }
            if known.pushed.accept(opened.invocation_counter).is_err() {
                let detail = format!("pushed with counter {}, which is not new", opened.invocation_counter);
                self.tell(place, "electricity.replayed", detail, now);
                return Err("replayed");
            }
            return Ok((MeterNo(place as u32), apdu));
        }
        Err("bad_mac")
    }

    /// The one meter without keys that is at this address.
    fn in_the_clear(&self, pushed: &Pushed) -> Result<MeterNo, &'static str> {
        let at = self.places(|known| is_at(known, pushed.peer));
        let plain: Vec<_> = at
            .iter()
            .filter(|place| self.meters.get(**place).is_some_and(|known| known.party.meter.manner.security == 0))
            .collect();
        match (plain.as_slice(), at.as_slice()) {
            ([one], _) => Ok(MeterNo(**one as u32)),
            ([], [_, ..]) => Err("too_weak"),
            _ => Err("unknown_meter"),
        }
    }

    fn places(&self, is_wanted: impl Fn(&Known) -> bool) -> Vec<usize> {
        let is_there = |known: &Known| !known.is_retired;
        let found = self.meters.iter().enumerate().filter(|(_, known)| is_there(known) && is_wanted(known));
        found.map(|(place, _)| place).take(CANDIDATES).collect()
    }

    /// Something of a meter that would be told again and again: once an hour.
    pub(super) fn tell(&mut self, place: usize, code: &'static str, detail: String, now: Now) {
        if !self.is_first_in_an_hour(place, code, now) {
            return;
        }
        let record = event(code, detail, self.id_of(MeterNo(place as u32)), now);
        self.waiting.push_back(Batch { records: vec![record], marks: Vec::new(), done: None });
    }

    fn is_first_in_an_hour(&mut self, place: usize, what: &'static str, now: Now) -> bool {
        let Some(known) = self.meters.get_mut(place) else { return false };
        let before = known.told_of.get(what);
        let is_first = before.is_none_or(|before| now.mono.saturating_duration_since(*before) >= HOUR);
        if is_first {
            known.told_of.insert(what, now.mono);
        }
        is_first
    }

    /// What an APDU tells, in the clear and believed.
    pub(super) fn notified(&mut self, no: MeterNo, apdu: &[u8], now: Now) -> Vec<(Lane, Body)> {
        let place = no.0 as usize;
        let Some(known) = self.meters.get(place) else { return Vec::new() };
        let mut unscaled = Vec::new();
        let read = self.contents(known, apdu, &mut unscaled, now);
        match read {
            Ok(records) => {
                self.push_counts.taken();
                self.ask_scales(no, unscaled, now);
                records
            }
            Err(why) => {
                self.push_counts.refused("unreadable");
                self.tell(place, "electricity.push_unreadable", why, now);
                Vec::new()
            }
        }
    }

    /// Asks what the scale of pushed registers is, together with what they say, once an hour at most.
    fn ask_scales(&mut self, no: MeterNo, unscaled: Vec<(u16, Obis)>, now: Now) {
        if !unscaled.is_empty() && self.is_first_in_an_hour(no.0 as usize, "scales", now) {
            // Where there is no room, a later push asks.
            let _ = self.demand(no, Demand::Scales(unscaled));
        }
    }

    /// What it tells. Registers of which no scale is known, and was never asked for, go to `unscaled`.
    fn contents(
        &self,
        known: &Known,
        apdu: &[u8],
        unscaled: &mut Vec<(u16, Obis)>,
        now: Now,
    ) -> Result<Vec<(Lane, Body)>, String> {
        let context = known.party.context(Origin::Spontaneous, now);
        let not_taken = |reject: Reject| format!("not taken: {reject}");
        let (time, values) = match Apdu::parse(apdu).map_err(not_taken)? {
            Apdu::EventNotification(said) => (said.time, vec![(said.attribute, said.value)]),
            Apdu::DataNotification(said) => {
                let values = match said.body {
                    Data::Structure(items) => items.take(VALUES + 1).collect(),
                    other => vec![other],
                };
                (said.date_time, named(&known.party.meter.manner.push_objects, values)?)
            }
            other => return Err(format!("neither data nor an event: APDU {:02x}", other.tag())),
        };
        let clock = values.iter().find(|(attribute, _)| attribute.class_id == class::CLOCK && attribute.attribute == 2);
        let time = time.or_else(|| clock.and_then(|(_, value)| value.date_time().ok()));
        let said = time.and_then(|time| context.clock.meter_time(&time));
        let mut records = Vec::new();
        for (attribute, value) in &values {
            let name = Obis(attribute.logical_name.0);
            let context = known.whose(name, &context);
            match (attribute.class_id, attribute.attribute, log_of(name)) {
                (class::DATA, 2, Some(log)) if value.number::<u32>().is_ok() => {
                    records.push(self.event(known, log, value.number().unwrap_or_default(), said, now));
                }
                (class::PROFILE_GENERIC, 2, _) => records.extend(self.rows(known, name, value, &context, now)?),
                (class::DATA | class::REGISTER | class::EXTENDED_REGISTER | class::DEMAND_REGISTER, 2, _) => {
                    if is_alarm(name) {
                        records.extend(self.alarms(known, name, value, said, now));
                    }
                    let readings = self.reading(known, *attribute, value, &values, time.as_ref(), &context);
                    let is_raw =
                        |it: &Reading| attribute.class_id != class::DATA && matches!(it.value, Value::Octets(_));
                    if readings.as_ref().is_some_and(is_raw) && !known.units.contains_key(attribute) {
                        unscaled.push((attribute.class_id, name));
                    }
                    records.extend(readings.into_iter().map(|reading| (Lane::Information, Body::Reading(reading))));
                }
                // Names, clocks, scalers: they say what the others are.
                _ => {}
            }
        }
        Ok(records)
    }

    fn event(&self, known: &Known, log: Obis, code: u32, time: Option<MeterTime>, now: Now) -> (Lane, Body) {
        let (lane, said) = known.party.events.event(log, code, true, time);
        of_meter(lane, said, known.id(), now)
    }

    /// Each bit of an alarm register or descriptor that is set. One that the table does not know is urgent all the same.
    fn alarms(
        &self,
        known: &Known,
        name: Obis,
        value: &Data<'_>,
        time: Option<MeterTime>,
        now: Now,
    ) -> Vec<(Lane, Body)> {
        let bits: u32 = value.number().unwrap_or(0);
        let set = (0..u32::BITS).filter(|bit| bits >> bit & 1 == 1);
        set.map(|bit| match known.party.events.has(name, bit) {
            true => self.event(known, name, bit, time, now),
            // The codes of logs are not those of bits.
            false => {
                let said =
                    MeterEvent { log: name, code: bit, event_type: None, name: String::new(), is_pushed: true, time };
                of_meter(Lane::Security, said, known.id(), now)
            }
        })
        .collect()
    }

    /// Rows of a profile whose columns are known from reading it.
    fn rows(
        &self,
        known: &Known,
        object: Obis,
        value: &Data<'_>,
        context: &Context,
        now: Now,
    ) -> Result<Vec<(Lane, Body)>, String> {
        let layout = known.layout(&object).ok_or_else(|| format!("the columns of {object} were never read"))?;
        let columns: Vec<_> = layout.columns.iter().map(|column| cosem::Column::from(&column.object)).collect();
        let not_taken = |reject: Reject| format!("{object}: not taken: {reject}");
        let mut rows = Rows::new(*value, &columns, layout.period).map_err(not_taken)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next() {
            let row = row.map_err(not_taken)?;
            let code = layout.columns.iter().position(crate::reading::from_cosem::Column::is_event_code);
            let code = code.filter(|place| *place < row.sent).and_then(|place| row.values.get(place)?.number().ok());
            if let Some(code) = code {
                let time = row.clock.and_then(|clock| context.clock.meter_time(&clock));
                records.push(self.event(known, object, code, time, now));
                continue;
            }
            let readings = context.row(&row, &layout.columns, None);
            records.extend(readings.into_iter().map(|reading| (Lane::Information, Body::Reading(reading))));
        }
        Ok(records)
    }

    /// A value with its scaler, which stands beside it or is known from reading it. Without one its octets are kept as
    /// they came: a number of unknown scale is no value.
    fn reading(
        &self,
        known: &Known,
        attribute: Attribute,
        value: &Data<'_>,
        beside: &[(Attribute, Data<'_>)],
        time: Option<&dlms::DateTime>,
        context: &Context,
    ) -> Option<Reading> {
        let object = CaptureObject::new(attribute);
        let number = if attribute.class_id == class::DEMAND_REGISTER { 4 } else { 3 };
        let own = beside.iter().find(|(other, _)| *other == Attribute { attribute: number, ..attribute });
        let own = own.and_then(|(_, value)| ScalerUnit::try_from(*value).ok());
        let columns = || known.layouts.iter().flat_map(|(_, layout)| &layout.columns);
        let learned = || columns().find(|column| column.object.attribute == attribute)?.scaler_unit;
        let asked = || known.units.get(&attribute).copied().flatten();
        let scaler_unit = own.or_else(learned).or_else(asked);
        let mut reading = context.registers(&[(object, scaler_unit, *value)], time, None).pop()?;
        if attribute.class_id != class::DATA && scaler_unit.is_none() {
            reading.value = Value::Octets(Arc::from(value.octets()));
            reading.register.unit = Unit::NONE;
        }
        Some(reading)
    }
}

/// Deciphers with the meter's keys.
fn open(known: &Known, own_title: Option<[u8; 8]>, apdu: &mut Vec<u8>) -> Result<Opened, String> {
    let party = &known.party;
    let suite = Suite::try_from(party.meter.manner.suite).map_err(|reject| reject.to_string())?;
    let keys = ciphering(&party.meter, suite, party.credential.as_deref(), own_title)?;
    keys.open(apdu).map_err(|reject| reject.to_string())
}

/// Whether the unit reaches the meter at this address, or behind this node.
fn is_at(known: &Known, peer: Peer) -> bool {
    let peer = match peer {
        Peer::Address(peer) => peer,
        Peer::Node(eui64) => return known.party.meter.node == Some(eui64),
    };
    let address = known.party.address();
    let host = address.and_then(|address| address.rsplit_once(':')).map(|(host, _)| host.trim_matches(['[', ']']));
    host.and_then(|host| host.parse::<IpAddr>().ok()) == Some(peer.to_canonical())
}

/// Values by what they are: as the push itself says, else as the configuration does.
fn named<'a>(configured: &[Attribute], values: Vec<Data<'a>>) -> Result<Vec<(Attribute, Data<'a>)>, String> {
    if values.len() > VALUES {
        return Err(format!("more than {VALUES} values"));
    }
    let own = values.iter().find_map(|value| {
        let objects = cosem::capture_objects(*value).ok()?;
        (objects.len() == values.len()).then(|| objects.iter().map(|object| object.attribute).collect::<Vec<_>>())
    });
    let objects = match &own {
        Some(objects) => objects,
        None if configured.len() == values.len() => configured,
        None => {
            let (pushed, said) = (values.len(), configured.len());
            return Err(format!("{pushed} values were pushed, `push_objects` says {said}"));
        }
    };
    Ok(objects.iter().copied().zip(values).collect())
}

/// The log that the last event code is of. IDIS and DSMR: 0-0:96.11.x is of 0-0:99.98.x, that of an M-Bus channel of its
/// control log 0-n:24.5.0.
const fn log_of(code: Obis) -> Option<Obis> {
    match code.0 {
        [0, 0, 96, 11, e, _] => Some(Obis([0, 0, 99, 98, e, 255])),
        [0, b, 96, 11, _, _] => Some(Obis([0, b, 24, 5, 0, 255])),
        _ => None,
    }
}

/// Alarm registers, filters aside, and descriptors: 0-0:97.98.0 to 9 and 20 to 29.
const fn is_alarm(name: Obis) -> bool {
    matches!(name.0, [0, 0, 97, 98, 0..=9 | 20..=29, _])
}

/// Notifications that wait for the collector.
const PUSHES: usize = 64;
/// Meters whose key is tried.
const CANDIDATES: usize = 16;
const VALUES: usize = 256;
const HOUR: Duration = Duration::from_secs(3_600);
