//! A frame as it was heard, to be decoded later.

use std::sync::Arc;

use bytes::{Buf, BufMut, TryGetError};

use crate::reading::{Link, Received, TimeQuality};

/// A frame without link layer CRCs, and its reception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub received: Received,
    pub links: Vec<Link>,
    /// L-field first.
    pub frame: Vec<u8>,
}

impl Kept {
    /// Reads what [`Self::emit`] wrote, to the end. None for what is cut.
    pub fn parse(buf: &mut &[u8]) -> Option<Self> {
        Self::read(buf).ok()
    }

    /// Appends boot, boot time, UTC, quality, links (name, RSSI, LQI), frame.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_slice(&self.received.boot_id);
        out.put_u64_le(self.received.boot_ms);
        out.put_i64_le(self.received.utc_ms);
        out.put_u8(self.received.quality as u8);
        let links = self.links.get(..LINKS).unwrap_or(&self.links);
        out.put_u8(links.len() as u8);
        for link in links {
            let name = link.receiver.as_bytes();
            let name = name.get(..usize::from(u8::MAX)).unwrap_or(name);
            out.put_u8(name.len() as u8);
            out.put_slice(name);
            out.put_i16_le(link.rssi_dbm.unwrap_or(i16::MIN));
            out.put_i16_le(link.lqi.map_or(-1, i16::from));
        }
        out.put_slice(&self.frame);
    }

    fn read(buf: &mut &[u8]) -> Result<Self, TryGetError> {
        let mut boot_id = [0; 16];
        buf.try_copy_to_slice(&mut boot_id)?;
        let received = Received {
            boot_id,
            boot_ms: buf.try_get_u64_le()?,
            utc_ms: buf.try_get_i64_le()?,
            quality: match buf.try_get_u8()? {
                SYNCHRONISED => TimeQuality::Synchronised,
                HOLDOVER => TimeQuality::Holdover,
                _ => TimeQuality::Unsynchronised,
            },
        };
        let mut links = Vec::new();
        for _ in 0..buf.try_get_u8()? {
            let len = usize::from(buf.try_get_u8()?);
            let mut name = vec![0; len];
            buf.try_copy_to_slice(&mut name)?;
            let receiver: Arc<str> = String::from_utf8_lossy(&name).into();
            let rssi_dbm = Some(buf.try_get_i16_le()?).filter(|rssi_dbm| *rssi_dbm != i16::MIN);
            links.push(Link { receiver, rssi_dbm, lqi: u8::try_from(buf.try_get_i16_le()?).ok() });
        }
        Ok(Self { received, links, frame: std::mem::take(buf).to_vec() })
    }
}

const HOLDOVER: u8 = TimeQuality::Holdover as u8;
const SYNCHRONISED: u8 = TimeQuality::Synchronised as u8;
/// Links that are kept of one frame.
const LINKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was_heard() {
        let received = Received { boot_id: [3; 16], boot_ms: 77, utc_ms: -1, quality: TimeQuality::Holdover };
        let link = |name: &str, rssi_dbm, lqi| Link { receiver: name.into(), rssi_dbm, lqi };
        let links = vec![link("roof", Some(-71), None), link("cellar", None, Some(255))];
        let kept = Kept { received, links, frame: vec![1, 0x44] };
        let mut octets = Vec::new();
        kept.emit(&mut octets);
        assert_eq!(Kept::parse(&mut octets.as_slice()), Some(kept));
        for end in 0..octets.len() - 2 {
            assert_eq!(Kept::parse(&mut &octets[..end]), None);
        }
    }
}
