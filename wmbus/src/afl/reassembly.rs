//! Fragmented messages put together again, by meter, message counter and fragment id. EN 13757-7:2018, 6.3.
//!
//! Fragments may come twice, in any order, and with those of another message in between. Whether what comes out is what
//! the meter sent, the MAC over the whole message tells: a message comes out as a frame to be decoded. Only the first
//! fragment has a counter: one that came before it may be left over from another message, whose first one was lost.
//! What was put together so is doubtful, and its owner says whether it opened ([`Reassembly::settle`]).
//! So is what a fragment makes of a message that is through, in the place of another one, which may have been forged.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Afl;
use crate::{Address, Reject, Telegram};

/// What is held of messages that are not complete.
#[derive(Debug)]
pub struct Reassembly {
    limits: Limits,
    /// Oldest first.
    pending: VecDeque<Pending>,
    /// Messages that came out and of which one cannot know yet whether they are any, and whether they are mended.
    doubtful: VecDeque<(Pending, bool)>,
    /// Messages that are through: late copies of their fragments are nothing new.
    done: VecDeque<Pending>,
    events: VecDeque<Event>,
    /// Fragments that were taken.
    heard: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the last fragment that was new.
    pub timeout: Duration,
    /// Messages of one meter.
    pub per_meter: usize,
    /// Messages of all meters; of those who are worth least the oldest makes room.
    pub messages: usize,
    /// Octets of the fragments of one message.
    pub octets: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole message as one stripped frame; its L-field is 255 where it is longer.
    Message(Vec<u8>),
    /// The same, which may be made of two: [`Reassembly::settle`] wants to know whether it opened.
    Doubtful(Vec<u8>),
    /// The same of a message that is through, with another fragment in the place of one: only a MAC makes it one.
    Mended(Vec<u8>),
    /// Fragments of a message that did not become whole, as stripped frames.
    Expired(Vec<Vec<u8>>),
}

/// Whether a telegram was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New,
    /// It is there already.
    Repeated,
    /// It is no fragment, or there is no room for it.
    No,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(600), per_meter: 2, messages: 64, octets: 16 << 10 }
    }
}

