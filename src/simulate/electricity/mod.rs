//! The part of electricity meters in a run: emulated ones behind real sockets or an emulated modem, the truth of every
//! slot, and days that pass quickly.
//!
//! The service is an ordinary one that reads them on its schedule; its time and the meters' pass at one pace.

mod feeder;
mod fleet;
mod ledger;
mod start;
mod street;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

pub use feeder::FeederFile;
pub use ledger::{Ledger, Tally};
pub(in crate::simulate) use start::Start;
pub(in crate::simulate) use street::Street;

use self::fleet::Fleet;
use super::report;
use super::run::{Electricity, Error, Options};
use super::scene::{More, Scene};
use crate::reading::{MeterId, Reading};

/// Meters that are read, and what is read of them.
#[derive(Debug)]
pub(super) struct Part<'a> {
    all: &'a Options,
    electricity: Electricity,
    start: Start,
    fleet: Fleet,
    /// Of values.
    ledger: Ledger,
    /// From when to when days counted, seconds since 1970 UTC.
    counted: (i64, Option<i64>),
    /// What counts has arrived.
    is_closed: bool,
}

impl<'a> Part<'a> {
    /// Meters whose time begins at `start`; they answer until `stop`.
    pub(super) async fn open(
        all: &'a Options,
        electricity: Electricity,
        scene: &Scene,
        start: Start,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let modem = electricity.has_plc.then(|| scene.dir().join("modem"));
        let fleet = Fleet::open(all, &electricity, start, modem.as_deref(), stop).await?;
        let ledger = Ledger::new(fleet.meters.iter().map(|meter| &meter.model));
        Ok(Self { all, electricity, start, fleet, ledger, counted: (i64::MAX, None), is_closed: false })
    }

    pub(super) const fn meters(&self) -> usize {
        self.electricity.meters
    }

    /// What the service must be told of them.
    pub(super) fn configuration(&self) -> More {
        self.fleet.configuration()
    }

    /// The network that they are behind.
    pub(super) const fn street(&self) -> Option<&Street> {
        self.fleet.street()
    }

    /// Time goes by for the network; half of the run is over or not.
    pub(super) fn weather(&mut self, is_half: bool, now: Instant) {
        if let Some(street) = self.fleet.street_mut() {
            street.weather(is_half, now);
        }
    }

    /// Slots that end from now on count.
    pub(super) fn begin(&mut self, now: Instant) {
        self.counted.0 = self.start.unix(now);
        if let Some(street) = self.fleet.street_mut() {
            street.begin();
        }
    }

    /// Days that have passed since they count.
    pub(super) fn days(&self, now: Instant) -> f64 {
        (self.start.unix(now) - self.counted.0).max(0) as f64 / 86_400.0
    }

    /// Slots that end from now on do not count, and what counts is waited for.
    pub(super) fn end(&mut self, now: Instant) {
        // The last slot has a delay, and its row is written a moment later by a clock that is slow.
        self.counted.1 = Some(self.start.unix(now) - SLACK);
        let (from, to) = self.period();
        self.ledger.wait_for(from, to);
        // What a network has not carried by now may take it hours.
        self.is_closed |= self.electricity.network.is_some() || self.ledger.is_whole();
    }

    /// A reading arrived, in a record that had not come before.
    pub(super) fn arrive(&mut self, reading: &Reading) {
        self.ledger.arrive(reading);
        self.is_closed |= self.ledger.is_whole();
    }

    /// All that counts has arrived. The service reads on and on: what it promises from then on is not waited for.
    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Values that count and have not arrived.
    pub(super) fn awaited(&self) -> u64 {
        if self.is_closed { 0 } else { self.ledger.awaited() }
    }

    pub(super) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What came of it; `stored` and `lost` are counts of records, `cpu` what the service took while days passed.
    pub(super) fn report(&self, stored: u64, lost: u64, cpu: Duration) -> report::Electricity {
        let (from, to) = self.period();
        let all = self.ledger.tally(from, to, |_| true);
        let (mut gaps, mut backfilled) = (0, 0);
        for meter in &self.fleet.meters {
            let Some(away) = meter.away() else { continue };
            let at = |part: f64| self.start.unix(self.start.at + self.all.limit.mul_f64(part));
            let id = meter.id();
            let (from, to) = (at(away.start).max(from), at(away.end).min(to));
            let tally = self.ledger.tally(from, to, |meter: &MeterId| *meter == id);
            gaps += tally.expected;
            backfilled += tally.delivered;
        }
        report::Electricity {
            meters: self.meters(),
            days: report::thousandth((to - from) as f64 / 86_400.0),
            expected: all.expected,
            delivered: all.delivered,
            completeness: all.completeness(),
            gaps,
            backfilled,
            lost,
            doubled: self.ledger.doubled(),
            strange: self.ledger.strange(),
            stored,
            joins: self.street().map(Street::joins),
            network: self.street().and_then(|street| street.report(self.start.pace.speed, to - from, cpu)),
            strange_samples: self.ledger.samples().to_vec(),
            missing_samples: self.ledger.missing(from, to),
        }
    }

    /// What counts: slots that end after the first moment and not after the second.
    fn period(&self) -> (i64, i64) {
        let (from, to) = self.counted;
        (from, to.unwrap_or(from).max(from))
    }
}

/// Seconds of the meters' time.
const SLACK: i64 = 300;
