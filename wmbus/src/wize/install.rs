//! Installation: a device asks who hears it (INSTPING), and every gateway answers in the window it names (INSTPONG).

use std::time::Duration;

use bytes::Buf;

use super::{Draft, Header, INSTPING, INSTPONG};
use crate::receiver::Mode;
use crate::{Address, Key, Reject, Telegram};

/// L7 of an INSTPING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// On which channel the device listens, 100 to 150.
    pub channel: u8,
    pub modulation: u8,
    /// From the end of the ping to when it begins to listen, in seconds.
    pub rx_delay: u8,
    /// For how many seconds it listens.
    pub rx_length: u8,
}

/// L7 of an INSTPONG. The device adds how it heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    pub concentrator: [u8; 6],
    pub modem: u8,
    /// In half dB above -147.5 dBm.
    pub rssi_upstream: u8,
}

/// What answers pings on behalf of one radio module: everything is prepared here, nobody else is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mailbox {
    pub concentrator: [u8; 6],
    pub modem: u8,
    /// In which the module listens and sends.
    pub mode: Mode,
}

impl Ping {
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self {
            channel: buf.try_get_u8()?,
            modulation: buf.try_get_u8()?,
            rx_delay: buf.try_get_u8()?,
            rx_length: buf.try_get_u8()?,
        })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.channel, self.modulation, self.rx_delay, self.rx_length]);
    }

    /// Whether a module in this mode reaches the device: each channel of a module has its own modulation.
    pub fn is_reached_in(&self, mode: Mode) -> bool {
        let row = CHANNELS.iter().find(|row| row.0 == self.channel);
        row.is_some_and(|(_, modulation, two_way)| *modulation == self.modulation && two_way.hears(mode))
    }

    /// When the device listens, counted from the end of its ping.
    pub fn window(&self) -> (Duration, Duration) {
        let opens = Duration::from_secs(self.rx_delay.into());
        (opens, opens + Duration::from_secs(self.rx_length.into()))
    }
}

impl Pong {
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (concentrator, rest) = buf.split_first_chunk().ok_or(Reject::Truncated)?;
        *buf = rest;
        Ok(Self { concentrator: *concentrator, modem: buf.try_get_u8()?, rssi_upstream: buf.try_get_u8()? })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.concentrator);
        out.extend_from_slice(&[self.modem, self.rssi_upstream]);
    }
}

impl Mailbox {
    /// The mailbox of the unit with this address.
    pub fn new(unit: &Address, modem: u8, mode: Mode) -> Self {
        let [_, _, concentrator @ ..] = crate::security::address_octets(unit);
        Self { concentrator, modem, mode }
    }

    /// The ping that a telegram is, where it is one that may be answered: by the key of the network proven to be of it,
    /// and listening where the module sends.
    pub fn ping(&self, telegram: &Telegram<'_>) -> Option<Ping> {
        let is_open = telegram.wize.is_some_and(|header| header.key == 0);
        let is_proven = is_open && telegram.link.c_field() == INSTPING && telegram.security.authenticated;
        let ping = Ping::parse(&mut &*telegram.application).ok().filter(|_| is_proven)?;
        ping.is_reached_in(self.mode).then_some(ping)
    }

    /// The answer to a ping, from the C-field on. `epoch` is when it will be sent.
    pub fn pong(&self, telegram: &Telegram<'_>, rssi_dbm: Option<i16>, epoch: u32, kmac: &Key) -> Option<Vec<u8>> {
        let header = telegram.wize?;
        let mut payload = Vec::with_capacity(8);
        let rssi_upstream = rssi_dbm.map_or(0, rssi_raw);
        Pong { concentrator: self.concentrator, modem: self.modem, rssi_upstream }.emit(&mut payload);
        let Header { network, counter, application, .. } = header;
        let (c_field, address) = (INSTPONG, telegram.address);
        Draft { c_field, address, network, counter, application, payload: &payload, kenc: None, epoch }.emit(kmac)
    }
}

/// Half dB above -147.5 dBm.
pub(super) fn rssi_raw(dbm: i16) -> u8 {
    u8::try_from((2 * i32::from(dbm) + 295).clamp(0, 255)).expect("from 0 to 255 after the clamp")
}

/// Channel, modulation (0 is WM2400, 1 WM4800), and the mode of EN 13757-4 that has both.
const CHANNELS: [(u8, u8, Mode); 6] = [
    (100, 1, Mode::N2a),
    (110, 1, Mode::N2b),
    (120, 0, Mode::N2c),
    (130, 0, Mode::N2d),
    (140, 1, Mode::N2e),
    (150, 1, Mode::N2f),
];
