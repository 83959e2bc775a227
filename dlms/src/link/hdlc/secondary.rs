//! The meter's station: it speaks when it was polled.

use std::collections::VecDeque;
use std::time::Instant;

use super::sequence::Sequence;
use super::{Address, Control, Deframer, Frame, LLC_REQUEST, LLC_RESPONSE, Parameters, strip_llc};
use crate::Reject;
use crate::link::{Link, LinkEvent};

#[derive(Debug)]
pub struct Secondary {
    client: Address,
    server: Address,
    own: Parameters,
    is_open: bool,
    sequence: Sequence,
    deframer: Deframer,
    /// The client waits for a frame.
    is_polled: bool,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<LinkEvent>,
}

impl Secondary {
    /// A station for one client that takes APDUs of up to `limit` octets.
    pub fn new(client: Address, server: Address, own: Parameters, limit: usize) -> Self {
        Self {
            client,
            server,
            own,
            is_open: false,
            sequence: Sequence::new(Parameters::default(), limit),
            deframer: Deframer::default(),
            is_polled: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Sends an APDU that nobody asked for, in a UI frame.
    pub fn notify(&mut self, apdu: &[u8]) -> Result<(), Reject> {
        let information = [&LLC_RESPONSE[..], apdu].concat();
        self.respond(Control::Ui { poll: false }, &information)
    }

    /// There is no answer yet: the client is told so where it waits.
    pub fn settle(&mut self) -> Result<(), Reject> {
        if self.is_polled { self.polled() } else { Ok(()) }
    }

    /// Takes one frame for this station.
    pub fn take(&mut self, frame: &Frame<'_>) -> Result<(), Reject> {
        if (frame.source, frame.destination) != (self.client, self.server) {
            return Err(Reject::ForeignAddress);
        }
        match frame.control {
            Control::Snrm { poll } => {
                let theirs = Parameters::parse(frame.information)?;
                let agreed = self.own.agreed(&theirs);
                self.sequence.reset(agreed);
                self.is_open = true;
                let mut information = Vec::new();
                if !frame.information.is_empty() || self.own != Parameters::default() {
                    agreed.emit(&mut information);
                }
                self.events.push_back(LinkEvent::Opened);
                self.respond(Control::Ua { poll }, &information)
            }
            Control::Disc { poll } if self.is_open => {
                self.is_open = false;
                self.sequence.reset(Parameters::default());
                self.events.push_back(LinkEvent::Closed);
                self.respond(Control::Ua { poll }, &[])
            }
            Control::Disc { poll }
            | Control::Information { poll, .. }
            | Control::ReceiveReady { poll, .. }
            | Control::ReceiveNotReady { poll, .. }
                if !self.is_open =>
            {
                self.respond(Control::Dm { poll }, &[])
            }
            Control::Information { send, receive, poll } => {
                self.sequence.acknowledge(receive)?;
                match self.sequence.take(send, frame) {
                    Ok(Some(octets)) => {
                        let apdu = strip_llc(octets, LLC_REQUEST)?;
                        self.events.push_back(LinkEvent::Apdu(apdu));
                        // The answer follows when it is there, or `settle`.
                        self.is_polled = poll;
                        return Ok(());
                    }
                    Ok(None) | Err(Reject::OutOfSequence) => {}
                    Err(reject) => return Err(reject),
                }
                if poll { self.polled() } else { Ok(()) }
            }
            Control::ReceiveReady { receive, poll } => {
                self.sequence.acknowledge(receive)?;
                if poll { self.polled() } else { Ok(()) }
            }
            Control::Ui { .. } => {
                let apdu = strip_llc(frame.information.to_vec(), LLC_REQUEST)?;
                self.events.push_back(LinkEvent::Apdu(apdu));
                Ok(())
            }
            _ => self.respond(Control::Frmr { poll: true }, &[]),
        }
    }

    /// What was not acknowledged goes out again, or there is nothing to say.
    fn polled(&mut self) -> Result<(), Reject> {
        self.is_polled = false;
        if self.sequence.is_loaded() {
            self.sequence.transmit(self.client, self.server, &mut self.transmits);
            return Ok(());
        }
        self.respond(Control::ReceiveReady { receive: self.sequence.expected(), poll: true }, &[])
    }

    fn respond(&mut self, control: Control, information: &[u8]) -> Result<(), Reject> {
        let mut octets = Vec::new();
        let (destination, source) = (self.client, self.server);
        Frame { is_segmented: false, destination, source, control, information }.emit(&mut octets)?;
        self.transmits.push_back(octets);
        Ok(())
    }
}

impl Link for Secondary {
    fn open(&mut self, _: Instant) {}

    fn close(&mut self, _: Instant) {
        self.is_open = false;
        self.events.push_back(LinkEvent::Closed);
    }

    fn send(&mut self, apdu: &[u8], _: Instant) {
        if self.is_open {
            self.is_polled = false;
            self.sequence.load(LLC_RESPONSE, apdu);
            self.sequence.transmit(self.client, self.server, &mut self.transmits);
        }
    }

    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        let mut deframer = std::mem::take(&mut self.deframer);
        deframer.push(bytes, now, |found| {
            if let Err(reject) = found.and_then(|frame| self.take(&frame)) {
                self.events.push_back(LinkEvent::Rejected(reject));
            }
        });
        self.deframer = deframer;
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }
}
