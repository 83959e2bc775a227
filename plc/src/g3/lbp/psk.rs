//! The two sides of EAP-PSK: keys and codes of RFC 4764 clause 3, and the conversation of G.9903 annex E.
//!
//! [`Server`] is the bootstrap server's side, [`Peer`] the device's. Random numbers come in from outside.

use aes::Aes128;
use aes::cipher::{BlockEncrypt, InnerIvInit, KeyInit, StreamCipher};
use cmac::digest::InnerInit;
use cmac::{Cmac, CmacCore, Mac as _};

use super::Parameter;
use super::eap::{Body, Channel, Mac, Message, Rand};
use crate::{Key, Reject};

/// AK and KDK: what the pre-shared key is used as.
#[derive(Clone)]
pub struct LongTerm {
    authentication: Aes128,
    derivation: Aes128,
}

/// What both sides have when messages 1 and 2 were exchanged.
#[derive(Clone)]
struct Session {
    transport: Aes128,
    rand_s: Rand,
}

/// The server's side of one conversation.
#[derive(Debug, Clone)]
pub struct Server {
    keys: LongTerm,
    id_s: Vec<u8>,
    rand_s: Rand,
    /// The identifier of the request that waits for its response.
    identifier: u8,
    /// Since message 2 was taken.
    session: Option<(Session, Mac)>,
}

/// The device's side of one conversation.
#[derive(Debug, Clone)]
pub struct Peer {
    keys: LongTerm,
    id_p: Vec<u8>,
    rand_p: Rand,
    session: Option<(Session, Mac)>,
}

impl LongTerm {
    pub fn derive(psk: &Key) -> Self {
        let [authentication, derivation] = expand(&aes(psk.0), [0; 16]);
        Self { authentication: aes(authentication), derivation: aes(derivation) }
    }

    fn session(&self, rand_s: Rand, rand_p: Rand) -> Session {
        let [transport] = expand(&self.derivation, rand_p);
        Session { transport: aes(transport), rand_s }
    }

    /// MAC_P: of the device.
    fn mac_p(&self, id_p: &[u8], id_s: &[u8], rand_s: &Rand, rand_p: &Rand) -> Mac {
        cmac(&self.authentication, &[id_p, id_s, rand_s, rand_p])
    }

    /// MAC_S: of the server.
    fn mac_s(&self, id_s: &[u8], rand_p: &Rand) -> Mac {
        cmac(&self.authentication, &[id_s, rand_p])
    }
}

impl Server {
    pub fn new(psk: &Key, id_s: &[u8], rand_s: Rand) -> Self {
        Self { keys: LongTerm::derive(psk), id_s: id_s.to_vec(), rand_s, identifier: 0, session: None }
    }

    /// Message 1.
    pub fn first(&mut self, identifier: u8) -> Message {
        self.identifier = identifier;
        Message { identifier, body: Body::First { rand_s: self.rand_s, id_s: self.id_s.clone() } }
    }

    /// Takes message 2 of the device that must have this name.
    ///
    /// # Errors
    /// `Mismatch` where the echo or the name is another one, `BadMac` where it has another key.
    pub fn take_second(&mut self, message: &Message, identity: &[u8]) -> Result<(), Reject> {
        let Body::Second { rand_s, rand_p, mac_p, id_p } = &message.body else {
            return Err(Reject::Unexpected("eap message"));
        };
        self.expect(message.identifier, rand_s)?;
        if id_p != identity {
            return Err(Reject::Mismatch("identity"));
        }
        if !is_equal(mac_p, &self.keys.mac_p(id_p, &self.id_s, rand_s, rand_p)) {
            return Err(Reject::BadMac);
        }
        let mac_s = self.keys.mac_s(&self.id_s, rand_p);
        self.session = Some((self.keys.session(self.rand_s, *rand_p), mac_s));
        Ok(())
    }

