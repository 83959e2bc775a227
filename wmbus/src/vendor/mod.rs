//! What manufacturers send that is not the standard's: one file a maker, with the layout and where the knowledge of it
//! comes from.
//!
//! Octets of a maker's own are translated into data records (`translation`), so that nothing behind this room knows of
//! makers. What the standard has no VIF for stays behind VIF 7F, and [`fields`] names it. A new maker is a file and its
//! line in the list.

mod field;
mod layout;
#[cfg(test)]
mod tests;
mod translation;

mod abb;
mod apator;
mod axioma;
mod bfw;
mod bmeters;
mod diehl;
mod ebz;
mod ei_electronics;
mod engelmann;
mod gwf;
mod itron;
mod kaden;
mod kamstrup;
mod metrix;
mod qundis;
mod techem;
mod zenner;

use std::cell::Cell;

pub use field::{Field, Meaning};
pub(crate) use layout::{Answer, Sent};

use layout::{Fault, Maker, Place, Wanted};
use translation::Translation;

use crate::record::{DataRecord, Own};
use crate::{Address, Key, Keys, Reject, Verdict};

const MAKERS: &[&Maker] = &[
    &abb::MAKER,
    &apator::MAKER,
    &axioma::MAKER,
    &bfw::MAKER,
    &bmeters::MAKER,
    &diehl::DIEHL,
    &diehl::SAPPEL,
    &ebz::MAKER,
    &ei_electronics::MAKER,
    &engelmann::MAKER,
    &gwf::MAKER,
    &itron::MAKER,
    &kaden::MAKER,
    &kamstrup::MAKER,
    &metrix::MAKER,
    &qundis::MAKER,
    &techem::MAKER,
    &zenner::MAKER,
];

/// The meter of a frame whose maker lays out the A-field in its own way. `rest` begins with the CI-field.
pub(crate) fn address(link: Option<&Address>, rest: &[u8]) -> Option<Address> {
    let link = link?;
    maker(link)?.address.and_then(|address| address(link, rest))
}

/// The meter's maker delivers meters with a key that everybody knows, which is tried where there is no other.
pub fn has_default_key(address: &Address) -> bool {
    maker(address).is_some_and(|maker| maker.default_key.is_some())
}

/// The caller's keys, and the one a maker delivers meters with.
pub(crate) struct WithDefault<'k, K> {
    keys: &'k K,
    /// The sender, whose key most telegrams want: looked up before the layers are read, so that it is near by then.
    link: Option<(Address, Option<&'k Key>)>,
    default: Option<&'static Key>,
    is_default_used: Cell<bool>,
    prefers_default: bool,
}

impl<'k, K: Keys> WithDefault<'k, K> {
    pub(crate) fn new(keys: &'k K, link: Option<&Address>) -> Self {
        let default = link.and_then(maker).and_then(|maker| maker.default_key).map(|key| key());
        let link = link.map(|link| (*link, keys.key(link)));
        Self { keys, link, default, is_default_used: Cell::new(false), prefers_default: false }
    }

    /// The sender's maker has a key, and the caller's is for whatever meter.
    pub(crate) fn has_doubtful_key(&self) -> bool {
        self.default.is_some() && self.link.is_some_and(|(address, _)| self.keys.is_for_all(&address))
    }

    /// The caller's keys that are for whatever meter do not open it.
    pub(crate) fn prefer_default(&mut self) {
        self.prefers_default = true;
    }

    /// A meter that the caller has no key for has no wrong one either.
    pub(crate) fn verdict(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::WrongKey | Verdict::BadMac if self.is_default_used.get() => Verdict::NoKey,
            verdict => verdict,
        }
    }

    fn default(&self) -> Option<&Key> {
        self.is_default_used.set(self.default.is_some());
        self.default
    }
}

impl<K: Keys> Keys for WithDefault<'_, K> {
    fn key(&self, address: &Address) -> Option<&Key> {
        if self.prefers_default && self.keys.is_for_all(address) {
            return self.default;
        }
        let key = match self.link {
            Some((link, key)) if link == *address => key,
            _ => self.keys.key(address),
        };
        key.or_else(|| self.default())
    }

    fn numbered_key(&self, address: &Address, key_id: u8) -> Option<&Key> {
        self.keys.numbered_key(address, key_id).or_else(|| self.default())
    }

    fn network_key(&self, network: u8) -> Option<&Key> {
        self.keys.network_key(network)
    }
}

