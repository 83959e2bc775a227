//! What the emulated modem does with the commands of its host.

use std::time::Instant;

use super::modem::{Happening, Modem, Stage};
use crate::g3::adp::{Lbp, Message, Request, Value, lbp_attribute};
use crate::g3::modem::Generation;
use crate::g3::pib::{Layer, Typed, adp, mac};
use crate::g3::{AdpStatus, MacStatus, SerialStatus};
use crate::{Key, Reject};

impl Modem {
    pub(super) fn command(&mut self, request: Result<Request, Reject>, octets: &[u8], now: Instant) {
        let command = octets.first().copied().unwrap_or_default();
        let is_of_modem_lbs = (60..=66).contains(&command) || command == 24;
        let is_foreign = match self.nature.generation {
            Generation::HostLbs => is_of_modem_lbs,
            Generation::ModemLbs => command == 19,
        };
        let request = match request {
            _ if is_foreign => return self.status(SerialStatus::UNKNOWN_COMMAND, command, now),
            Err(Reject::UnknownCommand(_)) => return self.status(SerialStatus::UNKNOWN_COMMAND, command, now),
            Err(_) => return self.status(SerialStatus::INVALID_PARAMETER, command, now),
            Ok(request) => request,
        };
        let needed = match request {
            Request::Initialize { .. } | Request::Reset {} => Stage::Reset,
            Request::Data { .. }
            | Request::Lbp { .. }
            | Request::PathDiscovery { .. }
            | Request::RouteDiscovery { .. } => Stage::Started,
            _ => Stage::Initialized,
        };
        if self.stage < needed {
            return self.status(SerialStatus::NOT_ALLOWED, command, now);
        }
        self.carry_out(request, now);
    }

    fn carry_out(&mut self, request: Request, now: Instant) {
        if let Some(status) = self.lacks(&request) {
            if !self.nature.is_mute_about_them {
                self.say(status, now);
            }
            return;
        }
        match request {
            Request::Initialize { is_coordinator, .. } => self.initialize(is_coordinator.is_some(), now),
            Request::Reset {} => {
                self.forget();
                self.say(Message::ResetConfirm { status: AdpStatus::SUCCESS }, now);
            }
            Request::NetworkStart { pan_id } => self.start(pan_id, now),
            Request::NetworkLeave {} => {
                self.stage = Stage::Initialized;
                self.network_runs(false);
                self.say(Message::NetworkLeaveConfirm { status: AdpStatus::SUCCESS }, now);
            }
            Request::Set { attribute, index, value } => {
                let row = Layer::Adp.parse(attribute, &value.octets).ok();
                let set = match row.is_some_and(|row| self.network_takes(&row)) {
                    true => Ok(()),
                    false => self.pib.set(Layer::Adp, attribute, index, &value),
                };
                let status = set.err().map_or(AdpStatus::SUCCESS, super::pib::Fault::adp);
                self.say(Message::SetConfirm { status, attribute, index }, now);
            }
            Request::MacSet { attribute, index, value } => {
                let set = self.pib.set(Layer::Mac, attribute, index, &value);
                let status = set.err().map_or(MacStatus::SUCCESS, super::pib::Fault::mac);
                self.say(Message::MacSetConfirm { status, attribute, index }, now);
            }
            Request::Get { attribute, index } => {
                let got = self.row(attribute, index).map_or_else(|| self.pib.get(Layer::Adp, attribute, index), Ok);
                let status = got.as_ref().err().map_or(AdpStatus::SUCCESS, |fault| fault.adp());
                self.say(Message::GetConfirm { status, attribute, index, value: got.unwrap_or_default() }, now);
            }
            Request::MacGet { attribute, index } => {
                let got = self.mac_row(attribute, index).map_or_else(|| self.pib.get(Layer::Mac, attribute, index), Ok);
                let status = got.as_ref().err().map_or(MacStatus::SUCCESS, |fault| fault.mac());
                self.say(Message::MacGetConfirm { status, attribute, index, value: got.unwrap_or_default() }, now);
            }
            Request::Data { handle, nsdu, discover_route, .. } => {
                if self.take_buffer(now) {
                    self.send_packet(handle, discover_route, nsdu.0, now);
                } else {
                    self.say(Message::DataConfirm { status: AdpStatus::NO_BUFFERS, handle }, now);
                }
            }
            Request::Lbp { handle, pdu, .. } => {
                if self.take_buffer(now) {
                    self.send_lbp(handle, &pdu, now);
                } else {
                    self.say(Message::LbpConfirm { status: AdpStatus::NO_BUFFERS, handle }, now);
                }
            }
            Request::PathDiscovery { destination, metric } => self.discover_path(destination, metric, now),
            Request::RouteDiscovery { destination, max_hops } if self.network.is_some() => {
                match self.place_of(destination) {
                    Some(place) => self.search_route(place, max_hops),
                    None => self.say(Message::RouteDiscoveryConfirm { status: AdpStatus::ROUTE_ERROR }, now),
                }
            }
            Request::RouteDiscovery { destination, .. } => {
                let status =
                    if self.place_of(destination).is_some() { AdpStatus::SUCCESS } else { AdpStatus::ROUTE_ERROR };
                self.say(Message::RouteDiscoveryConfirm { status }, now);
            }
            Request::Discovery { .. } => {
                self.say(Message::DiscoveryConfirm { status: AdpStatus::SUCCESS }, now);
            }
            Request::LbpSet { attribute, index, value } => self.set_lbp(attribute, index, &value, now),
            Request::AssignShortAddress { eui64, short_addr } => self.assign(eui64, short_addr, now),
            Request::Kick { eui64, .. } => self.kick(eui64, now),
            Request::Rekey { short_addr, eui64, distribute } => self.rekey(eui64, short_addr, distribute, now),
            Request::RekeyPhase { is_begun } => self.lbs.is_rekey_phase = is_begun,
            Request::ForceRegister { .. } => {}
            Request::ActivateNewKey {} => self.activate_new_key(),
            Request::NetworkJoin { .. } | Request::NoIpData { .. } => {
                self.status(SerialStatus::NOT_ALLOWED, request.command(), now);
            }
        }
    }

