//! What the store has of outages beside their file: which event it has last, and which outages were open then. So it is known
//! what a file had that was damaged, emptied, cut or taken away.

use jiff::Timestamp;
use plc::outage::Kept;
use tracing::error;

use super::super::Plc;
use super::both;
use crate::clock::Now;
use crate::registry::OutageLog;
use crate::store::Mark;

/// What the store has.
pub(super) struct Stored {
    /// Of the event that it has last.
    pub(super) serial: Option<u64>,
    /// None: an earlier version wrote nothing of it.
    pub(super) open: Option<Vec<Kept>>,
}

/// Outages that were open, and are not known any more.
enum Lost {
    Nothing,
    These(Vec<Kept>),
    /// Which were open is not known.
    Some,
}

impl Plc {
    pub(super) fn stored_outages(&self) -> Stored {
        Stored {
            serial: self.stored_mark(TOLD).and_then(|value| value.try_into().ok()).map(u64::from_be_bytes),
            open: self.stored_mark(OPEN).and_then(|value| OutageLog::parse_open(&value)),
        }
    }

    /// Says what was open and is not in the file any more, or that the file was set aside. With the next mark it is told
    /// once.
    pub(super) fn tell_lost(&mut self, stored: &Stored, aside: Option<String>, now: Now) {
        let which = match self.lost(stored) {
            Lost::Nothing if aside.is_none() => return,
            Lost::Nothing => "; none is known to have been open".to_owned(),
            Lost::Some => "; which they were is not known".to_owned(),
            Lost::These(lost) => format!(": {}", lost.iter().map(named).collect::<Vec<_>>().join("; ")),
        };
        let how = match (aside, &self.watch.log) {
            (Some(aside), _) => aside,
            (None, Some(_)) => "was emptied, cut or taken away".to_owned(),
            (None, None) => "cannot be read".to_owned(),
        };
        error!(network = %self.name, how, which, "the end of outages that were open is not told");
        let detail = format!("the file of open outages {how}: the end of those that were open is not told{which}");
        self.tell_loss("plc.outages_lost", detail, now);
    }

    fn lost(&self, stored: &Stored) -> Lost {
        let log = self.watch.log.as_ref();
        match (&stored.open, stored.serial) {
            (Some(open), _) => {
                let lost = open.iter().filter(|kept| !log.is_some_and(|log| log.has(kept)));
                let lost: Vec<Kept> = lost.cloned().collect();
                if lost.is_empty() { Lost::Nothing } else { Lost::These(lost) }
            }
            // The file is written first: it has what was told.
            (None, Some(serial)) if log.is_none_or(|log| log.serial() < serial) => Lost::Some,
            _ => Lost::Nothing,
        }
    }

    /// With what was told last, the store has its number, and what is open.
    pub(super) fn mark_told(&mut self, serial: Option<u64>, now: Now) {
        let told = serial.map(|serial| (self.mark_of(TOLD), serial.to_be_bytes().to_vec()));
        self.waiting.mark(told.into_iter().collect());
        self.mark_open(now);
    }

    pub(super) fn mark_open(&mut self, now: Now) {
        let mark = self.open_outages(now);
        self.waiting.mark(vec![mark]);
    }

    /// Who is out and who is back becomes durable in the file, and the store is to know it as well; blocks.
    pub(in crate::task::plc) fn write_outages(&mut self, now: Now) {
        self.watch.write(now);
        let mark = self.open_outages(now);
        self.waiting.mark_now(vec![mark]);
    }

    fn open_outages(&self, now: Now) -> Mark {
        let since_ms = |number| self.watch.log.as_ref().and_then(|log| log.since_ms(number));
        let kept = self.watch.outages.open().map(|outage| {
            let kept = outage.keep(both(now));
            Kept { since_ms: since_ms(kept.number).unwrap_or(kept.since_ms), ..kept }
        });
        let kept: Vec<Kept> = kept.collect();
        (self.mark_of(OPEN), OutageLog::emit_open(kept.iter()))
    }
}

/// What it was, for people.
fn named(Kept { scope, out, back, since_ms, .. }: &Kept) -> String {
    let (nodes, back) = (super::counted(out.len()), back.len());
    let back = if back > 0 { format!(", {back} back") } else { String::new() };
    let since = Timestamp::from_second(since_ms.div_euclid(1_000)).map_or_else(|_| "-".to_owned(), |at| at.to_string());
    format!("{scope}, {nodes} out{back}, since {since}")
}

/// What begins the marks' names: which event was stored last, and what was open then.
pub(super) const TOLD: &[u8] = b"plc-outages/";
const OPEN: &[u8] = b"plc-outages-open/";
