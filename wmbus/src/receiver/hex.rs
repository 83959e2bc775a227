//! Telegrams as text, one a line: the output of rtl_wmbus, or plain hexadecimal digits.
//!
//! rtl_wmbus writes `[algorithm;]MODE;crc;3of6;time;rssi;rssi;ident;0xFRAME`, with the CRCs taken out and, after
//! format B, with an L field that still counts them; its signal strength has no unit. With two algorithms one
//! line may hold the frame twice. There is no handshake and nothing to send.

use std::collections::VecDeque;
use std::time::Instant;

use crate::Form;

use super::{Counters, Event, FRAME_MAX, FRAME_MIN, Identity, Receiver, Reject};

/// A source of lines.
#[derive(Debug)]
pub struct Hex {
    /// What is on a line.
    frames: Frames,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The line is longer than any frame; its rest is passed over.
    overlong: bool,
    events: VecDeque<Event>,
    counters: Counters,
}

type Frames = fn(&[u8]) -> Result<Vec<Vec<u8>>, Reject>;

impl Hex {
    /// Listens at once.
    pub fn new() -> Self {
        Self::of(frames)
    }

    /// Lines of another shape.
    pub(super) fn of(frames: Frames) -> Self {
        Self {
            frames,
            line: Vec::new(),
            overlong: false,
            events: VecDeque::from([Event::Ready(Identity::default())]),
            counters: Counters::default(),
        }
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.overlong) {
            return self.counters.reject(Reject::TooLong);
        }
        match (self.frames)(&line) {
            Ok(frames) => {
                self.counters.telegrams += frames.len() as u64;
                // Programs remove the CRCs; of a bare frame nobody knows.
                let form = line.iter().any(|octet| b";{".contains(octet)).then_some(Form::Stripped);
                self.events.extend(frames.into_iter().map(|frame| Event::Telegram { frame, form, rssi_dbm: None }));
            }
            Err(reason) => self.counters.reject(reason),
        }
    }
}