/// The data records that a telegram's own octets mean, in `out`.
pub(crate) fn translate<'a>(known: &Known, sent: &Sent<'_>, keys: &impl Keys, out: &'a mut Vec<u8>) -> Answer<'a> {
    let Known { maker, wanted } = known;
    let mut translation = Translation::new(out);
    let done = match sent.reject {
        None => maker.records(sent, wanted, &mut translation),
        Some(Reject::Truncated) => maker.cut(sent, wanted, &mut translation),
        Some(Reject::ManufacturerCi(_) | Reject::UnsupportedSecurity(16..=31)) => {
            let key = keys.key(&sent.address);
            let tries_default = key.is_none() || keys.is_for_all(&sent.address);
            maker.whole(&Sent { key, tries_default, ..*sent }, &mut translation)
        }
        Some(_) => Err(Fault::Other),
    };
    match done {
        Ok(()) => Answer::Records { is_decrypted: translation.is_decrypted, octets: translation.into_octets() },
        Err(fault) => fault.verdict().map_or(Answer::None, |(verdict, reject)| Answer::Stop(verdict, reject)),
    }
}

/// What is in a record of the meter's maker, or in one that means something else there; nothing where that is not known.
pub fn fields(address: &Address, record: &DataRecord<'_>) -> &'static [Field] {
    let Some(maker) = maker(address) else { return &[] };
    let model = (address.version, address.device_type);
    match record.vib.own() {
        Some(Own::Manufacturer(vifes)) => {
            maker.rows.iter().find(|row| row.is_for(model, vifes)).map_or(&[], |row| row.fields)
        }
        Some(_) => &[],
        None => maker.stored.iter().find(|it| it.is_for(model, record)).map_or(&[], |it| it.fields),
    }
}

/// The meter's maker has a meaning of its own for bits of the status octet that the standard has one for.
pub fn has_own_status(address: &Address) -> bool {
    let is_own = |place| matches!(place, Place::Status(bits) if bits & STANDARD_STATUS != 0);
    maker(address)
        .is_some_and(|maker| maker.layouts((address.version, address.device_type)).any(|layout| is_own(layout.place)))
}

/// A maker, and what is to be looked for in its telegrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    maker: &'static Maker,
    wanted: Wanted,
}

impl Known {
    /// The maker of a meter; None where its telegrams are the standard's.
    pub(crate) fn of(address: &Address) -> Option<&'static Self> {
        let place = INDEX.get(usize::from(address.manufacturer & !NOT_UNIQUE))?;
        KNOWN.get(usize::from(*place))
    }
}

fn maker(address: &Address) -> Option<&'static Maker> {
    Known::of(address).map(|known| known.maker)
}

static KNOWN: [Known; MAKERS.len()] = known();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn known() -> [Known; MAKERS.len()] {
    let mut known = [Known { maker: MAKERS[0], wanted: Wanted::by(MAKERS[0].layouts) }; MAKERS.len()];
    let mut place = 1;
    while place < MAKERS.len() {
        known[place] = Known { maker: MAKERS[place], wanted: Wanted::by(MAKERS[place].layouts) };
        place += 1;
    }
    known
}

/// The place in the list of each manufacturer.
static INDEX: [u8; 1 << 15] = index();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn index() -> [u8; 1 << 15] {
    let mut index = [u8::MAX; 1 << 15];
    let mut place = 0;
    while place < MAKERS.len() {
        let mut letters = MAKERS[place].manufacturers;
        while let [first, rest @ ..] = letters {
            let code = Address::manufacturer_code(first).expect("three letters") as usize;
            assert!(index[code] == u8::MAX, "a manufacturer in two files");
            index[code] = place as u8;
            letters = rest;
        }
        place += 1;
    }
    index
}

/// The bits of the status octet that are not left to makers.
const STANDARD_STATUS: u8 = 0x1f;

/// Bit 15 of the manufacturer: the address is not unique world-wide.
const NOT_UNIQUE: u16 = 0x8000;
