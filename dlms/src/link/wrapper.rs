//! The wrapper of TCP and UDP, IEC 62056-47: version, source port, destination port, length, each 16 bits.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Buf, BufMut};

use super::{Link, LinkEvent};
use crate::Reject;

/// What stands before an APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub source: u16,
    pub destination: u16,
    pub length: u16,
}

impl Header {
    pub const LENGTH: usize = 8;

    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        if buf.try_get_u16()? != VERSION {
            return Err(Reject::Reserved("wrapper version"));
        }
        Ok(Self { source: buf.try_get_u16()?, destination: buf.try_get_u16()?, length: buf.try_get_u16()? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16(VERSION);
        out.put_u16(self.source);
        out.put_u16(self.destination);
        out.put_u16(self.length);
    }
}

/// Appends an APDU in its wrapper. One longer than 65,535 octets has none.
pub fn emit(source: u16, destination: u16, apdu: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
    let length = u16::try_from(apdu.len()).map_err(|_| Reject::TooLong("apdu"))?;
    out.reserve(Header::LENGTH + apdu.len());
    Header { source, destination, length }.emit(out);
    out.extend_from_slice(apdu);
    Ok(())
}

/// Finds wrapped APDUs in a stream. Octets that are no header are skipped until there is one.
#[derive(Debug, Default)]
pub struct Deframer {
    pending: Vec<u8>,
}

impl Deframer {
    /// Gives each whole APDU with its header to `take`, and each run of octets skipped as a reject.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Result<(Header, &[u8]), Reject>)) {
        // What comes in whole is not copied.
        if self.pending.is_empty() {
            let rest = Self::frames(bytes, &mut take);
            self.pending.extend_from_slice(rest);
        } else {
            self.pending.extend_from_slice(bytes);
            let rest = Self::frames(&self.pending, &mut take).len();
            self.pending.drain(..self.pending.len() - rest);
        }
    }

    /// Nothing is kept that is not whole.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Forgets what is not whole: the stream is a new one.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    fn frames<'a>(mut bytes: &'a [u8], take: &mut impl FnMut(Result<(Header, &[u8]), Reject>)) -> &'a [u8] {
        while !bytes.is_empty() {
            let mut buf = bytes;
            match Header::parse(&mut buf) {
                Ok(header) => {
                    let Some((apdu, rest)) = buf.split_at_checked(usize::from(header.length)) else { break };
                    take(Ok((header, apdu)));
                    bytes = rest;
                }
                Err(Reject::Truncated) if VERSION.to_be_bytes().starts_with(bytes.get(..2).unwrap_or(bytes)) => break,
                Err(_) => {
                    let skip = bytes.windows(2).position(|pair| pair == VERSION.to_be_bytes());
                    let end = bytes.len() - usize::from(bytes.last() == Some(&0));
                    bytes = bytes.get(skip.unwrap_or(end).max(1)..).unwrap_or_default();
                    take(Err(Reject::Noise));
                }
            }
        }
        bytes
    }
}

/// One conversation between two ports, over TCP or UDP. It needs no opening.
#[derive(Debug)]
pub struct Wrapper {
    ours: u16,
    theirs: u16,
    /// UDP: what comes at once is whole.
    is_datagram: bool,
    deframer: Deframer,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<LinkEvent>,
}

