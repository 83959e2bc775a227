//! The outages of a network that are open, over restarts, and which event of each was told last: an append file of
//! bounded length.
//!
//! An entry of the file is one outage: a number that rises with each event, the moment, the event, the outage
//! (`plc::outage::Kept`). A later entry about an outage takes the place of an earlier one. It is durable before the event
//! is told; whether that was stored a mark in the store says, so that it is told once. Another mark has those that are open,
//! so that it is known what a file that was emptied, cut or taken away had.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, BufMut};
use plc::outage::{Event, Kept, Outages};
use plc::route::Now;

use crate::journal::{Journal, JournalError};

/// The file, and what is not in it yet.
#[derive(Debug)]
pub struct OutageLog {
    journal: Journal,
    /// Those that are open, and the last of those that ended.
    noted: BTreeMap<u32, Noted>,
    /// Of these the file does not have the newest.
    unwritten: Vec<u32>,
    /// Of the last event.
    serial: u64,
    /// Octets at which the file is written anew.
    compact_at: u64,
}

/// An outage, and the last that is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Noted {
    serial: u64,
    told: Told,
    kept: Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Began,
    PartlyBack,
    Restored,
    GivenUp,
}

impl OutageLog {
    /// Opens the file in this directory or makes it; blocks. A damaged one is set aside, and its new name is said: nobody
    /// knows any more what was open.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours: it is left as it is.
    pub fn open(directory: &Path) -> Result<(Self, Option<PathBuf>), JournalError> {
        let path = directory.join("outages");
        let is_entry = |entry: &[u8]| Noted::parse(&mut &*entry).is_some();
        let (journal, recovered, aside) = Journal::open_or_set_aside(&path, KIND, TOO_LONG, is_entry)?;
        let mut log = Self { journal, noted: BTreeMap::new(), unwritten: Vec::new(), serial: 0, compact_at: LONGEST };
        for noted in recovered.entries.iter().filter_map(|entry| Noted::parse(&mut entry.as_slice())) {
            log.serial = log.serial.max(noted.serial);
            log.noted.insert(noted.kept.number, noted);
        }
        log.forget();
        Ok((log, aside))
    }

    /// Whether it has an outage, open or over.
    pub fn has(&self, kept: &Kept) -> bool {
        self.noted.get(&kept.number).is_some_and(|noted| noted.kept.since_ms == kept.since_ms)
    }

    /// The number of the last event.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// A file that was cut, or is an old copy, has outages open whose end was told: the store has up to `stored` which are
    /// open.
    pub fn end_others(&mut self, stored: u64, open: &[Kept]) {
        let is_open = |kept: &Kept| open.iter().any(|it| (it.number, it.since_ms) == (kept.number, kept.since_ms));
        self.noted.retain(|_, noted| noted.told.is_end() || noted.serial > stored || is_open(&noted.kept));
    }

    /// Takes up what is open. Says which events the store has not, by number: those behind `stored`, the last that it has.
    /// Where that is not known, as the store has nothing yet or is a new one, it is the newest.
    pub fn restore(&mut self, outages: &mut Outages, stored: Option<u64>, now: Now) -> Vec<(u64, Event)> {
        let stored = stored.unwrap_or(self.serial.saturating_sub(1));
        self.serial = self.serial.max(stored);
        self.noted.retain(|_, noted| noted.told.is_end() || outages.restore(&noted.kept, now));
        let untold = self.noted.values().filter(|noted| noted.serial > stored);
        let mut untold: Vec<_> = untold.map(|noted| (noted.serial, noted.event(now))).collect();
        untold.sort_unstable_by_key(|(serial, _)| *serial);
        untold
    }

    /// Notes what is told next; [`Self::write`] makes it durable. Says its number.
    pub fn note(&mut self, event: &Event, now: Now) -> u64 {
        let (told, outage) = match event {
            Event::Began(outage) => (Told::Began, outage),
            Event::PartlyBack(outage) => (Told::PartlyBack, outage),
            Event::Restored(outage) => (Told::Restored, outage),
            Event::GivenUp(outage) => (Told::GivenUp, outage),
        };
        self.serial += 1;
        let serial = self.serial;
        self.keep(Noted { serial, told, kept: outage.keep(now) });
        self.forget();
        serial
    }

