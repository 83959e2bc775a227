//! What of the known meters survives a restart: who they are, when they were heard first and last, how many telegrams and
//! how often, what the last one's protection and status said.

use bytes::{Buf, BufMut};

use super::rhythm::Rhythm;
use super::{Damaged, Meter, Registry};
use crate::reading::{MeterId, Received, Security, TimeQuality};

impl Registry {
    /// All that must survive a restart, with its checksum.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + ENTRY * self.meters.len() + 4);
        out.extend_from_slice(MAGIC);
        for meter in &self.meters {
            let Some(octets) = meter.id.m_bus_octets() else { continue };
            out.put_slice(&octets);
            out.put_i64_le(meter.last.utc_ms);
            out.put_u32_le(meter.rhythm.interval_ms());
            let is_dated = meter.last.quality != TimeQuality::Unsynchronised;
            let marks = [
                (is_dated, DATED),
                (meter.is_silent, SILENT),
                (meter.first.is_some(), FIRST),
                (meter.status.is_some(), STATUS),
            ];
            out.put_u8(marks.into_iter().filter(|(is_so, _)| *is_so).fold(0, |flags, (_, mark)| flags | mark));
            out.put_i64_le(meter.first.map_or(0, |first| first.utc_ms));
            out.put_u64_le(meter.telegrams);
            out.put_u8(meter.security.map_or(0, |security| security as u8 + 1));
            out.put_u8(meter.status.unwrap_or(0));
        }
        out.put_u32_le(crc32c::crc32c(&out));
        out
    }

    /// Takes what [`Self::emit`] wrote in an earlier run.
    ///
    /// # Errors
    /// It is damaged: nothing of it is taken.
    pub fn restore(&mut self, octets: &[u8]) -> Result<(), Damaged> {
        let (body, mut checksum) =
            octets.len().checked_sub(4).and_then(|at| octets.split_at_checked(at)).ok_or(Damaged)?;
        let is_old = body.starts_with(OLD_MAGIC);
        let mut rest = body.strip_prefix(if is_old { OLD_MAGIC } else { MAGIC }).ok_or(Damaged)?;
        if checksum.try_get_u32_le() != Ok(crc32c::crc32c(body)) {
            return Err(Damaged);
        }
        while !rest.is_empty() && self.meters.len() < self.limit {
            let meter = meter(&mut rest, is_old).ok_or(Damaged)?;
            self.index.insert(meter.id, self.meters.len());
            self.meters.push(Meter { is_named: self.keys.names(&meter.id), ..meter });
        }
        Ok(())
    }
}

fn meter(buf: &mut &[u8], is_old: bool) -> Option<Meter> {
    let mut octets = [0; 8];
    buf.try_copy_to_slice(&mut octets).ok()?;
    let id = MeterId::from_m_bus_octets(octets);
    let utc_ms = buf.try_get_i64_le().ok()?;
    let interval_ms = buf.try_get_u32_le().ok()?;
    let flags = buf.try_get_u8().ok()?;
    let quality = if flags & DATED == 0 { TimeQuality::Unsynchronised } else { TimeQuality::Synchronised };
    // No boot has this identity: its clock is never compared.
    let last = Received { boot_id: [0; 16], boot_ms: 0, utc_ms, quality };
    let rhythm = Rhythm::remembered(interval_ms);
    let meter = Meter { rhythm, first: None, is_silent: flags & SILENT != 0, ..Meter::new(id, last) };
    if is_old {
        return Some(meter);
    }
    let first = Received { utc_ms: buf.try_get_i64_le().ok()?, ..last };
    let telegrams = buf.try_get_u64_le().ok()?;
    let security = match buf.try_get_u8().ok()? {
        0 => None,
        number => Some(*Security::ALL.get(usize::from(number) - 1)?),
    };
    let status = buf.try_get_u8().ok()?;
    Some(Meter {
        first: (flags & FIRST != 0).then_some(first),
        telegrams,
        security,
        status: (flags & STATUS != 0).then_some(status),
        ..meter
    })
}

const MAGIC: &[u8] = b"DCUmtr\x02\n";
const ENTRY: usize = 39;
/// Of a version whose entries ended with the marks.
const OLD_MAGIC: &[u8] = b"DCUmtr\x01\n";
// The marks of an entry.
const DATED: u8 = 1;
const SILENT: u8 = 2;
const FIRST: u8 = 4;
const STATUS: u8 = 8;
