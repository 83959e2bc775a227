//! What a run tells: where it is, and at the end what came of it.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::account::Tally;
use super::awaited::Awaited;
use super::service::Usage;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The service and the head-end are coming up.
    Starting,
    /// The meters speak, and days pass.
    Speaking,
    /// They have spoken; what is on its way arrives.
    Draining,
}

/// A run at one moment. Counts are of readings, where they do not say otherwise.
#[derive(Debug, Clone)]
pub struct Progress {
    pub phase: Phase,
    pub elapsed: Duration,
    pub tally: Tally,
    pub heard: u64,
    pub decoded: u64,
    /// Of what was heard.
    pub delivered: u64,
    /// Meters with radios, and those of which something arrived.
    pub meters: (usize, usize),
    /// None without electricity meters.
    pub electricity: Option<ElectricityProgress>,
    /// Records in the service's buffer that are not acknowledged.
    pub backlog: u64,
    /// Batches that the head-end acknowledged.
    pub acknowledged: u64,
    pub is_connected: bool,
    /// An outage of the broker is going on.
    pub is_down: bool,
    pub kills: u32,
    pub usage: Usage,
    /// The service's resident memory, octets.
    pub rss_bytes: u64,
    /// Telegrams that were none, as many as receivers told.
    pub garbage: u64,
    /// Octets between service and broker.
    pub wire_bytes: u64,
    /// After the end, for what it is waited.
    pub awaited: Option<Awaited>,
    /// The latest readings at the head-end, newest last.
    pub last: Vec<String>,
}

/// Of electricity meters, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct ElectricityProgress {
    /// Days that passed since the meters are read; none while the network forms.
    pub days: f64,
    /// A network that forms.
    pub forming: Option<Forming>,
    /// Values that arrived, each counted once: also those of slots that are not expected.
    pub arrived: u64,
    pub meters: usize,
    /// Meters that answer, as the service sees it.
    pub active: u64,
}

/// Of a network that has not formed yet, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Forming {
    pub joined: usize,
    pub nodes: usize,
    /// The days begin with so many, or after this time with those that there are.
    pub needed: usize,
    pub at_the_latest: Duration,
}

/// What came of a run. As JSON: what is of all meters, and with it what is of the one kind that there was; where there
/// were both, what is of each kind stands in `gas_water` and `electricity`.
#[derive(Debug, Clone)]
pub struct Report {
    pub total: Total,
    pub radio: Option<Radio>,
    pub electricity: Option<Electricity>,
}

/// What came of a run, of all meters together.
#[derive(Debug, Clone, Serialize)]
pub struct Total {
    /// Readings and values that arrived at the head-end as the meters had them, each counted once: also values of slots
    /// that are not expected.
    pub arrived: u64,
    /// Records that arrived again, dropped by the head-end.
    pub duplicates: u64,
    pub lost: u64,
    /// Arrived, and no meter ever had such a value.
    pub strange: u64,
    /// Records that are reported as durable.
    pub stored: u64,
    /// All octets of TCP payload between service and broker, both ways, TLS included; by readings and values that arrived.
    pub wire_bytes_per_reading: Option<f64>,
    /// Octets that the service caused to be written to the disk, by stored records; null where there is no disk. What a
    /// new unit writes once in its life, the reserve of its store, does not count.
    pub written_bytes_per_reading: Option<f64>,
    pub peak_rss_bytes: u64,
    /// The service's resident memory in KiB, every half minute.
    pub rss_kib: Vec<u64>,
    pub seconds: f64,
    pub kills: u32,
    pub seed: u64,
    /// Not everything had arrived when it was waited for no longer.
    pub timed_out: bool,
    /// What that was, for people.
    #[serde(skip)]
    pub complaint: Option<String>,
}

/// Of meters with radios. Counts are of readings, where they do not say otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Radio {
    pub meters: usize,
    /// In telegrams that meters sent.
    pub sent: u64,
    /// In telegrams that reached one of the service's ports intact.
    pub heard: u64,
    /// What the service made of them, by its own count. After a kill, as it last told.
    pub decoded: u64,
    /// Reported by the service as durable.
    pub stored: u64,
    /// Arrived at the head-end with the value, unit and code that the meter meant, each counted once.
    pub delivered: u64,
    /// Heard and not delivered, or reported as durable and not delivered.
    pub lost: u64,
    /// Heard within the open commit window of a kill, and not delivered.
    pub in_window: u64,
    /// Arrived and never sent: a wrong value, unit, code or meter.
    pub strange: u64,
    /// Registers that went backwards in the order of their records.
    pub disordered: u64,
    pub telegrams: u64,
    /// Telegrams that reached the service from one more receiver, each time.
    pub copies: u64,
    /// Telegrams that were none, as many as receivers told.
    pub garbage: u64,
    /// The first of those that arrived and were never sent.
    #[serde(skip)]
    pub strange_samples: Vec<String>,
    /// The first of those that are lost.
    #[serde(skip)]
    pub lost_samples: Vec<String>,
}

