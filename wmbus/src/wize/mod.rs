//! Wize on 169 MHz: the presentation layer (L6) of exchange frames, Wize LAN protocol 1.0 to 1.2, CI-field 20.
//!
//! ```text
//! C MMMM AAAAAAAA VV TT 20   kk NN CCCC aa   L7 ..   hhhhhhhh tttt mmmm
//! kk  version, one bit set, number of Kenc      NN  network     CCCC  counter     aa  application
//! hh  HashKenc: over address, counter and L7 as sent, under the head-end's key Kenc
//! tt  when it was sent, the lowest 16 bits of seconds
//! mm  HashKmac: over address and all from kk to tt, under the network's key Kmac
//! ```
//!
//! In an INSTPONG the seconds since 2013 stand for HashKenc, and an offset of the frequency for tt. What is below Kenc is
//! for the head-end alone; a gateway needs Kmac only. Known from the public device stack OpenWize. Not here: downloads,
//! and frames from before the registration of the protocol (CI-field B4).

mod install;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{Buf, BufMut};

pub use install::{Mailbox, Ping, Pong};

use crate::security::{self, Block};
use crate::{Address, Key, Link, Reject};

pub const CI_WIZE: u8 = 0x20;
// C-fields.
pub const DATA: u8 = 0x44;
pub const DATA_PRIO: u8 = 0x54;
pub const INSTPING: u8 = 0x46;
pub const INSTPONG: u8 = 0x06;
pub const COMMAND: u8 = 0x43;
pub const RESPONSE: u8 = 0x08;

/// All of L6 but its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of the LAN protocol.
    pub version: u8,
    /// The number of the key Kenc, 1 to 14; 0 where L7 is not encrypted.
    pub key: u8,
    pub network: u8,
    pub counter: u16,
    /// Which application layer it is: 1 administration, 2 installation, others data.
    pub application: u8,
    pub trailer: Trailer,
    pub hash_kmac: [u8; 2],
}

/// What stands behind L7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailer {
    Exchange {
        hash_kenc: [u8; 4],
        timestamp: u16,
    },
    /// Of an INSTPONG.
    Pong {
        /// Seconds since 2013-01-01 UTC.
        epoch: u32,
        /// Of the device's transmission, as the gateway saw it.
        frequency_offset: i16,
    },
}

/// A frame that was taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange<'a> {
    pub c_field: u8,
    pub address: Address,
    pub header: Header,
    /// L7, as sent.
    pub payload: &'a [u8],
    /// From the control octet to the time stamp.
    authenticated: &'a [u8],
}

impl<'a> Exchange<'a> {
    /// Reads what stands between the link layer's header and its CRC, CI-field first, to its end.
    pub fn parse(link: &Link, octets: &'a [u8]) -> Result<Self, Reject> {
        let address = *link.address().ok_or(Reject::NoAddress)?;
        let c_field = link.c_field();
        let mut buf = octets;
        let ci_field = buf.try_get_u8()?;
        if ci_field != CI_WIZE {
            return Err(Reject::UnsupportedCi(ci_field));
        }
        // No MAC covers it, and the cipher begins with it.
        if !matches!(c_field, DATA | DATA_PRIO | INSTPING | INSTPONG | COMMAND | RESPONSE) {
            return Err(Reject::Reserved("c field of wize"));
        }
        let (authenticated, mac) = buf.split_last_chunk().ok_or(Reject::Truncated)?;
        let control = buf.try_get_u8()?;
        let (network, counter, application) = (buf.try_get_u8()?, buf.try_get_u16()?, buf.try_get_u8()?);
        let at = buf.len().checked_sub(TRAILER).ok_or(Reject::Truncated)?;
        let (payload, mut behind) = buf.split_at(at);
        let trailer = match c_field {
            INSTPONG => Trailer::Pong { epoch: behind.try_get_u32()?, frequency_offset: behind.try_get_i16()? },
            _ => {
                let hash_kenc = behind.try_get_u32()?.to_be_bytes();
                Trailer::Exchange { hash_kenc, timestamp: behind.try_get_u16()? }
            }
        };
        let version = control >> 5;
        let header = Header { version, key: control & KEYSEL, network, counter, application, trailer, hash_kmac: *mac };
        Ok(Self { c_field, address, header, payload, authenticated })
    }

    /// The frame comes from the network with this key.
    pub fn is_of(&self, kmac: &Key) -> bool {
        let computed = security::cmac(kmac.encrypting(), &[&block(&self.address, &[]), self.authenticated]);
        is_equal(&computed, &self.header.hash_kmac)
    }

