//! The one reader of the kernel's clocks, and the task that watches what they are worth.
//!
//! Every second the quality is judged anew; the first synchronisation of a boot becomes a `TimeAnchor` record; every
//! hour a right time is remembered, so that TLS has a floor after the loss of the real time clock.
//!
//! Where the simulators are built in, [`PACE`] makes the unit's UTC go faster than the kernel's; deadlines, TLS and the
//! boot's own clock do not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::{Anchor, Judge, Now, ReadClock, Sample, Source};
use crate::journal::Slots;
use crate::reading::{Event, EventKind, TimeQuality};
use crate::store::{Body, Lane, Store};

/// The unit's clock. Clones read the same quality.
#[derive(Debug, Clone)]
pub struct Clock {
    boot_id: [u8; 16],
    quality: Arc<AtomicU8>,
    /// Seconds since 1970 UTC.
    floor: Arc<AtomicI64>,
    #[cfg(feature = "simulate")]
    pace: Option<crate::clock::Pace>,
}

/// What keeps the time of the unit from being remembered.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error("read the boot's identity from {BOOT_ID}")]
    BootId(#[source] io::Error),
    #[error("remembered time")]
    Journal(#[from] crate::journal::JournalError),
    #[cfg(feature = "simulate")]
    #[error("{PACE}")]
    Pace(#[source] crate::clock::NotPace),
}

impl Clock {
    /// Reads the boot's identity and judges the clock for the first time.
    ///
    /// # Errors
    /// No boot identity, or the file of the remembered time cannot be made.
    pub fn open(state_dir: &Path, source: Source, holdover: Duration) -> Result<(Self, Watch), ClockError> {
        let text = std::fs::read_to_string(BOOT_ID).map_err(ClockError::BootId)?;
        let mut boot_id = [0; 16];
        hex::decode_to_slice(text.trim().replace('-', ""), &mut boot_id)
            .map_err(|error| ClockError::BootId(io::Error::other(error)))?;
        let path = state_dir.join("clock");
        let (slots, found) = match Slots::open(&path) {
            Ok((slots, found)) => (Some(slots), found),
            Err(error) if error.is_full() => {
                warn!(err = %super::chain(&error), "the time is not remembered before there is room");
                (None, Slots::peek(&path)?)
            }
            Err(error) => return Err(error.into()),
        };
        let remembered = match found {
            crate::journal::Found::Value(octets) => octets.try_into().map_or(0, i64::from_be_bytes),
            crate::journal::Found::Damaged => {
                warn!(file = %path.display(), "remembered time is damaged: the floor is the program's build");
                0
            }
            crate::journal::Found::Nothing => 0,
        };
        let floor = remembered.max(BUILT);
        let clock = Self {
            boot_id,
            quality: Arc::new(AtomicU8::new(TimeQuality::Unsynchronised as u8)),
            floor: Arc::new(AtomicI64::new(floor)),
            #[cfg(feature = "simulate")]
            pace: match std::env::var(PACE) {
                Ok(text) => {
                    warn!(pace = text, "the clock is a simulated one");
                    Some(text.parse().map_err(ClockError::Pace)?)
                }
                Err(_) => None,
            },
        };
        let (anchored, anchor) = watch::channel(None);
        let judge = Judge::new(source, holdover, floor);
        let mut watch = Watch { clock: clock.clone(), judge, slots, path, anchored, anchor, due: None, saved: None };
        watch.due = watch.look();
        Ok((clock, watch))
    }

    pub fn now(&self) -> Now {
        let quality = match self.quality.load(Ordering::Relaxed) {
            2 => TimeQuality::Synchronised,
            1 => TimeQuality::Holdover,
            _ => TimeQuality::Unsynchronised,
        };
        #[expect(clippy::disallowed_methods, reason = "this is the reader that all rooms are given")]
        let mono = Instant::now();
        Now { mono, boot_id: self.boot_id, boot_ms: boot_ms(), utc_ms: self.utc_ms(), quality }
    }

    fn utc_ms(&self) -> i64 {
        let utc_ms = utc_ms();
        #[cfg(feature = "simulate")]
        if let Some(pace) = &self.pace {
            return pace.at(utc_ms);
        }
        utc_ms
    }

    /// The same for rooms that are given a function.
    pub fn reader(&self) -> ReadClock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }

    /// The same for mesh networks, whose time may go faster in a simulation, and how much faster.
    pub fn mesh_reader(&self) -> (ReadClock, u32) {
        #[cfg(feature = "simulate")]
        if let Some(crate::clock::Pace { speed, has_mesh: true, .. }) = self.pace {
            let (clock, begin) = (self.clone(), self.now().mono);
            let read = move || {
                let now = clock.now();
                Now { mono: begin + now.mono.saturating_duration_since(begin) * speed, ..now }
            };
            return (Arc::new(read), speed);
        }
        (self.reader(), 1)
    }

    /// Seconds since 1970 UTC before which no certificate is judged.
    pub fn floor(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let floor = Arc::clone(&self.floor);
        move || u64::try_from(floor.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// The floor that a service with this state directory would start with; nothing is written.
pub(super) fn floor_of(state_dir: &Path) -> u64 {
    let remembered = match Slots::peek(&state_dir.join("clock")) {
        Ok(crate::journal::Found::Value(octets)) => octets.try_into().map_or(0, i64::from_be_bytes),
        _ => 0,
    };
    u64::try_from(remembered.max(BUILT)).unwrap_or(0)
}

/// Keeps judging the clock.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    judge: Judge,
    /// None where they could not be made yet: the disk is full.
    slots: Option<Slots>,
    path: PathBuf,
    anchored: watch::Sender<Option<i64>>,
    anchor: watch::Receiver<Option<i64>>,
    /// An anchor that is not recorded yet.
    due: Option<Anchor>,
    /// When the time was last remembered, milliseconds of CLOCK_BOOTTIME.
    saved: Option<u64>,
}

impl Watch {
    /// When this boot was first dated, milliseconds since 1970 UTC.
    pub fn anchored(&self) -> watch::Receiver<Option<i64>> {
        self.anchor.clone()
    }

    /// Judges every second until `stop`.
    pub(super) async fn run(mut self, store: Store, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(anchor) = self.due.take() {
                self.record(anchor, &store);
            }
            tokio::select! {
                _ = ticks.tick() => self.due = self.look(),
                () = stop.cancelled() => return,
            }
            block_in_place(|| self.remember());
        }
    }

    fn look(&mut self) -> Option<Anchor> {
        let sample = Sample { boot_ms: boot_ms(), utc_ms: self.clock.utc_ms(), is_disciplined: is_disciplined() };
        let (quality, anchor) = self.judge.judge(sample);
        let before = self.clock.quality.swap(quality as u8, Ordering::Relaxed);
        if before != quality as u8 {
            info!(?quality, "clock");
        }
        anchor
    }

    fn record(&mut self, anchor: Anchor, store: &Store) {
        let Anchor { boot_ms, utc_ms } = anchor;
        let kind = EventKind::TimeAnchor { boot_id: self.clock.boot_id, boot_ms, utc_ms };
        let event = Event { received: self.clock.now().received(), meter: None, kind };
        match store.try_append(vec![(Lane::Security, Body::Event(event))], None) {
            Ok(()) => drop(self.anchored.send(Some(utc_ms))),
            Err((error, ..)) => {
                warn!(err = %error, "record the time anchor");
                self.due = Some(anchor);
            }
        }
    }

    /// Once an hour, while the time is right.
    fn remember(&mut self) {
        let now = self.clock.now();
        let is_due = self.saved.is_none_or(|saved| now.boot_ms.saturating_sub(saved) >= REMEMBER_MS);
        if now.quality != TimeQuality::Synchronised || !is_due {
            return;
        }
        self.saved = Some(now.boot_ms);
        let seconds = now.utc_ms.div_euclid(1000);
        if self.slots.is_none() {
            self.slots = Slots::open(&self.path).ok().map(|(slots, _)| slots);
        }
        let Some(slots) = &mut self.slots else { return };
        match slots.write(&seconds.to_be_bytes()) {
            Ok(()) => self.clock.floor.store(seconds.max(BUILT), Ordering::Relaxed),
            Err(error) => warn!(file = %self.path.display(), err = %super::chain(&error), "remember the time"),
        }
    }
}

fn boot_ms() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn utc_ms() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Whether somebody disciplines the kernel's clock: `STA_UNSYNC` is not set.
fn is_disciplined() -> bool {
    #[expect(unsafe_code, reason = "no safe door to adjtimex in the packages at hand")]
    // SAFETY: all zero is a legal timex; modes 0 makes adjtimex read only, and it writes into `timex` alone.
    let (state, timex) = unsafe {
        let mut timex: nix::libc::timex = std::mem::zeroed();
        (nix::libc::adjtimex(&mut timex), timex)
    };
    state >= 0 && timex.status & nix::libc::STA_UNSYNC == 0
}

/// The environment's variable in which a simulation says how fast the time passes.
#[cfg(feature = "simulate")]
pub const PACE: &str = "DCU_SIMULATED_PACE";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const TICK: Duration = Duration::from_secs(1);
const REMEMBER_MS: u64 = 3_600_000;
/// When this program was built, seconds since 1970 UTC (`SOURCE_DATE_EPOCH` where it is set).
const BUILT: i64 = build_time(env!("DCU_BUILD_TIME"));

const fn build_time(text: &str) -> i64 {
    match i64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("build.rs writes digits"),
    }
}