    /// Notes who is out and who is back; [`Self::write`] makes it durable. Nothing is told of it.
    pub fn update(&mut self, outages: &Outages, now: Now) {
        for outage in outages.open() {
            let Some(noted) = self.noted.get(&outage.number).filter(|noted| !noted.told.is_end()) else { continue };
            let kept = &noted.kept;
            if (&kept.out, &kept.back, kept.is_partly_told) != (&outage.out, &outage.back, outage.is_partly_told()) {
                self.keep(Noted { serial: noted.serial, told: noted.told, kept: outage.keep(now) });
            }
        }
    }

    /// Outages that are open, as the store is to have them; [`Self::parse_open`] reads it.
    pub fn emit_open<'a>(open: impl Iterator<Item = &'a Kept>) -> Vec<u8> {
        let mut octets = Vec::new();
        open.for_each(|kept| kept.emit(&mut octets));
        octets
    }

    /// None where it is none that we wrote.
    pub fn parse_open(mut octets: &[u8]) -> Option<Vec<Kept>> {
        let mut open = Vec::new();
        while !octets.is_empty() {
            open.push(Kept::parse(&mut octets)?);
        }
        Some(open)
    }

    /// Since when an open outage lasts, milliseconds since 1970 UTC: as it was when it began.
    pub fn since_ms(&self, number: u32) -> Option<i64> {
        self.noted.get(&number).map(|noted| noted.kept.since_ms)
    }

    pub fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Makes durable what was noted; blocks.
    ///
    /// # Errors
    /// It is not all, and the rest is kept for the next time.
    pub fn write(&mut self) -> Result<(), JournalError> {
        if self.is_written() {
            return Ok(());
        }
        if self.journal.octets() > self.compact_at {
            let entries: Vec<_> = self.noted.values().map(Noted::emitted).collect();
            self.journal.compact(entries.iter().map(Vec::as_slice))?;
            self.unwritten.clear();
            // What is open may be more than that, and is not to be written anew with every change.
            self.compact_at = LONGEST.max(2 * self.journal.octets());
        }
        while let Some(noted) = self.unwritten.first().map(|number| self.noted.get(number)) {
            if let Some(noted) = noted {
                self.journal.append(&noted.emitted())?;
            }
            self.unwritten.remove(0);
        }
        Ok(())
    }

    fn keep(&mut self, noted: Noted) {
        let number = noted.kept.number;
        // The clock may have been set since: when it began is said as it was said first.
        let before = self.noted.get(&number).filter(|before| !before.told.is_end());
        let since_ms = before.map_or(noted.kept.since_ms, |before| before.kept.since_ms);
        self.noted.insert(number, Noted { kept: Kept { since_ms, ..noted.kept }, ..noted });
        if !self.unwritten.contains(&number) {
            self.unwritten.push(number);
        }
    }

    /// Of those that are over only the last ones may not be stored yet.
    fn forget(&mut self) {
        let mut over: Vec<_> = self.noted.values().filter(|noted| noted.told.is_end()).collect();
        over.sort_unstable_by_key(|noted| noted.serial);
        let old = over.len().saturating_sub(OVER);
        for number in over.into_iter().take(old).map(|noted| noted.kept.number).collect::<Vec<_>>() {
            if !self.unwritten.contains(&number) {
                self.noted.remove(&number);
            }
        }
    }
}

impl Noted {
    fn event(&self, now: Now) -> Event {
        let outage = self.kept.outage(Duration::ZERO, now);
        match self.told {
            Told::Began => Event::Began(outage),
            Told::PartlyBack => Event::PartlyBack(outage),
            Told::Restored => Event::Restored(outage),
            Told::GivenUp => Event::GivenUp(outage),
        }
    }

    fn emitted(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        octets.put_u64(self.serial);
        octets.put_u8(self.told as u8);
        self.kept.emit(&mut octets);
        octets
    }

    /// None where it is no whole entry of ours.
    fn parse(buf: &mut &[u8]) -> Option<Self> {
        let (serial, told) = (buf.try_get_u64().ok()?, buf.try_get_u8().ok()?);
        let told = *TOLD.get(usize::from(told))?;
        let kept = Kept::parse(buf)?;
        (buf.is_empty() && serial < u64::MAX / 2).then_some(Self { serial, told, kept })
    }
}

impl Told {
    fn is_end(self) -> bool {
        matches!(self, Self::Restored | Self::GivenUp)
    }
}

