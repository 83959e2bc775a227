//! What of an outage must outlive the process: who keeps it has no more to know of it than its octets.
//!
//! Nodes are named by their short addresses, which stay theirs, as bits from the lowest one on: a whole network takes
//! 8 KiB, a street a few hundred octets.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut};

use super::{Node, Outage, Outages, Scope, State};
use crate::route::Now;

/// An outage as it was left. Times are milliseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub number: u32,
    pub scope: Scope,
    pub since_ms: i64,
    pub out: BTreeSet<u16>,
    pub asked: u32,
    pub back: BTreeSet<u16>,
    /// When the first and the last of those was.
    pub returned_ms: Option<(i64, i64)>,
    pub is_partly_told: bool,
}

impl Kept {
    /// Appends it, big endian.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (kind, place) = match self.scope {
            Scope::PhaseOfBranch { .. } => (0, self.scope.place()),
            Scope::Branch(_) => (1, self.scope.place()),
            Scope::Phase(_) => (2, self.scope.place()),
            Scope::Transformer => (3, self.scope.place()),
        };
        let (first_ms, last_ms) = self.returned_ms.unwrap_or_default();
        out.put_u32(self.number);
        out.put_u8(kind);
        out.put_u8(place.phase.unwrap_or_default());
        out.put_u16(place.branch.unwrap_or_default());
        out.put_i64(self.since_ms);
        out.put_u32(self.asked);
        out.put_u8(u8::from(self.is_partly_told) | u8::from(self.returned_ms.is_some()) << 1);
        out.put_i64(first_ms);
        out.put_i64(last_ms);
        emit_nodes(&self.out, out);
        emit_nodes(&self.back, out);
    }

    /// Reads one; None where it is none that we could have left.
    pub fn parse(buf: &mut &[u8]) -> Option<Self> {
        let number = buf.try_get_u32().ok().filter(|number| *number < NUMBERS)?;
        let (kind, phase, branch) = (buf.try_get_u8().ok()?, buf.try_get_u8().ok()?, buf.try_get_u16().ok()?);
        let phase = Some(phase).filter(|phase| *phase < PHASES)?;
        let scope = match kind {
            0 => Scope::PhaseOfBranch { phase, branch },
            1 => Scope::Branch(branch),
            2 => Scope::Phase(phase),
            3 => Scope::Transformer,
            _ => return None,
        };
        let (since_ms, asked) = (buf.try_get_i64().ok()?, buf.try_get_u32().ok()?);
        let flags = buf.try_get_u8().ok().filter(|flags| *flags < 4)?;
        let returned_ms = (buf.try_get_i64().ok()?, buf.try_get_i64().ok()?);
        let (out, back) = (parse_nodes(buf)?, parse_nodes(buf)?);
        let returned_ms = (flags & 2 != 0).then_some(returned_ms);
        let is_whole = out.is_disjoint(&back) && (returned_ms.is_some() || back.is_empty());
        let is_partly_told = flags & 1 != 0;
        is_whole.then_some(Self { number, scope, since_ms, out, asked, back, returned_ms, is_partly_told })
    }

    /// As it is now. What a clock that was set meanwhile has after this moment is of this moment.
    pub fn outage(&self, pause: Duration, now: Now) -> Outage {
        let at = |ms: i64| {
            let age = now.utc_ms.saturating_sub(ms).max(0).unsigned_abs();
            now.mono.checked_sub(Duration::from_millis(age)).unwrap_or(now.mono)
        };
        Outage {
            number: self.number,
            scope: self.scope,
            since: at(self.since_ms),
            out: self.out.clone(),
            asked: self.asked as usize,
            back: self.back.clone(),
            returned: self.returned_ms.map(|(first_ms, last_ms)| (at(first_ms), at(last_ms))),
            is_partly_told: self.is_partly_told,
            due: now.mono + pause,
            pause,
        }
    }
}

impl Outage {
    /// What must outlive the process.
    pub fn keep(&self, now: Now) -> Kept {
        let ms = |at: Instant| {
            now.utc_ms.saturating_sub(i64::try_from(now.mono.saturating_duration_since(at).as_millis()).unwrap_or(0))
        };
        Kept {
            number: self.number,
            scope: self.scope,
            since_ms: ms(self.since),
            out: self.out.clone(),
            asked: u32::try_from(self.asked).unwrap_or(u32::MAX),
            back: self.back.clone(),
            returned_ms: self.returned.map(|(first, last)| (ms(first), ms(last))),
            is_partly_told: self.is_partly_told,
        }
    }
}

impl Outages {
    /// An outage that was left is open again, and is looked into: whoever is out is, as far as is known. Who has left the
    /// network meanwhile is told with [`Self::left`]. False: it is none that is open, or all of its nodes are part of others.
    pub fn restore(&mut self, kept: &Kept, now: Now) -> bool {
        let is_out = |node: &u16| self.open_of(*node).is_some();
        let out: BTreeSet<u16> = kept.out.iter().copied().filter(|node| !is_out(node)).collect();
        if out.is_empty() || self.open.contains_key(&kept.number) {
            return false;
        }
        for node in &out {
            let known = Node { place: kept.scope.place(), state: State::Out(kept.number), ..Node::default() };
            self.nodes.insert(*node, known);
        }
        self.next = self.next.max(kept.number.saturating_add(1));
        self.open.insert(kept.number, Outage { out, ..kept.outage(self.limits.look.0, now) });
        true
    }
}

fn emit_nodes(nodes: &BTreeSet<u16>, out: &mut Vec<u8>) {
    let first = nodes.first().copied().unwrap_or_default();
    let mut bits = vec![0; nodes.last().map_or(0, |last| usize::from(last - first) / 8 + 1)];
    for place in nodes.iter().map(|node| node - first) {
        if let Some(octet) = bits.get_mut(usize::from(place / 8)) {
            *octet |= 1 << (place % 8);
        }
    }
    out.put_u16(first);
    out.put_u16(bits.len() as u16);
    out.put_slice(&bits);
}

