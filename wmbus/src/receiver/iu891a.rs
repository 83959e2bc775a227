//! IMST iU891A-XL, iM891A-XL and iU893A, USB sticks and modules at 115,200 baud with the SLIP framing of WiMOD.
//!
//! A message is `C0 | service access point | message | payload | CRC 2 | C0`, with DB DC for C0 and DB DD for DB
//! within; an answer has a status in front of its payload, an indication has none. The settings that say what is
//! heard are changed for the time being; the module's defaults in flash are left alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Buf;

use super::crc::x25;
use super::dialogue::{Dialogue, Protocol, Question, Said};
use super::{FRAME_MAX, FRAME_MIN, Failure, Identity, Mode, Receiver, Reject};

/// A module from the moment its port was opened.
pub fn open(mode: Mode, now: Instant) -> Box<dyn Receiver> {
    let machine = Iu891a { mode, stage: Stage::Identify, uid: None, config: None, refusals: 0 };
    Box::new(Dialogue::new(machine, now))
}

/// One message, without its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub sap: u8,
    pub message: u8,
    /// Behind the message's number; of an answer, the status first.
    pub payload: Vec<u8>,
}

impl Message {
    /// Reads one message and leaves `buf` at the first octet after it. A bad message is used up, but for the delimiter
    /// behind it, with which the next one may begin.
    ///
    /// # Errors
    /// `Incomplete` when more octets may make it whole; else it never can be.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let [END, rest @ ..] = *buf else {
            let noise = buf.iter().position(|octet| *octet == END).unwrap_or(buf.len());
            *buf = buf.get(noise..).unwrap_or_default();
            return Err(Reject::Noise);
        };
        let Some(length) = rest.iter().position(|octet| *octet == END) else {
            if rest.len() > SLIP_MAX {
                *buf = &[];
                return Err(Reject::TooLong);
            }
            return Err(Reject::Incomplete);
        };
        let (escaped, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let whole = unescape(escaped).and_then(|octets| Self::unprotected(&octets));
        *buf = if whole.is_ok() { behind.get(1..).unwrap_or_default() } else { behind };
        whole
    }

    /// Appends exactly what `parse` reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut octets = vec![self.sap, self.message];
        octets.extend(&self.payload);
        let crc = x25(&octets);
        octets.extend(crc.to_le_bytes());
        out.push(END);
        for octet in octets {
            match octet {
                END => out.extend([ESC, ESC_END]),
                ESC => out.extend([ESC, ESC_ESC]),
                octet => out.push(octet),
            }
        }
        out.push(END);
    }

    fn unprotected(octets: &[u8]) -> Result<Self, Reject> {
        let (covered, crc) = octets.split_last_chunk().ok_or(Reject::TooShort)?;
        if x25(covered) != u16::from_le_bytes(*crc) {
            return Err(Reject::BadCrc);
        }
        let [sap, message, payload @ ..] = covered else { return Err(Reject::TooShort) };
        Ok(Self { sap: *sap, message: *message, payload: payload.to_vec() })
    }
}

fn unescape(escaped: &[u8]) -> Result<Vec<u8>, Reject> {
    let mut octets = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            &ESC => match rest.next() {
                Some(&ESC_END) => END,
                Some(&ESC_ESC) => ESC,
                _ => return Err(Reject::BadCrc),
            },
            octet => *octet,
        });
    }
    Ok(octets)
}

/// The settings that hold now, GET_ACTIVE_CFG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    pub link_mode: u8,
    pub options: u16,
    pub ui_options: u16,
    pub led_ms: u16,
    pub recalibration_ms: u32,
}

impl Config {
    /// Reads it and leaves `buf` at the first octet after it.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self {
            link_mode: buf.try_get_u8()?,
            options: buf.try_get_u16_le()?,
            ui_options: buf.try_get_u16_le()?,
            led_ms: buf.try_get_u16_le()?,
            recalibration_ms: buf.try_get_u32_le()?,
        })
    }

    /// Appends exactly what `parse` reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.link_mode);
        out.extend(self.options.to_le_bytes());
        out.extend(self.ui_options.to_le_bytes());
        out.extend(self.led_ms.to_le_bytes());
        out.extend(self.recalibration_ms.to_le_bytes());
    }
}

/// Modes in the numbers of the module.
pub static NUMBERS: &[(Mode, u8)] =
    &[(Mode::S1, 1), (Mode::S2, 1), (Mode::T1, 2), (Mode::T2, 2), (Mode::C1T1, 3), (Mode::C1, 5), (Mode::C2, 5)];

pub const MODES: &[Mode] = &[Mode::C1, Mode::C1T1, Mode::C2, Mode::S1, Mode::S2, Mode::T1, Mode::T2];

