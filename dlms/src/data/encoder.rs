//! Writes values: each is given once, in its order, and nothing is built before it is written.

use super::{Data, Items, length, tag};
use crate::{DateTime, Obis};

/// Appends values to octets.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    out: Vec<u8>,
}

/// The octets of what `write` gives.
pub fn encode(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::default();
    write(&mut encoder);
    encoder.out
}

impl Encoder {
    /// One value.
    pub fn put(&mut self, data: Data<'_>) -> &mut Self {
        data.emit(&mut self.out);
        self
    }

    /// A value that is encoded already.
    pub fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.out.extend_from_slice(octets);
        self
    }

    /// An array; its elements follow.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.out.push(tag::ARRAY);
        length::emit(count, &mut self.out);
        self
    }

    /// A structure; its elements follow.
    pub fn structure(&mut self, count: usize) -> &mut Self {
        self.out.push(tag::STRUCTURE);
        length::emit(count, &mut self.out);
        self
    }

    /// A name of an object.
    pub fn obis(&mut self, obis: Obis) -> &mut Self {
        self.put(Data::OctetString(&obis.0))
    }

    /// A moment, as the octet string that attributes have it in.
    pub fn date_time(&mut self, date_time: DateTime) -> &mut Self {
        self.put(Data::OctetString(&date_time.octets()))
    }

    /// Octets so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }
}

impl<'a> Items<'a> {
    /// Elements that are encoded already: `count` values and nothing else.
    pub fn encoded(count: usize, octets: &'a [u8]) -> Option<Self> {
        let mut rest = octets;
        for _ in 0..count {
            Data::parse(&mut rest).ok()?;
        }
        rest.is_empty().then(|| Self::tagged(count, octets))
    }
}