    /// What it says of an attribute that it does not know.
    fn lacks(&self, request: &Request) -> Option<Message> {
        let (adp, mac) = (AdpStatus::UNSUPPORTED_ATTRIBUTE, MacStatus::UNSUPPORTED_ATTRIBUTE);
        let value = Value::default();
        let (layer, id, message) = match *request {
            Request::Set { attribute, index, .. } => {
                (Layer::Adp, attribute, Message::SetConfirm { status: adp, attribute, index })
            }
            Request::Get { attribute, index } => {
                (Layer::Adp, attribute, Message::GetConfirm { status: adp, attribute, index, value })
            }
            Request::MacSet { attribute, index, .. } => {
                (Layer::Mac, attribute, Message::MacSetConfirm { status: mac, attribute, index })
            }
            Request::MacGet { attribute, index } => {
                (Layer::Mac, attribute, Message::MacGetConfirm { status: mac, attribute, index, value })
            }
            _ => return None,
        };
        self.nature.lacks.contains(&(layer, id)).then_some(message)
    }

    fn initialize(&mut self, says_coordinator: bool, now: Instant) {
        let is_modem_lbs = self.nature.generation == Generation::ModemLbs;
        if self.nature.is_strict && says_coordinator != is_modem_lbs {
            return self.status(SerialStatus::INVALID_PARAMETER, INITIALIZE, now);
        }
        self.forget();
        self.stage = Stage::Initialized;
        let ready = Message::Status { status: SerialStatus::SUCCESS, command: INITIALIZE };
        self.at(now + self.nature.initialize_time, Happening::Tell(ready, false));
    }

    fn start(&mut self, pan_id: u16, now: Instant) {
        self.stage = Stage::Started;
        self.network_runs(true);
        self.pib.put(Layer::Mac, mac::PAN_ID, Typed::U16(pan_id));
        self.pib.put(Layer::Adp, adp::MANUF_PAN_ID, Typed::U16(pan_id));
        // Nodes of another network find nobody any more.
        if self.pan_id.replace(pan_id).is_some_and(|before| before != pan_id) {
            for place in 0..self.devices.len() {
                if let Some(device) = self.devices.get_mut(place) {
                    device.leave();
                }
                self.ask_later(place, now);
            }
        }
        self.say(Message::NetworkStartConfirm { status: AdpStatus::SUCCESS }, now);
    }

    /// A buffer for a message of the host; false when there is none left. The last one stops the host.
    fn take_buffer(&mut self, now: Instant) -> bool {
        if self.pending >= self.nature.buffers {
            self.statistics.refused += 1;
            return false;
        }
        self.pending += 1;
        if self.pending == self.nature.buffers {
            self.is_stopped = true;
            self.say(Message::Buffer { ready: 0 }, now);
        }
        true
    }

    pub(super) fn say(&mut self, message: Message, now: Instant) {
        self.at(now, Happening::Tell(message, false));
    }

    fn status(&mut self, status: SerialStatus, command: u8, now: Instant) {
        self.say(Message::Status { status, command }, now);
    }

    fn send_lbp(&mut self, handle: u8, lbp: &Lbp, now: Instant) {
        self.carry_lbp(&lbp.pdu.0, lbp.destination, Some(handle), now);
    }

    fn set_lbp(&mut self, attribute: u32, index: u16, value: &Value, now: Instant) {
        let key = value.octets.as_slice().try_into().ok().map(Key);
        let is_lacking = attribute == lbp_attribute::MESSAGE_TIMEOUT && self.nature.lacks_message_timeout;
        if is_lacking && self.nature.is_mute_about_them {
            return;
        }
        let status = if !is_lacking && self.lbs_set(attribute, index, key) {
            AdpStatus::SUCCESS
        } else {
            AdpStatus::INVALID_PARAMETER
        };
        self.say(Message::LbpSetConfirm { status, attribute, index }, now);
    }
}

const INITIALIZE: u8 = 10;
