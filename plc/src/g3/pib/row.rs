//! Values that have more than one field, most of them rows of tables.

use bytes::Buf;

use crate::Reject;
use crate::octets::Field;

/// adpPrefixTable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    pub length_bits: u8,
    pub is_on_link: bool,
    pub is_autonomous: bool,
    pub valid_lifetime_s: u32,
    pub preferred_lifetime_s: u32,
    pub prefix: Vec<u8>,
}

/// adpContextInformationTable: what 6LoWPAN compresses addresses with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Minutes.
    pub valid_lifetime_min: u16,
    pub is_for_compression: bool,
    pub length_bits: u8,
    pub context: Vec<u8>,
}

record! {
    /// adpBroadcastLogTable.
    pub struct BroadcastLogEntry {
        pub source: u16,
        pub sequence_number: u8,
        pub valid_time: u16,
    }
}

record! {
    /// adpGroupTable.
    pub struct GroupEntry {
        pub group_addr: u16,
        /// Only when it is read.
        pub is_valid: Option<bool>,
    }
}

/// adpRoutingTable: 9 octets, 10 where there may be two media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub destination: u16,
    pub next_hop: u16,
    pub route_cost: u16,
    pub hop_count: u8,
    pub weak_link_count: u8,
    /// 0 PLC, 1 RF.
    pub medium: Option<u8>,
    pub valid_time: u16,
}

/// adpBlacklistTable: 4 octets, 5 where there may be two media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlacklistEntry {
    pub short_addr: u16,
    pub medium: Option<u8>,
    pub valid_time: u16,
}

record! {
    /// macNeighbourTable: 19 octets, 21 in older firmware. The length on the line says 18 in both.
    pub struct Neighbour {
        pub short_addr: u16,
        pub tone_map: [u8; 3],
        pub modulation_type: u8,
        pub tx_gain: u8,
        pub tx_res: u8,
        pub tx_coefficients: [u8; 6],
        pub modulation_scheme: u8,
        pub phase_differential: u8,
        pub lqi: u8,
        pub tmr_valid_time: u16,
        pub neighbour_valid_time: Option<u16>,
    }
}

record! {
    /// macPOSTable: who is heard over PLC.
    pub struct Pos {
        pub short_addr: u16,
        pub lqi: u8,
        pub valid_time: u16,
    }
}

record! {
    /// macPOSTableRF: who is heard over RF.
    pub struct PosRf {
        pub short_addr: u16,
        pub forward_lqi: u8,
        pub reverse_lqi: u8,
        pub duty_cycle: u8,
        pub forward_tx_power_offset: u8,
        pub reverse_tx_power_offset: u8,
        pub valid_time: u16,
        pub reverse_valid_time: u16,
    }
}

impl Field for Prefix {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let prefix = Self {
            length_bits: buf.try_get_u8()?,
            is_on_link: Field::parse(buf)?,
            is_autonomous: Field::parse(buf)?,
            valid_lifetime_s: buf.try_get_u32()?,
            preferred_lifetime_s: buf.try_get_u32()?,
            prefix: std::mem::take(buf).to_vec(),
        };
        holds_bits(&prefix.prefix, prefix.length_bits).map(|()| prefix)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.length_bits.emit(out);
        self.is_on_link.emit(out);
        self.is_autonomous.emit(out);
        self.valid_lifetime_s.emit(out);
        self.preferred_lifetime_s.emit(out);
        out.extend(&self.prefix);
    }
}

impl Field for Context {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let context = Self {
            valid_lifetime_min: buf.try_get_u16()?,
            is_for_compression: Field::parse(buf)?,
            length_bits: buf.try_get_u8()?,
            context: std::mem::take(buf).to_vec(),
        };
        holds_bits(&context.context, context.length_bits).map(|()| context)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.valid_lifetime_min.emit(out);
        self.is_for_compression.emit(out);
        self.length_bits.emit(out);
        out.extend(&self.context);
    }
}

impl Field for Route {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let has_medium = buf.len() >= 10;
        let (destination, next_hop, route_cost) = (buf.try_get_u16()?, buf.try_get_u16()?, buf.try_get_u16()?);
        let counts = buf.try_get_u8()?;
        Ok(Self {
            destination,
            next_hop,
            route_cost,
            hop_count: counts >> 4,
            weak_link_count: counts & 0x0f,
            medium: has_medium.then(|| buf.try_get_u8()).transpose()?,
            valid_time: buf.try_get_u16()?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.destination.emit(out);
        self.next_hop.emit(out);
        self.route_cost.emit(out);
        out.push(self.hop_count << 4 | self.weak_link_count & 0x0f);
        self.medium.emit(out);
        self.valid_time.emit(out);
    }
}

impl Field for BlacklistEntry {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let has_medium = buf.len() >= 5;
        Ok(Self {
            short_addr: buf.try_get_u16()?,
            medium: has_medium.then(|| buf.try_get_u8()).transpose()?,
            valid_time: buf.try_get_u16()?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.short_addr.emit(out);
        self.medium.emit(out);
        self.valid_time.emit(out);
    }
}

fn holds_bits(octets: &[u8], bits: u8) -> Result<(), Reject> {
    if octets.len() < usize::from(bits).div_ceil(8) {
        return Err(Reject::Truncated);
    }
    if octets.len() > 16 { Err(Reject::TooLong) } else { Ok(()) }
}
