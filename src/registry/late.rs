//! Frames that are decoded later: compact frames until their format is known, fragments until their message is whole;
//! and the formats that were learned.
//!
//! All of it is bounded, and survives a restart in an append file. It becomes durable within a window of time, at the
//! price of one write: a power cut takes from it what it takes from records. An entry is an octet that says what it is,
//! then a format as `wmbus` writes it, or a frame with its reception.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wmbus::afl::reassembly::{Event, Limits, Reassembly, Taken};
use wmbus::format::Model;
use wmbus::{Address, Form, Format, Formats, Keys, Reject, Scratch, Telegram};

use super::kept::Kept;
use crate::journal::{Journal, JournalError};

#[derive(Debug)]
pub struct Late {
    formats: Formats,
    /// Compact frames, oldest first.
    waiting: VecDeque<Waiting>,
    due: VecDeque<Kept>,
    fragments: Reassembly,
    /// What the reassembly holds, as it was heard.
    held: VecDeque<Kept>,
    expired: VecDeque<Kept>,
    messages: VecDeque<Whole>,
    journal: Option<Journal>,
    /// Entries that are to be written, and whether the file is to be written anew instead.
    unwritten: Vec<Vec<u8>>,
    is_stale: bool,
    /// How long they may wait for others, and until when they do.
    window: Duration,
    write_at: Option<Instant>,
    fault: Option<JournalError>,
}

/// What became of a telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is not one of these.
    None,
    /// It waits for its format.
    Waits,
    /// It is a part of a message.
    Fragment,
}

/// A message of several fragments, as one stripped frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub frame: Vec<u8>,
    /// It may be made of two: [`Late::settle`] wants to know whether it opened.
    pub is_doubtful: bool,
    /// It was made anew in place of another one: only its MAC can say that it opened.
    pub needs_proof: bool,
}

#[derive(Debug)]
struct Waiting {
    sender: Address,
    model: Model,
    signature: u16,
    kept: Kept,
}

impl Late {
    /// Knows nothing, and forgets with the process.
    pub fn fresh() -> Self {
        Self {
            formats: Formats::new(FORMATS),
            waiting: VecDeque::new(),
            due: VecDeque::new(),
            fragments: Reassembly::new(Limits::default()),
            held: VecDeque::new(),
            expired: VecDeque::new(),
            messages: VecDeque::new(),
            journal: None,
            unwritten: Vec::new(),
            is_stale: false,
            window: Duration::ZERO,
            write_at: None,
            fault: None,
        }
    }

    /// Goes on with what the file holds. A damaged file is replaced by what is whole in it, and kept beside it. What
    /// changes is written within `window`; `worth` is what a sender is worth where there is no room for the fragments
    /// of all.
    ///
    /// # Errors
    /// The file is newer, not ours, or cannot be read or written: nothing will survive the next restart.
    pub fn open(
        path: &Path,
        keys: &impl Keys,
        worth: impl Fn(&Address) -> u8,
        window: Duration,
        now: Instant,
    ) -> Result<(Self, Option<PathBuf>), JournalError> {
        let (journal, entries, aside) = match Journal::open(path, KIND) {
            Ok((journal, recovered)) => (journal, recovered.entries, None),
            Err(JournalError::Damaged { .. }) => {
                let (entries, _) = Journal::salvage(path)?;
                let aside = path.with_extension("damaged");
                std::fs::rename(path, &aside).map_err(JournalError::io("set aside", path))?;
                (Journal::open(path, KIND)?.0, entries, Some(aside))
            }
            Err(error) => return Err(error),
        };
        let mut late = Self { window, ..Self::fresh() };
        let mut frames = Vec::new();
        for entry in &entries {
            match entry.split_first() {
                Some((&FORMAT, mut format)) => {
                    // What is not a format any more is not worth a fault.
                    if let Ok(format) = Format::parse(&mut format) {
                        late.formats.insert(format);
                    }
                }
                Some((&FRAME, mut frame)) => frames.extend(Kept::parse(&mut frame)),
                _ => {}
            }
        }
        let mut scratch = Scratch::default();
        for kept in frames {
            let form = Some(Form::Stripped);
            match Telegram::decode_with(form, &kept.frame, keys, &late.formats, &mut scratch) {
                Ok(telegram) if late.place(&telegram, &kept, &worth, now) == Place::None => late.due.push_back(kept),
                _ => {}
            }
        }
        late.journal = Some(journal);
        late.is_stale = true;
        late.write();
        Ok((late, aside))
    }

