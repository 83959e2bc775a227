//! The attributes of the adaptation layer's and the MAC layer's information base, with the layout of their values on
//! the serial line. G.9903 clauses 9.3 and 9.4.
//!
//! An attribute that is not in the table is carried as octets.

mod row;
mod table;

#[cfg(test)]
mod tests;

pub use row::{BlacklistEntry, BroadcastLogEntry, Context, GroupEntry, Neighbour, Pos, PosRf, Prefix, Route};
pub use table::{ADP, MAC, adp, mac};

use super::adp::Value;
use crate::octets::Field;
use crate::{Key, Reject};

/// Whose attribute it is: the two have different commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    Adp,
    Mac,
}

/// One attribute.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    pub id: u32,
    /// As the standard has it, without its prefix, in snake case.
    pub name: &'static str,
    pub kind: Kind,
}

/// What its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    U8,
    U16,
    U32,
    Octets,
    /// Write only.
    Key,
    Prefix,
    Context,
    BroadcastLog,
    Route,
    Group,
    Blacklist,
    Neighbour,
    Pos,
    PosRf,
}

/// A value with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    Octets(Vec<u8>),
    Key(Key),
    Prefix(Prefix),
    Context(Context),
    BroadcastLog(BroadcastLogEntry),
    Route(Route),
    Group(GroupEntry),
    Blacklist(BlacklistEntry),
    Neighbour(Neighbour),
    Pos(Pos),
    PosRf(PosRf),
}

impl Layer {
    /// The attribute of this number.
    pub fn attribute(self, id: u32) -> Option<&'static Attribute> {
        let table = self.table();
        table.binary_search_by_key(&id, |attribute| attribute.id).ok().and_then(|place| table.get(place))
    }

    /// The attribute of this name.
    pub fn named(self, name: &str) -> Option<&'static Attribute> {
        self.table().iter().find(|attribute| attribute.name == name)
    }

    fn table(self) -> &'static [Attribute] {
        match self {
            Self::Adp => ADP,
            Self::Mac => MAC,
        }
    }

    /// Reads a value of any attribute.
    ///
    /// # Errors
    /// `Truncated` or `TooLong` where the value is not as long as its type.
    pub fn parse(self, id: u32, octets: &[u8]) -> Result<Typed, Reject> {
        self.attribute(id).map_or(Kind::Octets, |attribute| attribute.kind).parse(octets)
    }
}

impl Kind {
    /// Reads a whole value.
    ///
    /// # Errors
    /// `Truncated` or `TooLong` where the value is not as long as its type.
    pub fn parse(self, octets: &[u8]) -> Result<Typed, Reject> {
        Ok(match self {
            Self::Bool => Typed::Bool(whole(octets)?),
            Self::U8 => Typed::U8(whole(octets)?),
            Self::U16 => Typed::U16(whole(octets)?),
            Self::U32 => Typed::U32(whole(octets)?),
            Self::Octets => Typed::Octets(octets.to_vec()),
            Self::Key => Typed::Key(whole(octets)?),
            Self::Prefix => Typed::Prefix(whole(octets)?),
            Self::Context => Typed::Context(whole(octets)?),
            Self::BroadcastLog => Typed::BroadcastLog(whole(octets)?),
            Self::Route => Typed::Route(whole(octets)?),
            Self::Group => Typed::Group(whole(octets)?),
            Self::Blacklist => Typed::Blacklist(whole(octets)?),
            Self::Neighbour => Typed::Neighbour(whole(octets)?),
            Self::Pos => Typed::Pos(whole(octets)?),
            Self::PosRf => Typed::PosRf(whole(octets)?),
        })
    }
}

impl Typed {
    /// The value as it stands on the line.
    pub fn to_value(&self) -> Value {
        let mut out = Vec::new();
        match self {
            Self::Bool(value) => value.emit(&mut out),
            Self::U8(value) => value.emit(&mut out),
            Self::U16(value) => value.emit(&mut out),
            Self::U32(value) => value.emit(&mut out),
            Self::Octets(octets) => out.extend(octets),
            Self::Key(key) => key.emit(&mut out),
            Self::Prefix(value) => value.emit(&mut out),
            Self::Context(value) => value.emit(&mut out),
            Self::BroadcastLog(value) => value.emit(&mut out),
            Self::Route(value) => value.emit(&mut out),
            Self::Group(value) => value.emit(&mut out),
            Self::Blacklist(value) => value.emit(&mut out),
            Self::Neighbour(value) => value.emit(&mut out),
            Self::Pos(value) => value.emit(&mut out),
            Self::PosRf(value) => value.emit(&mut out),
        }
        out.into()
    }

    /// The value of a plain number, whatever its width.
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Bool(value) => Some(u32::from(*value)),
            Self::U8(value) => Some(u32::from(*value)),
            Self::U16(value) => Some(u32::from(*value)),
            Self::U32(value) => Some(*value),
            _ => None,
        }
    }
}

fn whole<T: Field>(octets: &[u8]) -> Result<T, Reject> {
    let buf = &mut &*octets;
    let value = T::parse(buf)?;
    if buf.is_empty() { Ok(value) } else { Err(Reject::TooLong) }
}
