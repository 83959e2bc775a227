//! Whether a telegram that opens may be believed: the counters that must rise, and the protection a meter once showed.
//!
//! Equal counter and equal content is a duplicate; equal counter and other content a clone; a lower counter is a replay,
//! but for a minute in which repeaters may change the order. Only another key lets a counter begin anew. A telegram
//! that did not open teaches nothing here. What has no counter (mode 5, no protection) is told apart, not refused.
//!
//! Counters survive a restart by [`Guard::emit`] and [`Guard::parse`], a power cut by [`Guard::changes`], which are made
//! durable with the next records: what was accepted and not stored may be replayed then, and nothing older. The same
//! holds for the protection that a meter once showed.

use std::collections::{BTreeSet, HashMap};

use bytes::{Buf, BufMut};

use crate::clock::Now;
use crate::reading::{Manufacturer, Mark, MeterId, Security};

/// What a meter's counter said, and how its telegrams are protected.
#[derive(Debug)]
pub(super) struct Guard {
    limit: usize,
    meters: HashMap<MeterId, Seen>,
    is_changed: bool,
    /// Whose counter or protection rose since the last [`Guard::changes`].
    risen: BTreeSet<MeterId>,
}

/// A telegram that opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) mark: Option<Mark>,
    /// `Plain`, `Decrypted` or `Authenticated`.
    pub(super) security: Security,
    /// Of its content, without what repeaters change.
    pub(super) digest: u64,
}

/// What is to be thought of a telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its counter rose, or came late by less than a minute.
    Fresh,
    /// It has no counter: nobody can tell whether it was recorded yesterday.
    Unprotected,
    /// Heard before: another receiver or a repeater.
    Duplicate,
    /// The counter of another telegram.
    Clone,
    /// A counter from before.
    Replay,
}

#[derive(Debug, Clone)]
struct Seen {
    highest: Option<Mark>,
    /// The telegram that had it, to tell its copies from clones after a restart.
    digest: Option<u64>,
    /// The last accepted telegrams, the newest last; empty after a restart.
    recent: Vec<Accepted>,
    best: Security,
    /// A telegram of it did not open with its maker's key.
    is_closed: bool,
    /// Of the key under which the counter was seen.
    key: u32,
    /// When it was heard last, for whoever must be forgotten.
    boot_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Accepted {
    mark: Mark,
    digest: u64,
    boot_ms: u64,
}

/// A file of an earlier run was damaged: what it knew is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged")]
pub struct Damaged;

impl Guard {
    /// Remembers at most `limit` meters.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), meters: HashMap::new(), is_changed: false, risen: BTreeSet::new() }
    }

    /// Judges a telegram that opened. `key` is the fingerprint of the meter's key; it is asked for when it matters only.
    /// True: the meter was heard with a better protection before.
    pub(super) fn judge(&mut self, id: MeterId, seal: Seal, key: impl Fn() -> u32, now: Now) -> (Standing, bool) {
        if !self.meters.contains_key(&id) {
            let new = Seen::new(key(), seal.security);
            let has_shown_nothing = seal.security == Security::Plain && seal.mark.is_none();
            if has_shown_nothing || !self.make_room(new.worth()) {
                return (seal.mark.map_or(Standing::Unprotected, |_| Standing::Fresh), false);
            }
            self.meters.insert(id, Seen { best: Security::Plain, ..new });
            self.is_changed = true;
        }
        let Some(seen) = self.meters.get_mut(&id) else { return (Standing::Unprotected, false) };
        seen.boot_ms = now.boot_ms;
        let (strength, best) = (seal.security.strength(), seen.best.strength());
        let is_weaker = strength < best;
        if strength > best {
            seen.best = seal.security;
            self.is_changed = true;
            self.risen.insert(id);
        }
        let Some(mark) = seal.mark else { return (Standing::Unprotected, is_weaker) };
        let standing = seen.standing(mark, seal.digest, &key, now.boot_ms);
        if standing == Standing::Fresh {
            seen.accept(Accepted { mark, digest: seal.digest, boot_ms: now.boot_ms });
            self.is_changed = true;
            self.risen.insert(id);
        }
        (standing, is_weaker)
    }

    /// Whether a counter is not above the last that was accepted. Under another key it begins anew.
    pub(super) fn is_past(&self, id: &MeterId, mark: Mark, key: impl Fn() -> u32) -> bool {
        self.meters.get(id).is_some_and(|seen| !seen.is_before(mark) && seen.key == key())
    }

    /// The best protection that the meter has shown.
    pub(super) fn best(&self, id: &MeterId) -> Security {
        self.meters.get(id).map_or(Security::Plain, |seen| seen.best)
    }

    /// The last counter that was accepted.
    pub(super) fn counter(&self, id: &MeterId) -> Option<u32> {
        Some(self.meters.get(id)?.highest?.counter)
    }

