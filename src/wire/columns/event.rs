//! Events and raw telegrams, row by row.

use std::sync::Arc;

use super::Reject;
use super::name::{from_meter, from_received, from_security, narrow, octets, to_meter, to_received, to_security};
use crate::reading::{
    CivilDate, CivilTime, ClockStatus, Event, EventKind, LaneHead, Link, MeterEvent, MeterTime, Obis, RawTelegram, Wize,
};
use crate::wire::v1::{self, event::Kind};

pub(super) fn from_event(event: &Event) -> v1::Event {
    v1::Event {
        received: Some(from_received(event.received)),
        meter: event.meter.map(from_meter),
        kind: Some(from_kind(&event.kind)),
    }
}

pub(super) fn to_event(event: v1::Event) -> Result<Event, Reject> {
    Ok(Event {
        received: to_received(event.received.as_ref())?,
        meter: event.meter.as_ref().map(to_meter).transpose()?,
        kind: to_kind(event.kind.ok_or(Reject::Field("event"))?)?,
    })
}

pub(super) fn from_raw(raw: &RawTelegram, mut receiver: impl FnMut(&Arc<str>) -> u32) -> v1::RawTelegram {
    v1::RawTelegram {
        meter: raw.meter.map(from_meter),
        received: Some(from_received(raw.received)),
        links: raw
            .links
            .iter()
            .map(|link| v1::Link {
                receiver: receiver(&link.receiver),
                rssi_dbm: link.rssi_dbm.map(Into::into),
                lqi: link.lqi.map(Into::into),
            })
            .collect(),
        reason: from_security(raw.reason),
        octets: raw.octets.clone(),
        wize: raw.wize.as_ref().map(from_wize),
    }
}

fn from_wize(wize: &Wize) -> v1::Wize {
    v1::Wize {
        network: wize.network.into(),
        counter: wize.counter.into(),
        application: wize.application.into(),
        key: wize.key.into(),
        authenticated: wize.is_authenticated,
        timestamp: wize.timestamp.into(),
        payload: wize.payload.clone(),
        is_open: wize.is_open,
    }
}

fn to_wize(wize: v1::Wize) -> Result<Wize, Reject> {
    Ok(Wize {
        network: narrow(wize.network, "network")?,
        counter: narrow(wize.counter, "counter")?,
        application: narrow(wize.application, "application")?,
        key: narrow(wize.key, "key")?,
        is_authenticated: wize.authenticated,
        timestamp: narrow(wize.timestamp, "timestamp")?,
        payload: wize.payload,
        is_open: wize.is_open,
    })
}

pub(super) fn to_raw(raw: v1::RawTelegram, receivers: &[Arc<str>]) -> Result<RawTelegram, Reject> {
    let links = raw.links.iter().map(|link| {
        Ok(Link {
            receiver: receivers.get(link.receiver as usize).cloned().ok_or(Reject::Field("receiver"))?,
            rssi_dbm: link.rssi_dbm.map(|dbm| narrow(dbm, "rssi_dbm")).transpose()?,
            lqi: link.lqi.map(|lqi| narrow(lqi, "lqi")).transpose()?,
        })
    });
    Ok(RawTelegram {
        meter: raw.meter.as_ref().map(to_meter).transpose()?,
        received: to_received(raw.received.as_ref())?,
        links: links.collect::<Result<_, _>>()?,
        reason: to_security(raw.reason)?,
        octets: raw.octets,
        wize: raw.wize.map(to_wize).transpose()?,
    })
}