/// Of electricity meters. A value is that of one register in one slot.
#[derive(Debug, Clone, Serialize)]
pub struct Electricity {
    pub meters: usize,
    /// Days that passed for the meters.
    pub days: f64,
    /// Values of the slots that ended while days passed, of all meters.
    pub expected: u64,
    /// Of these, those that arrived at the head-end as the meter had them.
    pub delivered: u64,
    /// Delivered by expected, of the meters that can be reached at the end; null where nothing was expected.
    pub completeness: Option<f64>,
    /// Of slots that ended while their meter was away.
    pub gaps: u64,
    /// Of these, those that arrived all the same.
    pub backfilled: u64,
    /// Reported by the service as durable and not delivered, in records.
    pub lost: u64,
    /// Values that arrived again in another record.
    pub doubled: u64,
    /// Arrived, and no register ever had such a value.
    pub strange: u64,
    /// Records that are reported as durable.
    pub stored: u64,
    /// How often nodes joined their network; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joins: Option<u64>,
    /// Of the simulated network behind the modem; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The first of those that arrived and that no register ever had.
    #[serde(skip)]
    pub strange_samples: Vec<String>,
    /// The first of those that are missing.
    #[serde(skip)]
    pub missing_samples: Vec<String>,
}

/// Of a simulated network. Airtime is what a sniffer in the substation hears since the network began.
#[derive(Debug, Clone, Serialize)]
pub struct Network {
    /// How much faster its time went than the kernel's.
    pub speed: u32,
    /// Of its time, since it began.
    pub hours: f64,
    /// Nodes of which it is made, and those that are in it at the end.
    pub nodes: usize,
    pub joined: usize,
    pub data_airtime_s: f64,
    /// Beacons, requests for them and bootstraps.
    pub join_airtime_s: f64,
    /// Requests for routes, replies and errors.
    pub route_airtime_s: f64,
    /// The service's share of one core while days passed, by the kernel's time; null where none did.
    pub cpu_percent: Option<f64>,
    /// The same by the network's time: what it would be if that were the kernel's.
    pub cpu_percent_unscaled: Option<f64>,
}

impl Report {
    /// Why this run must not count as a success; empty where it may.
    pub fn faults(&self) -> Vec<String> {
        let Self { total, radio, electricity } = self;
        let mut faults = Vec::new();
        if let Some(radio) = radio {
            faults.extend([
                (radio.sent == 0, "nothing was sent".to_owned()),
                (radio.sent > 0 && radio.decoded == 0, "nothing was decoded".into()),
                (radio.lost > 0, format!("{} readings lost", radio.lost)),
                (radio.strange > 0, format!("{} readings arrived that were never sent", radio.strange)),
                (radio.disordered > 0, format!("{} records out of order", radio.disordered)),
            ]);
        }
        if let Some(electricity) = electricity {
            let missing = electricity.expected - electricity.delivered;
            // A few minutes of a network's time are no slot.
            let is_meant = electricity.expected > 0 || electricity.network.is_none();
            faults.extend([
                (electricity.delivered == 0 && is_meant, "no value of a slot was delivered".to_owned()),
                // What a network does not carry is no fault of who asks.
                (missing > 0 && electricity.network.is_none(), format!("{missing} values missing")),
                (electricity.doubled > 0, format!("{} values doubled", electricity.doubled)),
                (electricity.strange > 0, format!("{} values arrived that no register had", electricity.strange)),
            ]);
        }
        let others = total.lost - radio.as_ref().map_or(0, |radio| radio.lost);
        faults.push((others > 0, format!("{others} records lost")));
        faults.extend(total.complaint.clone().map(|complaint| (true, complaint)));
        faults.into_iter().filter_map(|(is_fault, text)| is_fault.then_some(text)).collect()
    }

