//! Tells the head-end of receivers that are lost, and that are back: an event in lane P1, after a moment, so that a
//! receiver that comes and goes does not fill the lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::receiver::Status;
use crate::clock::{Now, ReadClock};
use crate::reading::{Event, EventKind};
use crate::store::{Body, Lane, Store, StoreError};

/// Watches one receiver until `stop`, or until its task ends.
pub(super) async fn run(
    name: Arc<str>,
    mut status: watch::Receiver<Status>,
    store: Store,
    clock: ReadClock,
    stop: CancellationToken,
) {
    let mut lookout = Lookout::default();
    loop {
        let now = clock();
        let news = lookout.look(&status.borrow_and_update(), now.mono);
        if let Some((code, detail)) = news {
            tell(code, format!("receiver {name}: {detail}"), &store, now).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
            () = sleep_until(lookout.due.map_or_else(super::far, Into::into)) => {}
        }
    }
}

async fn tell(code: &str, detail: String, store: &Store, now: Now) {
    let kind = EventKind::Unit { code: code.to_owned(), detail };
    let mut records = vec![(Lane::Security, Body::Event(Event { received: now.received(), meter: None, kind }))];
    loop {
        records = match store.try_append(records, None) {
            Ok(()) => return,
            Err((StoreError::Busy, records, _)) => records,
            Err((error, ..)) => return warn!(err = %super::chain(&error), "record event"),
        };
        sleep(BUSY).await;
    }
}

/// What was told of one receiver.
#[derive(Debug, Default)]
struct Lookout {
    is_lost: bool,
    /// When it counts as lost.
    due: Option<Instant>,
}

impl Lookout {
    /// A code and a detail, when there is something to tell.
    fn look(&mut self, status: &Status, now: Instant) -> Option<(&'static str, String)> {
        if status.is_well() {
            self.due = None;
            let is_back = std::mem::take(&mut self.is_lost);
            return is_back.then(|| ("wmbus.receiver_back", "works again".to_owned()));
        }
        if self.is_lost || *self.due.get_or_insert(now + LOST_AFTER) > now {
            return None;
        }
        self.due = None;
        self.is_lost = true;
        let deaf = |expected| format!("hears nothing, {expected} telegrams an hour are expected");
        let why = match status.expected.filter(|_| status.is_deaf) {
            Some(expected) => deaf(expected),
            None => status.error.clone().unwrap_or_else(|| "does not answer".to_owned()),
        };
        Some(("wmbus.receiver_lost", why))
    }
}

/// A receiver that is away for less is no news.
const LOST_AFTER: Duration = Duration::from_secs(60);
const BUSY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::TimeQuality;
    use crate::task::receiver::State;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn a_receiver_that_stays_away_is_told_once_and_so_is_its_return() {
        let mut now = Instant::now();
        let quality = TimeQuality::Unsynchronised;
        let mut status = Status::new(Now { mono: now, boot_id: [7; 16], boot_ms: 0, utc_ms: 0, quality });
        let mut lookout = Lookout::default();
        let mut check = |seconds, status: &Status, expected: &str| {
            now += Duration::from_secs(seconds);
            let told = lookout.look(status, now).map(|(code, detail)| format!("{code} {detail}"));
            assert_eq!(told.unwrap_or_default(), expected);
            assert_eq!(lookout.due.is_some(), !status.is_well() && !lookout.is_lost);
        };
        // It starts, and is away for a moment.
        check(0, &status, "");
        check(59, &status, "");
        status.state = State::Receiving;
        check(10, &status, "");
        status.state = State::Absent;
        check(1000, &status, "");
        status.state = State::Receiving;
        check(59, &status, "");
        // It stays away.
        (status.state, status.error) = (State::Absent, Some("the source ended".into()));
        check(0, &status, "");
        check(60, &status, "wmbus.receiver_lost the source ended");
        status.state = State::Starting;
        check(6000, &status, "");
        status.state = State::Receiving;
        check(1, &status, "wmbus.receiver_back works again");
        check(60, &status, "");
        // It answers, and hears nothing.
        (status.is_deaf, status.expected) = (true, Some(700));
        check(0, &status, "");
        check(60, &status, "wmbus.receiver_lost hears nothing, 700 telegrams an hour are expected");
    }
}
