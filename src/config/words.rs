//! Texts that must have a form: names, addresses, filters.

use std::path::{Path, PathBuf};

use jiff::tz::{Offset, TimeZone};
use wmbus::spec::own_device_types;

use super::Broker;
use super::fault::Problem;
use crate::reading::{Manufacturer, MeterPattern};

/// One level of a topic, and a file name: letters, digits, `-`, `_`, `.`.
pub(super) fn topic_level(text: &str) -> Result<String, Problem> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text {
        "" => Err(Problem::wrong("is empty")),
        _ if text.len() > 64 => Err(Problem::wrong("is longer than 64 characters")),
        _ if text.starts_with('.') || !text.chars().all(is_legal) => {
            Err(Problem::wrong(format!("{text:?} may have letters, digits, `-`, `_` and `.` only")))
        }
        _ => Ok(text.to_owned()),
    }
}

/// A name of the site's choice, for people and logs.
pub(super) fn word(text: &str) -> Result<String, Problem> {
    match text {
        "" => Err(Problem::wrong("is empty")),
        _ if text.len() > 64 || text.chars().any(char::is_control) => {
            Err(Problem::wrong("is longer than 64 characters or not printable"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// `host:port`, `[::1]:port`.
pub(super) fn host_and_port(text: &str) -> Result<String, Problem> {
    split_host(text)
        .and_then(|(_, port)| port)
        .map(|_| text.to_owned())
        .ok_or_else(|| Problem::wrong(format!("{text:?} is not an address such as \"192.0.2.7:4001\"")))
}

/// `mqtts://host:port` or, where it is allowed, `mqtt://127.0.0.1:port`; with it whether TLS is used.
pub(super) fn broker(text: &str, allows_plaintext: bool) -> Result<(Broker, bool), Problem> {
    // The text may carry a password: it is not repeated before that is excluded.
    if text.contains('@') {
        return Err(Problem::wrong("names a user: the unit proves itself with `certificate` and `key`"));
    }
    let (address, is_tls) = match (text.strip_prefix("mqtts://"), text.strip_prefix("mqtt://")) {
        (Some(address), _) => (address, true),
        (None, Some(address)) => (address, false),
        (None, None) => {
            return Err(Problem::wrong(format!("{text:?} is not an address such as \"mqtts://host:8883\"")));
        }
    };
    let (host, port) = split_host(address.trim_end_matches('/'))
        .ok_or_else(|| Problem::wrong(format!("{text:?} is not an address such as \"mqtts://host:8883\"")))?;
    let broker = Broker { host: host.to_owned(), port: port.unwrap_or(if is_tls { 8883 } else { 1883 }) };
    if !is_tls && !broker.is_loopback() {
        return Err(Problem::wrong(format!("{text:?} is without TLS, which only a loopback address may be")));
    }
    if !is_tls && !allows_plaintext {
        return Err(Problem::wrong(format!("{text:?} is without TLS: `plaintext = true` must say that it is meant")));
    }
    Ok((broker, is_tls))
}

/// Host without brackets, and the port where one is given; None where the text is neither.
fn split_host(text: &str) -> Option<(&str, Option<u16>)> {
    let is_name = |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        address.parse::<std::net::Ipv6Addr>().ok()?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((address, port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    is_name(host).then_some((host, port))
}

/// A word for a kind of meter, or an EN 13757-7 device type such as `0x16`.
pub(super) fn medium(text: &str) -> Result<Vec<u8>, Problem> {
    if let Some((_, types)) = MEDIA.iter().find(|(word, _)| *word == text) {
        return Ok(types.to_vec());
    }
    let number = text.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
    number.map(|number| vec![number]).ok_or_else(|| {
        let words: Vec<_> = MEDIA.iter().map(|(word, _)| format!("{word:?}")).collect();
        Problem::wrong(format!("{text:?} is not one of {} or a device type such as \"0x16\"", words.join(", ")))
    })
}

/// A pattern narrowed to a device type, and to the codes that makers use for it.
pub(super) fn of_type(pattern: &MeterPattern, device_type: u8) -> Vec<MeterPattern> {
    let own = own_device_types(device_type).map(|(maker, code)| (Some(Manufacturer(maker)), code));
    let own = own.filter(|(maker, _)| pattern.manufacturer.is_none() || pattern.manufacturer == *maker);
    let narrowed = std::iter::once((pattern.manufacturer, device_type)).chain(own);
    narrowed.map(|(manufacturer, code)| MeterPattern { manufacturer, device_type: Some(code), ..*pattern }).collect()
}

// EN 13757-7:2018, table 13
const MEDIA: &[(&str, &[u8])] = &[
    ("electricity", &[0x02]),
    ("gas", &[0x03]),
    ("heat", &[0x04, 0x0c, 0x0d]),
    ("cooling", &[0x0a, 0x0b]),
    ("hca", &[0x08]),
    ("water", &[0x06, 0x07, 0x15, 0x16]),
];

/// `+01:00`, or a rule such as `CET-1CEST,M3.5.0,M10.5.0/3` (POSIX TZ): neither needs a data base of zones.
pub(super) fn zone(text: &str) -> Result<TimeZone, Problem> {
    let refuse = || {
        Problem::wrong(format!(
            "{text:?} is neither an offset such as \"+01:00\" nor a POSIX rule such as \"CET-1CEST,M3.5.0,M10.5.0/3\""
        ))
    };
    if text == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let sign = match text.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return TimeZone::posix(text).map_err(|_| refuse()),
    };
    let (hours, minutes) = text.get(1..).and_then(|rest| rest.split_once(':')).ok_or_else(refuse)?;
    let part = |part: &str, most: i32| {
        let number = (part.len() == 2).then(|| part.parse::<u8>().ok()).flatten().map(i32::from);
        number.filter(|number| *number <= most)
    };
    let (Some(hours), Some(minutes)) = (part(hours, 14), part(minutes, 59)) else { return Err(refuse()) };
    let offset = Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).map_err(|_| refuse())?;
    Ok(TimeZone::fixed(offset))
}

/// The address of a unix socket has room for 107 octets.
pub(super) fn socket(base: &Path, text: &str) -> Result<PathBuf, Problem> {
    let path = super::values::path_from(base)(text)?;
    match path.as_os_str().len() {
        ..=107 => Ok(path),
        len => Err(Problem::wrong(format!("has {len} octets, a socket's path may have 107"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, allows_plaintext: bool, expected: Option<(&str, u16, bool)>) {
        let found = broker(text, allows_plaintext).ok();
        let found = found.as_ref().map(|(broker, is_tls)| (broker.host.as_str(), broker.port, *is_tls));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn plaintext_is_for_a_loopback_address_that_was_meant() {
        check("mqtts://broker.example:8884", false, Some(("broker.example", 8884, true)));
        check("mqtts://broker.example", false, Some(("broker.example", 8883, true)));
        check("mqtts://[2001:db8::1]:8883", false, Some(("2001:db8::1", 8883, true)));
        check("mqtt://127.0.0.1:1883", true, Some(("127.0.0.1", 1883, false)));
        check("mqtt://[::1]", true, Some(("::1", 1883, false)));
        check("mqtt://localhost", true, Some(("localhost", 1883, false)));
        check("mqtt://127.0.0.1:1883", false, None);
        check("mqtt://192.0.2.1:1883", true, None);
        check("mqtt://localhost.example", true, None);
        check("https://broker.example", false, None);
        check("mqtts://", false, None);
        check("mqtts://host:port", false, None);
        check("mqtts://host:99999", false, None);
        check("mqtts://user:password@host", false, None);
    }

    #[test]
    fn a_password_in_the_address_is_not_repeated() {
        let Err(problem) = broker("mqtts://user:hunter2@host:8883", false) else { panic!("taken") };
        assert!(!problem.text.contains("hunter2"), "{}", problem.text);
    }

    #[test]
    fn zones_are_offsets_or_rules() {
        for text in ["UTC", "+01:00", "-03:30", "CET-1CEST,M3.5.0,M10.5.0/3"] {
            assert!(zone(text).is_ok(), "{text}");
        }
        for text in ["", "+1", "+01:60", "+15:00", "+-1:00", "Europe/Berlin", "+é1:00"] {
            assert!(zone(text).is_err(), "{text}");
        }
    }
}
