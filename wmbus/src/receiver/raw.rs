//! Frames as they are, `L C M A ..` without CRCs, from a line that nobody can talk to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::dialogue::{Dialogue, Protocol, Question, Said};
use super::{Receiver, Reject, undelimited};

/// Listens at once.
pub fn open(now: Instant) -> Box<dyn Receiver> {
    Box::new(Dialogue::new(Raw, now))
}

#[derive(Debug)]
struct Raw;

impl Protocol for Raw {
    const STALL_TIME: Duration = STALL_TIME;
    const CHECK_INTERVAL: Option<Duration> = None;

    fn take(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let frame = undelimited::take(buf, usize::from)?.to_vec();
        said.push_back(Said::Telegram { frame, rssi_dbm: None });
        Ok(())
    }

    /// After a pause a frame begins.
    fn stalled(&mut self, buf: &mut &[u8], _: &mut VecDeque<Said>) -> Result<(), Reject> {
        *buf = &[];
        Err(Reject::Incomplete)
    }

    fn question(&self) -> Option<Question> {
        None
    }

    fn check(&mut self) {}

    fn reset(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// Within a frame octets follow one another at once; USB and a busy host may hold some of them up.
pub(super) const STALL_TIME: Duration = Duration::from_millis(250);
