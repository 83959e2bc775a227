//! Exchange frames of Wize: who sent them is proven by Kmac, what is in them opens with Kenc.

use super::{Ended, Opening};
use crate::link::{FIRST_BLOCK_B, crc};
use crate::wize::Exchange;
use crate::{Keys, SecurityMode, Verdict};

impl Opening {
    /// L7; as it was sent where it is not for us to open.
    pub(super) fn open_wize<'a>(
        &mut self,
        octets: &'a [u8],
        keys: &impl Keys,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let exchange = Exchange::parse(&self.link, self.without_crc(octets))?;
        let header = *self.wize.insert(exchange.header);
        if header.key != 0 {
            self.security.mode = SecurityMode::Wize;
        }
        let is_of_network = keys.network_key(header.network).map(|kmac| exchange.is_of(kmac));
        if is_of_network == Some(false) {
            return Err(Ended::Plain(exchange.payload, self.cut_or(Verdict::BadMac)));
        }
        self.verified(is_of_network);
        if header.key == 0 {
            return Ok(exchange.payload);
        }
        let sealed = |verdict| Err(Ended::Plain(exchange.payload, verdict));
        let Some(kenc) = keys.numbered_key(&exchange.address, header.key) else {
            return sealed(if self.is_whole { Verdict::NoKey.into() } else { self.no_key() });
        };
        if !exchange.is_sealed_by(kenc) {
            return sealed(if self.is_whole { Verdict::WrongKey.into() } else { self.cut_or(Verdict::WrongKey) });
        }
        // HashKenc does not cover the whole header: only the network's key authenticates.
        self.is_whole = true;
        exchange.open(kenc, plain);
        Ok(plain)
    }

    /// A long frame has one CRC at its end, where EN 13757-4 has two.
    fn without_crc<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        let mut frame = vec![0];
        self.link.emit(&mut frame);
        let l_field = frame.len() - 1 + octets.len();
        if l_field < FIRST_BLOCK_B {
            return octets;
        }
        let Some((body, sent)) = octets.split_last_chunk() else { return octets };
        frame.extend_from_slice(body);
        if let (Some(first), Ok(l_field)) = (frame.first_mut(), u8::try_from(l_field)) {
            *first = l_field;
        }
        if crc(&frame) == u16::from_be_bytes(*sent) { body } else { octets }
    }
}
