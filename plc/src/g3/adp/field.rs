//! Fields of ADP messages whose length stands elsewhere in the message.

use bytes::Buf;

use crate::octets::{Field, take};
use crate::{Eui64, Octets, Reject};

/// Where a frame goes to or comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Short(u16),
    Extended(Eui64),
}

/// The value of an attribute behind its length, which is not to be trusted: firmware says 18 of a neighbour's 19 or 21
/// octets. What is there counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// What the length octet says.
    pub announced: u8,
    pub octets: Vec<u8>,
}

/// An LBP message and where it goes to; the size of the address, the length and the address stand before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lbp {
    pub destination: Address,
    pub pdu: Octets,
}

/// What a path discovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub destination: u16,
    pub originator: u16,
    pub metric: u8,
    pub forward: Vec<Hop>,
    pub reverse: Vec<Hop>,
}

record! {
    /// One hop of a path.
    pub struct Hop {
        pub short_addr: u16,
        /// Whether the node may be left out of the metric.
        pub metric_not_supported: u8,
        pub link_cost: u8,
        pub phase_differential: u8,
        /// The medium it was received over: 0 PLC, 1 RF.
        pub medium_rx: u8,
        pub medium_tx: u8,
    }
}

impl From<Vec<u8>> for Value {
    /// With its true length. Values are short: no attribute has more than 255 octets.
    fn from(octets: Vec<u8>) -> Self {
        Self { announced: u8::try_from(octets.len()).unwrap_or(u8::MAX), octets }
    }
}

impl std::fmt::Debug for Value {
    /// Values may be keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({} octets)", self.octets.len())
    }
}

/// Everything behind the length octet. A refusal ends before it.
impl Field for Value {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        if buf.is_empty() {
            return Ok(Self::default());
        }
        let announced = buf.try_get_u8()?;
        if buf.len() < usize::from(announced) {
            return Err(Reject::Truncated);
        }
        Ok(Self { announced, octets: std::mem::take(buf).to_vec() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.announced);
        out.extend(&self.octets);
    }
}

impl Address {
    fn emit_bare(self, out: &mut Vec<u8>) {
        match self {
            Self::Short(short_addr) => short_addr.emit(out),
            Self::Extended(eui64) => eui64.emit(out),
        }
    }

    const fn size(self) -> u8 {
        match self {
            Self::Short(_) => 2,
            Self::Extended(_) => 8,
        }
    }

    fn parse_bare(size: u8, buf: &mut &[u8]) -> Result<Self, Reject> {
        match size {
            2 => Field::parse(buf).map(Self::Short),
            8 => Field::parse(buf).map(Self::Extended),
            _ => Err(Reject::Reserved("address size")),
        }
    }
}

/// Behind its size.
impl Field for Address {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Self::parse_bare(buf.try_get_u8()?, buf)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.size());
        self.emit_bare(out);
    }
}

impl Field for Lbp {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (size, length) = (buf.try_get_u8()?, buf.try_get_u16()?);
        let destination = Address::parse_bare(size, buf)?;
        Ok(Self { destination, pdu: take(buf, usize::from(length))?.to_vec().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let length = u16::try_from(self.pdu.0.len()).unwrap_or(u16::MAX);
        out.push(self.destination.size());
        length.emit(out);
        self.destination.emit_bare(out);
        out.extend(self.pdu.0.iter().take(usize::from(length)));
    }
}

impl Field for Path {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (destination, originator, metric) = (Field::parse(buf)?, Field::parse(buf)?, Field::parse(buf)?);
        let (forward, reverse) = (buf.try_get_u8()?, buf.try_get_u8()?);
        let mut hops = |count| (0..count).map(|_| Hop::parse(buf)).collect::<Result<Vec<_>, _>>();
        Ok(Self { destination, originator, metric, forward: hops(forward)?, reverse: hops(reverse)? })
    }

    /// Over 255 hops of a direction are cut.
    fn emit(&self, out: &mut Vec<u8>) {
        self.destination.emit(out);
        self.originator.emit(out);
        out.extend([self.metric, self.forward.len().min(255) as u8, self.reverse.len().min(255) as u8]);
        self.forward.iter().take(255).chain(self.reverse.iter().take(255)).for_each(|hop| hop.emit(out));
    }
}
