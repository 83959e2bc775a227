//! Where an emulated meter is reached: one port for all its clients.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::Reject;
use crate::link::hdlc::{Address, Deframer, Frame, Parameters, Secondary};
use crate::link::{Link, LinkEvent, wrapper};

#[derive(Debug)]
pub struct Port {
    kind: Kind,
    /// Octets that were not taken.
    pub rejects: u64,
}

#[derive(Debug)]
enum Kind {
    Wrapper { deframer: wrapper::Deframer, server: u16 },
    Hdlc { deframer: Deframer, server: Address, parameters: Parameters, stations: BTreeMap<Address, Secondary> },
}

/// What a client did.
#[derive(Debug)]
pub(super) enum Heard {
    /// It opened or closed the link.
    Reset(u16),
    Apdu(u16, Vec<u8>),
}

impl Port {
    /// TCP or UDP, the logical device's port.
    pub fn wrapper(server: u16) -> Self {
        Self { kind: Kind::Wrapper { deframer: wrapper::Deframer::default(), server }, rejects: 0 }
    }

    /// A serial line, or HDLC over TCP.
    pub fn hdlc(server: Address, parameters: Parameters) -> Self {
        let kind = Kind::Hdlc { deframer: Deframer::default(), server, parameters, stations: BTreeMap::new() };
        Self { kind, rejects: 0 }
    }

    /// A new connection: what was not whole is forgotten.
    pub fn reconnect(&mut self) {
        match &mut self.kind {
            Kind::Wrapper { deframer, .. } => deframer.clear(),
            Kind::Hdlc { deframer, stations, .. } => {
                *deframer = Deframer::default();
                stations.clear();
            }
        }
    }

    pub(super) fn handle_bytes(&mut self, bytes: &[u8], now: Instant, out: &mut VecDeque<Vec<u8>>) -> Vec<Heard> {
        let mut heard = Vec::new();
        let rejects = &mut self.rejects;
        match &mut self.kind {
            Kind::Wrapper { deframer, server } => deframer.push(bytes, |found| match found {
                Ok((header, apdu)) if header.destination == *server => {
                    heard.push(Heard::Apdu(header.source, apdu.to_vec()));
                }
                _ => *rejects += 1,
            }),
            Kind::Hdlc { deframer, server, parameters, stations } => deframer.push(bytes, now, |found| {
                let taken = found.and_then(|frame| Self::take(&frame, *server, *parameters, stations, &mut heard, out));
                *rejects += u64::from(taken.is_err());
            }),
        }
        heard
    }

    fn take(
        frame: &Frame<'_>,
        server: Address,
        parameters: Parameters,
        stations: &mut BTreeMap<Address, Secondary>,
        heard: &mut Vec<Heard>,
        out: &mut VecDeque<Vec<u8>>,
    ) -> Result<(), Reject> {
        // Other meters are on the same line.
        if frame.destination != server || frame.source.lower().is_some() {
            return Err(Reject::ForeignAddress);
        }
        let client = frame.source.upper();
        let station =
            stations.entry(frame.source).or_insert_with(|| Secondary::new(frame.source, server, parameters, LIMIT));
        let taken = station.take(frame);
        while let Some(event) = station.poll_event() {
            match event {
                LinkEvent::Apdu(apdu) => heard.push(Heard::Apdu(client, apdu)),
                LinkEvent::Opened | LinkEvent::Closed => heard.push(Heard::Reset(client)),
                LinkEvent::Progress | LinkEvent::Rejected(_) | LinkEvent::Failed(_) => {}
            }
        }
        out.extend(std::iter::from_fn(|| station.poll_transmit()));
        taken
    }

    /// Sends an answer.
    pub(super) fn send(&mut self, client: u16, apdu: &[u8], now: Instant, out: &mut VecDeque<Vec<u8>>) {
        self.emit(client, out, |kind, out| match kind {
            Kind::Wrapper { server, .. } => {
                let mut octets = Vec::new();
                if wrapper::emit(*server, client, apdu, &mut octets).is_ok() {
                    out.push_back(octets);
                }
            }
            Kind::Hdlc { stations, .. } => {
                if let Some(station) = Address::one(client).and_then(|client| stations.get_mut(&client)) {
                    station.send(apdu, now);
                }
            }
        });
    }

    /// There is no answer: a client that polls is told so.
    pub(super) fn settle(&mut self, client: u16, out: &mut VecDeque<Vec<u8>>) {
        self.emit(client, out, |kind, _| {
            let Kind::Hdlc { stations, .. } = kind else { return };
            if let Some(station) = Address::one(client).and_then(|client| stations.get_mut(&client)) {
                // An RR always fits a frame.
                let _ = station.settle();
            }
        });
    }

    /// Sends what nobody asked for.
    pub(super) fn notify(&mut self, client: u16, apdu: &[u8], now: Instant, out: &mut VecDeque<Vec<u8>>) {
        if matches!(self.kind, Kind::Wrapper { .. }) {
            return self.send(client, apdu, now, out);
        }
        self.emit(client, out, |kind, _| {
            let Kind::Hdlc { stations, .. } = kind else { return };
            if let Some(station) = Address::one(client).and_then(|client| stations.get_mut(&client)) {
                // A push longer than a frame has no way out of an HDLC meter.
                let _ = station.notify(apdu);
            }
        });
    }

    fn emit(&mut self, client: u16, out: &mut VecDeque<Vec<u8>>, send: impl FnOnce(&mut Kind, &mut VecDeque<Vec<u8>>)) {
        send(&mut self.kind, out);
        if let Kind::Hdlc { stations, .. } = &mut self.kind {
            if let Some(station) = Address::one(client).and_then(|client| stations.get_mut(&client)) {
                out.extend(std::iter::from_fn(|| station.poll_transmit()));
            }
        }
    }
}

/// Octets of one request.
const LIMIT: usize = 1 << 20;