#[derive(Debug)]
struct Iu891a {
    mode: Mode,
    stage: Stage,
    uid: Option<u32>,
    config: Option<Config>,
    refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Identify,
    Inspect,
    Set,
    Verify,
    Listen,
    Check,
}

impl Iu891a {
    fn wanted(&self, found: Config) -> Config {
        let number = NUMBERS.iter().find(|(mode, _)| *mode == self.mode).map_or(0, |(_, number)| *number);
        Config { link_mode: number, options: found.options & !FILTER | INDICATIONS, ..found }
    }

    fn telegram(payload: &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let frame = payload.get(RX_FRAME..).ok_or(Reject::TooShort)?;
        let rssi = payload.get(RX_RSSI).ok_or(Reject::TooShort)?;
        let [_, body @ ..] = frame else { return Err(Reject::TooShort) };
        if frame.len() < FRAME_MIN {
            return Err(Reject::TooShort);
        }
        // The length of the message is protected, the L field may count CRCs that are gone.
        let l_field = u8::try_from(body.len()).map_err(|_| Reject::TooLong)?;
        let rssi_dbm = Some(i16::from(i8::from_le_bytes([*rssi])));
        said.push_back(Said::Telegram { frame: [&[l_field], body].concat(), rssi_dbm });
        Ok(())
    }

    fn answer(&mut self, mut payload: &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        if payload.try_get_u8()? != 0 {
            // Refused: what is read back will tell, or the question is put again.
            return Ok(());
        }
        match self.stage {
            Stage::Identify => {
                let _ = payload.try_get_u8()?;
                self.uid = Some(payload.try_get_u32_le()?);
                self.stage = Stage::Inspect;
                said.push_back(Said::Answer);
            }
            Stage::Set => {
                self.stage = Stage::Verify;
                said.push_back(Said::Answer);
            }
            Stage::Inspect | Stage::Verify | Stage::Check => {
                let found = Config::parse(&mut payload)?;
                let wanted = self.wanted(found);
                let is_check = self.stage == Stage::Check;
                if wanted == found {
                    self.stage = Stage::Listen;
                    let identity = Identity { uid: self.uid, mode: Some(self.mode), ..Identity::default() };
                    said.push_back(if is_check { Said::Answer } else { Said::Ready(identity) });
                } else if is_check {
                    said.push_back(Said::Failed(Failure::Reset));
                } else if self.refusals == REFUSALS {
                    said.push_back(Said::Failed(Failure::NotTaken));
                } else {
                    self.refusals += u32::from(self.stage == Stage::Verify);
                    self.config = Some(wanted);
                    self.stage = Stage::Set;
                    said.push_back(Said::Answer);
                }
            }
            Stage::Listen => {}
        }
        Ok(())
    }

    const fn request(&self) -> Option<(&'static str, u8, u8)> {
        match self.stage {
            Stage::Identify => Some(("GET_DEVICE_INFO", DEVICE_MANAGEMENT, GET_DEVICE_INFO)),
            Stage::Inspect | Stage::Verify | Stage::Check => Some(("GET_ACTIVE_CFG", WMBUS_GATEWAY, GET_ACTIVE_CFG)),
            Stage::Set => Some(("SET_ACTIVE_CFG", WMBUS_GATEWAY, SET_ACTIVE_CFG)),
            Stage::Listen => None,
        }
    }
}

impl Protocol for Iu891a {
    const STALL_TIME: Duration = Duration::from_millis(500);
    const CHECK_INTERVAL: Option<Duration> = Some(Duration::from_secs(60));

    fn take(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        // Delimiters in a row: the end of one message and the beginning of the next, or filling.
        if let [END, END, ..] = *buf {
            *buf = buf.get(1..).unwrap_or_default();
            return Ok(());
        }
        let Message { sap, message, payload } = Message::parse(buf)?;
        match self.request() {
            _ if (sap, message) == (WMBUS_GATEWAY, RX_MESSAGE_IND) => Self::telegram(&payload, said),
            Some((_, asked_sap, asked)) if (sap, message) == (asked_sap, asked + 1) => self.answer(&payload, said),
            _ => Ok(()),
        }
    }

    fn stalled(&mut self, buf: &mut &[u8], _: &mut VecDeque<Said>) -> Result<(), Reject> {
        // A delimiter alone is the end of a message that was bad, or filling.
        let is_rest = *buf == [END];
        *buf = &[];
        if is_rest { Ok(()) } else { Err(Reject::Incomplete) }
    }

