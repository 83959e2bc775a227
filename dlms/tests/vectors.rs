//! Octets of other implementations, where they are beside the repository: read, opened, written again.
//!
//! What each says is transcribed in `tests/data/meanings.toml`; the octets themselves are not in the repository.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what is not there fails it")]
use std::collections::BTreeMap;

use dlms::acse::{Aare, Aarq};
use dlms::link::hdlc::{Control, Frame, Parameters};
use dlms::link::wrapper::Header;
use dlms::security::hls::Exchange;
use dlms::security::{
    AuthenticationKey, Ciphering, EncryptionKey, Form, SecurityControl, Suite, SystemTitle, is_ciphered, unwrap_key,
    wrap_key,
};
use dlms::{Apdu, Data, Reject};
use serde_json::Value;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/dlms/vectors.jsonl");
const MEANINGS: &str = include_str!("data/meanings.toml");

#[test]
fn vectors_of_other_implementations_say_what_they_mean() {
    let Ok(text) = std::fs::read_to_string(VECTORS) else {
        eprintln!("skipped: no shared data");
        return;
    };
    let mut meanings: BTreeMap<String, String> = toml::from_str(MEANINGS).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let name = vector["name"].as_str().unwrap();
        let octets = octets(&vector, "bytes_hex").unwrap();
        let found = match (name, octets[0]) {
            ("aes_kw_128" | "aes_kw_256", _) => wrapped(&vector, &octets),
            ("gb_hls5_fStoC", _) => proof(&vector, &octets),
            _ => meaning(&vector, &octets).unwrap_or_else(|reject| format!("rejected: {reject}")),
        };
        // The frames of one origin differ in nothing that is looked at.
        if let Some(expected) = meanings.remove(name) {
            assert_eq!(found, expected, "{name}");
        } else {
            assert!(name.starts_with("fcs:") && found.starts_with("hdlc "), "{name:?} = {found:?}");
        }
        seen += 1;
    }
    assert!(seen > 0);
    assert!(meanings.is_empty(), "not there: {meanings:?}");
}

/// One line for whatever link, protection and APDU it has.
fn meaning(vector: &Value, octets: &[u8]) -> Result<String, Reject> {
    match *octets {
        [0x7e, ref body @ .., 0x7e] => {
            let frame = Frame::parse(body)?;
            let mut out = Vec::new();
            frame.emit(&mut out)?;
            assert_eq!(out, octets, "re-emitted");
            let inner = match (frame.control, frame.information) {
                (_, []) => String::new(),
                (Control::Snrm { .. } | Control::Ua { .. }, information) => {
                    let parameters = Parameters::parse(information)?;
                    let (transmit, receive) = (parameters.information_transmit, parameters.information_receive);
                    format!(" {transmit}/{receive} {}/{}", parameters.window_transmit, parameters.window_receive)
                }
                (_, [0xe6, 0xe6 | 0xe7, 0, apdu @ ..]) if !frame.is_segmented => {
                    format!(": {}", meaning(vector, apdu).unwrap_or_else(|reject| reject.to_string()))
                }
                _ => String::new(),
            };
            Ok(format!("hdlc {frame}{inner}"))
        }
        [0, 1, ..] => {
            let mut buf = octets;
            let header = Header::parse(&mut buf)?;
            assert_eq!(usize::from(header.length), buf.len());
            Ok(format!("wrapper {} -> {}: {}", header.source, header.destination, meaning(vector, buf)?))
        }
        [0x60, ..] => {
            let aarq = Aarq::parse(octets)?;
            let mut out = Vec::new();
            aarq.emit(&mut out);
            assert_eq!(out, octets);
            let title = aarq.calling_ap_title.map_or(String::new(), |title| format!(" {}", hex::encode(title)));
            let user = initiate(vector, aarq.user_information, aarq.calling_ap_title)?;
            Ok(format!("aarq {}{title} {user}", aarq.mechanism))
        }
        [0x61, ..] => {
            let aare = Aare::parse(octets)?;
            let mut out = Vec::new();
            aare.emit(&mut out);
            // A version that is said although it is the default is not said again.
            assert!(out == octets || octets[2..6] == [0x80, 2, 7, 0x80]);
            let user = initiate(vector, aare.user_information.ok_or(Reject::Truncated)?, aare.responding_ap_title)?;
            Ok(format!("aare {}, {}, {} {user}", aare.result, aare.diagnostic, aare.mechanism))
        }
        [0x13, ..] => {
            let data = Data::parse_all(octets)?;
            assert_eq!(data.octets(), octets);
            Ok(data.to_string())
        }
        [tag, ..] if is_ciphered(tag) => {
            let ciphering = ciphering(vector, None)?;
            let mut plain = octets.to_vec();
            let opened = ciphering.open(&mut plain)?;
            if let Some(expected) = self::octets(vector, "plaintext") {
                assert_eq!(plain, expected);
            }
            let form = if tag == 0xdb { Form::GeneralGlobal } else { Form::Global };
            let again = ciphering.protect(&plain, form, opened.control, opened.invocation_counter)?;
            assert_eq!(again, octets, "re-emitted");
            let inner = if plain[0] < 10 { initiate(vector, octets, None)? } else { meaning(vector, &plain)? };
            Ok(format!("ciphered {:02x} {:08x}: {inner}", opened.control.0, opened.invocation_counter))
        }
        _ => {
            // What came without its last selector octet, as the standard's own example, is a request all the same.
            let whole = [octets, &[0]].concat();
            let apdu = match Apdu::parse(octets) {
                Err(Reject::Truncated) => Apdu::parse(&whole)?,
                parsed => parsed?,
            };
            let again = apdu.octets();
            assert!(again.starts_with(octets) || octets[0] == 0x0f, "re-emitted");
            Ok(apdu.to_string())
        }
    }
}

