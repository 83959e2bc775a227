//! The doors of a manufacturer: where its own octets stand, and who reads them.
//!
//! A layout is read only from a whole frame. It is translated into data records or refused, never guessed at.

use bytes::TryGetError;

use super::field::{Row, Stored, is_model};
use super::translation::Translation;
use crate::record::{DataRecord, Dib, IDLE, Outline, Records, outlines};
use crate::spec::Content;
use crate::tpl::{ShortHeader, Tpl};
use crate::{Address, Key, Reject, SecurityMode, Verdict};

/// All that is known of a manufacturer.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) manufacturers: &'static [&'static str],
    /// Where the A-field is not laid out as the standard has it.
    pub(super) address: Option<AddressOf>,
    /// What meters of which no key is known are tried with.
    pub(super) default_key: Option<fn() -> &'static Key>,
    pub(super) layouts: &'static [&'static [Layout]],
    pub(super) rows: &'static [Row],
    pub(super) stored: &'static [Stored],
}

/// What a maker's layouts look for among data records, of whatever model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// A bit for each octet that a VIB begins with.
    firsts: [u64; 4],
    /// Where all of them begin with the same two octets, and nothing else is looked for.
    pair: Option<(u8, u8)>,
    is_tail: bool,
}

impl Wanted {
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
    pub(super) const fn by(mut layouts: &[&[Layout]]) -> Self {
        let mut wanted = Self { firsts: [0; 4], pair: None, is_tail: false };
        let (mut parts, mut paired) = (0, 0);
        while let [of_list, rest @ ..] = layouts {
            let mut at = 0;
            while at < of_list.len() {
                match of_list[at].place {
                    Place::Tail => (wanted.is_tail, parts) = (true, parts + 1),
                    Place::Status(_) => parts += 1,
                    Place::Record([first, rest @ ..])
                    | Place::Vib([first, rest @ ..], _)
                    | Place::Repeated([first, rest @ ..], _) => {
                        wanted.firsts[*first as usize >> 6] |= 1 << (*first & 0x3f);
                        parts += 1;
                        match (wanted.pair, rest) {
                            (None, [second, ..]) => (wanted.pair, paired) = (Some((*first, *second)), 1),
                            (Some((a, b)), [second, ..]) if a == *first && b == *second => paired += 1,
                            _ => {}
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            layouts = rest;
        }
        if paired < parts {
            wanted.pair = None;
        }
        wanted
    }

    /// None of them is there, which is seen without going from record to record.
    #[inline]
    fn is_absent(&self, application: &[u8]) -> bool {
        self.pair.is_some_and(|(first, second)| {
            let mut places = memchr::memchr_iter(first, application);
            !places.any(|at| application.get(at + 1) == Some(&second))
        })
    }

    /// A layout may be about this VIB.
    #[inline]
    fn has(&self, vib: &[u8]) -> bool {
        let Some(first) = vib.first() else { return false };
        self.firsts.get(usize::from(first >> 6)).is_some_and(|word| word >> (first & 0x3f) & 1 != 0)
    }
}

/// The meter of a frame by its link layer address and the octets from the CI-field on; None for the address as it is.
pub(super) type AddressOf = fn(&Address, &[u8]) -> Option<Address>;

/// Octets of some models that are not the standard's.
#[derive(Debug)]
pub(super) struct Layout {
    /// Version and device type; empty for all.
    pub(super) models: &'static [(u8, u8)],
    pub(super) place: Place,
    pub(super) translate: Translate,
}

/// Reads the octets at the place and appends what they mean.
pub(super) type Translate = fn(&Sent<'_>, &[u8], &mut Translation<'_>) -> Result<(), Fault>;

/// Where in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// All that follows one of these CI-fields.
    Ci(&'static [u8]),
    /// The whole of what claims to be data records, opened.
    Records,
    /// The whole of what claims to be data records, under a security mode that is none: 16 to 31.
    Protected,
    /// What is sent in place of data records, CI-fields 71, 74 and 75.
    Alarm,
    /// What follows DIF 0F or 1F, without the fill of the last block.
    Tail,
    /// The status octet of the header before data records, of which the maker lays out these bits.
    Status(u8),
    /// One data record whose VIB begins with these octets.
    Record(&'static [u8]),
    /// One data record with the first of these VIBs; what it means is the second.
    Vib(&'static [u8], &'static [u8]),
    /// Data records with this VIB: those that repeat an earlier one tell of other tariffs and subunits, in this order.
    Repeated(&'static [u8], &'static [(u32, u16)]),
}

impl Layout {
    /// A VIB that does not mean what it says.
    pub(super) const fn vib(models: &'static [(u8, u8)], sent: &'static [u8], meant: &'static [u8]) -> Self {
        Self { models, place: Place::Vib(sent, meant), translate: |_, _, _| Err(Fault::Other) }
    }

    /// Data records that tell of something else each time that they are repeated.
    pub(super) const fn repeated(models: &'static [(u8, u8)], vib: &'static [u8], of: &'static [(u32, u16)]) -> Self {
        Self { models, place: Place::Repeated(vib, of), translate: |_, _, _| Err(Fault::Other) }
    }

    fn is_about(&self, vib: &[u8]) -> bool {
        match self.place {
            Place::Record(own) => vib.starts_with(own),
            Place::Vib(own, _) | Place::Repeated(own, _) => vib == own,
            _ => false,
        }
    }

    /// Translates a record that this layout is about.
    fn record(&self, sent: &Sent<'_>, record: &DataRecord<'_>, out: &mut Translation<'_>) -> Result<(), Fault> {
        match self.place {
            Place::Record(vib) if record.vib.octets.starts_with(vib) => (self.translate)(sent, record.octets, out),
            Place::Vib(vib, meant) if record.vib.octets == vib => {
                let mut data = record.octets;
                let dib = Dib::parse(&mut data)?;
                out.sent(dib, meant, data.strip_prefix(vib).ok_or(Fault::Other)?);
                Ok(())
            }
            Place::Repeated(vib, of) if record.vib.octets == vib => {
                let header = record.header();
                let before = Records::new(sent.application).flatten();
                let before = before.take_while(|before| !std::ptr::eq(before.octets, record.octets));
                let times = before.filter(|before| before.header() == header).count();
                let (tariff, subunit) =
                    times.checked_sub(1).and_then(|time| of.get(time)).copied().ok_or(Fault::Other)?;
                let mut data = record.octets;
                let dib = Dib { tariff, subunit, ..Dib::parse(&mut data)? };
                out.sent(dib, vib, data.strip_prefix(vib).ok_or(Fault::Other)?);
                Ok(())
            }
            _ => Err(Fault::Other),
        }
    }
}

/// A frame as its manufacturer's layouts see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// The A-field and M-field as on the air.
    pub(crate) link: Option<Address>,
    pub(crate) address: Address,
    pub(crate) tpl: Option<Tpl>,
    /// What follows the transport layer, opened where it could be.
    pub(crate) application: &'a [u8],
    /// What stood in the way of the standard's layers.
    pub(crate) reject: Option<Reject>,
    /// Octets are missing at the end.
    pub(crate) is_cut: bool,
    /// Looked up only where there may be a cipher of the manufacturer's own.
    pub(crate) key: Option<&'a Key>,
    /// The keys that the maker delivers meters with are tried as well.
    pub(crate) tries_default: bool,
}

/// What a manufacturer's layouts have to say of a telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    None,
    Records { octets: &'a [u8], is_decrypted: bool },
    Stop(Verdict, Option<Reject>),
}

/// Why octets were not translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are not what the layout is about: whatever is next may try.
    Other,
    NoKey,
    WrongKey,
    Reject(Reject),
}

impl Sent<'_> {
    pub(super) const fn model(&self) -> (u8, u8) {
        (self.address.version, self.address.device_type)
    }

    pub(super) fn ci_field(&self) -> Option<u8> {
        self.tpl.map(|tpl| tpl.ci_field)
    }

    pub(super) fn header(&self) -> Result<ShortHeader, Fault> {
        self.tpl.and_then(|tpl| tpl.header).ok_or(Fault::Other)
    }

    /// Octets from which those are taken that fill the last block of a cipher.
    pub(super) fn without_fill<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        let mode = self.tpl.and_then(|tpl| tpl.header).map(|header| SecurityMode::of(header.configuration.mode()));
        let is_in_blocks =
            matches!(mode, Some(SecurityMode::DesCbc | SecurityMode::AesCbcIv | SecurityMode::AesCbcNoIv));
        let is_last = |octet: &u8| !is_in_blocks || *octet != IDLE;
        octets.get(..octets.iter().rposition(is_last).map_or(0, |last| last + 1)).unwrap_or(octets)
    }

    fn is_whole_at(&self, place: Place) -> bool {
        match (place, self.reject) {
            (Place::Ci(ci_fields), Some(Reject::ManufacturerCi(ci_field))) => ci_fields.contains(&ci_field),
            (Place::Records, None) => self.tpl.is_some_and(|tpl| tpl.content == Content::Records && !tpl.to_meter),
            (Place::Alarm, None) => self.tpl.is_some_and(|tpl| tpl.content == Content::Alarm),
            (Place::Protected, Some(Reject::UnsupportedSecurity(_))) => true,
            _ => false,
        }
    }
}

impl Maker {
    /// Nothing but the standard.
    pub(super) const PLAIN: Self =
        Self { manufacturers: &[], address: None, default_key: None, layouts: &[], rows: &[], stored: &[] };

