//! rtl_433 with `-F json`: one JSON object a line, of which those of its Wireless M-Bus decoders are telegrams.
//!
//! The frame is in `data`, without CRCs, and after format B with an L field that still counts them. What rtl_433 says
//! about meters and values beside it is not used; its signal strength is relative to the radio's full scale.

use std::time::Instant;

use super::{Receiver, Reject, hex};

/// Listens at once.
pub fn open(_: Instant) -> Box<dyn Receiver> {
    Box::new(hex::Hex::of(frames))
}

/// The frame of one line; none of a line about something else.
///
/// # Errors
/// What is wrong with the line.
pub fn frames(line: &[u8]) -> Result<Vec<Vec<u8>>, Reject> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let [b'{', object @ ..] = line else { return Err(Reject::BadHex) };
    let (mut is_telegram, mut data, mut is_checked) = (false, None, true);
    let mut rest = object;
    while let Some((key, value)) = member(&mut rest) {
        match key {
            b"model" => is_telegram = value == MODEL,
            b"data" => data = Some(value),
            b"mic" => is_checked = value == b"CRC",
            _ => {}
        }
    }
    match (is_telegram, data) {
        (false, _) => Ok(Vec::new()),
        (true, None) => Err(Reject::TooShort),
        (true, Some(_)) if !is_checked => Err(Reject::Flagged),
        (true, Some(data)) => hex::without_crcs(data).map(|frame| vec![frame]),
    }
}

/// The next member of an object: its key, and its value, of a text without the quotes. None at the end, or where the
/// line is no JSON any more.
fn member<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    *rest = rest.trim_ascii_start();
    if let [b',', behind @ ..] = *rest {
        *rest = behind.trim_ascii_start();
    }
    let key = text(rest)?;
    *rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    Some((key, value(rest)?))
}

fn value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.first() == Some(&b'"') {
        return text(rest);
    }
    // Numbers and words end at a comma; arrays and objects may hold some, and texts with brackets.
    let whole = *rest;
    let mut depth = 0_usize;
    while let Some(octet) = rest.first() {
        match octet {
            b'"' => {
                text(rest)?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b',' | b'}' if depth == 0 => break,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        *rest = rest.get(1..).unwrap_or_default();
    }
    whole.get(..whole.len() - rest.len())
}

/// A text in quotes; an escaped quote does not end it.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let whole = rest.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    let end = whole.iter().position(|octet| {
        let is_end = *octet == b'"' && !is_escaped;
        is_escaped = *octet == b'\\' && !is_escaped;
        is_end
    })?;
    *rest = whole.get(end + 1..)?;
    whole.get(..end)
}

const MODEL: &[u8] = b"Wireless-MBus";

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<&[&[u8]], Reject>) {
        let expected = expected.map(|frames| frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>());
        assert_eq!(frames(line.as_bytes()), expected, "{line}");
    }

    const FRAME: [u8; 11] = hex!("0a 44 2d 2c 78 56 34 12 1b 16 a0");

    #[test]
    fn the_frame_of_a_telegram_is_taken_and_all_else_is_passed_over() {
        check(
            r#"{"time" : "2026-01-01 12:00:00", "model" : "Wireless-MBus", "mode" : "T", "M" : "KAM", "id" : 12345678, "C" : 68, "data_length" : 11, "data" : "0a442d2c785634121b16a0", "mic" : "CRC"}"#,
            Ok(&[&FRAME]),
        );
        check(r#"{"model":"Wireless-MBus","data":"0c442d2c785634121b16a0"}"#, Ok(&[&FRAME]));
        check(
            r#"{"x":[1,{"data":"00"},"]"],"s":"a\"b,","model":"Wireless-MBus","data":"0a442d2c785634121b16a0"}"#,
            Ok(&[&FRAME]),
        );
        check(r#"{"model" : "Oil-SonicSmart", "id" : 1, "data" : "00"}"#, Ok(&[]));
        check("", Ok(&[]));
    }

    #[test]
    fn what_is_no_telegram_is_rejected() {
        check("rtl_433 version 25.02", Err(Reject::BadHex));
        check(r#"{"model":"Wireless-MBus"}"#, Err(Reject::TooShort));
        check(r#"{"model":"Wireless-MBus","data":"0a44"}"#, Err(Reject::TooShort));
        check(r#"{"model":"Wireless-MBus","data":"0a442d2c785634121b16a"}"#, Err(Reject::BadHex));
        check(r#"{"model":"Wireless-MBus","data":"0a442d2c785634121b16a0","mic":"FAIL"}"#, Err(Reject::Flagged));
        let line = r#"{"model":"Wireless-MBus","data":"0a442d2c785634121b16a0"}"#;
        for end in 0..line.len() - 2 {
            assert_ne!(frames(&line.as_bytes()[..end]), Ok(vec![FRAME.to_vec()]), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), text in r#"[{}\[\]",:\\a-f0-9 ]{0,80}"#) {
            let _ = frames(&octets);
            let _ = frames(format!("{{{text}").as_bytes());
        }
    }
}
