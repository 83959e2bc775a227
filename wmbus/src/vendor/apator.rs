//! Apator: water meters 08, 17-2, NA-1, the register stream of AT-WMBUS-16-2, heat cost allocators E.ITN 30.
//!
//! ```text
//! 08      A0  vvvvvvvv ..            v  register, thirds of a litre; its device type says gas
//! 17-2    A0  vvvvvvvv ..            v  register, thirds of a cubic metre
//! NA-1    A0  NN ss | 2F ev vvvvvv TTTTTTTT aa Ad dddddd ff hh      under AES-128-CBC behind the bar
//! N s     access number, status      T  clock, seconds since 2000
//! v e     register, ten to the power of e litres: the lowest nibble is in the octet of e (bits 4, 5)
//! a A d   age in hours and decrease of the reading before: A is six bits of it, d has two bits in the octet of A
//! f h     flags of now, of the reading before
//! 16-2    0F  TTTTTTTT FFFFFF (ii ..) x n FF ..        or 80 in place of 0F
//! F i     faults, registers by their id: see `BODIES`   T  clock, of a form not published
//!         FF is the padding: a number whose highest octet is FF is none, its octets were not sent
//! E.ITN   A0 GG .... pppp SSSS cccc DDDD tttt uuuu     CI-field A0 is the first octet, or B6 has it behind a header
//! G S D   season's start (high octet first), day the seal was broken, clock: ..yyyyym mmmddddd
//! p c t u units of the season before, of this one, mean temperatures of both, 1/256 degree; 8000 is none
//! ```
//!
//! Known from public decoders. Not known: what else 08 and 17-2 send, the other registers of 16-2 and its CI-field B6.

use bytes::Buf;