    /// L7 was sent by whoever has this key. A pong has no such proof.
    pub fn is_sealed_by(&self, kenc: &Key) -> bool {
        let Trailer::Exchange { hash_kenc, .. } = &self.header.trailer else { return false };
        is_equal(&hash(kenc, &self.address, self.header.counter, self.payload), hash_kenc)
    }

    /// Decrypts L7 into `plain`.
    pub fn open(&self, kenc: &Key, plain: &mut Vec<u8>) {
        plain.clear();
        plain.extend_from_slice(self.payload);
        cipher(kenc, &self.address, self.header.counter, self.c_field, plain);
    }
}

/// An exchange yet to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    pub c_field: u8,
    /// The device, in both directions.
    pub address: Address,
    pub network: u8,
    pub counter: u16,
    pub application: u8,
    /// In the clear.
    pub payload: &'a [u8],
    /// The number of Kenc, and Kenc.
    pub kenc: Option<(u8, &'a Key)>,
    /// Seconds since 2013-01-01 UTC, of which a pong sends all and any other frame the lowest 16 bits.
    pub epoch: u32,
}

impl Draft<'_> {
    /// The octets from the C-field on, without CRC; None where L7 is longer than a frame can be.
    pub fn emit(&self, kmac: &Key) -> Option<Vec<u8>> {
        if self.payload.len() > PAYLOAD_MAX {
            return None;
        }
        let mut out = Vec::with_capacity(self.payload.len() + 32);
        Link::Wireless { c_field: self.c_field, address: self.address }.emit(&mut out);
        out.push(CI_WIZE);
        let l6 = out.len();
        out.extend_from_slice(&[VERSION << 5 | WTS | self.kenc.map_or(0, |(number, _)| number & KEYSEL), self.network]);
        out.put_u16(self.counter);
        out.push(self.application);
        let mut payload = self.payload.to_vec();
        if let Some((_, kenc)) = self.kenc {
            cipher(kenc, &self.address, self.counter, self.c_field, &mut payload);
        }
        out.extend_from_slice(&payload);
        if self.c_field == INSTPONG {
            out.put_u32(self.epoch);
            out.put_i16(0);
        } else {
            let key = self.kenc.map_or(kmac, |(_, kenc)| kenc);
            out.extend(hash(key, &self.address, self.counter, &payload).iter().take(4));
            out.put_u16(self.epoch as u16);
        }
        let mac = security::cmac(kmac.encrypting(), &[&block(&self.address, &[]), out.get(l6..).unwrap_or_default()]);
        out.extend(mac.iter().take(2));
        Some(out)
    }
}

impl Header {
    /// What this frame is in the words of the protocol.
    pub const fn kind(c_field: u8) -> &'static str {
        match c_field {
            DATA => "DATA",
            DATA_PRIO => "DATA_PRIO",
            INSTPING => "INSTPING",
            INSTPONG => "INSTPONG",
            COMMAND => "COMMAND",
            RESPONSE => "RESPONSE",
            _ => "?",
        }
    }
}

impl fmt::Display for Header {
    /// `wize network 9 counter 17 app fe key 1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wize network {} counter {} app {:02x} key {}",
            self.network, self.counter, self.application, self.key
        )
    }
}

/// HashKenc is the beginning of this.
fn hash(kenc: &Key, address: &Address, counter: u16, payload: &[u8]) -> Block {
    security::cmac(kenc.encrypting(), &[&block(address, &counter.to_be_bytes()), payload])
}

fn cipher(kenc: &Key, address: &Address, counter: u16, c_field: u8, octets: &mut [u8]) {
    let [high, low] = counter.to_be_bytes();
    security::ctr_apply(kenc.encrypting(), &block(address, &[high, low, c_field]), octets);
}

/// The address, what is behind it, zeros.
fn block(address: &Address, behind: &[u8]) -> Block {
    let mut block = [0; 16];
    let octets = security::address_octets(address).into_iter().chain(behind.iter().copied());
    block.iter_mut().zip(octets).for_each(|(place, octet)| *place = octet);
    block
}

/// No early return: the time taken tells nothing of the hash.
fn is_equal(computed: &Block, sent: &[u8]) -> bool {
    computed.iter().zip(sent).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

const VERSION: u8 = 0;
/// Bit 4 of the control octet, always set.
const WTS: u8 = 0x10;
const KEYSEL: u8 = 0x0f;
/// HashKenc, time stamp, HashKmac.
const TRAILER: usize = 8;
/// Octets of L7.
pub const PAYLOAD_MAX: usize = 229;