    pub(super) fn layouts(&self, model: (u8, u8)) -> impl Iterator<Item = &'static Layout> + Clone + use<> {
        let layouts = self.layouts;
        layouts.iter().flat_map(|layouts| layouts.iter()).filter(move |layout| is_model(layout.models, model))
    }

    /// Whether there are layouts for all, and for parts, of what claims to be a model's data records.
    fn kinds(&self, model: (u8, u8)) -> (bool, bool) {
        let (mut is_whole, mut is_part) = (false, false);
        for layouts in self.layouts {
            for layout in layouts.iter().filter(|layout| is_model(layout.models, model)) {
                match layout.place {
                    Place::Records | Place::Alarm => is_whole = true,
                    Place::Tail | Place::Status(_) | Place::Record(_) | Place::Vib(..) | Place::Repeated(..) => {
                        is_part = true;
                    }
                    Place::Ci(_) | Place::Protected => {}
                }
            }
        }
        (is_whole, is_part)
    }

    /// Some of the layouts is for a part of what claims to be data records, and it is there.
    fn has_part(&self, sent: &Sent<'_>, wanted: &Wanted) -> bool {
        if self.status_layout(sent).is_some() {
            return true;
        }
        outlines(sent.application).any(|outline| match outline {
            Outline::Tail => wanted.is_tail,
            Outline::Record { vib } => wanted.has(vib) && self.layouts(sent.model()).any(|layout| layout.is_about(vib)),
        })
    }

