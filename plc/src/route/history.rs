//! What became of the routes to a node, when, and why; and the octets in which that outlives the process.

use bytes::{Buf, BufMut};

use super::way::{Medium, Way};
use crate::g3::modem::Refusal;
use crate::g3::{AdpStatus, MacStatus, SerialStatus};

/// Something that happened to the route of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Seconds since 1970 UTC.
    pub at_s: u32,
    pub what: What,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It goes this way from then on.
    Way(Way),
    /// The modem has none any more.
    Gone,
    /// It was found to be bad.
    Faulty,
    /// Another one was looked for, within so many hops.
    Searched {
        most_hops: u8,
    },
    /// None was found.
    NotFound,
    /// It is to go over this neighbour.
    Pinned {
        next_hop: u16,
    },
    Released,
    /// No route is to go over this node.
    Blacklisted,
    Allowed,
    /// It goes over this neighbour, which is blacklisted: why it was put nowhere else is the cause.
    Stays {
        next_hop: u16,
    },
    /// That neighbour is blacklisted no more, and it goes over it still.
    MayStay {
        next_hop: u16,
    },
    /// What was to be looked for was not: the modem's reason; None where it has too much to do to be asked.
    Refused(Option<Refusal>),
}

/// In the order of their numbers, which files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The modem has found it by itself, and does not say why.
    Modem,
    Joined,
    Left,
    /// adpRoutingTableEntryTTL has passed, or the table was full.
    Expired,
    /// The modem had no way to the node.
    NoRoute,
    /// Requests left and no answer came.
    NoAnswer,
    /// A path came through the same node twice.
    Circular,
    /// Links below adpWeakLQIValue, and requests that were lost.
    Weak,
    /// It changed too often.
    Flapping,
    /// Somebody at the desk wanted it.
    Asked,
    /// The modem was started anew, and had forgotten it.
    Started,
    /// The unit put it around a neighbour that is blacklisted.
    Blacklisted,
    /// The unit put the way back that the modem had dropped.
    PutBack,
    /// Why a route stays over who is blacklisted: there is no other way that is known, or all others are blacklisted too, or
    /// lose more than they carry, or the modem lets nobody write its routes, or ([`Self::Held`]) it is held there.
    NoOther,
    OthersBlacklisted,
    OthersLose,
    Locked,
    /// The unit put it over a neighbour that is to look for the node.
    ByAnother,
    /// The unit put it there, as it knew no way and the modem hears the node itself.
    Near,
    Held,
}

impl Why {
    pub const ALL: [Self; 20] = [
        Self::Modem,
        Self::Joined,
        Self::Left,
        Self::Expired,
        Self::NoRoute,
        Self::NoAnswer,
        Self::Circular,
        Self::Weak,
        Self::Flapping,
        Self::Asked,
        Self::Started,
        Self::Blacklisted,
        Self::PutBack,
        Self::NoOther,
        Self::OthersBlacklisted,
        Self::OthersLose,
        Self::Locked,
        Self::ByAnother,
        Self::Near,
        Self::Held,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Modem => "modem",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Expired => "expired",
            Self::NoRoute => "no-route",
            Self::NoAnswer => "no-answer",
            Self::Circular => "circular",
            Self::Weak => "weak",
            Self::Flapping => "flapping",
            Self::Asked => "asked",
            Self::Started => "started",
            Self::Blacklisted => "blacklisted",
            Self::PutBack => "put-back",
            Self::NoOther => "no-other-way",
            Self::OthersBlacklisted => "others-blacklisted",
            Self::OthersLose => "others-lose",
            Self::Locked => "no-rows-taken",
            Self::ByAnother => "by-another",
            Self::Near => "near",
            Self::Held => "held",
        }
    }
}

impl What {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Way(_) => "way",
            Self::Gone => "gone",
            Self::Faulty => "faulty",
            Self::Searched { .. } => "searched",
            Self::NotFound => "not-found",
            Self::Pinned { .. } => "pinned",
            Self::Released => "released",
            Self::Blacklisted => "blacklisted",
            Self::Allowed => "allowed",
            Self::Stays { .. } => "stays",
            Self::MayStay { .. } => "may-stay",
            Self::Refused(_) => "refused",
        }
    }
}

impl Entry {
    /// Octets of an entry in a file: node, time, what, why, and what belongs to it.
    pub const OCTETS: usize = 14;

    /// Appends the entry of a node, big endian.
    pub fn emit(&self, node: u16, out: &mut Vec<u8>) {
        let nothing = Way { next_hop: 0, hops: 0, cost: 0, weak_links: 0, medium: None };
        let (kind, way) = match self.what {
            What::Way(way) => (0, way),
            What::Gone => (1, nothing),
            What::Faulty => (2, nothing),
            What::Searched { most_hops } => (3, Way { hops: most_hops, ..nothing }),
            What::NotFound => (4, nothing),
            What::Pinned { next_hop } => (5, Way { next_hop, ..nothing }),
            What::Released => (6, nothing),
            What::Blacklisted => (7, nothing),
            What::Allowed => (8, nothing),
            What::Stays { next_hop } => (9, Way { next_hop, ..nothing }),
            What::Refused(refusal) => (10, Way { next_hop: number(refusal), ..nothing }),
            What::MayStay { next_hop } => (11, Way { next_hop, ..nothing }),
        };
        out.put_u16(node);
        out.put_u32(self.at_s);
        out.put_u8(kind);
        out.put_u8(self.why as u8);
        out.put_u16(way.next_hop);
        out.put_u8(way.hops << 4 | way.weak_links.min(15));
        out.put_u16(way.cost);
        out.put_u8(way.medium.map_or(NO_MEDIUM, Medium::number));
    }