use super::field::{Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::{Translation, counted};
use crate::record::{DataField, Date, DateTime, Draft, Unit, Value};
use crate::{Address, Reject, security};

pub(super) const MAKER: Maker =
    Maker { manufacturers: &["APA", "APT"], address: Some(water), layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const LAYOUTS: &[Layout] = &[
    Layout { models: &[(0x03, WATER), (0x0f, WATER)], place: Place::Ci(&[0xa0]), translate: thirds_of_litres },
    Layout { models: &[(0x04, WATER)], place: Place::Ci(&[0xa0]), translate: thirds_of_cubic_metres },
    Layout { models: &[(0x14, WATER)], place: Place::Ci(&[0xa0, 0xa1]), translate: na_1 },
    Layout { models: &[(0x05, 0x06), (0x05, WATER)], place: Place::Records, translate: registers },
    Layout { models: &[(0x04, 0x08)], place: Place::Ci(&[0xa0, 0xb6]), translate: allocator },
];

const ROWS: &[Row] = &[
    row(FRAME_STATUS, &[Field::word("frame_status")]),
    row(AGE, &[Field::count("previous_reading_age", Unit::Hour)]),
    row(SEASON_START, &[Field::date("season_start_date")]),
    row(SEAL_BROKEN, &[Field::date("seal_broken_date")]),
    Row { models: NA_1_MBUS, vifes: &[0x0a], fields: &[Field::word("optical_diagnostics")] },
    Row { models: NA_1_MBUS, vifes: &[0x0b], fields: &[Field::word("oscillator_diagnostics")] },
    Row { models: NA_1_MBUS, vifes: &[0x0c], fields: &[Field::word("power_diagnostics")] },
];

const fn row(vifes: &'static [u8], fields: &'static [Field]) -> Row {
    Row { models: &[], vifes, fields }
}

/// 08 and 17-2 are water meters, whatever device type they send.
fn water(link: &Address, rest: &[u8]) -> Option<Address> {
    let is_one = matches!((link.version, link.device_type), (0x03, 0x03) | (0x0f, 0x0f) | (0x04, 0x11));
    (is_one && rest.first() == Some(&0xa0)).then_some(Address { device_type: WATER, ..*link })
}

fn thirds_of_litres(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let thirds = counted(buf.try_get_u32_le()?, u32::BITS);
    out.number_or_none(VIB_MILLILITRES, thirds.map(|thirds| third(i64::from(thirds) * 1_000)));
    Ok(())
}

fn thirds_of_cubic_metres(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let thirds = counted(buf.try_get_u32_le()?, u32::BITS);
    out.number_or_none(VIB_MILLILITRES, thirds.map(|thirds| third(i64::from(thirds) * 1_000_000)));
    Ok(())
}

/// To the nearest: no power of ten is a third.
const fn third(number: i64) -> i64 {
    (number + 1) / 3
}

fn na_1(sent: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let link = sent.link.ok_or(Fault::Other)?;
    let (access_number, status) = (buf.try_get_u8()?, buf.try_get_u8()?);
    let mut block: [u8; 16] = *buf.first_chunk().ok_or(Fault::LENGTH)?;
    let key = sent.key.ok_or(Fault::NoKey)?;
    security::cbc_decrypt(key.decrypting(), &security::mode_5_iv(&link, access_number), &mut block);
    let reading = Na1::parse(&block).ok_or(Fault::WrongKey)?;
    out.is_decrypted = true;
    let vib = &[VIF_LITRES + reading.exponent];
    out.number(vib, reading.register);
    out.date_time(0, Some(reading.time));
    out.stored(1, vib, reading.register - reading.decrease);
    out.date_time(1, Some(reading.before));
    out.own(1, AGE, reading.age);
    let [now, before] = reading.flags;
    for (storage_number, flags) in [(0, [now]), (1, [before])] {
        let draft = Draft::new(DataField::Integer8, VIB_ERROR_FLAGS, Value::Binary(&flags));
        out.draft(draft.storage(storage_number));
    }
    out.own(0, FRAME_STATUS, status);
    Ok(())
}

/// What NA-1 enciphers.
#[derive(Debug, Clone, Copy)]
struct Na1 {
    register: i64,
    decrease: i64,
    exponent: u8,
    time: DateTime,
    before: DateTime,
    age: u16,
    flags: [u8; 2],
}

impl Na1 {
    /// None where it makes no sense. There is one check octet: clock, register and consumption have to be some as well,
    /// and still one block in 10,000 is under a wrong key.
    fn parse(mut buf: &[u8]) -> Option<Self> {
        if buf.try_get_u8().ok()? != CHECK {
            return None;
        }
        let first = buf.try_get_u8().ok()?;
        let register = (buf.try_get_uint_le(3).ok()? << 4) as i64 | i64::from(first & 0x0f);
        let seconds = buf.try_get_u32_le().ok()?;
        let age = buf.try_get_u8().ok()?;
        let shared = buf.try_get_u8().ok()?;
        let decrease = (buf.try_get_uint_le(3).ok()? << 2) as i64 | i64::from(shared & 3);
        let flags = [buf.try_get_u8().ok()?, buf.try_get_u8().ok()?];
        let age = u16::from(shared >> 2) << 8 | u16::from(age);
        let before = seconds.checked_sub(3_600 * u32::from(age))?;
        let exponent = first >> 4 & 3;
        let litres = |count: i64| count * 10_i64.pow(exponent.into());
        let is_sound = decrease <= register
            && litres(register) < MOST_LITRES
            && litres(decrease) <= MOST_LITRES_AN_HOUR * (i64::from(age) + 1)
            && CLOCK.contains(&seconds);
        let (time, before) = (DateTime::since_2000(seconds), DateTime::since_2000(before));
        is_sound.then_some(Self { register, decrease, exponent, time, before, age, flags })
    }
}

fn registers(sent: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let Some((0x0f | 0x80, mut buf)) = sent.without_fill(octets).split_first() else { return Err(Fault::Other) };
    let _clock = buf.try_get_u32_le()?;
    let faults = buf.try_get_uint(3)?.to_be_bytes();
    let mut register = None;
    let mut days = None;
    // An id that is not known has a length that is not known.
    while let Some((id, mut body)) = next_register(&mut buf) {
        match id {
            ID_REGISTER => register = Some(body.try_get_u32_le()?),
            ID_DAYS => days = Some(body.try_get_u16_le()?),
            _ => {}
        }
    }
    let register = register.ok_or(Reject::ManufacturerLayout("a register before the one of volume"))?;
    out.number_or_none(&[VIF_LITRES], Some(register).filter(|register| register >> 24 != PADDING));
    if let Some(days) = days {
        out.number_or_none(VIB_ON_TIME, Some(days).filter(|days| u32::from(days >> 8) != PADDING));
    }
    out.flags(faults.last_chunk::<3>().ok_or(Fault::LENGTH)?);
    Ok(())
}

fn next_register<'a>(buf: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let id = buf.try_get_u8().ok()?;
    let (_, _, length) = BODIES.iter().find(|(first, last, _)| (*first..=*last).contains(&id))?;
    let (body, rest) = buf.split_at_checked(*length)?;
    *buf = rest;
    Some((id, body))
}

fn allocator(sent: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let mut block = Vec::with_capacity(BLOCK);
    match (sent.ci_field(), octets) {
        (Some(CI_HEADED), [length, rest @ ..]) => {
            block.extend_from_slice(rest.get(usize::from(*length)..).unwrap_or(&[]))
        }
        (Some(first), [FIRST, ..]) if octets.len() == BLOCK && first == FIRST => block.extend_from_slice(octets),
        (first, _) => block.extend(first.into_iter().chain(octets.iter().copied())),
    }
    let mut buf = block.as_slice();
    if buf.len() != BLOCK || buf.first() != Some(&FIRST) {
        return Err(Fault::LENGTH);
    }
    let season_start = date(buf.try_get_u16()?);
    let _unknown = buf.try_get_u16()?;
    let before = counted(buf.try_get_u16_le()?.into(), u16::BITS);
    let seal = buf.try_get_u16_le()?;
    out.number_or_none(VIB_UNITS, counted(buf.try_get_u16_le()?.into(), u16::BITS));
    out.date(0, date(buf.try_get_u16_le()?));
    out.stored_or_none(1, VIB_UNITS, before);
    out.own_date(0, SEASON_START, season_start);
    if seal != 0 {
        out.own_date(0, SEAL_BROKEN, date(seal));
    }
    for storage_number in [1, 0] {
        let mean = Some(buf.try_get_i16_le()?).filter(|mean| *mean != i16::MIN);
        out.stored_or_none(storage_number, VIB_MEAN_TEMPERATURE, mean.map(|mean| i64::from(mean) * PER_256));
    }
    Ok(())
}

/// Day, month and five bits of the year; the two bits above are something else.
fn date(raw: u16) -> Option<Date> {
    Date::new(2000 + (raw >> 9 & 0x1f), (raw >> 5) as u8 & 0x0f, raw as u8 & 0x1f)
}

const WATER: u8 = 0x07;
const NA_1_MBUS: &[(u8, u8)] = &[(0x15, WATER)];
/// The first octet of a block of NA-1, in all that were ever seen.
const CHECK: u8 = 0x2f;
/// 100,000 cubic metres: these meters sit on the pipes of dwellings, and have eight digits.
const MOST_LITRES: i64 = 100_000_000;
/// What a meter of DN 40 at most lets through.
const MOST_LITRES_AN_HOUR: i64 = 20_000;
/// The years 2010 to 2049.
const CLOCK: std::ops::Range<u32> = 315_619_200..1_577_923_200;

/// Behind the registers of 16-2.
const PADDING: u32 = 0xff;
const ID_REGISTER: u8 = 0x10;
const ID_DAYS: u8 = 0x43;
/// Registers of 16-2: first and last id, octets behind it.
const BODIES: &[(u8, u8, usize)] = &[
    (0x00, 0x00, 4),
    (0x01, 0x01, 3),
    (ID_REGISTER, ID_REGISTER, 4),
    (0x11, 0x11, 2),
    (0x40, 0x40, 6),
    (0x41, 0x41, 2),
    (0x42, 0x42, 4),
    (ID_DAYS, ID_DAYS, 2),
    (0x44, 0x44, 3),
    (0x71, 0x71, 9),
    (0x72, 0x72, 13),
    (0x73, 0x73, 17),
    (0x74, 0x74, 21),
    (0x75, 0x75, 25),
    (0x76, 0x76, 29),
    (0x77, 0x77, 33),
    (0x78, 0x78, 37),
    (0x79, 0x79, 41),
    (0x7a, 0x7a, 45),
    (0x7b, 0x7b, 49),
    (0x7c, 0x7c, 53),
    (0x80, 0x84, 10),
    (0x85, 0x85, 11),
    (0x86, 0x87, 10),
    (0x88, 0x88, 11),
    (0x8a, 0x8a, 9),
    (0x8b, 0x8c, 6),
    (0x8e, 0x8e, 7),
    (0x8f, 0x8f, 11),
    (0xa0, 0xa1, 4),
    (0xa2, 0xa2, 1),
    (0xa3, 0xa3, 7),
    (0xa4, 0xa4, 4),
    (0xa5, 0xa5, 1),
    (0xa6, 0xa6, 3),
    (0xa7, 0xa8, 2),
    (0xa9, 0xa9, 1),
    (0xaa, 0xad, 2),
    (0xaf, 0xaf, 1),
    (0xb0, 0xb0, 5),
    (0xb1, 0xb1, 8),
    (0xb2, 0xb2, 16),
    (0xb3, 0xb3, 8),
    (0xb4, 0xb4, 2),
    (0xb5, 0xb5, 16),
    (0xb6, 0xbf, 3),
    (0xc0, 0xc7, 3),
    (0xd0, 0xd0, 3),
    (0xd3, 0xd3, 3),
    (0xf0, 0xf0, 4),
];

const CI_HEADED: u8 = 0xb6;
const FIRST: u8 = 0xa0;
const BLOCK: usize = 16;
/// 1/256 degree in units of ten to the power of -8.
const PER_256: i64 = 390_625;

const VIF_LITRES: u8 = 0x13;
const VIB_MILLILITRES: &[u8] = &[0x10];
/// Days.
const VIB_ON_TIME: &[u8] = &[0x23];
const VIB_UNITS: &[u8] = &[0x6e];
const VIB_ERROR_FLAGS: &[u8] = &[0xfd, 0x17];
/// Ambient temperature, ten to the power of -8, average.
const VIB_MEAN_TEMPERATURE: &[u8] = &[0xe5, 0xf0, 0x12];

const FRAME_STATUS: &[u8] = &[0xff, 0x01];
const AGE: &[u8] = &[0xff, 0x02];
const SEASON_START: &[u8] = &[0xff, 0x03];
const SEAL_BROKEN: &[u8] = &[0xff, 0x04];
