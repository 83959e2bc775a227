//! What the head-end is told of the unit every few minutes: the status in the words of the contract.

use crate::control::{ReceiverState, ReceiverStatus, Status};
use crate::store::{LaneStatistics, Statistics};
use crate::wire::v1;

/// All but what the uplink says of itself.
pub(super) fn of(status: &Status, store: &Statistics, collection: Option<v1::CollectionHealth>) -> v1::Health {
    v1::Health {
        uptime_s: status.uptime_s,
        resident_bytes: status.process.rss_bytes,
        written_bytes: status.process.written_bytes,
        store_bytes: status.buffer.octets,
        store_limit_bytes: status.buffer.size_limit,
        lanes: store.lanes.iter().map(lane).collect(),
        ports: status.receivers.iter().map(port).collect(),
        meters_known: status.meters.known,
        meters_heard: status.meters.heard_24h,
        collection,
        ..v1::Health::default()
    }
}

fn lane(lane: &LaneStatistics) -> v1::LaneHealth {
    v1::LaneHealth {
        lane: lane.lane as i32,
        last: lane.last,
        sealed: lane.last.saturating_sub(lane.unsealed),
        unacknowledged: lane.unacknowledged,
    }
}

fn port(receiver: &ReceiverStatus) -> v1::PortHealth {
    let dropped = receiver.rejected.iter().map(|(name, value)| v1::Counter { name: name.clone(), value: *value });
    v1::PortHealth {
        name: receiver.name.clone(),
        connected: receiver.state != ReceiverState::Absent,
        telegrams: receiver.frames,
        dropped: dropped.collect(),
    }
}
