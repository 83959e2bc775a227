//! The host controller interface of IMST's iM871A and iM170A, "WMBus HCI Specification V1.6".
//!
//! One message each way:
//! `A5 | control:4 endpoint:4 | message | length | payload | [timestamp 4] | [RSSI 1] | [CRC 2]`.
//! The control bits say which of the last three are there; the module always sends the CRC, the host may.

use bytes::Buf;

use crate::receiver::Reject;
use crate::receiver::crc::x25;

/// One HCI message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub endpoint: Endpoint,
    pub message: u8,
    /// At most 255 octets.
    pub payload: &'a [u8],
    /// The module's clock.
    pub timestamp: Option<u32>,
    /// In the module's own scale, see `rssi_dbm`.
    pub rssi: Option<u8>,
    /// Whether a CRC follows it.
    pub protected: bool,
}

/// Whom in the module a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    DeviceManagement = 1,
    RadioLink = 2,
    RadioLinkTest = 3,
    HardwareTest = 4,
}

impl<'a> Message<'a> {
    /// A message with nothing but its payload, as the host sends it.
    pub fn request(endpoint: Endpoint, message: u8, payload: &'a [u8]) -> Self {
        Self { endpoint, message, payload, timestamp: None, rssi: None, protected: false }
    }

    /// Reads one message and leaves `buf` at the first octet after it.
    ///
    /// # Errors
    /// `Incomplete` when more octets may make it whole; any other `Reject` when it never can be, and then the
    /// search goes on one octet further.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        if buf.try_get_u8()? != START {
            return Err(Reject::Noise);
        }
        let protected_part = *buf;
        let control = buf.try_get_u8()?;
        let endpoint = Endpoint::from_number(control & 0x0f).ok_or(Reject::Noise)?;
        if control & CONTROL_RESERVED != 0 {
            return Err(Reject::Noise);
        }
        let message = buf.try_get_u8()?;
        let length = buf.try_get_u8()?;
        let payload;
        (payload, *buf) = buf.split_at_checked(usize::from(length)).ok_or(Reject::Incomplete)?;
        let timestamp = (control & CONTROL_TIMESTAMP != 0).then(|| buf.try_get_u32_le()).transpose()?;
        let rssi = (control & CONTROL_RSSI != 0).then(|| buf.try_get_u8()).transpose()?;
        let protected = control & CONTROL_CRC != 0;
        if protected {
            let covered = protected_part.get(..protected_part.len() - buf.len()).unwrap_or_default();
            if buf.try_get_u16_le()? != x25(covered) {
                return Err(Reject::BadCrc);
            }
        }
        Ok(Self { endpoint, message, payload, timestamp, rssi, protected })
    }

    /// As `parse`, for what the module sends: that always has a CRC, so noise in front of a message is known as such.
    ///
    /// # Errors
    /// As `parse`, and `Unprotected` when no CRC is announced.
    pub fn parse_protected(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        match *buf {
            [START, control, ..] if control & CONTROL_CRC == 0 => Err(Reject::Unprotected),
            _ => Self::parse(buf),
        }
    }

    /// Appends exactly what `parse` reads. A payload over 255 octets is cut.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = u8::try_from(self.payload.len()).unwrap_or(u8::MAX);
        let mut message = vec![self.control() | self.endpoint as u8, self.message, length];
        message.extend(self.payload.iter().take(usize::from(length)));
        message.extend(self.timestamp.iter().flat_map(|timestamp| timestamp.to_le_bytes()));
        message.extend(self.rssi);
        if self.protected {
            let crc = x25(&message);
            message.extend(crc.to_le_bytes());
        }
        out.push(START);
        out.extend(message);
    }

    fn control(&self) -> u8 {
        let timestamp = if self.timestamp.is_some() { CONTROL_TIMESTAMP } else { 0 };
        let rssi = if self.rssi.is_some() { CONTROL_RSSI } else { 0 };
        let crc = if self.protected { CONTROL_CRC } else { 0 };
        timestamp | rssi | crc
    }
}

impl Endpoint {
    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::DeviceManagement),
            2 => Some(Self::RadioLink),
            3 => Some(Self::RadioLinkTest),
            4 => Some(Self::HardwareTest),
            _ => None,
        }
    }
}

/// The signal strength in dBm: -100 + (raw - 45) / 2; from 230 on the module has no scale.
pub fn rssi_dbm(raw: u8) -> i16 {
    if raw >= 230 { 0 } else { (i16::from(raw) - 245) / 2 }
}