impl Reassembly {
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            pending: VecDeque::new(),
            doubtful: VecDeque::new(),
            done: VecDeque::new(),
            events: VecDeque::new(),
            heard: 0,
        }
    }

    /// Takes a telegram that was decoded as a fragment ([`Reject::Fragment`]). What is worth less takes no place from
    /// what is worth more: whoever invents meters pushes out none that is known.
    pub fn handle_telegram(&mut self, telegram: &Telegram<'_>, worth: u8, now: Instant) -> Taken {
        let (Some(afl), Some(sender), Some(Reject::Fragment)) =
            (telegram.afl, telegram.link.address(), telegram.reject)
        else {
            return Taken::No;
        };
        let mut head = Vec::with_capacity(16);
        telegram.link.emit(&mut head);
        // An encrypted ELL was opened frame by frame: the message is without it.
        if let Some(ell) = telegram.ell.filter(|ell| ell.session_number.is_none()) {
            ell.emit(&mut head);
        }
        self.heard += 1;
        let (octets, frame) = (telegram.application.to_vec(), telegram.stripped());
        let fragment = Fragment { afl, head, octets, frame, number: self.heard, at: now };
        let taken = self.place(sender.identity(), worth, fragment, now);
        if taken == Taken::New {
            self.complete(now);
            self.mend();
            self.bound(sender.identity());
        }
        taken
    }

    /// Gives up what waited too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let timeout = self.limits.timeout;
        let (kept, expired): (VecDeque<_>, VecDeque<_>) =
            self.pending.drain(..).partition(|pending| pending.deadline(timeout) > now);
        self.pending = kept;
        self.events.extend(expired.into_iter().map(Pending::expired));
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.deadline(self.limits.timeout)).min()
    }

    /// Says of the first [`Event::Doubtful`] or [`Event::Mended`] of which nothing was said whether it opened. If not,
    /// those fragments of a doubtful one that came before the first one are kept apart from the others.
    pub fn settle(&mut self, has_opened: bool, now: Instant) {
        let Some((pending, is_mended)) = self.doubtful.pop_front() else { return };
        if has_opened {
            // What mended it waits for nothing else.
            self.pending.retain(|other| !(is_mended && pending.has(other)));
            self.finish(pending, now);
            return;
        }
        if is_mended {
            return;
        }
        let sender = pending.sender;
        for part in pending.split() {
            // The first fragment of two messages, neither of which opened, is held once.
            if !self.pending.iter().any(|pending| pending.is(&part)) {
                self.pending.push_back(part);
            }
        }
        self.bound(sender);
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Messages of which fragments are held.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// A message that is not complete wants this stripped frame.
    pub fn holds(&self, frame: &[u8]) -> bool {
        let doubtful = self.doubtful.iter().map(|(pending, _)| pending);
        let held = self.pending.iter().chain(doubtful).flat_map(|pending| pending.fragments.values());
        held.into_iter().any(|fragment| fragment.frame == frame)
    }

    fn place(&mut self, sender: Address, worth: u8, fragment: Fragment, now: Instant) -> Taken {
        let id = fragment.afl.fragment_id();
        self.done.retain(|done| now.saturating_duration_since(done.last) < LATE);
        if self
            .done
            .iter()
            .any(|done| done.sender == sender && done.fragments.get(&id).is_some_and(|it| it.is(&fragment)))
        {
            return Taken::Repeated;
        }
        let own = |pending: &&mut Pending| pending.sender == sender && pending.may_hold(&fragment.afl);
        let mut conflict = None;
        let mut taken = Taken::No;
        // Where a fragment of two kinds was heard, all messages that it may belong to are tried.
        for pending in self.pending.iter_mut().filter(own) {
            match pending.fragments.get(&id) {
                Some(held) if held.is(&fragment) => {
                    return if taken == Taken::New { taken } else { Taken::Repeated };
                }
                Some(_) => conflict = Some(pending.clone()),
                None if pending.octets() + fragment.octets.len() > self.limits.octets => return Taken::No,
                None => {
                    pending.insert(id, fragment.clone());
                    taken = Taken::New;
                }
            }
        }
        if taken == Taken::New || fragment.octets.len() > self.limits.octets {
            return taken;
        }
        let mut pending = conflict.unwrap_or_else(|| Pending { sender, worth, fragments: BTreeMap::new(), last: now });
        pending.insert(id, fragment);
        self.pending.push_back(pending);
        Taken::New
    }

    fn complete(&mut self, now: Instant) {
        let (whole, kept): (VecDeque<_>, VecDeque<_>) = self.pending.drain(..).partition(Pending::is_whole);
        self.pending = kept;
        for pending in whole {
            let frame = pending.whole();
            if pending.is_doubtful() {
                self.events.push_back(Event::Doubtful(frame));
                self.doubtful.push_back((pending, false));
            } else {
                self.events.push_back(Event::Message(frame));
                self.finish(pending, now);
            }
        }
    }

    /// The fragment that was just taken, if nothing else waits for it, may be the honest one of a message that went
    /// through with a forged one.
    fn mend(&mut self) {
        let Some(alone) = self.pending.back().filter(|pending| pending.fragments.len() == 1) else { return };
        let Some((id, fragment)) = alone.fragments.first_key_value().filter(|(_, it)| it.number == self.heard) else {
            return;
        };
        let fits = |done: &&Pending| {
            done.sender == alone.sender
                && done.fragments.len() > 1
                && done.fragments.contains_key(id)
                && done.may_hold(&fragment.afl)
        };
        let Some(mut mended) = self.done.iter().rev().find(fits).cloned() else { return };
        mended.insert(*id, fragment.clone());
        if mended.is_whole() {
            self.events.push_back(Event::Mended(mended.whole()));
            self.doubtful.push_back((mended, true));
        }
    }

    fn finish(&mut self, pending: Pending, now: Instant) {
        self.done.push_back(Pending { last: now, ..pending });
        while self.done.len() > self.limits.messages {
            least(&self.done).and_then(|at| self.done.remove(at));
        }
    }

    fn bound(&mut self, sender: Address) {
        let of_sender = |pending: &Pending| pending.sender == sender;
        // A message that did not open leaves two.
        while self.pending.iter().filter(|pending| of_sender(pending)).count() > self.limits.per_meter {
            let oldest = self.pending.iter().position(of_sender).and_then(|at| self.pending.remove(at));
            self.events.extend(oldest.map(Pending::expired));
        }
        while self.pending.len() > self.limits.messages {
            let oldest = least(&self.pending).and_then(|at| self.pending.remove(at));
            self.events.extend(oldest.map(Pending::expired));
        }
    }
}

