//! AES-128-CCM with a nonce of 13 and a tag of 8 octets (RFC 3610): mode 10.

use aes::Aes128Enc;
use aes::cipher::{BlockEncrypt, KeyInit};

use super::{Block, ctr};

/// Octets of the tag behind the ciphertext.
pub(crate) const TAG: usize = 8;

/// Decrypts in place; false where the tag is wrong, and then the octets mean nothing.
pub(crate) fn open(key: &Block, nonce: &[u8; 13], associated: &[u8], octets: &mut [u8], tag: &[u8]) -> bool {
    let cipher = Aes128Enc::new(key.into());
    let mut counter = block(0x01, nonce, 0);
    let mut keystream = [0; 16];
    ctr::apply(&cipher, &counter, &mut keystream);
    if let Some(last) = counter.last_mut() {
        *last = 1;
    }
    ctr::apply(&cipher, &counter, octets);
    let mac = authenticate(&cipher, nonce, associated, octets);
    // No early return: the time taken tells nothing of the tag.
    let expected = mac.iter().zip(keystream).map(|(mac, stream)| mac ^ stream).take(TAG);
    tag.len() == TAG && expected.zip(tag).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Encrypts in place and returns the tag.
pub(crate) fn seal(key: &Block, nonce: &[u8; 13], associated: &[u8], octets: &mut [u8]) -> [u8; TAG] {
    let cipher = Aes128Enc::new(key.into());
    let [a, b, c, d, e, f, g, h, ..] = authenticate(&cipher, nonce, associated, octets);
    let mut tag = [a, b, c, d, e, f, g, h];
    ctr::apply(&cipher, &block(0x01, nonce, 0), &mut tag);
    ctr::apply(&cipher, &block(0x01, nonce, 1), octets);
    tag
}

/// CBC-MAC over the first block, the associated data (at most 65,279 octets) and the plain text.
fn authenticate(cipher: &Aes128Enc, nonce: &[u8; 13], associated: &[u8], plain: &[u8]) -> Block {
    let flags = 0x40 | ((TAG as u8 - 2) / 2) << 3 | 0x01;
    let mut mac = block(flags, nonce, plain.len() as u16);
    cipher.encrypt_block((&mut mac).into());
    let mut place = 0;
    let mut absorb = |octet: Option<u8>| match octet {
        Some(octet) => {
            if let Some(slot) = mac.get_mut(place) {
                *slot ^= octet;
            }
            place += 1;
            if place == 16 {
                cipher.encrypt_block((&mut mac).into());
                place = 0;
            }
        }
        None if place > 0 => {
            cipher.encrypt_block((&mut mac).into());
            place = 0;
        }
        None => {}
    };
    let len = (associated.len() as u16).to_be_bytes();
    len.iter().chain(associated).for_each(|octet| absorb(Some(*octet)));
    absorb(None);
    plain.iter().for_each(|octet| absorb(Some(*octet)));
    absorb(None);
    mac
}

fn block(flags: u8, nonce: &[u8; 13], number: u16) -> Block {
    let mut block = [0; 16];
    let parts = [flags].into_iter().chain(*nonce).chain(number.to_be_bytes());
    block.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
    block
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn packet_vector_1_of_rfc_3610_opens_and_a_changed_bit_does_not() {
        let key = hex!("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf");
        let nonce = hex!("00000003020100a0a1a2a3a4a5");
        let associated = hex!("0001020304050607");
        let sealed = hex!("588c979a61c663d2f066d0c2c0f989806d5f6b61dac384");
        let tag = hex!("17e8d12cfdf926e0");
        let mut octets = sealed;
        assert!(open(&key, &nonce, &associated, &mut octets, &tag));
        assert_eq!(octets, hex!("08090a0b0c0d0e0f101112131415161718191a1b1c1d1e"));
        let mut octets = sealed;
        octets[0] ^= 1;
        assert!(!open(&key, &nonce, &associated, &mut octets, &tag));
        let mut octets = sealed;
        assert!(!open(&key, &nonce, &associated, &mut octets, &tag[..7]));
        let mut octets = hex!("08090a0b0c0d0e0f101112131415161718191a1b1c1d1e");
        assert_eq!(seal(&key, &nonce, &associated, &mut octets), tag);
        assert_eq!(octets, sealed);
    }
}
