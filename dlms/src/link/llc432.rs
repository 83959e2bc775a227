//! The logical link of IEC 61334-4-32 under COSEM on PLC (PRIME, S-FSK): control, destination, source.
//!
//! The medium delivers whole frames: each call of `handle_bytes` is one.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Buf;

use super::{Link, LinkEvent};
use crate::Reject;

/// A frame of the DL_DATA service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub destination: u8,
    pub source: u8,
    pub apdu: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        if buf.try_get_u8()? != DL_DATA {
            return Err(Reject::BadLlc);
        }
        Ok(Self { destination: buf.try_get_u8()?, source: buf.try_get_u8()?, apdu: buf })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[DL_DATA, self.destination, self.source]);
        out.extend_from_slice(self.apdu);
    }
}

/// One conversation between two service access points.
#[derive(Debug)]
pub struct Llc432 {
    ours: u8,
    theirs: u8,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<LinkEvent>,
}

impl Llc432 {
    pub fn new(ours: u8, theirs: u8) -> Self {
        Self { ours, theirs, transmits: VecDeque::new(), events: VecDeque::new() }
    }
}

impl Link for Llc432 {
    fn open(&mut self, _: Instant) {
        self.transmits.clear();
        self.events.push_back(LinkEvent::Opened);
    }

    fn close(&mut self, _: Instant) {
        self.events.push_back(LinkEvent::Closed);
    }

    fn send(&mut self, apdu: &[u8], _: Instant) {
        let mut out = Vec::new();
        Frame { destination: self.theirs, source: self.ours, apdu }.emit(&mut out);
        self.transmits.push_back(out);
    }

    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        self.events.push_back(match Frame::parse(bytes) {
            Ok(frame) if (frame.source, frame.destination) == (self.theirs, self.ours) => {
                LinkEvent::Apdu(frame.apdu.to_vec())
            }
            Ok(_) => LinkEvent::Rejected(Reject::ForeignAddress),
            Err(reject) => LinkEvent::Rejected(reject),
        });
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }
}

const DL_DATA: u8 = 0x90;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn frames_go_between_two_access_points() {
        let (mut client, mut server, now) = (Llc432::new(16, 1), Llc432::new(1, 16), crate::start());
        client.send(&[0xc0], now);
        let octets = client.poll_transmit().unwrap();
        assert_eq!(octets, hex!("90 01 10 c0"));
        server.handle_bytes(&octets, now);
        assert_eq!(server.poll_event(), Some(LinkEvent::Apdu(vec![0xc0])));
        client.handle_bytes(&octets, now);
        assert_eq!(client.poll_event(), Some(LinkEvent::Rejected(Reject::ForeignAddress)));
        for (octets, reject) in [(&hex!("91 01 10")[..], Reject::BadLlc), (&hex!("90 01"), Reject::Truncated)] {
            client.handle_bytes(octets, now);
            assert_eq!(client.poll_event(), Some(LinkEvent::Rejected(reject)));
        }
    }
}
