//! The emulated receiver alone: it hears frames from a file, at a pace, until it is told to stop.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use wmbus::receiver::Receiver as _;
use wmbus::receiver::hex::Hex;
use wmbus::sim::random::Random;

use super::{EmulatedReceiver, Error, Options, Outcome, State};

/// What is played.
pub struct Plan {
    pub options: Options,
    /// Lines of hexadecimal digits or of rtl_wmbus; None for silent air.
    pub frames: Option<Box<dyn Read + Send>>,
    /// Between two frames.
    pub pace: Duration,
    /// Frames that are lost in the air, per million.
    pub loss_ppm: u32,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("options", &self.options).field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The service opens this.
    Port(PathBuf),
    State(State),
    /// There are no more frames; the port stays.
    Ended(Tally),
}

/// What became of the frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    pub sent: u64,
    /// Whole in the port.
    pub intact: u64,
    pub damaged: u64,
    /// Lost in the air, or nobody listened.
    pub unheard: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("start")]
    Start(#[source] io::Error),
    #[error(transparent)]
    Receiver(#[from] Error),
}

/// Plays until SIGINT or SIGTERM, and says what became of the frames.
///
/// # Errors
/// When the receiver cannot be emulated here.
pub fn play(plan: Plan, mut tell: impl FnMut(Told)) -> Result<Tally, PlayError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(PlayError::Start)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(PlayError::Start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(PlayError::Start)?;
        let mut tally = Tally::default();
        tokio::select! {
            result = go_on(plan, &mut tally, &mut tell) => result?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(tally)
    })
}

pub(super) async fn go_on(plan: Plan, tally: &mut Tally, tell: &mut impl FnMut(Told)) -> Result<(), Error> {
    let mut random = Random::new(plan.options.seed);
    let receiver = EmulatedReceiver::open(plan.options)?;
    tell(Told::Port(receiver.path()));
    let mut states = receiver.state.clone();
    let mut frames = plan.frames.map(read);
    let mut pace = interval(plan.pace.max(Duration::from_micros(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_listening = false;
    loop {
        tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let state = *states.borrow_and_update();
                is_listening = matches!(state, State::Open(Some(_)));
                tell(Told::State(state));
            }
            // The first frame waits for somebody who listens; the ones behind it do not.
            _ = pace.tick(), if frames.is_some() && (is_listening || tally.sent > 0) => {
                let next = match &mut frames {
                    Some(frames) => frames.recv().await,
                    None => None,
                };
                let Some(frame) = next else {
                    frames = None;
                    tell(Told::Ended(*tally));
                    continue;
                };
                tally.sent += 1;
                let is_lost = random.chance_ppm(plan.loss_ppm);
                let outcome = if is_lost { Outcome::Deaf } else { receiver.send(frame, RSSI_DBM).await };
                match outcome {
                    Outcome::Intact => tally.intact += 1,
                    Outcome::Damaged => tally.damaged += 1,
                    Outcome::Deaf => tally.unheard += 1,
                }
            }
        }
    }
}

/// Frames out of lines, in a thread: a file or a pipe may block.
fn read(mut lines: Box<dyn Read + Send>) -> mpsc::Receiver<Vec<u8>> {
    let (frames, next) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut hex = Hex::new();
        let mut buf = [0; 4096];
        loop {
            let length = match lines.read(&mut buf) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            #[expect(clippy::disallowed_methods, reason = "lines carry no time, any will do")]
            let now = Instant::now();
            // A last line without its end still counts.
            hex.handle_bytes(if length == 0 { b"\n" } else { buf.get(..length).unwrap_or_default() }, now);
            while let Some(event) = hex.poll_event() {
                let wmbus::receiver::Event::Telegram { frame, .. } = event else { continue };
                if frames.blocking_send(frame).is_err() {
                    return;
                }
            }
            if length == 0 {
                return;
            }
        }
    });
    next
}

const RSSI_DBM: i16 = -70;
