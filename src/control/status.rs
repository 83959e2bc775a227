//! The unit at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BufferStat, Collection, MeshStatus};
use crate::reading::TimeQuality;

/// The unit at one moment. All `_ms` without another word are milliseconds since 1970 UTC by the unit's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub program: String,
    pub utility: String,
    pub unit: String,
    /// 32 hex digits.
    pub boot_id: String,
    /// Since the service started.
    pub uptime_s: u64,
    pub time: TimeStatus,
    pub receivers: Vec<ReceiverStatus>,
    pub meters: MeterCounts,
    /// None where no electricity meter is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub electricity: Option<Collection>,
    /// Mesh networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<MeshStatus>,
    pub buffer: BufferStat,
    pub uplink: UplinkStatus,
    pub alarms: Vec<Alarm>,
    pub process: Process,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeStatus {
    pub now_ms: i64,
    #[serde(with = "time_quality")]
    pub quality: TimeQuality,
    /// When this boot was first dated; None before that.
    pub anchored_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverStatus {
    pub name: String,
    /// As in the configuration: `im871a`, `cul`, `hex`; `auto: cul` where it was found out.
    pub kind: String,
    /// The port, address or program.
    pub source: String,
    pub state: ReceiverState,
    /// Since when it is in this state.
    pub since_ms: i64,
    /// The last error, where the state comes from one.
    pub error: Option<String>,
    /// Frames handed on.
    pub frames: u64,
    /// What was dropped, by reason.
    pub rejected: BTreeMap<String, u64>,
    pub octets: u64,
    pub last_frame_ms: Option<i64>,
    /// Frames an hour that it usually hears at this time; None before that is known.
    #[serde(default)]
    pub expected: Option<u64>,
    /// What was done to make it work again, and how often: `ping`, `reset`, `reopen`, `reenumerate`.
    #[serde(default)]
    pub recoveries: BTreeMap<String, u64>,
    /// Frames to meters that were handed to its module.
    #[serde(default)]
    pub sent: u64,
    /// Frames to meters whose moment was missed, or that the module did not take.
    #[serde(default)]
    pub send_missed: u64,
    /// How late the worst of them was, where the host chose the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_late_us: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiverState {
    /// The port is not there, cannot be opened, or nobody answers; tried again and again.
    Absent,
    /// Open, not yet set up.
    Starting,
    Receiving,
    /// Set up, but it hears nothing, and usually does; or nothing was heard for an hour.
    Silent,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterCounts {
    pub known: u64,
    pub heard_1h: u64,
    pub heard_24h: u64,
    /// Not heard for so long as `meters.silent_after` says.
    #[serde(default)]
    pub silent: u64,
    /// Known ones whose telegrams cannot be decrypted: no key, or a wrong one.
    pub without_key: u64,
    /// Records lost since the start, because the disk was full.
    #[serde(default)]
    pub not_stored: u64,
    /// Since the start.
    pub telegrams: u64,
    pub readings: u64,
    /// Copies of telegrams that another receiver, or a repeater, let the unit hear as well.
    #[serde(default)]
    pub repeated: u64,
    /// Telegrams by verdict: `plain`, `decrypted`, `no_key` and so on.
    pub verdicts: BTreeMap<String, u64>,
}

/// The way to the head-end; the default is the one without a configured uplink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// False without an `[uplink]` section.
    pub is_configured: bool,
    pub is_connected: bool,
    /// `mqtts://host:8883`
    pub broker: Option<String>,
    /// Since when it is connected, or is not.
    pub since_ms: Option<i64>,
    /// `head-end` or `broker`.
    pub acknowledge: Option<String>,
    /// Why the last connection failed or ended.
    pub error: Option<String>,
    /// Publishing pauses, because the broker refuses or nobody subscribes.
    pub paused: Option<String>,
    pub published: u64,
    /// Batches published again, after a reconnect or without an acknowledgement.
    pub republished: u64,
    pub in_flight: u64,
    pub acknowledged: u64,
    pub refused_acknowledgements: u64,
    pub last_publish_ms: Option<i64>,
    pub last_acknowledged_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Stable, documented, kebab case.
    pub code: String,
    pub severity: Severity,
    pub since_ms: i64,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worse than wished, nothing is lost.
    Warning,
    /// Somebody must act.
    Fault,
}

/// What the kernel says of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    /// `write_bytes` of `/proc/PID/io` without `cancelled_write_bytes`.
    pub written_bytes: u64,
}

/// The words of `TimeQuality` in JSON.
mod time_quality {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::reading::TimeQuality;

    const WORDS: [(TimeQuality, &str); 3] = [
        (TimeQuality::Unsynchronised, "unsynchronised"),
        (TimeQuality::Holdover, "holdover"),
        (TimeQuality::Synchronised, "synchronised"),
    ];

    pub(super) fn serialize<S: Serializer>(quality: &TimeQuality, serializer: S) -> Result<S::Ok, S::Error> {
        let word = WORDS.iter().find(|(other, _)| other == quality).map_or("unsynchronised", |(_, word)| word);
        serializer.serialize_str(word)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeQuality, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = WORDS.iter().find(|(_, word)| *word == text);
        found.map(|(quality, _)| *quality).ok_or_else(|| D::Error::unknown_variant(&text, &["a time quality"]))
    }
}