fn parse_nodes(buf: &mut &[u8]) -> Option<BTreeSet<u16>> {
    let (first, len) = (buf.try_get_u16().ok()?, buf.try_get_u16().ok()?);
    let (bits, rest) = buf.split_at_checked(usize::from(len)).filter(|_| len <= MOST)?;
    *buf = rest;
    let places = (0u16..).zip(bits).flat_map(|(octet, bits)| {
        (0..8).filter(move |place| bits >> place & 1 != 0).map(move |place| 8 * octet + place)
    });
    places.map(|place| first.checked_add(place)).collect()
}

/// Sixths of a turn.
const PHASES: u8 = 6;
/// Far more outages than a life has; what is beyond was not counted.
const NUMBERS: u32 = 1 << 31;
/// Octets that hold a bit for each short address.
const MOST: u16 = 8_192;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outage::{Event, Limits};

    fn parsed(octets: &[u8]) -> Option<Kept> {
        let mut buf = octets;
        let kept = Kept::parse(&mut buf);
        kept.filter(|_| buf.is_empty())
    }

    fn emitted(kept: &Kept) -> Vec<u8> {
        let mut octets = Vec::new();
        kept.emit(&mut octets);
        octets
    }

    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn now() -> Now {
        Now { mono: Instant::now(), utc_ms: 1_760_000_000_000 }
    }

    fn kept(scope: Scope, out: impl IntoIterator<Item = u16>) -> Kept {
        let (since_ms, out) = (now().utc_ms - 5_000, out.into_iter().collect());
        let (back, returned_ms) = (BTreeSet::new(), None);
        Kept { number: 7, scope, since_ms, out, asked: 6, back, returned_ms, is_partly_told: false }
    }

    #[test]
    fn what_is_emitted_is_parsed_and_no_part_of_it_is() {
        let scopes = [Scope::PhaseOfBranch { phase: 5, branch: 0x17 }, Scope::Branch(9), Scope::Phase(2)];
        for scope in scopes.into_iter().chain([Scope::Transformer]) {
            let some = kept(scope, [1, 8, 9, 17, 300]);
            let returned_ms = Some((some.since_ms + 1_000, some.since_ms + 2_000));
            let partly = Kept { back: BTreeSet::from([2, 16]), returned_ms, is_partly_told: true, ..some.clone() };
            for kept in [some, partly, kept(scope, [0]), kept(scope, 0..=u16::MAX)] {
                let octets = emitted(&kept);
                assert_eq!(parsed(&octets).as_ref(), Some(&kept));
                assert!(octets.len() <= 2 * usize::from(MOST) + 64);
                (0..octets.len()).for_each(|len| assert_eq!(parsed(&octets[..len]), None, "{len} octets"));
            }
        }
    }

    #[test]
    fn what_cannot_be_is_not_taken() {
        let fine = kept(Scope::Phase(2), [1, 2]);
        let twice = Kept { back: BTreeSet::from([2]), returned_ms: Some((1, 2)), ..fine.clone() };
        let never_back = Kept { back: BTreeSet::from([3]), ..fine.clone() };
        for wrong in
            [twice, never_back, Kept { scope: Scope::Phase(6), ..fine.clone() }, Kept { number: 1 << 31, ..fine }]
        {
            assert_eq!(parsed(&emitted(&wrong)), None, "{wrong:?}");
        }
        let mut outages = Outages::new(Limits::default());
        assert!(!outages.restore(&kept(Scope::Phase(2), []), now()), "nobody is out");
        assert!(outages.restore(&kept(Scope::Phase(2), [1, 2]), now()));
        assert!(!outages.restore(&kept(Scope::Phase(4), [3]), now()), "its number is another one's");
        assert!(!outages.restore(&Kept { number: 8, ..kept(Scope::Branch(1), [1, 2]) }, now()), "all are out already");
        assert!(outages.restore(&Kept { number: u32::MAX, ..kept(Scope::Branch(1), [2, 3]) }, now()));
        let open: Vec<_> = outages.open().map(|outage| outage.out.clone()).collect();
        assert_eq!(open, [BTreeSet::from([1, 2]), BTreeSet::from([3])]);
    }

    #[test]
    fn times_survive_and_none_is_after_now() {
        let (before, kept) = (now(), kept(Scope::Transformer, [1]));
        assert_eq!(kept.outage(Duration::ZERO, before).keep(before), kept);
        let later = Now { utc_ms: before.utc_ms + 90_000, ..before };
        assert_eq!(later.mono - kept.outage(Duration::ZERO, later).since, Duration::from_secs(95));
        let reset = Now { utc_ms: 0, ..before };
        assert_eq!(kept.outage(Duration::ZERO, reset).since, reset.mono);
        let ages_ago = Kept { since_ms: i64::MIN, ..kept };
        assert!(ages_ago.outage(Duration::ZERO, before).since <= before.mono);
    }

    #[test]
    fn one_that_was_left_and_whose_nodes_all_have_gone_since_is_over() {
        let mut outages = Outages::new(Limits::default());
        assert!(outages.restore(&kept(Scope::Branch(1), [1, 2]), now()));
        [1, 2].into_iter().for_each(|node| outages.left(node));
        assert!(matches!(outages.poll_event(), Some(Event::GivenUp(outage)) if outage.out.is_empty()));
        assert_eq!((outages.open().count(), outages.poll_event()), (0, None));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_not(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(kept) = parsed(&octets) {
                let mut outages = Outages::new(Limits::default());
                outages.restore(&kept, now());
            }
        }
    }
}