    /// The layout of the status octet, and the octet.
    fn status_layout(&self, sent: &Sent<'_>) -> Option<(&'static Layout, [u8; 1])> {
        let tpl = sent.tpl.filter(|tpl| tpl.content == Content::Records && !tpl.to_meter)?;
        let layout = self.layouts(sent.model()).find(|layout| matches!(layout.place, Place::Status(_)))?;
        Some((layout, [tpl.header?.status.0]))
    }

    /// What the layouts make of what claims to be data records.
    pub(super) fn records(&self, sent: &Sent<'_>, wanted: &Wanted, out: &mut Translation<'_>) -> Result<(), Fault> {
        let (is_whole, is_part) = self.kinds(sent.model());
        match if is_whole { self.whole(sent, out) } else { Err(Fault::Other) } {
            Err(Fault::Other) if is_part => self.parts(sent, wanted, out),
            done => done,
        }
    }

    /// What the first of the layouts for the whole application says that knows it.
    pub(super) fn whole(&self, sent: &Sent<'_>, out: &mut Translation<'_>) -> Result<(), Fault> {
        for layout in self.layouts(sent.model()).filter(|layout| sent.is_whole_at(layout.place)) {
            if sent.is_cut {
                return Err(Reject::Truncated.into());
            }
            match (layout.translate)(sent, sent.application, out) {
                Err(Fault::Other) => out.clear(),
                done => return done,
            }
        }
        Err(Fault::Other)
    }

    /// What looks like data records in a frame that was cut, and is not.
    pub(super) fn cut(&self, sent: &Sent<'_>, wanted: &Wanted, out: &mut Translation<'_>) -> Result<(), Fault> {
        match self.layouts(sent.model()).any(|layout| layout.place == Place::Records) {
            true => Err(Reject::Truncated.into()),
            false if self.kinds(sent.model()).1 => self.parts(sent, wanted, out),
            false => Err(Fault::Other),
        }
    }

    /// Data records, with those that are layouts translated, and the tail behind its translation.
    fn parts(&self, sent: &Sent<'_>, wanted: &Wanted, out: &mut Translation<'_>) -> Result<(), Fault> {
        if wanted.is_absent(sent.application) || !self.has_part(sent, wanted) {
            return Err(Fault::Other);
        }
        let layouts = self.layouts(sent.model());
        let mut is_translated = self
            .status_layout(sent)
            .is_some_and(|(layout, status)| out.attempt(|out| (layout.translate)(sent, &status, out)));
        let mut records = Records::new(sent.application);
        loop {
            let rest = records.rest();
            match records.next() {
                Some(Ok(record)) => {
                    let done = layouts.clone().any(|layout| out.attempt(|out| layout.record(sent, &record, out)));
                    is_translated |= done;
                    if !done {
                        out.octets(record.octets);
                    }
                }
                // What follows a record that is whole is read on.
                Some(Err(_)) => out.octets(rest.get(..rest.len() - records.rest().len()).unwrap_or(rest)),
                None => {
                    if let Some(tail) = records.manufacturer_data().filter(|_| !sent.is_cut) {
                        let mut tails = layouts.filter(|layout| layout.place == Place::Tail);
                        let octets = sent.without_fill(tail.octets);
                        is_translated |= tails.any(|layout| out.attempt(|out| (layout.translate)(sent, octets, out)));
                    }
                    out.octets(rest);
                    break;
                }
            }
        }
        if is_translated { Ok(()) } else { Err(Fault::Other) }
    }
}

impl From<Reject> for Fault {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// The frame is whole: octets are not missing, they were not sent.
impl From<TryGetError> for Fault {
    fn from(_: TryGetError) -> Self {
        Self::LENGTH
    }
}

impl Fault {
    pub(super) const LENGTH: Self = Self::Reject(Reject::ManufacturerLayout("layout of this length"));
    pub(super) const ALARM: Self = Self::Reject(Reject::ManufacturerLayout("content of this alarm"));

    /// The verdict on the telegram; None where the layout has nothing to say of it.
    pub(super) fn verdict(self) -> Option<(Verdict, Option<Reject>)> {
        match self {
            Self::Other => None,
            Self::NoKey => Some((Verdict::NoKey, None)),
            Self::WrongKey => Some((Verdict::WrongKey, None)),
            Self::Reject(reject) => Some((reject.into(), Some(reject))),
        }
    }
}
