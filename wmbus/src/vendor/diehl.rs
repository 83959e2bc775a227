//! Diehl, Hydrometer, Sappel: PRIOS (izar) with CI-fields A0 to A7; but for Sappel RealData (hydrus, sharky) with CI-field
//! 7A.
//!
//! ```text
//! on the air   MMMM VV TT IIIIIIII     Sappel's PRIOS: MMMM and a packed serial number, see `serial`
//! PRIOS        CI aa bb cc uu | KK vvvvvvvv dddddddd GGGG ..     enciphered behind the bar
//! RealData     CI NN SS CCCC | data records                      enciphered behind the bar
//! V T I  version, device type, identification    M  manufacturer    K  check octet 4B
//! a  7 alarm, 0-3 n: sent each 2^(n+2) s
//! b  7 leak, 6 leak before, 5 blocked, 0-4 battery in half years
//! c  7 back flow, 6 underflow, 5 overflow, 4 submarine, 3 2 sensor fraud now, before, 1 0 mechanical fraud now, before
//! u  unit    v  register    d  at the due date    G  due date, type G
//! N  access number    S  status    C  configuration, mode 16 to 31; its high octet has bits of the sum
//! ```
//!
//! The cipher is a shift register, x^32 + x^30 + x^29 + x^20 + 1, seeded by key, address and header; makers' default
//! keys are public. Known from public decoders. Not known: CI-fields B0 to B3, what
//! follows the due date, what is in alarms (CI-field 71).

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use bytes::Buf;

use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::{Translation, counted};
use crate::record::{DataRecord, Date, Function, Quantity, Records, Value};
use crate::{Address, Key, Reject};

pub(super) const DIEHL: Maker = Maker {
    manufacturers: &["DME", "EWT", "HYD", "SPL"],
    address: Some(swapped),
    layouts: &[PRIOS, REAL_DATA],
    default_key: Some(|| &DEFAULT_KEY),
    ..Maker::PLAIN
};

pub(super) const SAPPEL: Maker = Maker {
    manufacturers: &["SAP"],
    address: Some(packed),
    layouts: &[PRIOS],
    default_key: Some(|| &DEFAULT_KEY),
    ..Maker::PLAIN
};

const PRIOS: &[Layout] =
    &[Layout { models: &[], place: Place::Ci(&[0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7]), translate: prios }];

const REAL_DATA: &[Layout] = &[
    Layout { models: &[], place: Place::Protected, translate: real_data },
    Layout { models: &[], place: Place::Alarm, translate: |_, _, _| Err(Fault::ALARM) },
];

/// Version and device type stand before the identification number in PRIOS, RealData and alarms.
fn swapped(link: &Address, mut rest: &[u8]) -> Option<Address> {
    let is_swapped = match rest.try_get_u8().ok()? {
        0xa0..=0xa7 | 0xb1..=0xb3 | CI_ALARM => true,
        CI_RECORDS => {
            rest.try_get_u16_le().ok()?;
            rest.try_get_u16_le().ok()? & MODE_16_TO_31 != 0
        }
        _ => false,
    };
    let [version, device_type, i0, i1] = link.identification.to_le_bytes();
    let identification = u32::from_le_bytes([i0, i1, link.version, link.device_type]);
    is_swapped.then_some(Address { manufacturer: link.manufacturer, identification, version, device_type })
}

/// Sappel's own: what looks like an identification number is part of the serial number, and all are water meters.
fn packed(link: &Address, rest: &[u8]) -> Option<Address> {
    let is_packed = matches!(rest.first(), Some(0xa0..=0xa7));
    is_packed.then_some(Address { version: 0, device_type: 0x07, ..*link })
}

fn prios(sent: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let link = sent.link.ok_or(Fault::Other)?;
    let (first, second, third, unit) = (buf.try_get_u8()?, buf.try_get_u8()?, buf.try_get_u8()?, buf.try_get_u8()?);
    if unit & !7 != VOLUME {
        return Err(Reject::ManufacturerLayout("unit of prios").into());
    }
    let header = u32::from_be_bytes([sent.ci_field().ok_or(Fault::Other)?, first, second, third]);
    let mut plain = [0; LONGEST];
    let ciphered = buf.get(..buf.len().min(LONGEST)).unwrap_or(buf);
    let values = ciphers(sent, &link, header).find_map(|cipher| {
        let plain = cipher.decipher(ciphered, &mut plain);
        Values::parse(plain).filter(|values| !sent.tries_default || values.is_plausible())
    });
    let values = values.ok_or(match (ciphered.len() < SHORTEST, sent.key) {
        (true, _) => Fault::LENGTH,
        (false, Some(_)) => Fault::WrongKey,
        (false, None) => Fault::NoKey,
    })?;
    out.is_decrypted = true;
    // All known meters count litres, also those whose unit says another power of ten.
    out.number_or_none(VIB_LITRES, counted(values.register, u32::BITS));
    if let Some(due) = values.due {
        out.stored_or_none(1, VIB_LITRES, counted(due, u32::BITS));
    }
    if let Some(date) = values.date {
        out.date(1, Date::parse(date));
    }
    out.flags(&[first & ALARM, second & !BATTERY, third]);
    out.number(VIB_BATTERY, i64::from(second & BATTERY) * 5);
    out.number(VIB_PERIOD, 1_i64 << ((first & PERIOD) + 2));
    if sent.address != link && sent.address.identification == link.identification {
        out.text(VIB_FABRICATION_NUMBER, &serial(&link));
    }
    Ok(())
}