    fn question(&self) -> Option<Question> {
        let (name, sap, message) = self.request()?;
        let mut octets = if self.stage == Stage::Identify { vec![END; WAKE] } else { Vec::new() };
        let mut payload = Vec::new();
        if let (Stage::Set, Some(config)) = (self.stage, self.config) {
            config.emit(&mut payload);
        }
        Message { sap, message, payload }.emit(&mut octets);
        Some(Question { name, octets, patience: ANSWER_TIME })
    }

    fn check(&mut self) {
        self.stage = Stage::Check;
    }

    fn reset(&mut self) -> Vec<u8> {
        self.stage = Stage::Identify;
        self.refusals = 0;
        let mut octets = Vec::new();
        Message { sap: DEVICE_MANAGEMENT, message: RESTART, payload: Vec::new() }.emit(&mut octets);
        octets
    }
}

pub const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;
/// The longest frame with what is around it, every octet of it escaped.
const SLIP_MAX: usize = 2 * (2 + RX_FRAME + FRAME_MAX + 2);
/// So many delimiters wake a module that sleeps.
const WAKE: usize = 30;

// Service access points and their messages. An answer is the request plus one.
pub const DEVICE_MANAGEMENT: u8 = 0x01;
pub const PING: u8 = 0x01;
pub const GET_DEVICE_INFO: u8 = 0x03;
pub const RESTART: u8 = 0x07;
pub const WMBUS_GATEWAY: u8 = 0x09;
pub const GET_ACTIVE_CFG: u8 = 0x01;
pub const SET_ACTIVE_CFG: u8 = 0x03;
pub const RX_MESSAGE_IND: u8 = 0x20;

/// In an indication: time 4, format 3, RSSI in dBm, frame.
const RX_RSSI: usize = 7;
pub const RX_FRAME: usize = 8;

/// Options: only what is on the module's list is heard.
pub const FILTER: u16 = 0x0001;
/// Options: what is heard, and what was sent, is told.
pub const INDICATIONS: u16 = 0x0006;

const ANSWER_TIME: Duration = Duration::from_millis(500);
const REFUSALS: u32 = 2;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<Message, Reject>) {
        let mut cursor = octets;
        let found = Message::parse(&mut cursor);
        assert_eq!(found, expected);
        if let Ok(message) = expected {
            let mut emitted = Vec::new();
            message.emit(&mut emitted);
            assert_eq!((emitted.as_slice(), cursor), (octets, [].as_slice()));
            for end in 1..octets.len() {
                assert_eq!(Message::parse(&mut &octets[..end]), Err(Reject::Incomplete));
            }
        }
    }

    #[test]
    fn captured_messages_are_read_and_written() {
        let message = |sap, message, payload: &[u8]| Message { sap, message, payload: payload.to_vec() };
        check(&hex!("c0 01 03 04 24 c0"), Ok(message(DEVICE_MANAGEMENT, GET_DEVICE_INFO, &[])));
        let indication = hex!(
            "c0 09 20 9f436d38 00 00 02 e7 18 44 ae4c 44552233 68 07 7a 55 00 00 00 04 13 89e20100 02 3b 0000 af 59 c0"
        );
        check(&indication, Ok(message(WMBUS_GATEWAY, RX_MESSAGE_IND, &indication[3..36])));
        let mut said = VecDeque::new();
        Iu891a::telegram(&indication[3..36], &mut said).unwrap();
        let frame = indication[11..36].to_vec();
        assert_eq!(said, [Said::Telegram { frame, rssi_dbm: Some(-25) }]);
    }

    #[test]
    fn what_can_never_be_a_message_is_rejected_up_to_its_end() {
        check(&hex!("01 03 04"), Err(Reject::Noise));
        check(&hex!("c0 01 03 04 25 c0"), Err(Reject::BadCrc));
        check(&hex!("c0 01 db 04 24 c0"), Err(Reject::BadCrc));
        check(&hex!("c0 01 c0"), Err(Reject::TooShort));
        check(&[&[END][..], &[0; SLIP_MAX + 1]].concat(), Err(Reject::TooLong));
        let mut cursor = &hex!("c0 01 03 04 25 c0 01 03 04 24 c0")[..];
        assert_eq!(Message::parse(&mut cursor), Err(Reject::BadCrc));
        assert!(Message::parse(&mut cursor).is_ok(), "the delimiter is taken for the next one");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(sap: u8, message: u8, payload in proptest::collection::vec(any::<u8>(), 0..270)) {
            let message = Message { sap, message, payload };
            let mut octets = Vec::new();
            message.emit(&mut octets);
            let mut cursor = &octets[..];
            prop_assert_eq!(Message::parse(&mut cursor), Ok(message));
            prop_assert!(cursor.is_empty());
        }
    }
}
