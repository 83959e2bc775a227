//! The entries of a network's file.

use bytes::{Buf, BufMut};
use plc::g3::bootstrap::{Member, Phase, Ring};
use plc::g3::modem::Keyring;
use plc::{Eui64, Key};

use super::Listed;

impl Listed {
    pub(super) fn emit(&self, eui64: Eui64, out: &mut Vec<u8>) {
        let meter = self.meter.as_bytes();
        let meter = meter.get(..METER_LIMIT).unwrap_or(meter);
        out.put_slice(&eui64.0);
        out.put_slice(&self.psk.0);
        out.put_u8(self.is_denied.into());
        out.put_u8(meter.len() as u8);
        out.put_slice(meter);
    }

    pub(super) fn parse(buf: &mut &[u8]) -> Option<(Eui64, Self)> {
        let eui64 = parse_eui64(buf)?;
        let psk = parse_key(buf)?;
        let is_denied = buf.try_get_u8().ok()? != 0;
        let len = usize::from(buf.try_get_u8().ok()?);
        let (meter, rest) = buf.split_at_checked(len)?;
        *buf = rest;
        Some((eui64, Self { psk, meter: String::from_utf8(meter.to_vec()).ok()?, is_denied }))
    }
}

pub(super) fn emit_member(member: &Member, out: &mut Vec<u8>) {
    out.put_slice(&member.eui64.0);
    out.put_u16(member.short_addr);
    out.put_u8(u8::from(member.is_joined) | u8::from(member.is_assigned) << 1);
    out.put_u32(member.key_generation);
    out.put_u32(member.active_generation);
}

pub(super) fn parse_member(buf: &mut &[u8]) -> Option<Member> {
    let (eui64, short_addr) = (parse_eui64(buf)?, buf.try_get_u16().ok()?);
    let presence = buf.try_get_u8().ok()?;
    Some(Member {
        eui64,
        short_addr,
        is_joined: presence & 1 != 0,
        is_assigned: presence & 2 != 0,
        key_generation: buf.try_get_u32().ok()?,
        active_generation: buf.try_get_u32().ok()?,
    })
}

/// The PAN id of the configuration, and the one that took its place.
pub(super) fn pan_entry((configured, current): (u16, u16)) -> Vec<u8> {
    [&[PAN][..], &configured.to_be_bytes(), &current.to_be_bytes()].concat()
}

pub(super) fn own_entry(own: Eui64) -> Vec<u8> {
    [&[OWN][..], &own.0].concat()
}

pub(super) fn ring_entry(ring: &Ring) -> Vec<u8> {
    let phase = PHASES.iter().position(|phase| *phase == ring.phase).unwrap_or(0);
    let mut entry = vec![RING];
    entry.put_u32(ring.generation);
    entry.put_u8(phase as u8);
    entry.put_u8(ring.keyring.active);
    for key in ring.keyring.keys {
        entry.put_u8(key.is_some().into());
        entry.put_slice(&key.map_or([0; 16], |key| key.0));
    }
    entry
}

pub(super) fn parse_ring(buf: &mut &[u8]) -> Option<Ring> {
    let generation = buf.try_get_u32().ok()?;
    let phase = *PHASES.get(usize::from(buf.try_get_u8().ok()?))?;
    let active = buf.try_get_u8().ok().filter(|active| *active < 2)?;
    let mut keys = [None; 2];
    for key in &mut keys {
        let is_there = buf.try_get_u8().ok()? != 0;
        *key = Some(parse_key(buf)?).filter(|_| is_there);
    }
    Some(Ring { keyring: Keyring { active, keys }, generation, phase })
}

pub(super) fn parse_eui64(buf: &mut &[u8]) -> Option<Eui64> {
    let mut octets = [0; 8];
    buf.try_copy_to_slice(&mut octets).ok()?;
    Some(Eui64(octets))
}

pub(super) fn parse_key(buf: &mut &[u8]) -> Option<Key> {
    let mut octets = [0; 16];
    buf.try_copy_to_slice(&mut octets).ok()?;
    Some(Key(octets))
}

pub(super) const COUNTERS: u8 = 1;
pub(super) const RING: u8 = 2;
pub(super) const MEMBER: u8 = 3;
pub(super) const LISTED: u8 = 4;
pub(super) const OWN: u8 = 5;
pub(super) const PAN: u8 = 6;
const PHASES: [Phase; 4] = [Phase::Settled, Phase::Distribute, Phase::Activate, Phase::Grace];
/// Octets of a meter's name.
pub const METER_LIMIT: usize = 64;