fn real_data(sent: &Sent<'_>, buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let link = sent.link.filter(|link| *link != sent.address).ok_or(Fault::Other)?;
    let header = sent.header()?;
    let [low, check] = header.configuration.field.to_le_bytes();
    let is_right = |plain: &[u8]| {
        let sum = plain.iter().fold(0_u8, |sum, octet| sum.wrapping_add(*octet));
        sum & SUM == check & SUM && is_plausible(plain, sent.tries_default)
    };
    let ci_field = sent.ci_field().ok_or(Fault::Other)?;
    let seed = u32::from_be_bytes([ci_field, header.access_number, header.status.0, low]);
    // Some receivers decipher by themselves and leave the header as it was.
    let mut plain = buf.to_vec();
    let is_found = is_right(buf)
        || ciphers(sent, &link, seed).any(|cipher| {
            plain.copy_from_slice(buf);
            cipher.apply(&mut plain);
            is_right(&plain)
        });
    if !is_found {
        return Err(if sent.key.is_some() { Fault::WrongKey } else { Fault::NoKey });
    }
    out.octets(&plain);
    Ok(())
}

/// A sum of seven bits is not much of a check: octets that were never records pass it once in 128 times, and one in ten of
/// those can be read as records. So nothing may be in them that these meters do not send; under a key that may not be the
/// meter's a total must be there, too.
fn is_plausible(octets: &[u8], wants_total: bool) -> bool {
    let (mut count, mut has_total) = (0, false);
    let is_usual = Records::new(octets).all(|record| {
        let Ok(record) = record else { return false };
        (count, has_total) = (count + 1, has_total || is_total(&record));
        is_usual(&record)
    });
    is_usual && count > 0 && (has_total || !wants_total)
}

fn is_usual(record: &DataRecord<'_>) -> bool {
    let is_named = record.storage_number <= STORAGES && record.tariff <= TARIFFS && record.subunit <= SUBUNITS;
    let is_known = !matches!(
        record.vib.quantity,
        Quantity::Reserved | Quantity::Manufacturer | Quantity::PlainText | Quantity::Any
    ) && record.vib.octets.len() <= VIB_LENGTH
        && record.function != Function::Error;
    let is_value = match record.value {
        Value::Integer(value) => value.unsigned_abs() < u64::from(NINE_DIGITS),
        Value::Date(date) => YEARS.contains(&date.year),
        Value::DateTime(time) => YEARS.contains(&time.date.year),
        Value::Float32(bits) => f32::from_bits(bits).abs() < NINE_DIGITS as f32,
        Value::Binary(_) | Value::Text(_) => !record.is_unread(),
        Value::Time(_) => true,
        Value::Invalid => is_mark(record),
        Value::None => false,
    };
    is_named && is_known && is_value
}

/// How these meters say that there is no value: zeros or ones for a day, the most negative number.
fn is_mark(record: &DataRecord<'_>) -> bool {
    let data = record.octets.get(record.header().len()..).unwrap_or_default();
    let is_all = |mark| data.iter().all(|octet| *octet == mark);
    is_all(0x00)
        || is_all(0xff)
        || data.split_last().is_some_and(|(last, rest)| *last == 0x80 && rest.iter().all(|octet| *octet == 0))
}

fn is_total(record: &DataRecord<'_>) -> bool {
    matches!(record.vib.quantity, Quantity::Volume | Quantity::Energy)
        && record.data_field.size() >= Some(3)
        && (record.storage_number, record.function) == (0, Function::Instantaneous)
        && matches!(record.value, Value::Integer(0..))
}

/// What is enciphered in PRIOS.
#[derive(Debug, Clone, Copy)]
struct Values {
    register: u32,
    /// Short frames do not have it.
    due: Option<u32>,
    /// Of the value at the due date, type G; shorter ones do not have it.
    date: Option<[u8; 2]>,
}

impl Values {
    /// None where the check octet is another.
    fn parse(mut buf: &[u8]) -> Option<Self> {
        if buf.try_get_u8().ok()? != CHECK {
            return None;
        }
        let register = buf.try_get_u32_le().ok()?;
        let due = buf.try_get_u32_le().ok();
        Some(Self { register, due, date: due.and(buf.first_chunk().copied()) })
    }

    /// One check octet fits by chance once in 256 times, and a register that a meter can have once in 43 of those.
    fn is_plausible(&self) -> bool {
        let is_date = |date: [u8; 2]| match Date::parse(date) {
            Some(date) => YEARS.contains(&date.year),
            // There was no due date yet.
            None => matches!(date, [0x00, 0x00] | [0xff, 0xff]) && self.due == Some(0),
        };
        self.register < EIGHT_DIGITS && self.due.is_none_or(|due| due <= self.register) && self.date.is_none_or(is_date)
    }
}

