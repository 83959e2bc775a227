//! How many octets a record takes, roughly: what limits memory, groups and batches before anything is encoded.

use super::Body;
use crate::reading::{EventKind, Link, Value};

/// An estimate in octets before compression. Never less than what the body holds of variable length.
pub(super) fn weight(body: &Body) -> usize {
    FIXED
        + match body {
            Body::Reading(reading) => {
                let source = &reading.source;
                let value = match &reading.value {
                    Value::Text(text) => text.len(),
                    Value::Octets(octets) => octets.len(),
                    _ => 0,
                };
                value
                    + reading.register.quantity.len() / 4
                    + reading.register.modifier.len()
                    + source.status.len()
                    + links(&source.links)
                    + source.evidence.as_ref().map_or(0, Vec::len)
            }
            Body::Event(event) => match &event.kind {
                EventKind::EpochStarted { heads, reason, .. } => 48 * heads.len() + reason.len(),
                EventKind::Gap { reason, .. } => 80 + reason.len(),
                EventKind::AckRefused { reason, .. } => 32 + reason.len(),
                EventKind::Meter(event) => 48 + event.name.len(),
                EventKind::Unit { code, detail } => code.len() + detail.len(),
                EventKind::TimeAnchor { .. } | EventKind::StatusChanged { .. } => 32,
            },
            Body::Raw(raw) => {
                raw.octets.len() + links(&raw.links) + raw.wize.as_ref().map_or(0, |wize| 24 + wize.payload.len())
            }
        }
}

fn links(links: &[Link]) -> usize {
    links.iter().map(|link| 4 + link.receiver.len() / 4).sum()
}

const FIXED: usize = 24;

/// A record beyond it would not fit into a value with certainty.
pub(super) const WEIGHT_LIMIT: usize = 5_000;
