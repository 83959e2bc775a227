//! What arrays, structures and compact arrays hold: checked octets, walked without allocation.

use bytes::{Buf, BufMut};

use super::{Data, Limits, length, tag};
use crate::Reject;

/// The elements of an array or a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Items<'a> {
    count: usize,
    types: Types<'a>,
    octets: &'a [u8],
}

/// Where the types of elements stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Types<'a> {
    /// Before each element.
    Tagged,
    /// All have this description: an array in a compact array.
    Each(&'a [u8]),
    /// Each has its own of these descriptions: a structure in a compact array.
    Listed(&'a [u8]),
}

/// An array whose elements' type stands once, before them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactArray<'a> {
    description: &'a [u8],
    contents: &'a [u8],
    count: usize,
}

impl<'a> Items<'a> {
    /// No elements.
    pub const EMPTY: Self = Self { count: 0, types: Types::Tagged, octets: &[] };

    pub(super) fn parse(buf: &mut &'a [u8], limits: &mut Limits) -> Result<Self, Reject> {
        let count = length::parse(buf)?;
        limits.within()?;
        let octets = *buf;
        for _ in 0..count {
            let tag = buf.try_get_u8()?;
            Data::tagged(tag, buf, limits)?;
        }
        limits.depth += 1;
        Ok(Self { count, types: Types::Tagged, octets: used(octets, buf) })
    }

    /// The octets of the elements, where each has its type before it.
    pub(super) const fn tagged(count: usize, octets: &'a [u8]) -> Self {
        Self { count, types: Types::Tagged, octets }
    }

    /// Appends the count and the elements, each with its type.
    pub(super) fn emit(self, out: &mut Vec<u8>) {
        length::emit(self.count, out);
        self.for_each(|item| item.emit(out));
    }

    /// As many elements as are wanted, no more and no fewer.
    pub fn exactly<const N: usize>(mut self, what: &'static str) -> Result<[Data<'a>; N], Reject> {
        if self.count != N {
            return Err(Reject::Mismatch(what));
        }
        let mut all = [Data::NullData; N];
        for place in &mut all {
            *place = self.next().ok_or(Reject::Mismatch(what))?;
        }
        Ok(all)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Data<'a>;

    #[inline]
    fn next(&mut self) -> Option<Data<'a>> {
        self.count = self.count.checked_sub(1)?;
        // The elements were checked when they were read: nothing here fails, and the limits were counted then.
        let mut limits = Limits { depth: u8::MAX, elements: usize::MAX };
        match &mut self.types {
            Types::Tagged => {
                let tag = self.octets.try_get_u8().ok()?;
                Data::tagged(tag, &mut self.octets, &mut limits).ok()
            }
            Types::Each(description) => described(&mut &**description, &mut self.octets, &mut limits).ok(),
            Types::Listed(descriptions) => described(descriptions, &mut self.octets, &mut limits).ok(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl<'a> CompactArray<'a> {
    pub(super) fn parse(buf: &mut &'a [u8], limits: &mut Limits) -> Result<Self, Reject> {
        limits.within()?;
        let start = *buf;
        skip_description(buf, limits.depth)?;
        let description = used(start, buf);
        let contents = length::octets(buf)?;
        let (mut rest, mut count) = (contents, 0);
        while !rest.is_empty() {
            let before = rest.len();
            described(&mut &*description, &mut rest, limits)?;
            if rest.len() == before {
                return Err(Reject::Reserved("type description"));
            }
            count += 1;
        }
        limits.depth += 1;
        Ok(Self { description, contents, count })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.put_slice(self.description);
        length::emit_octets(self.contents, out);
    }

    /// The elements.
    pub const fn items(&self) -> Items<'a> {
        Items { count: self.count, types: Types::Each(self.description), octets: self.contents }
    }
}

/// Reads a value whose type stands elsewhere.
fn described<'a>(types: &mut &'a [u8], buf: &mut &'a [u8], limits: &mut Limits) -> Result<Data<'a>, Reject> {
    match types.try_get_u8()? {
        tag::ARRAY => {
            let count = usize::from(types.try_get_u16()?);
            let start = *types;
            skip_description(types, limits.depth)?;
            let description = used(start, types);
            let items = fill(count, Types::Each(description), buf, limits)?;
            Ok(Data::Array(items))
        }
        tag::STRUCTURE => {
            let count = length::parse(types)?;
            let start = *types;
            for _ in 0..count {
                skip_description(types, limits.depth)?;
            }
            let items = fill(count, Types::Listed(used(start, types)), buf, limits)?;
            Ok(Data::Structure(items))
        }
        tag => {
            limits.count()?;
            Data::scalar(tag, buf)
        }
    }
}

/// Reads elements of described types.
fn fill<'a>(count: usize, types: Types<'a>, buf: &mut &'a [u8], limits: &mut Limits) -> Result<Items<'a>, Reject> {
    limits.within()?;
    let start = *buf;
    let mut listed = types;
    for _ in 0..count {
        match &mut listed {
            Types::Listed(descriptions) => described(descriptions, buf, limits)?,
            Types::Each(description) => described(&mut &**description, buf, limits)?,
            Types::Tagged => return Err(Reject::Reserved("type description")),
        };
    }
    limits.depth += 1;
    Ok(Items { count, types, octets: used(start, buf) })
}

/// Leaves `types` behind one type description. IEC 62056-5-3, `TypeDescription`.
fn skip_description(types: &mut &[u8], depth: u8) -> Result<(), Reject> {
    let depth = depth.checked_sub(1).ok_or(Reject::TooDeep)?;
    match types.try_get_u8()? {
        tag::ARRAY => {
            types.try_get_u16()?;
            skip_description(types, depth)
        }
        tag::STRUCTURE => {
            let count = length::parse(types)?;
            // A description has one octet at least.
            if count > types.len() {
                return Err(Reject::Truncated);
            }
            (0..count).try_for_each(|_| skip_description(types, depth))
        }
        0 | 3..=6 | 9 | 10 | 12 | 13 | 15..=18 | 20..=33 | 255 => Ok(()),
        tag => Err(Reject::DataType(tag)),
    }
}

/// What of `start` was read before `rest`.
fn used<'a>(start: &'a [u8], rest: &[u8]) -> &'a [u8] {
    start.get(..start.len() - rest.len()).unwrap_or_default()
}