/// The module's own scale of a signal strength.
pub fn rssi_raw(dbm: i16) -> u8 {
    u8::try_from(2 * dbm.clamp(-122, -8) + 244).expect("from 0 to 228 after the clamp")
}

const START: u8 = 0xa5;

const CONTROL_RESERVED: u8 = 0x10;
const CONTROL_TIMESTAMP: u8 = 0x20;
const CONTROL_RSSI: u8 = 0x40;
const CONTROL_CRC: u8 = 0x80;

// Messages of the endpoint DeviceManagement. An answer is the request plus one.
pub const PING_REQ: u8 = 0x01;
pub const SET_CONFIG_REQ: u8 = 0x03;
pub const GET_CONFIG_REQ: u8 = 0x05;
pub const RESET_REQ: u8 = 0x07;
pub const FACTORY_RESET_REQ: u8 = 0x09;
pub const GET_DEVICEINFO_REQ: u8 = 0x0f;

// Messages of the endpoint RadioLink.
pub const WMBUSMSG_REQ: u8 = 0x01;
pub const WMBUSMSG_RSP: u8 = 0x02;
pub const WMBUSMSG_IND: u8 = 0x03;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<Message<'_>, Reject>) {
        let mut cursor = octets;
        assert_eq!(Message::parse(&mut cursor), expected);
        if let Ok(message) = expected {
            assert!(cursor.is_empty(), "the whole message is read");
            let mut emitted = Vec::new();
            message.emit(&mut emitted);
            assert_eq!(emitted, octets);
            for end in 0..octets.len() {
                assert_eq!(Message::parse(&mut &octets[..end]), Err(Reject::Incomplete), "prefix of {end}");
            }
        }
    }

    fn answer(endpoint: Endpoint, message: u8, payload: &[u8]) -> Message<'_> {
        Message { protected: true, ..Message::request(endpoint, message, payload) }
    }

    #[test]
    fn captured_messages_are_read_and_written() {
        use Endpoint::{DeviceManagement, RadioLink};
        check(&hex!("a5 01 01 00"), Ok(Message::request(DeviceManagement, PING_REQ, &[])));
        check(&hex!("a5 81 02 00 4c a3"), Ok(answer(DeviceManagement, PING_REQ + 1, &[])));
        check(&hex!("a5 81 04 00 9c f7"), Ok(answer(DeviceManagement, SET_CONFIG_REQ + 1, &[])));
        check(
            &hex!("a5 01 03 06 00 02 03 30 01 01"),
            Ok(Message::request(DeviceManagement, SET_CONFIG_REQ, &hex!("00 02 03 30 01 01"))),
        );
        check(
            &hex!("a5 c2 03 09 47 2d 2c 57 27 79 71 34 0c 4c 68 07"),
            Ok(Message { rssi: Some(0x4c), ..answer(RadioLink, WMBUSMSG_IND, &hex!("47 2d 2c 57 27 79 71 34 0c")) }),
        );
    }

    #[test]
    fn what_can_never_be_a_message_is_rejected() {
        check(&hex!("a6 81 02 00 4c a3"), Err(Reject::Noise));
        check(&hex!("a5 91 02 00 4c a3"), Err(Reject::Noise));
        check(&hex!("a5 80"), Err(Reject::Noise));
        check(&hex!("a5 85"), Err(Reject::Noise));
        check(&hex!("a5 81 02 00 4c a4"), Err(Reject::BadCrc));
        check(&hex!("a5 81 03 00 4c a3"), Err(Reject::BadCrc));
    }

    #[test]
    fn the_signal_strength_has_the_scale_of_the_module() {
        for (raw, dbm) in [(0, -122), (45, -100), (76, -84), (145, -50), (229, -8), (230, 0), (255, 0)] {
            assert_eq!(rssi_dbm(raw), dbm, "raw {raw}");
        }
        for dbm in -122..=-8 {
            assert_eq!(rssi_dbm(rssi_raw(dbm)), dbm, "{dbm} dBm");
        }
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&mut &octets[..]);
        }

        #[test]
        fn what_is_written_is_read(
            payload in proptest::collection::vec(any::<u8>(), 0..256), message: u8, timestamp: Option<u32>,
            rssi: Option<u8>, protected: bool,
        ) {
            let message = Message { endpoint: Endpoint::RadioLink, message, payload: &payload, timestamp, rssi, protected };
            let mut octets = Vec::new();
            message.emit(&mut octets);
            let mut cursor = &octets[..];
            prop_assert_eq!(Message::parse(&mut cursor), Ok(message));
            prop_assert!(cursor.is_empty());
        }
    }
}