impl Default for Hex {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver for Hex {
    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        self.counters.octets += bytes.len() as u64;
        for &octet in bytes {
            match octet {
                b'\n' | b'\r' => self.end_of_line(),
                _ if self.overlong => {}
                _ if self.line.len() == LINE_MAX => {
                    self.line = Vec::new();
                    self.overlong = true;
                }
                _ => self.line.push(octet),
            }
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The frames of one line, each once; none of an empty line.
///
/// # Errors
/// What is wrong with the line: the first fault, when there is no good frame on it.
pub fn frames(line: &[u8]) -> Result<Vec<Vec<u8>>, Reject> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(Vec::new());
    }
    if !line.contains(&b';') {
        return plain(line).map(|frame| vec![frame]);
    }
    let mut frames = Vec::new();
    let mut fault = None;
    let mut fields = line.split(|octet| *octet == b';');
    while let Some(field) = fields.next() {
        if MODES.contains(&field) {
            let good = fields.next() == Some(b"1".as_slice()) && fields.next() == Some(b"1".as_slice());
            fault = if good { fault } else { fault.or(Some(Reject::Flagged)) };
            if !good && !fields.by_ref().any(|field| field.starts_with(b"0x")) {
                break;
            }
        } else if let Some(digits) = field.strip_prefix(b"0x") {
            match without_crcs(digits) {
                Ok(frame) if frames.contains(&frame) => {}
                Ok(frame) => frames.push(frame),
                Err(reason) => fault = fault.or(Some(reason)),
            }
        }
    }
    if frames.is_empty() { Err(fault.unwrap_or(Reject::BadHex)) } else { Ok(frames) }
}

/// A frame by itself. Whether it has its CRCs nobody says, so its L field is left as it is.
fn plain(line: &[u8]) -> Result<Vec<u8>, Reject> {
    let digits = line.strip_prefix(b"0x").unwrap_or(line);
    let frame = octets(digits, FRAME_WITH_CRCS_MAX)?;
    if frame.len() < FRAME_MIN { Err(Reject::TooShort) } else { Ok(frame) }
}

/// A frame whose CRCs were taken out; the L field is made to fit.
pub(super) fn without_crcs(digits: &[u8]) -> Result<Vec<u8>, Reject> {
    let mut frame = octets(digits, FRAME_MAX)?;
    if frame.len() < FRAME_MIN {
        return Err(Reject::TooShort);
    }
    let length = u8::try_from(frame.len() - 1).map_err(|_| Reject::TooLong)?;
    if let Some(l_field) = frame.first_mut() {
        *l_field = length;
    }
    Ok(frame)
}

/// Hexadecimal digits, blanks between octets allowed.
pub(super) fn octets(digits: &[u8], most: usize) -> Result<Vec<u8>, Reject> {
    let mut octets = Vec::new();
    for group in digits.split(u8::is_ascii_whitespace) {
        for pair in group.chunks(2) {
            let &[high, low] = pair else { return Err(Reject::BadHex) };
            let (high, low) = (digit(high).ok_or(Reject::BadHex)?, digit(low).ok_or(Reject::BadHex)?);
            if octets.len() == most {
                return Err(Reject::TooLong);
            }
            octets.push(high << 4 | low);
        }
    }
    Ok(octets)
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How rtl_wmbus names the mode of a telegram.
static MODES: &[&[u8]] = &[b"C1", b"S1", b"T1"];

/// 255 octets after L, and two octets of CRC for each of 17 blocks of format A. EN 13757-4:2019, clause 12.
const FRAME_WITH_CRCS_MAX: usize = FRAME_MAX + 2 * 17;
/// Two frames and the fields of rtl_wmbus around them, or one and what rtl_433 has to say about it.
const LINE_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    const FRAME: [u8; 11] = hex!("0a 44 2d 2c 78 56 34 12 1b 16 a0");

    #[track_caller]
    fn check(line: &str, expected: Result<&[&[u8]], Reject>) {
        let expected = expected.map(|frames| frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>());
        assert_eq!(frames(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn a_line_of_rtl_wmbus_is_one_frame() {
        check("T1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634121b16a0", Ok(&[&FRAME]));
        check("C1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0A442D2C785634121B16A0\r", Ok(&[&FRAME]));
        check("rtla;S1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634121b16a0", Ok(&[&FRAME]));
    }

    #[test]
    fn an_l_field_that_counts_crcs_is_made_to_fit() {
        check("C1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0c442d2c785634121b16a0", Ok(&[&FRAME]));
    }

    #[test]
    fn a_frame_that_stands_twice_on_a_line_is_taken_once() {
        let half = "T1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634121b16a0";
        check(&format!("rtla;{half};rtla;{half}"), Ok(&[&FRAME]));
        check(&format!("{half};0x0a442d2c785634121b16a0"), Ok(&[&FRAME]));
        let other = hex!("0a 44 2d 2c 78 56 34 13 1b 16 a0");
        check(&format!("{half};0x0a442d2c785634131b16a0"), Ok(&[&FRAME, &other]));
        check(&format!("{half};0x0a442d2c785634131b16a"), Ok(&[&FRAME]));
    }

    #[test]
    fn a_frame_marked_as_damaged_is_rejected() {
        for flags in ["0;1", "1;0", "0;0", ";", "1", "2;1"] {
            check(
                &format!("T1;{flags};2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634121b16a0"),
                Err(Reject::Flagged),
            );
        }
        let good = "T1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634121b16a0";
        let other = "T1;0;1;2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634131b16a0";
        check(&format!("rtla;{other};rtla;{good}"), Ok(&[&FRAME]));
    }

    #[test]
    fn plain_digits_are_one_frame_left_as_it_is() {
        check("0a442d2c785634121b16a0", Ok(&[&FRAME]));
        check("0x0a442d2c785634121b16a0", Ok(&[&FRAME]));
        check(";0x0a442d2c785634121b16a0", Ok(&[&FRAME]));
        check("  0a 44 2d 2c 78 56 34 12 1b 16 a0  ", Ok(&[&FRAME]));
        let with_crcs = hex!("0a 44 2d 2c 78 56 34 12 1b 16 12 34 a0 56 78");
        check("0a442d2c785634121b161234a05678", Ok(&[&with_crcs]));
        check("", Ok(&[]));
    }

    #[test]
    fn what_is_no_frame_is_rejected() {
        check("rtl_wmbus: exiting", Err(Reject::BadHex));
        check("0a442d2c785634121b16a", Err(Reject::BadHex));
        check("0a442d2c785634121b16g0", Err(Reject::BadHex));
        check("0a442d2c785634121b", Err(Reject::TooShort));
        check("0x", Err(Reject::TooShort));
        check(";;;;", Err(Reject::BadHex));
        check(&"00".repeat(291), Err(Reject::TooLong));
        check(&format!("T1;1;1;;;;;0x{}", "00".repeat(257)), Err(Reject::TooLong));
    }

    #[test]
    fn lines_split_at_every_offset_give_the_same_frames() {
        let now = anchor();
        let text = b"garbage\r\n0a442d2c785634121b16a0\nT1;1;1;2019-04-03 19:00:42.000;97;148;88888888;0x0a442d2c785634121b16a0\n";
        for offset in 0..=text.len() {
            let mut hex = Hex::new();
            assert_eq!(hex.poll_event(), Some(Event::Ready(Identity::default())));
            hex.handle_bytes(&text[..offset], now);
            hex.handle_bytes(&text[offset..], now + Duration::from_secs(1));
            for form in [None, Some(Form::Stripped)] {
                let heard = Event::Telegram { frame: FRAME.to_vec(), form, rssi_dbm: None };
                assert_eq!(hex.poll_event(), Some(heard));
            }
            assert_eq!(hex.poll_event(), None);
            assert_eq!((hex.counters().telegrams, hex.counters().rejected(Reject::BadHex)), (2, 1));
        }
    }

    #[test]
    fn an_endless_line_is_dropped_and_the_next_one_is_heard() {
        let mut hex = Hex::new();
        hex.poll_event();
        for _ in 0..1000 {
            hex.handle_bytes(&[b'0'; 1000], anchor());
            assert!(hex.line.len() <= LINE_MAX);
        }
        hex.handle_bytes(b"\n0a442d2c785634121b16a0\n", anchor());
        assert_eq!(hex.poll_event(), Some(Event::Telegram { frame: FRAME.to_vec(), form: None, rssi_dbm: None }));
        assert_eq!(hex.counters().rejected(Reject::TooLong), 1);
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut hex = Hex::new();
            hex.handle_bytes(&octets, anchor());
            while hex.poll_event().is_some() {}
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do; time does not pass in these tests")]
    fn anchor() -> Instant {
        Instant::now()
    }
}