    pub const fn formats(&self) -> &Formats {
        &self.formats
    }

    /// Takes what is to be decoded later, and learns from all else. Drain the polls after it.
    pub fn handle_telegram(
        &mut self,
        telegram: &Telegram<'_>,
        kept: impl FnOnce() -> Kept,
        worth: impl Fn(&Address) -> u8,
        now: Instant,
    ) -> Place {
        let place = match telegram.reject {
            Some(Reject::Fragment | Reject::CompactFrame) => {
                let kept = kept();
                let place = self.place(telegram, &kept, worth, now);
                if place != Place::None {
                    self.append(FRAME, |out| kept.emit(out));
                }
                place
            }
            _ => {
                if let Some(format) = self.formats.learn(telegram) {
                    self.append(FORMAT, |out| format.emit(out));
                    self.release(format.model, format.signature());
                }
                Place::None
            }
        };
        self.wait(now);
        place
    }

    /// Gives up fragments whose message did not become whole in time. Write what is due and drain the polls after it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.fragments.handle_timeout(now);
        self.drain();
        self.wait(now);
    }

    /// The time has come to make durable what has changed.
    pub fn is_write_due(&self, now: Instant) -> bool {
        self.write_at.is_some_and(|at| at <= now)
    }

    /// Makes durable what has changed; blocks. What cannot be written is told by `poll_fault`, and held in memory only.
    pub fn write(&mut self) {
        let unwritten = std::mem::take(&mut self.unwritten);
        let is_stale = std::mem::take(&mut self.is_stale);
        self.write_at = None;
        let Some(journal) = &mut self.journal else { return };
        let mut result = Ok(());
        if !is_stale && !unwritten.is_empty() {
            result = journal.append_all(unwritten.iter().map(Vec::as_slice));
        }
        if is_stale || (result.is_ok() && journal.octets() > OCTETS) {
            result = self.write_anew();
        }
        if let Err(error) = result {
            self.fault = Some(error);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.fragments.poll_timeout(), self.write_at].into_iter().flatten().min()
    }

    /// A message whose last fragment came.
    pub fn poll_message(&mut self) -> Option<Whole> {
        self.messages.pop_front()
    }

    /// Says of the doubtful message that was polled whether it opened. Where it did not, its fragments go on waiting
    /// for theirs.
    pub fn settle(&mut self, has_opened: bool, now: Instant) {
        self.fragments.settle(has_opened, now);
        self.drain();
        self.wait(now);
    }

    /// A frame that can be decoded now.
    pub fn poll_due(&mut self) -> Option<Kept> {
        self.due.pop_front()
    }

    /// A fragment of a message that never became whole.
    pub fn poll_expired(&mut self) -> Option<Kept> {
        self.expired.pop_front()
    }

    /// Why the last entries are not durable; told once.
    pub fn poll_fault(&mut self) -> Option<JournalError> {
        self.fault.take()
    }

    fn place(&mut self, telegram: &Telegram<'_>, kept: &Kept, worth: impl Fn(&Address) -> u8, now: Instant) -> Place {
        match (telegram.reject, telegram.compact) {
            (Some(Reject::Fragment), _) => {
                let taken = self.fragments.handle_telegram(telegram, worth(&telegram.address), now);
                if taken == Taken::New {
                    self.held.push_back(kept.clone());
                }
                self.drain();
                if taken == Taken::New { Place::Fragment } else { Place::None }
            }
            (Some(Reject::CompactFrame), Some(compact)) => {
                let sender = telegram.address;
                let of_sender = |waiting: &Waiting| waiting.sender == sender;
                if self.waiting.iter().filter(|waiting| of_sender(waiting)).count() >= PER_METER {
                    let oldest = self.waiting.iter().position(of_sender);
                    oldest.and_then(|at| self.waiting.remove(at));
                } else if self.waiting.len() >= WAITING {
                    self.waiting.pop_front();
                }
                let (model, signature) = (Model::of(&sender), compact.signature);
                self.waiting.push_back(Waiting { sender, model, signature, kept: kept.clone() });
                Place::Waits
            }
            _ => Place::None,
        }
    }

    fn release(&mut self, model: Model, signature: u16) {
        let fits = |waiting: &Waiting| waiting.model == model && waiting.signature == signature;
        let (due, waiting): (VecDeque<_>, VecDeque<_>) = self.waiting.drain(..).partition(fits);
        self.waiting = waiting;
        if !due.is_empty() {
            self.due.extend(due.into_iter().map(|waiting| waiting.kept));
            self.is_stale = true;
        }
    }

    /// Takes what came of the fragments. Those whose message is whole or given up must not become one again after a
    /// restart: what was refused would be told once more.
    fn drain(&mut self) {
        let held = self.held.len();
        while let Some(event) = self.fragments.poll_event() {
            match event {
                Event::Message(frame) => {
                    self.messages.push_back(Whole { frame, is_doubtful: false, needs_proof: false });
                }
                Event::Doubtful(frame) => {
                    self.messages.push_back(Whole { frame, is_doubtful: true, needs_proof: false });
                }
                Event::Mended(frame) => {
                    self.messages.push_back(Whole { frame, is_doubtful: true, needs_proof: true });
                }
                Event::Expired(frames) => {
                    let is_of = |kept: &Kept| frames.contains(&kept.frame);
                    let (expired, held): (VecDeque<_>, VecDeque<_>) = self.held.drain(..).partition(is_of);
                    self.held = held;
                    self.expired.extend(expired);
                }
            }
        }
        self.held.retain(|kept| self.fragments.holds(&kept.frame));
        self.is_stale |= self.held.len() != held;
    }

    fn append(&mut self, kind: u8, emit: impl FnOnce(&mut Vec<u8>)) {
        // A file that is written anew holds it as well.
        if self.journal.is_some() && !self.is_stale {
            let mut entry = vec![kind];
            emit(&mut entry);
            self.unwritten.push(entry);
            self.is_stale = self.unwritten.len() > UNWRITTEN;
        }
    }

    /// What is to be written waits for what comes after it; where all is written anew, the entries are in it.
    fn wait(&mut self, now: Instant) {
        if self.is_stale {
            self.unwritten.clear();
        }
        if self.is_stale || !self.unwritten.is_empty() {
            self.write_at.get_or_insert(now + self.window);
        }
    }

    /// Writes the file with what is there now.
    fn write_anew(&mut self) -> Result<(), JournalError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let formats = self.formats.iter().map(|format| {
            let mut entry = vec![FORMAT];
            format.emit(&mut entry);
            entry
        });
        let frames = self.waiting.iter().map(|waiting| &waiting.kept).chain(&self.held).map(|kept| {
            let mut entry = vec![FRAME];
            kept.emit(&mut entry);
            entry
        });
        let entries: Vec<Vec<u8>> = formats.chain(frames).collect();
        journal.compact(entries.iter().map(Vec::as_slice))
    }
}

const KIND: [u8; 3] = *b"lat";
const FORMAT: u8 = 1;
const FRAME: u8 = 2;
/// Formats that are remembered; a kind of meter has a few.
const FORMATS: usize = 1024;
/// Compact frames that wait: of one meter, and of all.
const PER_METER: usize = 8;
const WAITING: usize = 512;
/// Entries that wait to be written: with more of them the file is written anew.
const UNWRITTEN: usize = 1024;
/// Octets at which the file is written anew: more than all that is remembered takes.
const OCTETS: u64 = 1 << 20;

#[cfg(test)]
mod tests;