    /// Message 3 with these parameters; None before message 2 was taken.
    pub fn third(&mut self, identifier: u8, parameters: &[Parameter]) -> Option<Message> {
        let (session, mac_s) = self.session.as_ref()?;
        self.identifier = identifier;
        let body = |channel| Body::Third { rand_s: session.rand_s, mac_s: *mac_s, channel };
        Some(session.seal(identifier, SERVER_NONCE, parameters, body))
    }

    /// Takes message 4: what the device says of the parameters.
    ///
    /// # Errors
    /// `Mismatch` where echo or nonce is another one, `BadMac`, `Unexpected` where the device does not say success.
    pub fn take_fourth(&self, message: &Message) -> Result<Vec<Parameter>, Reject> {
        let (Body::Fourth { rand_s, channel }, Some((session, _))) = (&message.body, &self.session) else {
            return Err(Reject::Unexpected("eap message"));
        };
        self.expect(message.identifier, rand_s)?;
        if channel.nonce != PEER_NONCE {
            return Err(Reject::Mismatch("nonce"));
        }
        session.open(message, channel)
    }

    fn expect(&self, identifier: u8, rand_s: &Rand) -> Result<(), Reject> {
        if *rand_s != self.rand_s {
            return Err(Reject::Mismatch("random number"));
        }
        if identifier == self.identifier { Ok(()) } else { Err(Reject::Mismatch("identifier")) }
    }
}

impl Peer {
    pub fn new(psk: &Key, id_p: &[u8], rand_p: Rand) -> Self {
        Self { keys: LongTerm::derive(psk), id_p: id_p.to_vec(), rand_p, session: None }
    }

    /// Message 2 to a message 1.
    ///
    /// # Errors
    /// `Unexpected` where it is none.
    pub fn second(&mut self, message: &Message) -> Result<Message, Reject> {
        let Body::First { rand_s, id_s } = &message.body else { return Err(Reject::Unexpected("eap message")) };
        let (rand_s, rand_p) = (*rand_s, self.rand_p);
        self.session = Some((self.keys.session(rand_s, rand_p), self.keys.mac_s(id_s, &rand_p)));
        let mac_p = self.keys.mac_p(&self.id_p, id_s, &rand_s, &rand_p);
        Ok(Message {
            identifier: message.identifier,
            body: Body::Second { rand_s, rand_p, mac_p, id_p: self.id_p.clone() },
        })
    }

    /// The parameters of a message 3.
    ///
    /// # Errors
    /// `Mismatch`, `BadMac`, `Unexpected`.
    pub fn take_third(&self, message: &Message) -> Result<Vec<Parameter>, Reject> {
        let (Body::Third { rand_s, mac_s, channel }, Some((session, expected))) = (&message.body, &self.session) else {
            return Err(Reject::Unexpected("eap message"));
        };
        if *rand_s != session.rand_s {
            return Err(Reject::Mismatch("random number"));
        }
        if !is_equal(mac_s, expected) {
            return Err(Reject::BadMac);
        }
        session.open(message, channel)
    }

    /// Message 4 to the message 3 of this identifier; None before there was one.
    pub fn fourth(&self, identifier: u8, parameters: &[Parameter]) -> Option<Message> {
        let (session, _) = self.session.as_ref()?;
        let body = |channel| Body::Fourth { rand_s: session.rand_s, channel };
        Some(session.seal(identifier, PEER_NONCE, parameters, body))
    }
}

impl Session {
    fn seal(&self, identifier: u8, nonce: u32, parameters: &[Parameter], body: impl Fn(Channel) -> Body) -> Message {
        let mut text = vec![DONE_SUCCESS | EXTENDED, CONFIGURATION];
        parameters.iter().for_each(|parameter| parameter.emit(&mut text));
        // The header says how long the text is, which is known before it is encrypted.
        let mut channel = Channel { nonce, tag: [0; 16], ciphertext: text };
        let header = body(channel.clone()).authenticated(identifier);
        let counter = omac(&self.transport, 0, &nonce_block(nonce));
        ctr(&self.transport, counter, &mut channel.ciphertext);
        channel.tag = self.tag(counter, &header, &channel.ciphertext);
        Message { identifier, body: body(channel) }
    }

