//! The air between the fleet and the emulated receivers: telegrams go out when they are due, some of them are lost.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use wmbus::sim::random::Random;

use super::electricity::Start;
use super::faults::Faults;
use super::fleet::Fleet;
use super::ledger::Expected;
use super::receivers::{Hearing, Receivers};
use crate::reading::{CivilDate, CivilTime, MeterId};

/// What happens to telegrams, in order.
#[derive(Debug)]
pub enum Sent {
    /// A telegram goes out. What becomes of it, the next one says.
    Telegram { number: u64, meter: MeterId, kind: &'static str, readings: Vec<Expected> },
    Fate {
        number: u64,
        fate: Fate,
        /// Receivers beyond the first that heard it.
        copies: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A receiver heard it, and the service's port took all of it.
    Heard,
    /// The fault injector swallowed it.
    Lost,
    /// The fault injector damaged it on the line.
    Damaged,
    /// Nobody had the port open.
    Unheard,
}

/// How long the fleet speaks, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub faults: Faults,
    pub seed: u64,
    /// Enough after so many readings.
    pub readings: Option<u64>,
    /// What the meters' clocks go by.
    pub start: Start,
    /// Wait while nobody has the port open, instead of speaking to nobody.
    pub is_patient: bool,
}

/// Lets the fleet speak until enough was said, or it is told to stop. A telegram that goes out is never cut off.
#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
pub(super) async fn speak(
    mut fleet: Fleet,
    receivers: &Receivers,
    plan: Plan,
    sent: mpsc::Sender<Sent>,
    stop: CancellationToken,
) {
    let mut random = Random::new(plan.seed ^ LABEL);
    let mut readings: u64 = 0;
    let mut number: u64 = 0;
    while let Some(due) = fleet.due() {
        let its_time = async {
            sleep_until(due.into()).await;
            if plan.is_patient {
                receivers.listening().await;
            }
        };
        if stop.run_until_cancelled(its_time).await.is_none() {
            return;
        }
        // Held up for long, the fleet does not catch up with a burst.
        let behind = Instant::now().saturating_duration_since(due);
        if behind > MOST_BEHIND {
            fleet.postpone(behind);
        }
        let Some((meter, utterance)) = fleet.speak(clock(plan.start.unix(Instant::now()))) else { return };
        let (meter, kind, rssi_dbm) = (meter.id(), meter.kind.name(), meter.rssi_dbm);
        number += 1;
        readings += utterance.readings.len() as u64;
        let telegram = Sent::Telegram { number, meter, kind, readings: utterance.readings };
        if sent.send(telegram).await.is_err() {
            return;
        }
        let loss = plan.faults.loss_ppm;
        let Hearing { fate, copies } = receivers.hear(meter, &utterance.frame, rssi_dbm, loss, &mut random).await;
        if sent.send(Sent::Fate { number, fate, copies }).await.is_err() {
            return;
        }
        if plan.readings.is_some_and(|enough| readings >= enough) {
            return;
        }
    }
}

/// What the meters' clocks show, seconds since 1970 UTC: to the minute.
fn clock(unix: i64) -> CivilTime {
    let now = jiff::Timestamp::from_second(unix).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    CivilTime {
        date: CivilDate {
            year: now.year().unsigned_abs(),
            month: now.month().unsigned_abs(),
            day: now.day().unsigned_abs(),
        },
        hour: now.hour().unsigned_abs(),
        minute: now.minute().unsigned_abs(),
        second: None,
    }
}

/// Keeps these draws apart from the fleet's.
const LABEL: u64 = 0x616972;
const MOST_BEHIND: Duration = Duration::from_secs(2);
