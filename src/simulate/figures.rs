//! Asks the running service how it is, again and again, and follows its commits through all its lives.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::control::{Control, Error};
use crate::control::{CommitLine, LaneStat, ReceiverState, Status};
use crate::store::Lane;

/// What the service last said of itself.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Of the present life; None while it does not answer.
    pub status: Option<Status>,
    /// When that was asked for.
    pub asked: Option<Instant>,
    /// Readings decoded in the lives before this one, as each last told.
    past: u64,
    /// The same, of this life.
    present: u64,
    life: u32,
    /// Why it does not answer.
    pub trouble: Option<String>,
}

impl Figures {
    /// Readings decoded in all lives.
    pub const fn decoded(&self) -> u64 {
        self.past + self.present
    }

    /// Whether process `pid` has its receiver set up, and with `uplink` its broker connected.
    pub fn is_ready(&self, pid: Option<u32>, uplink: bool) -> bool {
        self.status.as_ref().is_some_and(|status| {
            Some(status.process.pid) == pid
                && status.receivers.iter().all(|receiver| receiver.state == ReceiverState::Receiving)
                && (status.uplink.is_connected || !uplink)
        })
    }

    /// Nothing is in the commit window, and everything in the buffer is acknowledged; as asked for after `since`.
    pub fn is_empty(&self, since: Instant) -> bool {
        let is_fresh = self.asked.is_some_and(|asked| asked > since);
        let buffer = self.status.as_ref().map(|status| &status.buffer);
        is_fresh && buffer.is_some_and(|buffer| buffer.backlog == 0 && buffer.uncommitted == 0)
    }

    /// Everything of this lane is acknowledged; as asked for after `since`.
    pub fn is_lane_empty(&self, lane: Lane, since: Instant) -> bool {
        let lanes = self.status.as_ref().map(|status| &status.buffer.lanes);
        let is_empty = |lanes: &Vec<LaneStat>| lanes.iter().all(|stat| stat.lane != lane.name() || stat.backlog == 0);
        self.asked.is_some_and(|asked| asked > since) && lanes.is_some_and(is_empty)
    }

    /// Why the service is not ready, as well as can be told.
    pub fn complaint(&self, last_words: &str) -> String {
        let Some(status) = &self.status else {
            return format!("{}\n{last_words}", self.trouble.clone().unwrap_or_default());
        };
        let receiver = status.receivers.iter().find_map(|receiver| receiver.error.clone());
        let error = receiver.or_else(|| status.uplink.error.clone()).unwrap_or_default();
        format!("{error}\n{last_words}")
    }

    fn take(&mut self, answer: Result<Status, Error>, asked: Instant) {
        match answer {
            Ok(status) => {
                if self.life != status.process.pid {
                    self.life = status.process.pid;
                    self.past += self.present;
                }
                self.present = status.meters.readings;
                self.status = Some(status);
                self.asked = Some(asked);
                self.trouble = None;
            }
            Err(error) => {
                self.status = None;
                self.trouble = Some(crate::task::chain(&error));
            }
        }
    }
}

/// Asks until nobody listens any more.
#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
pub async fn ask(control: Control, figures: watch::Sender<Figures>) {
    while !figures.is_closed() {
        let asked = Instant::now();
        let answer = control.status().await;
        figures.send_modify(|figures| figures.take(answer, asked));
        sleep(PERIOD).await;
    }
}

/// Hands on every commit that is reported, from life to life, until nobody listens any more.
pub async fn follow(control: Control, commits: mpsc::Sender<CommitLine>) {
    while !commits.is_closed() {
        if let Ok(mut stream) = control.commits().await {
            // Missed ones are not there to be held against the service; any other error is its end.
            loop {
                match stream.next().await {
                    Ok(commit) => {
                        if commits.send(commit).await.is_err() {
                            return;
                        }
                    }
                    Err(Error::Missed(_)) => {}
                    Err(_) => break,
                }
            }
        }
        sleep(AGAIN).await;
    }
}

const PERIOD: Duration = Duration::from_millis(200);
/// A service that starts opens its socket first; what it commits soon after shall be seen.
const AGAIN: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{BufferStat, MeterCounts, Process, TimeStatus, UplinkStatus};
    use crate::reading::TimeQuality;

    fn status(pid: u32, readings: u64) -> Status {
        Status {
            program: String::new(),
            utility: String::new(),
            unit: String::new(),
            boot_id: String::new(),
            uptime_s: 0,
            time: TimeStatus { now_ms: 0, quality: TimeQuality::Synchronised, anchored_ms: None },
            receivers: Vec::new(),
            meters: MeterCounts { readings, ..MeterCounts::default() },
            electricity: None,
            networks: Vec::new(),
            buffer: BufferStat::default(),
            uplink: UplinkStatus::default(),
            alarms: Vec::new(),
            process: Process { pid, ..Process::default() },
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn what_was_decoded_adds_up_over_lives() {
        let now = Instant::now();
        let mut figures = Figures::default();
        for (pid, readings, sum) in [(1, 5, 5), (1, 9, 9), (2, 0, 9), (2, 4, 13)] {
            figures.take(Ok(status(pid, readings)), now);
            assert_eq!(figures.decoded(), sum);
        }
        figures.take(Err(Error::Gone), now);
        assert_eq!(figures.decoded(), 13);
        assert!(!figures.is_ready(Some(2), false));
        figures.take(Ok(status(2, 6)), now);
        assert_eq!(figures.decoded(), 15);
        assert!(figures.is_ready(Some(2), false));
        assert!(!figures.is_ready(Some(2), true));
        assert!(!figures.is_empty(now));
        assert!(figures.is_empty(now - Duration::from_secs(1)));
    }
}