/// Where the oldest is of those that are worth least.
fn least(messages: &VecDeque<Pending>) -> Option<usize> {
    messages.iter().enumerate().min_by_key(|(_, pending)| pending.worth).map(|(at, _)| at)
}

/// A message of which some fragments are there.
#[derive(Debug, Clone)]
struct Pending {
    sender: Address,
    /// What the sender is worth.
    worth: u8,
    fragments: BTreeMap<u8, Fragment>,
    last: Instant,
}

#[derive(Debug, Clone)]
struct Fragment {
    afl: Afl,
    /// From the C-field to the AFL.
    head: Vec<u8>,
    /// Behind the AFL.
    octets: Vec<u8>,
    frame: Vec<u8>,
    /// In the order in which they came.
    number: u64,
    at: Instant,
}

impl Fragment {
    /// The same, whoever brought it.
    fn is(&self, other: &Self) -> bool {
        self.octets == other.octets && self.afl == other.afl
    }
}

impl Pending {
    /// The same fragments of the same meter.
    fn is(&self, other: &Self) -> bool {
        let ids = self.fragments.keys().eq(other.fragments.keys());
        ids && self.sender == other.sender
            && self.fragments.values().zip(other.fragments.values()).all(|(a, b)| a.is(b))
    }

    /// All fragments of another one are its own.
    fn has(&self, other: &Self) -> bool {
        let has = |(id, it): (&u8, &Fragment)| self.fragments.get(id).is_some_and(|own| own.is(it));
        self.sender == other.sender && other.fragments.iter().all(has)
    }

    /// A fragment without a message counter belongs to whatever it fits.
    fn may_hold(&self, afl: &Afl) -> bool {
        let counter = self.fragments.values().find_map(|fragment| fragment.afl.counter);
        counter.is_none() || afl.counter.is_none() || counter == afl.counter
    }

    fn insert(&mut self, id: u8, fragment: Fragment) {
        self.last = self.last.max(fragment.at);
        self.fragments.insert(id, fragment);
    }

    /// The first fragment came after another one.
    fn is_doubtful(&self) -> bool {
        let first = self.fragments.values().next();
        first.is_some_and(|first| self.fragments.values().any(|fragment| fragment.number < first.number))
    }

    /// What came before the first fragment, and the others.
    fn split(self) -> impl Iterator<Item = Self> {
        let Self { sender, worth, fragments, .. } = self;
        let first = fragments.values().next().map(|first| first.number);
        let (before, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            fragments.into_iter().partition(|(_, fragment)| Some(fragment.number) < first);
        [before, others].into_iter().filter_map(move |fragments| {
            let last = fragments.values().map(|fragment| fragment.at).max()?;
            Some(Self { sender, worth, fragments, last })
        })
    }

    fn octets(&self) -> usize {
        self.fragments.values().map(|fragment| fragment.octets.len()).sum()
    }

    fn deadline(&self, timeout: Duration) -> Instant {
        self.last + timeout
    }

    /// Ids from one to that of the last fragment, and as long as the message says it is.
    fn is_whole(&self) -> bool {
        let Some((last, fragment)) = self.fragments.last_key_value() else { return false };
        let has_all = self.fragments.len() == usize::from(*last) && !self.fragments.contains_key(&0);
        let said = self.fragments.values().find_map(|fragment| fragment.afl.message_length);
        !fragment.afl.has_more_fragments() && has_all && said.is_none_or(|length| usize::from(length) == self.octets())
    }

    fn whole(&self) -> Vec<u8> {
        let mut frame = vec![0];
        if let Some(fragment) = self.fragments.values().next() {
            frame.extend_from_slice(&fragment.head);
        }
        Afl::of_message(self.fragments.values().map(|fragment| &fragment.afl)).emit(&mut frame);
        self.fragments.values().for_each(|fragment| frame.extend_from_slice(&fragment.octets));
        let length = frame.len() - 1;
        if let Some(l_field) = frame.first_mut() {
            *l_field = u8::try_from(length).unwrap_or(u8::MAX);
        }
        frame
    }

    fn expired(self) -> Event {
        Event::Expired(self.fragments.into_values().map(|fragment| fragment.frame).collect())
    }
}

/// Repeaters and slow receivers bring a fragment again within so long.
const LATE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