    /// What is known of the meter: 2 where it was protected under a key of ours, 1 where it was at all.
    pub(super) fn worth(&self, id: &MeterId) -> u8 {
        self.meters.get(id).map_or(0, Seen::worth)
    }

    /// Something is worth saving since the last `emit`.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// All that must survive a restart, with its checksum.
    pub(super) fn emit(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + ENTRY * self.meters.len() + 4);
        out.extend_from_slice(MAGIC);
        let mut meters: Vec<_> = self.meters.iter().collect();
        meters.sort_unstable_by_key(|(id, _)| **id);
        meters.into_iter().for_each(|(id, seen)| seen.emit(id, &mut out));
        out.put_u32_le(crc32c::crc32c(&out));
        self.is_changed = false;
        out
    }

    /// Takes what [`Self::emit`] wrote.
    ///
    /// # Errors
    /// Says that it is damaged; nothing of it is taken.
    pub(super) fn parse(limit: usize, octets: &[u8]) -> Result<Self, Damaged> {
        let (body, mut checksum) =
            octets.len().checked_sub(4).and_then(|at| octets.split_at_checked(at)).ok_or(Damaged)?;
        let mut body_rest = body.strip_prefix(MAGIC).ok_or(Damaged)?;
        if checksum.try_get_u32_le() != Ok(crc32c::crc32c(body)) {
            return Err(Damaged);
        }
        let mut guard = Self::new(limit);
        while !body_rest.is_empty() && guard.meters.len() < guard.limit {
            let (id, seen) = Seen::parse(&mut body_rest).ok_or(Damaged)?;
            guard.meters.insert(id, seen);
        }
        Ok(guard)
    }

    /// What has risen since the last time, a name and a value for each meter.
    pub(super) fn changes(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let risen = std::mem::take(&mut self.risen);
        let entry = |id: MeterId| {
            let mut name = PREFIX.to_vec();
            self.meters.get(&id)?.emit(&id, &mut name);
            let value = name.split_off(PREFIX.len() + NAME);
            Some((name, value))
        };
        risen.into_iter().filter_map(entry).collect()
    }

    /// Takes one of [`Self::changes`] of an earlier run. False: it is none.
    pub(super) fn restore(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(id) = name.strip_prefix(PREFIX).filter(|id| id.len() == NAME) else { return false };
        let entry = [id, value].concat();
        let mut rest = &entry[..];
        let Some((id, kept)) = Seen::parse(&mut rest).filter(|_| rest.is_empty()) else { return false };
        if let Some(seen) = self.meters.get_mut(&id) {
            // The file is of an earlier time, or of the same.
            let is_newer = seen.key != kept.key || kept.highest.is_some_and(|kept| seen.is_before(kept));
            if is_newer {
                (seen.highest, seen.digest, seen.key) = (kept.highest, kept.digest, kept.key);
            }
            if kept.best.strength() > seen.best.strength() {
                seen.best = kept.best;
            }
            seen.is_closed = kept.is_closed;
        } else if self.meters.len() < self.limit {
            self.meters.insert(id, kept);
        }
        true
    }

    /// The meter is one whose telegrams do not open with its maker's key, though some seem to.
    pub(super) fn is_closed(&self, id: &MeterId) -> bool {
        self.meters.get(id).is_some_and(|seen| seen.is_closed)
    }

    /// Notes that, or the contrary.
    pub(super) fn close(&mut self, id: MeterId, is_closed: bool, now: Now) {
        if self.is_closed(&id) == is_closed {
            return;
        }
        if !self.meters.contains_key(&id) {
            let new = Seen { boot_ms: now.boot_ms, ..Seen::new(0, Security::Plain) };
            if !self.make_room(new.worth()) {
                return;
            }
            self.meters.insert(id, new);
        }
        if let Some(seen) = self.meters.get_mut(&id) {
            seen.is_closed = is_closed;
        }
        self.is_changed = true;
        self.risen.insert(id);
    }

    /// Forgets the longest silent of those that are worth least, if that is no more than a new one's worth: whoever invents
    /// meters pushes out no one who has proven himself. False: there is no room.
    fn make_room(&mut self, worth: u8) -> bool {
        if self.meters.len() < self.limit {
            return true;
        }
        let silent = self.meters.iter().min_by_key(|(_, seen)| (seen.worth(), seen.boot_ms));
        let silent = silent.filter(|(_, seen)| seen.worth() <= worth).map(|(id, _)| *id);
        silent.and_then(|id| self.meters.remove(&id)).is_some()
    }
}

impl Seen {
    fn new(key: u32, best: Security) -> Self {
        Self { highest: None, digest: None, recent: Vec::new(), best, is_closed: false, key, boot_ms: 0 }
    }

    /// Protected under a key of ours; protected at all; neither.
    fn worth(&self) -> u8 {
        match self.best {
            Security::Plain => 0,
            _ if self.key == 0 => 1,
            _ => 2,
        }
    }

