//! Frames that can be read in two ways: which one is believed.
//!
//! The L-field comes first: what is behind it is no part of the telegram, and what it counts as the CRC of format B is
//! one. Where the telegram then is not whole and is so the other way, the L-field was wrong, or the CRC right by chance.

use super::{Scratch, Telegram, Verdict};
use crate::link::Ways;
use crate::{Address, Form, Formats, Key, Keys, Reject};

impl<'a> Telegram<'a> {
    /// Decodes a frame whose form is not known. An `Err` says that not even the sender could be read.
    pub fn decode(octets: &'a [u8], keys: &impl Keys, scratch: &'a mut Scratch) -> Result<Self, Reject> {
        Self::decode_with(None, octets, keys, &NO_FORMATS, scratch)
    }

    /// Decodes a frame of a known form.
    pub fn decode_as(form: Form, octets: &'a [u8], keys: &impl Keys, scratch: &'a mut Scratch) -> Result<Self, Reject> {
        Self::decode_with(Some(form), octets, keys, &NO_FORMATS, scratch)
    }

    /// Decodes a frame, compact ones by the formats learned so far.
    pub fn decode_with(
        form: Option<Form>,
        octets: &'a [u8],
        keys: &impl Keys,
        formats: &Formats,
        scratch: &'a mut Scratch,
    ) -> Result<Self, Reject> {
        let is_told = form.is_some();
        let form = form.map_or_else(|| Form::recognise(octets), Ok)?;
        match Ways::of(form, is_told, octets) {
            // Made where it is wanted: a telegram that is moved costs as much as a record.
            None => Self::decode_one(form, octets, keys, formats, &mut scratch.first),
            Some(ways) => {
                let mut either = Err(Reject::Truncated);
                Self::decode_either(&mut either, ways, &Other(keys), formats, scratch);
                either
            }
        }
    }

    /// Code of its own, so that what most frames need stays in one piece. It writes to a place of its own, too: the
    /// telegram of most frames need not have one.
    #[cold]
    #[inline(never)]
    fn decode_either(
        out: &mut Result<Self, Reject>,
        Ways { first: (form, octets), other: (other, others) }: Ways<'a>,
        keys: &Other<'_>,
        formats: &Formats,
        Scratch { first, second }: &'a mut Scratch,
    ) {
        let telegram = Self::decode_one(form, octets, keys, formats, first);
        *out = telegram_or(telegram, form, || {
            Self::decode_one(other, others, keys, formats, second.get_or_insert_default())
        });
    }
}

/// Keys of whatever kind.
struct Other<'k>(&'k dyn Keys);

impl Keys for Other<'_> {
    fn key(&self, address: &Address) -> Option<&Key> {
        self.0.key(address)
    }

    fn is_for_all(&self, address: &Address) -> bool {
        self.0.is_for_all(address)
    }

    fn numbered_key(&self, address: &Address, key_id: u8) -> Option<&Key> {
        self.0.numbered_key(address, key_id)
    }

    fn network_key(&self, network: u8) -> Option<&Key> {
        self.0.network_key(network)
    }
}

static NO_FORMATS: Formats = Formats::new(0);

/// The first way where nothing speaks against it, else what more is right with.
#[inline(never)]
fn telegram_or<'a>(
    first: Result<Telegram<'a>, Reject>,
    form: Form,
    other: impl FnOnce() -> Result<Telegram<'a>, Reject>,
) -> Result<Telegram<'a>, Reject> {
    // A meter may send a record that lacks octets: the CRC is not to become the rest of it.
    let is_proven = form == Form::FormatB && first.as_ref().is_ok_and(|first| first.verdict == Verdict::Ok);
    let believed = if is_proven { Belief::Sound } else { Belief::of(&first) };
    if believed >= Belief::Closed {
        return first;
    }
    let other = other();
    let belief = Belief::of(&other);
    // Octets of somebody else's are not to become the rest of a record either.
    let is_open = first.as_ref().is_ok_and(|first| first.verdict == Verdict::Ok);
    if belief > believed && (belief == Belief::Sound || !is_open) { other } else { first }
}

/// How well a telegram fits the way it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Belief {
    /// Not even the sender.
    Nothing,
    /// Octets are missing.
    Cut,
    /// Its protection does not open.
    Wrong,
    /// A record is not taken.
    Partial,
    /// Nothing speaks against it.
    Closed,
    Sound,
}

impl Belief {
    fn of(telegram: &Result<Telegram<'_>, Reject>) -> Self {
        let Ok(telegram) = telegram else { return Self::Nothing };
        match telegram.verdict {
            Verdict::Truncated => Self::Cut,
            Verdict::WrongKey | Verdict::BadMac | Verdict::BadCrc => Self::Wrong,
            Verdict::Partial => Self::Partial,
            // A manufacturer's layout may be known for the length that it has with a CRC.
            Verdict::NoKey | Verdict::Unsupported => Self::Closed,
            Verdict::Ok => match telegram.records().find_map(Result::err) {
                Some(Reject::Truncated) => Self::Cut,
                Some(_) => Self::Partial,
                None => Self::Sound,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::record::{DataField, Draft, Value};
    use crate::sim::{Message, Protection};
    use crate::{Address, Key};

    const METER: Address =
        Address { manufacturer: 0x1593, identification: 0x1234_0099, version: 0x01, device_type: 0x07 };

    fn key() -> Key {
        Key::new(hex!("000102030405060708090a0b0c0d0e0f"))
    }

    /// The line of a telegram.
    #[track_caller]
    fn check(form: Option<Form>, octets: &[u8], expected: &str) {
        let (key, mut scratch) = (key(), Scratch::default());
        let telegram = Telegram::decode_with(form, octets, &key, &Formats::new(0), &mut scratch);
        let line = telegram.map_or_else(|reject| reject.to_string(), |telegram| telegram.to_string());
        assert!(line.ends_with(expected), "{form:?} {octets:02x?} {line}");
    }

    #[test]
    fn a_crc_of_format_b_that_is_right_by_chance_is_left_where_it_was() {
        let octets = hex!("1e4493159900341201077a0100100599335d6022406345511af8128c819e25");
        assert_eq!(Form::recognise(&octets), Ok(Form::FormatB));
        check(None, &octets, " ok: volume 86676e-3 m3");
        check(Some(Form::Stripped), &octets, " ok: volume 86676e-3 m3");
    }

    #[test]
    fn octets_behind_what_the_length_counts_are_no_records() {
        let records = [Draft::new(DataField::Integer32, &[0x13], Value::Integer(28_504))];
        let key = key();
        for protection in [
            Protection::None,
            Protection::AesCbcIv(&key),
            Protection::AesCbcNoIv { key: &key, counter: 9 },
            Protection::EllAesCtr { key: &key, session_number: 5 },
        ] {
            let octets = Message::new(METER, 42, &records).protection(protection).emit(Form::Stripped).unwrap();
            for form in [None, Some(Form::Stripped)] {
                let longer = [&octets[..], &hex!("0413ffff0000")].concat();
                check(form, &longer, " ok: volume 28504e-3 m3");
                // A length that somebody made too small is not trusted.
                let shorter = [&[octets[0] - 3], &octets[1..]].concat();
                check(form, &shorter, " ok: volume 28504e-3 m3");
            }
        }
    }

    #[test]
    fn a_length_that_counts_nothing_leaves_the_sender() {
        let octets =
            Message::new(METER, 42, &[]).protection(Protection::AesCbcIv(&key())).emit(Form::Stripped).unwrap();
        let octets = [&[0], &octets[1..octets.len() - 3]].concat();
        check(None, &octets, " truncated (octets missing)");
    }
}