    fn open(&self, message: &Message, channel: &Channel) -> Result<Vec<Parameter>, Reject> {
        let counter = omac(&self.transport, 0, &nonce_block(channel.nonce));
        let header = message.body.authenticated(message.identifier);
        if !is_equal(&channel.tag, &self.tag(counter, &header, &channel.ciphertext)) {
            return Err(Reject::BadMac);
        }
        let mut text = channel.ciphertext.clone();
        ctr(&self.transport, counter, &mut text);
        match text.split_first() {
            Some((flags, rest)) if flags & RESULT_BITS == DONE_SUCCESS => match rest.split_first() {
                Some((&CONFIGURATION, mut parameters)) if flags & EXTENDED != 0 => {
                    Parameter::parse_all(&mut parameters)
                }
                None if flags & EXTENDED == 0 => Ok(Vec::new()),
                _ => Err(Reject::Reserved("extension type")),
            },
            Some(_) => Err(Reject::Unexpected("result of the other side")),
            None => Err(Reject::Truncated),
        }
    }

    /// EAX: the three parts, each under its own tweak.
    fn tag(&self, counter: Mac, header: &[u8], ciphertext: &[u8]) -> Mac {
        let (header, text) = (omac(&self.transport, 1, header), omac(&self.transport, 2, ciphertext));
        let mut tag = counter;
        tag.iter_mut().zip(header.iter().zip(text)).for_each(|(octet, (a, b))| *octet ^= a ^ b);
        tag
    }
}

impl std::fmt::Debug for LongTerm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LongTerm(..)")
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(..)")
    }
}

/// E(E(block) ^ 1), E(E(block) ^ 2) and so on: the modified counter mode of RFC 4764 clause 3.1.
pub(super) fn expand<const N: usize>(cipher: &Aes128, block: [u8; 16]) -> [[u8; 16]; N] {
    let start = encrypt(cipher, block);
    let mut number = 0;
    [(); N].map(|()| {
        number += 1;
        let [rest @ .., last] = start;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = rest;
        encrypt(cipher, [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, last ^ number])
    })
}

pub(super) fn aes(key: [u8; 16]) -> Aes128 {
    Aes128::new(&key.into())
}

fn encrypt(cipher: &Aes128, block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

fn cmac(cipher: &Aes128, pieces: &[&[u8]]) -> Mac {
    let mut mac = Cmac::<Aes128>::from_core(CmacCore::inner_init(cipher.clone()));
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

fn omac(cipher: &Aes128, tweak: u8, octets: &[u8]) -> Mac {
    cmac(cipher, &[&[0; 15], &[tweak], octets])
}

fn ctr(cipher: &Aes128, counter: Mac, octets: &mut [u8]) {
    let core = ctr::CtrCore::<Aes128, ctr::flavors::Ctr128BE>::inner_iv_init(cipher.clone(), &counter.into());
    aes::cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(octets);
}

fn nonce_block(nonce: u32) -> [u8; 16] {
    u128::from(nonce).to_be_bytes()
}

/// In a time that does not depend on where they differ.
fn is_equal(a: &Mac, b: &Mac) -> bool {
    a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// The nonces of the protected channel: one message each way.
const SERVER_NONCE: u32 = 0;
const PEER_NONCE: u32 = 1;
/// R, in the two highest bits.
const RESULT_BITS: u8 = 0xc0;
const DONE_SUCCESS: u8 = 0x80;
/// E: an extension follows.
const EXTENDED: u8 = 0x20;
/// EXT_Type of configuration parameters.
const CONFIGURATION: u8 = 0x02;
