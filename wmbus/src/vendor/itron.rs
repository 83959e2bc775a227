//! Itron: smoke detectors, their state and what they remember.
//!
//! ```text
//! 07 7F  cc mm ssss bb pp ff dd    d  billing day    f  0 removed once, 1 installed, 2-3 operating mode, 4 perimeter
//!                                  intrusion, 5 inlet blocked, 6 temperature out of range    p  product
//!                                  b  1-7 battery life    s  errors of the detector    m  of the modem    c  configuration
//! 0F     tttttttt x 9 nnnn iiii oo (oo)
//! t  type F: smoke begins, ends, buzzer stopped, obstacle found, removed, inlet blocked, free again, temperature, test;
//!    00000000 and 01010000 are none
//! n  tests    i  days of perimeter intrusion    o  days of a blocked inlet
//! ```
//!
//! Known from one public decoder; the unit of the battery life is not.

use bytes::Buf;

use super::field::{ANY, Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::Translation;
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker {
    manufacturers: &["ITW"],
    layouts: &[&[Layout { models: SMOKE, place: Place::Tail, translate: memory }]],
    rows: ROWS,
    ..Maker::PLAIN
};

const SMOKE: &[(u8, u8)] = &[(ANY, 0x1a)];

const ROWS: &[Row] = &[
    Row { models: SMOKE, vifes: &[], fields: STATE },
    Row { models: SMOKE, vifes: TESTS, fields: &[Field::count("tests", Unit::None)] },
    Row { models: SMOKE, vifes: PERIMETER, fields: &[Field::count("perimeter_intrusion_days", Unit::Day)] },
    Row { models: SMOKE, vifes: INLET, fields: &[Field::count("inlet_blocked_days", Unit::Day)] },
];

/// The least significant octet is sent first.
const STATE: &[Field] = &[
    Field::bits("billing_day", 56, 8),
    Field::bits("removed_once", 48, 1),
    Field::bits("installed", 49, 1),
    Field::bits("operating_mode", 50, 2),
    Field::bits("perimeter_intrusion", 52, 1),
    Field::bits("inlet_blocked", 53, 1),
    Field::bits("temperature_out_of_range", 54, 1),
    Field::bits("product", 40, 8),
    Field::bits("battery_life", 33, 7),
    Field::bits("detector_errors", 16, 16),
    Field::bits("modem_errors", 8, 8),
    Field::bits("configuration", 0, 8),
];

fn memory(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    for event in 1..=EVENTS {
        let moment = buf.try_get_u32_le()?.to_le_bytes();
        let vib = [0xed, 0xff, event];
        match moment {
            [0, 0, 0, 0] | [1, 1, 0, 0] => out.octets(&[&[NO_DATA][..], &vib].concat()),
            moment => out.octets(&[&[FOUR_OCTETS][..], &vib, &moment].concat()),
        }
    }
    out.own(0, TESTS, buf.try_get_u16_le()?);
    out.own(0, PERIMETER, buf.try_get_u16_le()?);
    out.own(0, INLET, if buf.len() == 1 { u16::from(buf.try_get_u8()?) } else { buf.try_get_u16_le()? });
    Ok(())
}

const EVENTS: u8 = 9;
const NO_DATA: u8 = 0x00;
const FOUR_OCTETS: u8 = 0x04;
const TESTS: &[u8] = &[0xff, 0x01];
const PERIMETER: &[u8] = &[0xff, 0x02];
const INLET: &[u8] = &[0xff, 0x03];