    /// Reads a node and its entry; None where it is none of ours.
    pub fn parse(buf: &mut &[u8]) -> Option<(u16, Self)> {
        let (node, at_s) = (buf.try_get_u16().ok()?, buf.try_get_u32().ok()?);
        let (kind, why) = (buf.try_get_u8().ok()?, buf.try_get_u8().ok()?);
        let (next_hop, counts) = (buf.try_get_u16().ok()?, buf.try_get_u8().ok()?);
        let (cost, medium) = (buf.try_get_u16().ok()?, buf.try_get_u8().ok()?);
        let (hops, weak_links) = (counts >> 4, counts & 0x0f);
        let what = match kind {
            0 => {
                let medium = (medium != NO_MEDIUM).then(|| Medium::of(medium));
                What::Way(Way { next_hop, hops, cost, weak_links, medium })
            }
            1 => What::Gone,
            2 => What::Faulty,
            3 => What::Searched { most_hops: hops },
            4 => What::NotFound,
            5 => What::Pinned { next_hop },
            6 => What::Released,
            7 => What::Blacklisted,
            8 => What::Allowed,
            9 => What::Stays { next_hop },
            10 => What::Refused(refusal(next_hop)?),
            11 => What::MayStay { next_hop },
            _ => return None,
        };
        Some((node, Self { at_s, what, why: *Why::ALL.get(usize::from(why))? }))
    }
}

/// Who refused, and its status.
fn number(refusal: Option<Refusal>) -> u16 {
    let octets = match refusal {
        None => [0, 0],
        Some(Refusal::Adp(AdpStatus(status))) => [1, status],
        Some(Refusal::Mac(MacStatus(status))) => [2, status],
        Some(Refusal::Command(SerialStatus(status))) => [3, status],
        Some(Refusal::Malformed) => [4, 0],
        Some(Refusal::Unknown) => [5, 0],
    };
    u16::from_be_bytes(octets)
}

#[allow(clippy::option_option, reason = "None is a number that nobody has given")]
fn refusal(number: u16) -> Option<Option<Refusal>> {
    Some(match number.to_be_bytes() {
        [0, _] => None,
        [1, status] => Some(Refusal::Adp(AdpStatus(status))),
        [2, status] => Some(Refusal::Mac(MacStatus(status))),
        [3, status] => Some(Refusal::Command(SerialStatus(status))),
        [4, _] => Some(Refusal::Malformed),
        [5, _] => Some(Refusal::Unknown),
        _ => return None,
    })
}

const NO_MEDIUM: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_read_as_it_was_written() {
        let way = Way { next_hop: 7, hops: 3, cost: 31, weak_links: 1, medium: Some(Medium::Rf) };
        let kinds = [
            What::Way(way),
            What::Way(Way { medium: None, ..way }),
            What::Way(Way { medium: Some(Medium::Plc), ..way }),
            What::Gone,
            What::Faulty,
            What::Searched { most_hops: 8 },
            What::NotFound,
            What::Pinned { next_hop: 9 },
            What::Released,
            What::Blacklisted,
            What::Allowed,
            What::Stays { next_hop: 0x3f },
            What::MayStay { next_hop: 0x3f },
            What::Searched { most_hops: 1 },
            What::Refused(None),
            What::Refused(Some(Refusal::Adp(AdpStatus::BUSY))),
            What::Refused(Some(Refusal::Mac(MacStatus::QUEUE_FULL))),
            What::Refused(Some(Refusal::Command(SerialStatus::NOT_ALLOWED))),
            What::Refused(Some(Refusal::Malformed)),
            What::Refused(Some(Refusal::Unknown)),
        ];
        assert!(kinds.len() >= Why::ALL.len());
        for (what, why) in kinds.into_iter().zip(Why::ALL.into_iter().cycle()) {
            let (entry, mut octets) = (Entry { at_s: 1_700_000_000, what, why }, Vec::new());
            entry.emit(5, &mut octets);
            assert_eq!(octets.len(), Entry::OCTETS);
            assert_eq!(Entry::parse(&mut octets.as_slice()), Some((5, entry)));
            for end in 0..octets.len() {
                assert_eq!(Entry::parse(&mut &octets[..end]), None);
            }
        }
        assert_eq!(Entry::parse(&mut [0, 1, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0].as_slice()), None);
        assert_eq!(Entry::parse(&mut [0, 1, 0, 0, 0, 0, 10, 0, 6, 0, 0, 0, 0, 0].as_slice()), None);
        assert_eq!(Entry::parse(&mut [0, 1, 0, 0, 0, 0, 1, 20, 0, 0, 0, 0, 0, 0].as_slice()), None);
    }
}