fn initiate(vector: &Value, information: &[u8], title: Option<&[u8]>) -> Result<String, Reject> {
    let mut octets = information.to_vec();
    if is_ciphered(octets[0]) {
        ciphering(vector, title)?.open(&mut octets)?;
    }
    let mut again = Vec::new();
    let (what, conformance, size) = if let Ok(request) = dlms::apdu::InitiateRequest::parse(&octets) {
        request.emit(&mut again);
        ("initiate-request", request.conformance, request.max_receive_pdu_size)
    } else {
        let response = dlms::apdu::InitiateResponse::parse(&octets)?;
        response.emit(&mut again);
        ("initiate-response", response.conformance, response.max_receive_pdu_size)
    };
    assert_eq!(again, octets);
    Ok(format!("{what} {:06x} {size}", conformance.0))
}

fn ciphering(vector: &Value, title: Option<&[u8]>) -> Result<Ciphering, Reject> {
    let key = |name| octets(vector, name).ok_or(Reject::NoKey);
    let title = match title {
        Some(title) => title.to_vec(),
        None => key("system_title")?,
    };
    let title = SystemTitle::try_from(title.as_slice())?;
    let global = key("ek")?;
    let suite = if global.len() == 32 { Suite::Two } else { Suite::Zero };
    Ok(Ciphering {
        suite,
        own_title: title,
        peer_title: Some(title),
        global: EncryptionKey::new(&global)?,
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&key("ak")?)?,
    })
}

fn wrapped(vector: &Value, octets: &[u8]) -> String {
    let (kek, key) = (self::octets(vector, "kek").unwrap(), self::octets(vector, "key").unwrap());
    assert_eq!(wrap_key(&kek, &key).unwrap(), octets);
    assert_eq!(*unwrap_key(&kek, octets).unwrap(), key);
    "wrapped and unwrapped".into()
}

fn proof(vector: &Value, octets: &[u8]) -> String {
    let ciphering = ciphering(vector, None).unwrap();
    let challenge = self::octets(vector, "challenge").unwrap();
    let exchange = Exchange { prover: Some(ciphering.own_title), verifier: None, received: &challenge, sent: &[] };
    let counter = exchange.verify_gmac(&ciphering, octets).unwrap();
    assert_eq!(octets[0], SecurityControl::authenticated(Suite::Zero).0);
    format!("gmac {counter}")
}

fn octets(vector: &Value, field: &str) -> Option<Vec<u8>> {
    vector.get(field).and_then(Value::as_str).map(|text| hex::decode(text).unwrap())
}
