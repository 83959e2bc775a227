//! What of the known meters survives a restart: who they are, when they were heard last, how often they send.

use bytes::{Buf, BufMut};

use super::rhythm::Rhythm;
use super::{Damaged, Meter, Registry};
use crate::reading::{MeterId, Received, TimeQuality};

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
            out.put_u8(u8::from(is_dated) | u8::from(meter.is_silent) << 1);
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
        let mut rest = body.strip_prefix(MAGIC).ok_or(Damaged)?;
        if checksum.try_get_u32_le() != Ok(crc32c::crc32c(body)) {
            return Err(Damaged);
        }
        while !rest.is_empty() && self.meters.len() < self.limit {
            let meter = meter(&mut rest).ok_or(Damaged)?;
            self.index.insert(meter.id, self.meters.len());
            self.meters.push(meter);
        }
        Ok(())
    }
}

fn meter(buf: &mut &[u8]) -> Option<Meter> {
    let mut octets = [0; 8];
    buf.try_copy_to_slice(&mut octets).ok()?;
    let id = MeterId::from_m_bus_octets(octets);
    let utc_ms = buf.try_get_i64_le().ok()?;
    let interval_ms = buf.try_get_u32_le().ok()?;
    let flags = buf.try_get_u8().ok()?;
    let quality = if flags & 1 == 0 { TimeQuality::Unsynchronised } else { TimeQuality::Synchronised };
    // No boot has this identity: its clock is never compared.
    let last = Received { boot_id: [0; 16], boot_ms: 0, utc_ms, quality };
    let rhythm = Rhythm::remembered(interval_ms);
    Some(Meter { rhythm, is_silent: flags & 2 != 0, ..Meter::new(id, last) })
}

const MAGIC: &[u8] = b"DCUmtr\x01\n";
const ENTRY: usize = 21;
