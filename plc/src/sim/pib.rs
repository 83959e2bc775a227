//! What an emulated modem keeps: attributes with their types, and tables made of the network behind it.

use std::collections::BTreeMap;

use crate::Key;
use crate::g3::adp::Value;
use crate::g3::pib::{ADP, Kind, Layer, MAC, Typed, adp, mac};
use crate::g3::{AdpStatus, MacStatus};

#[derive(Debug)]
pub(super) struct Pib {
    values: BTreeMap<(Layer, u32, u16), Vec<u8>>,
    is_hybrid: bool,
}

/// Why an attribute is not read or written, in the words of both layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Unsupported,
    InvalidIndex,
    InvalidParameter,
    WriteOnly,
}

impl Pib {
    pub(super) fn new(is_hybrid: bool) -> Self {
        let mut pib = Self { values: BTreeMap::new(), is_hybrid };
        pib.reset();
        pib
    }

    /// The values of a modem that has just got its power.
    pub(super) fn reset(&mut self) {
        self.values.clear();
        self.put(Layer::Adp, adp::MAX_HOPS, Typed::U8(8));
        self.put(Layer::Adp, adp::ACTIVE_KEY_INDEX, Typed::U8(0));
        self.put(Layer::Mac, mac::FRAME_COUNTER, Typed::U32(0));
        self.put(Layer::Mac, mac::FRAME_COUNTER_RF, Typed::U32(0));
        self.put(Layer::Mac, mac::PAN_ID, Typed::U16(0xffff));
    }

    pub(super) fn put(&mut self, layer: Layer, id: u32, typed: Typed) {
        self.values.insert((layer, id, 0), typed.to_value().octets);
    }

    pub(super) fn number(&self, layer: Layer, id: u32) -> u32 {
        self.values.get(&(layer, id, 0)).and_then(|octets| layer.parse(id, octets).ok()?.number()).unwrap_or(0)
    }

    /// No place of a table is empty before one that is not.
    fn close_up(&mut self, layer: Layer, id: u32) {
        let taken: Vec<u16> = self.values.range((layer, id, 0)..=(layer, id, u16::MAX)).map(|(at, _)| at.2).collect();
        for (place, index) in (0..).zip(taken) {
            let octets = self.values.remove(&(layer, id, index));
            octets.and_then(|octets| self.values.insert((layer, id, place), octets));
        }
    }

    /// Entries of a table that the host has written, by their indexes.
    pub(super) fn rows(&self, layer: Layer, id: u32) -> impl Iterator<Item = Typed> {
        let rows = self.values.range((layer, id, 0)..=(layer, id, u16::MAX));
        rows.filter_map(move |((_, id, _), octets)| layer.parse(*id, octets).ok())
    }

    pub(super) fn key(&self, index: u8) -> Option<Key> {
        let octets = self.values.get(&(Layer::Mac, mac::KEY_TABLE, u16::from(index)))?;
        octets.as_slice().try_into().ok().map(Key)
    }

    pub(super) fn set(&mut self, layer: Layer, id: u32, index: u16, value: &Value) -> Result<(), Fault> {
        let kind = self.kind(layer, id).ok_or(Fault::Unsupported)?;
        if kind == Kind::Key && index > 1 {
            return Err(Fault::InvalidIndex);
        }
        if value.octets.is_empty() {
            self.values.remove(&(layer, id, index));
            if kind == Kind::Blacklist {
                self.close_up(layer, id);
            }
            return Ok(());
        }
        kind.parse(&value.octets).map_err(|_| Fault::InvalidParameter)?;
        self.values.insert((layer, id, index), value.octets.clone());
        Ok(())
    }

    /// The value, zero where nobody has set it; entries of tables that nobody has set are not there.
    pub(super) fn get(&self, layer: Layer, id: u32, index: u16) -> Result<Value, Fault> {
        let kind = self.kind(layer, id).ok_or(Fault::Unsupported)?;
        if kind == Kind::Key {
            return Err(Fault::WriteOnly);
        }
        match (self.values.get(&(layer, id, index)), kind) {
            (Some(octets), _) => Ok(octets.clone().into()),
            (None, Kind::Bool | Kind::U8) if index == 0 => Ok(vec![0].into()),
            (None, Kind::U16) if index == 0 => Ok(vec![0; 2].into()),
            (None, Kind::U32) if index == 0 => Ok(vec![0; 4].into()),
            (None, Kind::Octets) if index == 0 => Ok(vec![0; 6].into()),
            (None, _) => Err(Fault::InvalidIndex),
        }
    }

    fn kind(&self, layer: Layer, id: u32) -> Option<Kind> {
        let is_rf = layer == Layer::Mac && (0x200..0x300).contains(&id);
        let table = if layer == Layer::Adp { ADP } else { MAC };
        table
            .iter()
            .find(|attribute| attribute.id == id)
            .filter(|_| self.is_hybrid || !is_rf)
            .map(|attribute| attribute.kind)
    }
}

impl Fault {
    pub(super) const fn adp(self) -> AdpStatus {
        match self {
            Self::Unsupported => AdpStatus::UNSUPPORTED_ATTRIBUTE,
            Self::InvalidIndex => AdpStatus::INVALID_INDEX,
            Self::InvalidParameter | Self::WriteOnly => AdpStatus::INVALID_PARAMETER,
        }
    }

    pub(super) const fn mac(self) -> MacStatus {
        match self {
            Self::Unsupported => MacStatus::UNSUPPORTED_ATTRIBUTE,
            Self::InvalidIndex => MacStatus::INVALID_INDEX,
            Self::InvalidParameter => MacStatus::INVALID_PARAMETER,
            Self::WriteOnly => MacStatus::UNAVAILABLE_KEY,
        }
    }
}