    fn standing(&mut self, mark: Mark, digest: u64, key: &impl Fn() -> u32, boot_ms: u64) -> Standing {
        let Some(highest) = self.highest else {
            // It may have been heard in the clear before it had one.
            self.key = key();
            return Standing::Fresh;
        };
        if mark.is_after(highest) {
            return Standing::Fresh;
        }
        if let Some(known) = self.recent.iter().find(|known| known.mark == mark) {
            return if known.digest == digest { Standing::Duplicate } else { Standing::Clone };
        }
        let key = key();
        if key != self.key {
            // A new key: the meter was set up anew, and no old telegram opens any more.
            *self = Self::new(key, self.best);
            return Standing::Fresh;
        }
        let newest = self.recent.iter().map(|known| known.boot_ms).max();
        match newest {
            None if mark == highest && self.digest.is_some_and(|known| known != digest) => Standing::Clone,
            None if mark == highest => Standing::Duplicate,
            Some(newest) if boot_ms.saturating_sub(newest) < REORDERING_MS && self.is_within_recent(mark) => {
                Standing::Fresh
            }
            _ => Standing::Replay,
        }
    }

    /// Newer than what is remembered at the least: older ones cannot be told from replays.
    fn is_within_recent(&self, mark: Mark) -> bool {
        self.recent.first().is_some_and(|oldest| mark.is_after(oldest.mark))
    }

    fn accept(&mut self, accepted: Accepted) {
        if self.is_before(accepted.mark) {
            (self.highest, self.digest) = (Some(accepted.mark), Some(accepted.digest));
        }
        if self.recent.len() >= RECENT {
            self.recent.remove(0);
        }
        let at = self.recent.iter().position(|known| known.mark.is_after(accepted.mark)).unwrap_or(self.recent.len());
        self.recent.insert(at, accepted);
    }

    fn is_before(&self, mark: Mark) -> bool {
        self.highest.is_none_or(|highest| mark.is_after(highest))
    }

    fn emit(&self, id: &MeterId, out: &mut Vec<u8>) {
        let MeterId::MBus { manufacturer, identification, version, device_type } = *id else { return };
        out.put_u16_le(manufacturer.0);
        out.put_u32_le(identification);
        out.put_u8(version);
        out.put_u8(device_type);
        out.put_u32_le(self.key);
        let access_number = self.highest.and_then(|mark| mark.access_number);
        let has = |is_there: bool, mark: u8| if is_there { mark } else { 0 };
        let marks = has(self.highest.is_some(), COUNTER)
            | has(access_number.is_some(), ACCESS_NUMBER)
            | has(self.digest.is_some(), DIGEST)
            | has(self.is_closed, CLOSED);
        out.put_u8(self.best.strength().unwrap_or(0) << 4 | marks);
        out.put_u32_le(self.highest.map_or(0, |mark| mark.counter));
        out.put_u8(access_number.unwrap_or(0));
        self.digest.into_iter().for_each(|digest| out.put_u64_le(digest));
    }

    fn parse(buf: &mut &[u8]) -> Option<(MeterId, Self)> {
        let id = MeterId::MBus {
            manufacturer: Manufacturer(buf.try_get_u16_le().ok()? & 0x7fff),
            identification: buf.try_get_u32_le().ok()?,
            version: buf.try_get_u8().ok()?,
            device_type: buf.try_get_u8().ok()?,
        };
        let key = buf.try_get_u32_le().ok()?;
        let marks = buf.try_get_u8().ok()?;
        let counter = buf.try_get_u32_le().ok()?;
        let access_number = buf.try_get_u8().ok().filter(|_| marks & ACCESS_NUMBER != 0);
        // Files of earlier versions have none.
        let digest = if marks & DIGEST != 0 { Some(buf.try_get_u64_le().ok()?) } else { None };
        let best = *[Security::Plain, Security::Decrypted, Security::Authenticated].get(usize::from(marks >> 4))?;
        let highest = (marks & COUNTER != 0).then_some(Mark { counter, access_number });
        Some((id, Self { highest, digest, is_closed: marks & CLOSED != 0, ..Self::new(key, best) }))
    }
}

const MAGIC: &[u8] = b"DCUcnt\x01\n";
/// The longest entry.
const ENTRY: usize = 26;
// What an entry has beside zeros, in the octet of the protection.
const COUNTER: u8 = 1;
const ACCESS_NUMBER: u8 = 2;
const DIGEST: u8 = 4;
const CLOSED: u8 = 8;
/// What begins the names of [`Guard::changes`]; the meter's address follows, as many octets.
pub(super) const PREFIX: &[u8] = b"wmbus:";
const NAME: usize = 8;
/// Repeaters and several receivers may change the order of a meter's telegrams so long.
const REORDERING_MS: u64 = 60_000;
/// Accepted telegrams of one meter that are remembered.
const RECENT: usize = 4;

#[cfg(test)]
mod tests;