fn from_kind(kind: &EventKind) -> Kind {
    match kind {
        EventKind::EpochStarted { previous, heads, reason } => Kind::EpochStarted(v1::EpochStarted {
            previous: *previous,
            heads: heads.iter().map(from_head).collect(),
            reason: reason.clone(),
        }),
        EventKind::Gap { epoch, lane, first, last, reason, hash } => Kind::Gap(v1::Gap {
            epoch: *epoch,
            lane: (*lane).into(),
            first: *first,
            last: *last,
            reason: reason.clone(),
            hash: hash.to_vec(),
        }),
        EventKind::TimeAnchor { boot_id, boot_ms, utc_ms } => {
            Kind::TimeAnchor(v1::TimeAnchor { boot_id: boot_id.to_vec(), boot_ms: *boot_ms, utc_ms: *utc_ms })
        }
        EventKind::AckRefused { lane, first, last, reason } => Kind::AckRefused(v1::AckRefused {
            lane: (*lane).into(),
            first: *first,
            last: *last,
            reason: reason.clone(),
        }),
        EventKind::StatusChanged { previous, current } => {
            Kind::StatusChanged(v1::StatusChanged { previous: (*previous).into(), current: (*current).into() })
        }
        EventKind::Meter(event) => Kind::OfMeter(v1::MeterEvent {
            log: event.log.0.to_vec(),
            code: event.code,
            end_device_event_type: event.event_type.map_or_else(String::new, |it| it.to_string()),
            name: event.name.clone(),
            is_pushed: event.is_pushed,
            time: event.time.as_ref().map(from_moment),
        }),
        EventKind::Unit { code, detail } => Kind::Unit(v1::UnitEvent { code: code.clone(), detail: detail.clone() }),
    }
}

fn to_kind(kind: Kind) -> Result<EventKind, Reject> {
    Ok(match kind {
        Kind::EpochStarted(event) => EventKind::EpochStarted {
            previous: event.previous,
            heads: event.heads.iter().map(to_head).collect::<Result<_, _>>()?,
            reason: event.reason,
        },
        Kind::Gap(event) => EventKind::Gap {
            epoch: event.epoch,
            lane: narrow(event.lane, "lane")?,
            first: event.first,
            last: event.last,
            reason: event.reason,
            hash: octets(&event.hash, "hash")?,
        },
        Kind::TimeAnchor(event) => EventKind::TimeAnchor {
            boot_id: octets(&event.boot_id, "boot_id")?,
            boot_ms: event.boot_ms,
            utc_ms: event.utc_ms,
        },
        Kind::AckRefused(event) => EventKind::AckRefused {
            lane: narrow(event.lane, "lane")?,
            first: event.first,
            last: event.last,
            reason: event.reason,
        },
        Kind::StatusChanged(event) => EventKind::StatusChanged {
            previous: narrow(event.previous, "previous")?,
            current: narrow(event.current, "current")?,
        },
        Kind::OfMeter(event) => EventKind::Meter(MeterEvent {
            log: Obis(octets(&event.log, "log")?),
            code: event.code,
            event_type: match event.end_device_event_type.as_str() {
                "" => None,
                text => Some(text.parse().map_err(|_| Reject::Field("end_device_event_type"))?),
            },
            name: event.name,
            is_pushed: event.is_pushed,
            time: event.time.as_ref().map(to_moment).transpose()?,
        }),
        Kind::Unit(event) => EventKind::Unit { code: event.code, detail: event.detail },
    })
}

fn from_moment(time: &MeterTime) -> v1::MeterMoment {
    let CivilTime { date, hour, minute, second } = time.civil;
    v1::MeterMoment {
        year: date.year.into(),
        month: date.month.into(),
        day: date.day.into(),
        hour: hour.into(),
        minute: minute.into(),
        second: second.map(Into::into),
        invalid: time.status.invalid,
        summer_time: time.status.summer_time,
        utc: time.utc,
    }
}

fn to_moment(time: &v1::MeterMoment) -> Result<MeterTime, Reject> {
    let date = CivilDate {
        year: narrow(time.year, "year")?,
        month: narrow(time.month, "month")?,
        day: narrow(time.day, "day")?,
    };
    let second = time.second.map(|second| narrow(second, "second")).transpose()?;
    let civil = CivilTime { date, hour: narrow(time.hour, "hour")?, minute: narrow(time.minute, "minute")?, second };
    Ok(MeterTime { civil, status: ClockStatus { invalid: time.invalid, summer_time: time.summer_time }, utc: time.utc })
}

fn from_head(head: &LaneHead) -> v1::LaneHead {
    v1::LaneHead { lane: head.lane.into(), last: head.last, hash: head.hash.to_vec() }
}

fn to_head(head: &v1::LaneHead) -> Result<LaneHead, Reject> {
    Ok(LaneHead { lane: narrow(head.lane, "lane")?, last: head.last, hash: octets(&head.hash, "hash")? })
}