/// The shift register.
#[derive(Debug, Clone, Copy)]
struct Cipher(u32);

impl Cipher {
    fn apply(mut self, octets: &mut [u8]) {
        for octet in octets {
            for _ in 0..8 {
                let s = self.0;
                self.0 = s << 1 | (s >> 1 ^ s >> 2 ^ s >> 11 ^ s >> 31) & 1;
            }
            *octet ^= self.0 as u8;
        }
    }

    fn decipher<'a>(self, octets: &[u8], plain: &'a mut [u8]) -> &'a [u8] {
        plain.iter_mut().zip(octets).for_each(|(plain, octet)| *plain = *octet);
        let plain = plain.get_mut(..octets.len()).unwrap_or_default();
        self.apply(plain);
        plain
    }
}

/// By the meter's key where there is one, and by those that makers use where they are tried.
fn ciphers(sent: &Sent<'_>, link: &Address, header: u32) -> impl Iterator<Item = Cipher> + use<> {
    let mut frame = Vec::with_capacity(8);
    link.emit(&mut frame);
    let mut frame = frame.as_slice();
    let address = frame.try_get_u32().unwrap_or(0) ^ frame.try_get_u32().unwrap_or(0);
    let own = sent.key.map(|key| {
        let mut octets = key.octets().as_slice();
        octets.try_get_u32().unwrap_or(0) ^ octets.try_get_u32().unwrap_or(0)
    });
    let tries_default = sent.tries_default;
    let defaults = DEFAULT_SEEDS.into_iter().filter(move |_| tries_default);
    own.into_iter().chain(defaults).map(move |seed| Cipher(seed ^ address ^ header))
}

/// What is printed on the meter: maker, year, type and diameter, then six digits.
///
/// ```text
/// on the air, the least significant bit of the last octet last
/// ....ssss stttttdd dddnnnnn ..  n  year and digits, 26 bits
/// ```
fn serial(link: &Address) -> String {
    let letter = |code: u32| char::from(64 + (code & 0x1f) as u8);
    let (version, device_type) = (u32::from(link.version), u32::from(link.device_type));
    let digits = format!("{:08}", link.identification & 0x03ff_ffff);
    let (year, number) = digits.split_at(2);
    let supplier = letter((device_type & 0x0f) << 1 | version >> 7);
    let (meter_type, diameter) = (letter(version >> 2), letter((version & 3) << 3 | link.identification >> 29));
    format!("{supplier}{year}{meter_type}{diameter}{number}")
}

const CI_ALARM: u8 = 0x71;
const CI_RECORDS: u8 = 0x7a;
const MODE_16_TO_31: u16 = 0x1000;

/// The two halves of 39BC8A10E66D83F8 and of 51728910E66D83F8, one upon the other.
const DEFAULT_SEEDS: [u32; 2] = [0xdfd1_09e8, 0xb71f_0ae8];
/// Of AES, where a meter with security mode 5 has no key of its own: the second of the two, twice.
static DEFAULT_KEY: LazyLock<Key> = LazyLock::new(|| {
    Key::new([0x51, 0x72, 0x89, 0x10, 0xe6, 0x6d, 0x83, 0xf8, 0x51, 0x72, 0x89, 0x10, 0xe6, 0x6d, 0x83, 0xf8])
});
const CHECK: u8 = 0x4b;
/// Bits of the sum of all octets that are in the configuration's high octet.
const SUM: u8 = 0xef;
/// Litres: 100,000 m3. A flat has 100 m3 a year, a house of forty flats comes near that bound in twenty years. A meter that
/// has more is read where its maker's key is given as its own.
const EIGHT_DIGITS: u32 = 100_000_000;
const NINE_DIGITS: u32 = 1_000_000_000;
/// Of records of RealData: more than any of these meters is known to have, and less than chance has.
const STORAGES: u32 = 31;
const TARIFFS: u32 = 3;
const SUBUNITS: u16 = 3;
const VIB_LENGTH: usize = 4;
/// Of due dates: none of these meters is older, none is to be that old.
const YEARS: RangeInclusive<u16> = 2000..=2050;

const ALARM: u8 = 0xf0;
const PERIOD: u8 = 0x0f;
const BATTERY: u8 = 0x1f;
/// The VIF of volume, without its power of ten.
const VOLUME: u8 = 0x10;
/// Check octet, two values, date.
const LONGEST: usize = 11;
const SHORTEST: usize = 5;

const VIB_LITRES: &[u8] = &[0x13];
/// Remaining battery life, tenths of a year.
const VIB_BATTERY: &[u8] = &[0xfd, 0xfd, 0x83, 0x75];
/// Nominal transmission period, seconds.
const VIB_PERIOD: &[u8] = &[0xfd, 0x3c];
const VIB_FABRICATION_NUMBER: &[u8] = &[0x78];