impl Wrapper {
    /// Over TCP.
    pub fn new(ours: u16, theirs: u16) -> Self {
        Self {
            ours,
            theirs,
            is_datagram: false,
            deframer: Deframer::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Over UDP: each call of `handle_bytes` is one datagram.
    pub fn datagrams(ours: u16, theirs: u16) -> Self {
        Self { is_datagram: true, ..Self::new(ours, theirs) }
    }
}

impl Link for Wrapper {
    fn open(&mut self, _: Instant) {
        self.deframer.clear();
        self.transmits.clear();
        self.events.push_back(LinkEvent::Opened);
    }

    fn close(&mut self, _: Instant) {
        self.events.push_back(LinkEvent::Closed);
    }

    fn send(&mut self, apdu: &[u8], _: Instant) {
        let mut out = Vec::new();
        match emit(self.ours, self.theirs, apdu, &mut out) {
            Ok(()) => self.transmits.push_back(out),
            Err(reject) => self.events.push_back(LinkEvent::Rejected(reject)),
        }
    }

    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        let Self { ours, theirs, deframer, events, .. } = self;
        deframer.push(bytes, |found| {
            events.push_back(match found {
                Ok((header, apdu)) if (header.source, header.destination) == (*theirs, *ours) => {
                    LinkEvent::Apdu(apdu.to_vec())
                }
                Ok(_) => LinkEvent::Rejected(Reject::ForeignAddress),
                Err(reject) => LinkEvent::Rejected(reject),
            });
        });
        if self.deframer.is_empty() {
            return;
        }
        if self.is_datagram {
            self.deframer.clear();
            self.events.push_back(LinkEvent::Rejected(Reject::Truncated));
        } else if !bytes.is_empty() {
            self.events.push_back(LinkEvent::Progress);
        }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }
}

const VERSION: u16 = 1;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn found(deframer: &mut Deframer, bytes: &[u8]) -> Vec<Result<Vec<u8>, Reject>> {
        let mut all = Vec::new();
        deframer.push(bytes, |found| all.push(found.map(|(_, apdu)| apdu.to_vec())));
        all
    }

    #[test]
    fn apdus_are_found_whole_in_pieces_and_behind_noise() {
        let octets = hex!("0001 0010 0001 0003 d80202 0001 0010 0001 0000");
        let (apdu, none) = (Ok(hex!("d80202").to_vec()), Ok(vec![]));
        assert_eq!(found(&mut Deframer::default(), &octets), [apdu.clone(), none.clone()]);
        let mut deframer = Deframer::default();
        let pieces: Vec<_> = octets.iter().flat_map(|octet| found(&mut deframer, &[*octet])).collect();
        assert_eq!(pieces, [apdu.clone(), none.clone()]);
        let noisy = [&hex!("ffee000000")[..], &octets].concat();
        assert_eq!(found(&mut Deframer::default(), &noisy).last(), Some(&none));
        assert_eq!(found(&mut Deframer::default(), &hex!("ffee")), [Err(Reject::Noise)]);
    }

    #[test]
    fn an_apdu_for_another_port_is_not_taken() {
        let mut link = Wrapper::new(16, 1);
        let now = crate::start();
        link.send(&[1, 2], now);
        assert_eq!(link.poll_transmit(), Some(hex!("0001 0010 0001 0002 0102").to_vec()));
        link.handle_bytes(&hex!("0001 0001 0011 0001 05 0001 0001 0010 0001 06"), now);
        assert_eq!(link.poll_event(), Some(LinkEvent::Rejected(Reject::ForeignAddress)));
        assert_eq!(link.poll_event(), Some(LinkEvent::Apdu(vec![6])));
        let mut udp = Wrapper::datagrams(16, 1);
        udp.handle_bytes(&hex!("0001 0001 0010 0002 06"), now);
        assert_eq!(udp.poll_event(), Some(LinkEvent::Rejected(Reject::Truncated)));
        udp.handle_bytes(&hex!("0001 0001 0010 0001 06"), now);
        assert_eq!(udp.poll_event(), Some(LinkEvent::Apdu(vec![6])));
        link.send(&vec![0; 65_536], now);
        assert_eq!(link.poll_event(), Some(LinkEvent::Rejected(Reject::TooLong("apdu"))));
    }

    proptest! {
        #[test]
        fn any_octets_in_any_pieces_keep_little(pieces in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut deframer = Deframer::default();
            for piece in pieces {
                found(&mut deframer, &piece);
                prop_assert!(deframer.pending.len() <= Header::LENGTH + usize::from(u16::MAX));
            }
        }
    }
}
