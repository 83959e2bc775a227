//! The part of meters with radios in a run: the fleet that speaks, the receivers that hear it, garbage between the telegrams.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::air::{self, Plan, Sent};
use super::electricity::Start;
use super::fleet::{Fleet, Meter};
use super::outage::Outage;
use super::receivers::{Receivers, places};
use super::run::{Options, Radio};
use super::scene::{Place, Scene};
use super::{garbage, receiver};

/// Meters that speak, and what hears them.
#[derive(Debug)]
pub(super) struct Part<'a> {
    all: &'a Options,
    radio: &'a Radio,
    places: Vec<Place>,
    receivers: Arc<Receivers>,
    /// The outage of one of them.
    outage: Outage,
    fleet: Option<Fleet>,
    sent: Option<mpsc::Receiver<Sent>>,
    stop: CancellationToken,
    /// Telegrams that were none, as many as receivers told.
    garbage: Arc<AtomicU64>,
}

impl<'a> Part<'a> {
    /// The fleet and its receivers; they run until `stop`.
    pub(super) fn open(
        all: &'a Options,
        radio: &'a Radio,
        scene: &Scene,
        began: Instant,
        stop: &CancellationToken,
    ) -> Result<Self, receiver::Error> {
        let places = places(&radio.receivers, scene, Path::new(&all.program));
        let receivers = Receivers::open(&places, all.faults.corrupt_ppm, all.seed)?;
        Ok(Self {
            all,
            radio,
            places,
            receivers: Arc::new(receivers),
            outage: Outage::new(all.faults.receiver_outage),
            fleet: Some(Fleet::new(radio.meters, radio.rate, all.seed, began)),
            sent: None,
            stop: stop.child_token(),
            garbage: Arc::default(),
        })
    }

    pub(super) const fn options(&self) -> &'a Radio {
        self.radio
    }

    /// Where the service finds the receivers.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn meters(&self) -> &[Meter] {
        self.fleet.as_ref().map_or(&[], Fleet::meters)
    }

    /// Waits until the service has set up the receivers. A program says nothing that shows that it hears.
    pub(super) async fn listening(&self, patience: Duration) {
        let _ = timeout(patience, self.receivers.listening()).await;
    }

    /// The meters speak from now on; what their clocks show `start` says.
    pub(super) fn speak(&mut self, began: Instant, start: Start) {
        let Some(mut fleet) = self.fleet.take() else { return };
        if let Some(due) = fleet.due() {
            fleet.postpone(began.saturating_duration_since(due));
        }
        let faults = self.all.faults;
        let plan =
            Plan { faults, seed: self.all.seed, readings: self.radio.readings, is_patient: self.all.kills > 0, start };
        let (to_sent, sent) = mpsc::channel(SENT);
        self.sent = Some(sent);
        if faults.garbage > 0 {
            let (receivers, stop, told) = (Arc::clone(&self.receivers), self.stop.clone(), Arc::clone(&self.garbage));
            let (rate, seed) = (faults.garbage.into(), self.all.seed);
            tokio::spawn(async move { garbage::pour(&receivers, rate, seed, told, stop).await });
        }
        let (receivers, stop) = (Arc::clone(&self.receivers), self.stop.clone());
        tokio::spawn(async move { air::speak(fleet, &receivers, plan, to_sent, stop).await });
    }

    /// Some of them speak still.
    pub(super) const fn is_speaking(&self) -> bool {
        self.sent.is_some()
    }

    /// What was sent next; it is taken at once. None: the last of it was.
    pub(super) async fn next(&mut self) -> Option<Sent> {
        let next = self.sent.as_mut()?.recv().await;
        if next.is_none() {
            self.sent = None;
            self.stop.cancel();
        }
        next
    }

    /// The meters fall silent, after the telegram that is going out.
    pub(super) fn hush(&self) {
        self.stop.cancel();
    }

    /// The port does not take the last telegram: it was not heard.
    pub(super) fn give_up(&mut self) {
        self.sent = None;
    }

    /// Time goes by for the receivers.
    pub(super) fn weather(&mut self, is_half: bool, now: Instant) {
        if self.outage.pass(is_half, now) == Some(true) {
            self.receivers.fail(self.all.faults.receiver_outage.unwrap_or_default());
        }
    }

    /// No receiver is away or will be.
    pub(super) fn is_whole(&self) -> bool {
        self.outage.is_over() && self.receivers.are_whole()
    }

    pub(super) fn garbage(&self) -> u64 {
        self.garbage.load(Ordering::Relaxed)
    }
}

const SENT: usize = 256;