const KIND: [u8; 3] = *b"g3o";
/// By the number in the file.
const TOLD: [Told; 4] = [Told::Began, Told::PartlyBack, Told::Restored, Told::GivenUp];
/// Outages that are over, and noted.
const OVER: usize = 16;
/// Octets at which the file is written anew: a few hundred changes of an outage of 1,000 nodes.
const LONGEST: u64 = 256 << 10;
/// Octets that no file of ours has.
const TOO_LONG: u64 = 64 * LONGEST;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::time::Instant;

    use plc::outage::{Limits, Outage, Place};

    use super::*;

    const NODES: u16 = 200;
    /// The file is written anew as often as that of years is.
    const SHORT: u64 = 4 << 10;

    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn now() -> Now {
        Now { mono: Instant::now() + Duration::from_secs(100_000), utc_ms: 1_760_000_000_000 }
    }

    /// Of these nodes the odd ones are on one phase, on which nobody answers; what is told of it.
    fn dark(now: Now) -> (Outages, Event) {
        let mut outages = Outages::new(Limits::default());
        for node in 1..=NODES {
            outages.place(node, Place { phase: Some((node % 2 * 2) as u8), branch: Some(node % 4 + 1) });
            outages.heard(node, now.mono);
        }
        let later = now.mono + Duration::from_secs(60);
        let asked = |outages: &mut Outages, node: u16| match node % 2 {
            1 => outages.silent(node, later),
            _ => outages.heard(node, later),
        };
        for node in 1..=NODES {
            asked(&mut outages, node);
            while let Some(plc::outage::Action::Probe { node }) = outages.poll_action() {
                outages.probed(node, node % 2 == 0, later);
            }
            if let Some(event) = outages.poll_event() {
                return (outages, event);
            }
        }
        panic!("no outage is named");
    }

    fn open(outages: &Outages) -> Vec<Outage> {
        outages.open().cloned().collect()
    }

    /// What another life finds, and what it tells again.
    fn taken_up(directory: &Path, stored: Option<u64>, now: Now) -> (Outages, Vec<(u64, Event)>) {
        let (mut log, aside) = OutageLog::open(directory).unwrap();
        assert_eq!(aside, None);
        let mut outages = Outages::new(Limits::default());
        let untold = log.restore(&mut outages, stored, now);
        (outages, untold)
    }

    #[test]
    fn what_is_open_is_open_again_with_who_is_back_within_bounded_octets() {
        let (directory, now) = (tempfile::tempdir().unwrap(), now());
        let (mut outages, began) = dark(now);
        let (mut log, _) = OutageLog::open(directory.path()).unwrap();
        assert_eq!(log.note(&began, now), 1);
        log.write().unwrap();
        assert!(log.journal.octets() < 256, "{} octets", log.journal.octets());
        let out = open(&outages)[0].out.clone();
        assert_eq!(out.len(), usize::from(NODES / 2));
        let mut most = 0;
        // Each that comes back is written by itself, and some of all that leave.
        for (number, node) in (0..).zip(&out).take(90) {
            let at = now.mono + Duration::from_secs(120 + number);
            let before = log.journal.octets();
            log.compact_at = SHORT;
            match number % 50 {
                49 => outages.left(*node),
                _ => outages.heard(*node, at),
            }
            log.update(&outages, Now { mono: at, ..now });
            log.write().unwrap();
            assert!(log.is_written() && log.journal.octets() != before, "{number}");
            log.update(&outages, Now { mono: at, ..now });
            assert!(log.is_written(), "nothing has changed");
            most = most.max(log.journal.octets());
        }
        assert!((SHORT..SHORT + 256).contains(&most), "{most} octets");
        let (again, untold) = taken_up(directory.path(), Some(1), now);
        let sets = |outages: &Outages| {
            open(outages)
                .into_iter()
                .map(|outage| (outage.number, outage.scope, outage.out, outage.back))
                .collect::<Vec<_>>()
        };
        assert_eq!((sets(&again), untold), (sets(&outages), Vec::new()));
        assert_eq!((open(&again)[0].out.len(), open(&again)[0].back.len()), (10, 89));
    }

    #[test]
    fn what_the_store_has_not_is_told_again_and_nothing_else() {
        let (directory, now) = (tempfile::tempdir().unwrap(), now());
        let (mut outages, began) = dark(now);
        let (mut log, _) = OutageLog::open(directory.path()).unwrap();
        log.note(&began, now);
        log.write().unwrap();
        let told = |stored| taken_up(directory.path(), stored, now).1;
        assert!(matches!(told(Some(0)).as_slice(), [(1, Event::Began(outage))] if outage.out.len() == 100));
        assert!(matches!(told(None).as_slice(), [(1, Event::Began(_))]), "the store has nothing yet");
        assert_eq!(told(Some(1)), []);
        let out = open(&outages)[0].out.clone();
        out.iter().for_each(|node| outages.heard(*node, now.mono + Duration::from_secs(90)));
        let restored = outages.poll_event().unwrap();
        assert_eq!(log.note(&restored, now), 2);
        log.write().unwrap();
        let (again, untold) = taken_up(directory.path(), Some(1), now);
        assert!(matches!(untold.as_slice(), [(2, Event::Restored(outage))] if outage.back == out), "{untold:?}");
        assert_eq!(again.open().count(), 0);
        assert_eq!(told(Some(2)), []);
        // A new store, which has no mark, and one that has more than the file.
        assert!(matches!(told(None).as_slice(), [(2, Event::Restored(_))]));
        let (mut log, _) = OutageLog::open(directory.path()).unwrap();
        assert_eq!(log.restore(&mut Outages::new(Limits::default()), Some(70), now), []);
        assert_eq!(log.note(&began, now), 71);
    }

    #[test]
    fn of_outages_that_are_over_a_few_are_kept() {
        let (directory, now) = (tempfile::tempdir().unwrap(), now());
        let (_, Event::Began(outage)) = dark(now) else { panic!() };
        let (mut log, _) = OutageLog::open(directory.path()).unwrap();
        for number in 0..100 {
            let mut outage = outage.clone();
            (outage.number, outage.out) = (number, BTreeSet::from([1, 900]));
            log.compact_at = SHORT;
            log.note(&Event::Began(outage.clone()), now);
            log.write().unwrap();
            log.note(&Event::GivenUp(outage), now);
            log.write().unwrap();
            assert!(log.noted.len() <= OVER + 1 && log.journal.octets() <= SHORT + 512);
        }
        let (log, _) = OutageLog::open(directory.path()).unwrap();
        assert_eq!((log.noted.len(), log.serial), (OVER, 200));
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_another_kind_is_left_as_it_is() {
        let (directory, now) = (tempfile::tempdir().unwrap(), now());
        let path = directory.path().join("outages");
        let (_, began) = dark(now);
        let whole = {
            let (mut log, _) = OutageLog::open(directory.path()).unwrap();
            log.note(&began, now);
            log.write().unwrap();
            log.journal.append(&[9; 40]).unwrap();
            fs::read(&path).unwrap()
        };
        let flipped: Vec<u8> = whole.iter().enumerate().map(|(at, octet)| octet ^ u8::from(at == 30)).collect();
        // What stands there is no entry of ours, an octet is another one, there is no end of it, it was cut by somebody.
        let endless = [&whole[..8], &vec![0x5a; TOO_LONG as usize]].concat();
        for damaged in [&whole[..], &flipped, &endless, &whole[..5]] {
            fs::write(&path, damaged).unwrap();
            let (mut log, aside) = OutageLog::open(directory.path()).unwrap();
            let aside = aside.unwrap();
            assert_eq!(fs::read(&aside).unwrap(), damaged);
            let mut outages = Outages::new(Limits::default());
            assert_eq!((log.restore(&mut outages, Some(5), now), outages.open().count()), (Vec::new(), 0));
            assert_eq!(OutageLog::open(directory.path()).unwrap().1, None, "the next life has a file of its own");
        }
        let routes = [&b"DCUj\x01g3r"[..], &whole[8..]].concat();
        let newer = [&b"DCUj\x02g3o"[..], &whole[8..]].concat();
        for (octets, is_newer) in [(routes, false), (newer, true)] {
            fs::write(&path, &octets).unwrap();
            let error = OutageLog::open(directory.path()).unwrap_err();
            assert_eq!(matches!(error, JournalError::Newer { .. }), is_newer, "{error}");
            assert_eq!(fs::read(&path).unwrap(), octets);
        }
    }
}
