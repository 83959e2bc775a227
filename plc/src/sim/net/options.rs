//! What can be chosen of a simulated network, and what firmware does by default.

use super::channel::Conditions;
use super::phy::{Medium, Micros};
use super::route::{Metric, WEAK, WEAK_RF};
use crate::g3::bootstrap;
use crate::sim::random::Random;

/// What can be chosen of a run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub seed: u64,
    pub conditions: Conditions,
    /// The share of meters that have a radio beside the power line.
    pub hybrid: f64,
    /// The time of the day at which the run begins, in hours.
    pub begin_hour: f64,
    /// Routes that the coordinator and the others have room for.
    pub routes: (usize, usize),
    /// adpRoutingTableEntryTTL of the coordinator and of the others.
    pub route_ttl: (Micros, Micros),
    /// How many bootstraps the coordinator carries on at the same time, and how long it waits for answers.
    pub server: bootstrap::Limits,
    /// A meter that has joined looks for a route to its coordinator at once, which so learns the one to the meter: as
    /// public sample firmware does.
    pub announces: bool,
    pub manner: Manner,
    /// adpRREQWait of the coordinator and of the others: a node begins its searches that far apart.
    pub request_wait: (Micros, Micros),
    pub flood: Flood,
    pub metric: Metric,
    /// A meter is switched on within so long.
    pub switch_on: Micros,
}

/// How a meter goes about joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It rests, and for longer where it hears that others join: Microchip's sample firmware.
    Patient,
    /// It scans and joins at once, and rests after a join that failed alone: STMicroelectronics'.
    Eager,
}

/// How requests for routes are passed on.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// adpDelayLowLQI and adpDelayHighLQI: copies that came over good links go on first.
    pub delay: (Micros, Micros),
    /// adpClusterTrickleEnabled: what neighbours of the same cluster have passed on is not passed on again.
    pub cluster: Option<Cluster>,
    /// adpUnicastRREQGenEnable: a request for a route that is there goes along it, and to all from where that fails.
    pub unicast: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    /// adpClusterMinLQI, and the same of radios.
    pub least_lqi: u8,
    pub least_lqi_rf: u8,
    /// adpClusterTrickleK.
    pub redundancy: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            conditions: Conditions::default(),
            hybrid: 0.0,
            begin_hour: 9.0,
            routes: (2_048, 150),
            route_ttl: (21_600_000_000, 21_600_000_000),
            server: bootstrap::Limits::default(),
            announces: true,
            manner: Manner::Patient,
            request_wait: (30_000_000, 30_000_000),
            flood: Flood::default(),
            metric: Metric::default(),
            switch_on: 60_000_000,
        }
    }
}

impl Flood {
    /// As the firmware of the first roll-outs: each node passes each request on, at once.
    pub fn plain() -> Self {
        Self { delay: (100_000, 0), cluster: None, unicast: false }
    }

    pub(super) fn delay(&self, lqi: u8, medium: Medium, random: &mut Random) -> Micros {
        let (low, high) = self.delay;
        let (least, span) = if medium == Medium::Plc { (WEAK, SPAN) } else { (JITTER_RF, SPAN_RF) };
        let better = u64::from(lqi.saturating_sub(least).min(span));
        let most = low - (low - high.min(low)) * better / u64::from(span);
        most / 2 + random.under(most / 2 + 1)
    }
}

impl Cluster {
    /// A copy that is heard so well comes from close by.
    pub(super) fn is_near(&self, lqi: u8, medium: Medium) -> bool {
        lqi >= if medium == Medium::Plc { self.least_lqi } else { self.least_lqi_rf }
    }
}

impl Default for Flood {
    /// Delays as in public sample firmware, of the radio, too (Microchip's `app_g3_management.h`); one copy of the cluster
    /// is enough, which is who hears the other one well.
    fn default() -> Self {
        let cluster = Some(Cluster { least_lqi: WEAK, least_lqi_rf: WEAK_RF, redundancy: 1 });
        Self { delay: (1_500_000, 100_000), cluster, unicast: true }
    }
}

/// Above the weakest link quality by so much, a link is as good as can be.
const SPAN: u8 = 88;
/// adpRREQJitterLowLQIRF, and how far above it adpRREQJitterHighLQIRF is.
const JITTER_RF: u8 = 100;
const SPAN_RF: u8 = 70;
