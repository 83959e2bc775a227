//! The lines that the head-end writes: one JSON object a record, and one a batch as it came.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::stream::{BatchId, Stream};
use crate::control::ReadingLine;
use crate::reading::{Event, EventKind, Path, RawTelegram, Reading, Received, TimeQuality};
use crate::store::{Body, Epoch, Lane, Record};

/// The name of a record in a line: enough to find out what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub utility: String,
    pub dcu: String,
    /// 16 hexadecimal digits.
    pub epoch: String,
    /// As in topics: `mbus`.
    pub lane: String,
    pub sequence: u64,
    /// The beginning of its batch's hash, 32 hexadecimal digits.
    pub batch: String,
}

impl Name {
    pub fn new(stream: &Stream, sequence: u64, batch: BatchId) -> Self {
        Self {
            utility: stream.utility.clone(),
            dcu: stream.dcu.clone(),
            epoch: stream.epoch.to_string(),
            lane: stream.lane.name().to_owned(),
            sequence,
            batch: hex::encode(batch),
        }
    }

    /// What it names; None where the line is not one of ours.
    pub fn parse(self) -> Option<(Stream, u64, BatchId)> {
        let mut batch = BatchId::default();
        hex::decode_to_slice(&self.batch, &mut batch).ok()?;
        Some((stream(self.utility, self.dcu, &self.epoch, &self.lane)?, self.sequence, batch))
    }
}

/// A batch or a checkpoint as it was published: what `verify` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raw {
    pub topic: String,
    /// Hexadecimal.
    pub payload: String,
}

/// The stream that texts name.
pub fn stream(utility: String, dcu: String, epoch: &str, lane: &str) -> Option<Stream> {
    let epoch = (epoch.len() == 16).then(|| u64::from_str_radix(epoch, 16).ok()).flatten()?;
    let lane = Lane::ALL.into_iter().find(|known| known.name() == lane)?;
    Some(Stream { utility, dcu, epoch: Epoch(epoch), lane })
}

/// One record as one line, without its end. The ReadingType is what its batch says beside it.
pub fn record(stream: &Stream, batch: BatchId, record: &Record, reading_type: Option<&str>) -> String {
    let mut body = match &record.body {
        Body::Reading(reading) => reading_fields(reading),
        Body::Event(event) => event_fields(event),
        Body::Raw(raw) => raw_fields(raw),
    };
    if let Some(reading_type) = reading_type {
        merge(&mut body, json!({ "reading_type": reading_type }));
    }
    let line = Line { name: Name::new(stream, record.sequence, batch), body };
    serde_json::to_string(&line).expect("strings and numbers under string keys are always JSON")
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    name: Name,
    #[serde(flatten)]
    body: Json,
}

fn reading_fields(reading: &Reading) -> Json {
    let source = &reading.source;
    let meter_time = source.meter_time.map(|time| {
        json!({
            "civil": time.civil.to_string(),
            "utc": time.utc.map(utc_seconds),
            "invalid": time.status.invalid,
            "summer_time": time.status.summer_time,
        })
    });
    let mut fields = json!({
        "kind": "reading",
        "meter": source.meter.to_string(),
        "received": received(&source.received),
        "meter_time": meter_time,
        "origin": source.origin.name(),
        "behind": match &source.path { Path::Direct => None, Path::Behind(meter) => Some(meter.to_string()) },
        "standing": source.standing.name(),
        "status": hex::encode(&source.status),
        "security": source.security.name(),
        "links": source.links.iter().map(|link| json!({
            "receiver": &*link.receiver, "rssi_dbm": link.rssi_dbm, "lqi": link.lqi,
        })).collect::<Vec<_>>(),
    });
    merge(&mut fields, json!(ReadingLine::from(reading)));
    if let Some(evidence) = &source.evidence {
        merge(&mut fields, json!({ "evidence": hex::encode(evidence) }));
    }
    fields
}

fn event_fields(event: &Event) -> Json {
    let mut fields = json!({
        "kind": "event",
        "meter": event.meter.map(|meter| meter.to_string()),
        "received": received(&event.received),
    });
    let more = match &event.kind {
        EventKind::EpochStarted { previous, heads, reason } => json!({
            "event": "epoch_started",
            "previous": previous.map(|epoch| Epoch(epoch).to_string()),
            "heads": heads.iter().map(|head| json!({
                "lane": lane_name(head.lane), "last": head.last, "hash": hex::encode(head.hash),
            })).collect::<Vec<_>>(),
            "reason": reason,
        }),
        EventKind::Gap { epoch, lane, first, last, reason, hash } => json!({
            "event": "gap", "gap_epoch": Epoch(*epoch).to_string(), "gap_lane": lane_name(*lane),
            "first": first, "last": last, "reason": reason, "hash": hex::encode(hash),
        }),
        EventKind::TimeAnchor { boot_id, boot_ms, utc_ms } => json!({
            "event": "time_anchor", "boot_id": hex::encode(boot_id), "boot_ms": boot_ms, "utc": utc_millis(*utc_ms),
        }),
        EventKind::AckRefused { lane, first, last, reason } => json!({
            "event": "ack_refused", "refused_lane": lane_name(*lane), "first": first, "last": last, "reason": reason,
        }),
        EventKind::StatusChanged { previous, current } => json!({
            "event": "status_changed", "previous": previous, "current": current,
        }),
        EventKind::Meter(event) => json!({
            "event": "meter", "log": event.log.to_string(), "code": event.code,
            "end_device_event_type": event.event_type.map(|it| it.to_string()), "name": event.name,
            "is_pushed": event.is_pushed, "time": event.time.map(|time| time.civil.to_string()),
        }),
        EventKind::Unit { code, detail } => json!({ "event": "unit", "code": code, "detail": detail }),
    };
    merge(&mut fields, more);
    fields
}

fn raw_fields(raw: &RawTelegram) -> Json {
    let mut fields = json!({
        "kind": "raw",
        "meter": raw.meter.map(|meter| meter.to_string()),
        "received": received(&raw.received),
        "security": raw.reason.name(),
        "octets": hex::encode(&raw.octets),
    });
    if let Some(wize) = &raw.wize {
        let payload = if wize.is_open { "payload" } else { "sealed" };
        let more = json!({
            "network": wize.network, "counter": wize.counter, "application": wize.application, "key": wize.key,
            "authenticated": wize.is_authenticated, "timestamp": wize.timestamp, payload: hex::encode(&wize.payload),
        });
        merge(&mut fields, json!({ "wize": more }));
    }
    fields
}

fn received(received: &Received) -> Json {
    json!({
        "utc": utc_millis(received.utc_ms),
        "quality": time_quality(received.quality),
        "boot_id": hex::encode(received.boot_id),
        "boot_ms": received.boot_ms,
    })
}

fn time_quality(quality: TimeQuality) -> &'static str {
    match quality {
        TimeQuality::Unsynchronised => "unsynchronised",
        TimeQuality::Holdover => "holdover",
        TimeQuality::Synchronised => "synchronised",
    }
}

fn lane_name(number: u8) -> String {
    Lane::from_number(number).map_or_else(|| number.to_string(), |lane| lane.name().to_owned())
}

fn utc_millis(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|time| time.to_string())
}

fn utc_seconds(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

fn merge(fields: &mut Json, more: Json) {
    if let (Json::Object(fields), Json::Object(more)) = (fields, more) {
        fields.extend(more);
    }
}