    /// What is missing may only have come too late.
    pub fn is_only_late(&self) -> bool {
        let doubled = self.electricity.as_ref().map_or(0, |electricity| electricity.doubled);
        self.total.timed_out && self.total.lost + self.total.strange + doubled == 0
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = |part: Result<Value, serde_json::Error>| match part {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        let radio = self.radio.as_ref().map(|radio| object(serde_json::to_value(radio)));
        let electricity = self.electricity.as_ref().map(|electricity| object(serde_json::to_value(electricity)));
        let mut all = match (radio, electricity) {
            (Some(radio), Some(electricity)) => {
                let completeness = electricity.get("completeness").cloned().unwrap_or_default();
                Map::from_iter([
                    ("completeness".to_owned(), completeness),
                    ("gas_water".to_owned(), radio.into()),
                    ("electricity".to_owned(), electricity.into()),
                ])
            }
            (radio, electricity) => radio.or(electricity).unwrap_or_default(),
        };
        all.extend(object(serde_json::to_value(&self.total)));
        all.serialize(serializer)
    }
}

/// The service's resident memory over the run.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) samples: Vec<u64>,
}

impl Memory {
    pub(super) fn note(&mut self, rss_bytes: u64, elapsed: Duration) {
        if elapsed >= SAMPLE * self.samples.len() as u32 {
            self.samples.push(rss_bytes / 1024);
        }
    }
}

const SAMPLE: Duration = Duration::from_secs(30);

/// `octets / readings`, to a tenth.
pub(super) fn each(octets: u64, readings: u64) -> Option<f64> {
    (readings > 0).then(|| (octets as f64 / readings as f64 * 10.0).round() / 10.0)
}

/// To three places.
pub(super) fn thousandth(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(has_radio: bool, has_electricity: bool) -> Report {
        let radio = Radio {
            meters: 5,
            sent: 10,
            heard: 9,
            decoded: 9,
            stored: 9,
            delivered: 9,
            lost: 0,
            in_window: 0,
            strange: 0,
            disordered: 0,
            telegrams: 2,
            copies: 0,
            garbage: 0,
            strange_samples: Vec::new(),
            lost_samples: Vec::new(),
        };
        let electricity = Electricity {
            meters: 3,
            days: 1.5,
            expected: 20,
            delivered: 20,
            completeness: Some(1.0),
            gaps: 0,
            backfilled: 0,
            lost: 0,
            doubled: 0,
            strange: 0,
            stored: 30,
            joins: Some(3),
            network: None,
            strange_samples: Vec::new(),
            missing_samples: Vec::new(),
        };
        Report {
            total: Total {
                arrived: 31,
                duplicates: 0,
                lost: 0,
                strange: 0,
                stored: 39,
                wire_bytes_per_reading: None,
                written_bytes_per_reading: None,
                peak_rss_bytes: 0,
                rss_kib: Vec::new(),
                seconds: 1.0,
                kills: 0,
                seed: 1,
                timed_out: false,
                complaint: None,
            },
            radio: has_radio.then_some(radio),
            electricity: has_electricity.then_some(electricity),
        }
    }

    #[test]
    fn one_kind_of_meters_is_told_with_the_total_and_two_beside_it() {
        let json = |has_radio, has_electricity| serde_json::to_value(report(has_radio, has_electricity)).unwrap();
        let both = json(true, true);
        assert_eq!((&both["arrived"], &both["completeness"], &both["lost"]), (&31.into(), &1.0.into(), &0.into()));
        assert_eq!((&both["gas_water"]["sent"], &both["electricity"]["expected"]), (&10.into(), &20.into()));
        let radio = json(true, false);
        assert_eq!((&radio["sent"], &radio["meters"], &radio["stored"]), (&10.into(), &5.into(), &39.into()));
        assert!(radio.get("electricity").is_none() && radio.get("completeness").is_none(), "{radio}");
        let electricity = json(false, true);
        assert_eq!((&electricity["delivered"], &electricity["joins"]), (&20.into(), &3.into()));
        // One name, one meaning: what is of all meters has another one.
        assert!(both.get("delivered").is_none(), "{both}");
        assert_eq!(
            (&radio["delivered"], &radio["arrived"], &electricity["arrived"]),
            (&9.into(), &31.into(), &31.into())
        );
    }

    #[test]
    fn what_must_not_be_is_a_fault_of_its_part_or_of_the_whole() {
        let mut report = report(true, true);
        assert!(report.faults().is_empty());
        report.total.lost = 3;
        if let (Some(radio), Some(electricity)) = (&mut report.radio, &mut report.electricity) {
            radio.lost = 1;
            electricity.delivered = 19;
        }
        let late = "not everything had arrived 63 s after the end: awaited 2 records that are durable";
        (report.total.timed_out, report.total.complaint) = (true, Some(late.to_owned()));
        assert_eq!(report.faults(), ["1 readings lost", "1 values missing", "2 records lost", late]);
        assert!(!report.is_only_late());
    }

    #[test]
    fn a_share_is_to_a_tenth_and_nothing_has_none() {
        assert_eq!(each(1_234, 100), Some(12.3));
        assert_eq!(each(1_234, 0), None);
    }
}
