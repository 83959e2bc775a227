//! Takes the layers of a frame off one after the other and opens what is protected.

use bytes::Buf;

use super::{Security, SecurityMode, Verdict};
use crate::afl::Afl;
use crate::ell::{Ell, EllEncryption, SessionNumber};
use crate::link::Body;
use crate::security::{self, Block, Purpose};
use crate::spec::{CI_AFL, Content};
use crate::tpl::{Extension, ShortHeader, Tpl};
use crate::{Address, Key, Keys, Link, Reject};

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Opening {
    link: Link,
    pub(super) ell: Option<Ell>,
    pub(super) afl: Option<Afl>,
    pub(super) tpl: Option<Tpl>,
    pub(super) address: Option<Address>,
    pub(super) security: Security,
    /// The L-field promised more octets than there are.
    is_short: bool,
    /// So it did, and nothing explains it.
    is_cut: bool,
    /// A CRC or MAC to the end of the frame was right: nothing is missing, whatever the L-field says.
    is_whole: bool,
}

/// Why opening ended early, or what is wrong with what was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) verdict: Verdict,
    pub(super) reject: Option<Reject>,
}

type Opened<'a> = (&'a [u8], Option<Stop>);

impl Opening {
    pub(super) fn new(link: Link, body: &Body<'_>) -> Self {
        Self {
            link,
            ell: None,
            afl: None,
            tpl: None,
            address: link.address().copied(),
            security: Security { mode: SecurityMode::None, authenticated: false, counter: None },
            is_short: body.is_short,
            is_cut: body.is_cut,
            is_whole: false,
        }
    }

    /// The application octets of the frame whose CI-field is first in `rest`, and what stood in the way.
    pub(super) fn open<'a>(
        &mut self,
        rest: &'a [u8],
        keys: &impl Keys,
        link: &'a mut Vec<u8>,
        transport: &'a mut Vec<u8>,
    ) -> Opened<'a> {
        match self.layers(rest, keys, link, transport) {
            Ok(application) => {
                let stop = match self.content_reject() {
                    Some(reject) => Some(Stop::from(reject)),
                    None if self.is_cut && !self.is_whole => Some(Stop::from(Reject::Truncated)),
                    None => None,
                };
                (application, stop)
            }
            Err(Ended::Plain(application, stop)) => (application, Some(stop)),
            Err(Ended::Closed(stop)) => (&[], Some(stop)),
        }
    }

    fn layers<'a>(
        &mut self,
        mut rest: &'a [u8],
        keys: &impl Keys,
        link: &'a mut Vec<u8>,
        transport: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        if rest.first().is_some_and(|ci_field| Ell::is_ell(*ci_field)) {
            let ell = self.ell.insert(Ell::parse(&mut rest)?);
            if let Some(session_number) = ell.session_number {
                let ell = *ell;
                rest = self.open_ell(ell, session_number, rest, keys, link)?;
            }
        }
        if rest.first() == Some(&CI_AFL) {
            let afl = self.afl.insert(Afl::parse(&mut rest)?);
            if afl.is_fragment() {
                return Err(Stop::from(Reject::Fragment).into());
            }
            self.security.counter = afl.counter.or(self.security.counter);
        }
        let tpdu = rest;
        let tpl = match Tpl::parse(&mut rest) {
            Ok(tpl) => *self.tpl.insert(tpl),
            Err(reject @ (Reject::ManufacturerCi(ci_field) | Reject::UnsupportedCi(ci_field))) => {
                // What the manufacturer sends is there for those who know it.
                self.tpl = Some(Tpl::bare(ci_field));
                return Err(Ended::Plain(rest, reject.into()));
            }
            Err(reject) => return Err(reject.into()),
        };
        self.address = tpl.address.or(self.address);
        match tpl.header {
            Some(header) => self.open_tpl(tpl, header, tpdu, rest, keys, transport),
            None => Ok(rest),
        }
    }

    /// EN 13757-4:2019, 13.2.12: the payload begins with its CRC, both are encrypted.
    fn open_ell<'a>(
        &mut self,
        ell: Ell,
        session_number: SessionNumber,
        payload: &'a [u8],
        keys: &impl Keys,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Stop> {
        match session_number.encryption() {
            EllEncryption::None => return self.check_payload(payload).ok_or(self.cut_or(Verdict::BadCrc)),
            EllEncryption::Other(mode) => {
                self.security.mode = SecurityMode::Other(mode);
                return Err(Reject::UnsupportedSecurity(mode).into());
            }
            EllEncryption::AesCtr => {}
        }
        self.security.mode = SecurityMode::EllAesCtr;
        self.security.counter = Some(session_number.0);
        let sender = self.link.address().ok_or(Reject::NoAddress)?;
        let Some(key) = keys.key(sender) else {
            // Some receivers decrypt by themselves and leave the header as it was.
            return self.check_payload(payload).ok_or(self.no_key());
        };
        plain.clear();
        plain.extend_from_slice(payload);
        security::ctr_apply(key.octets(), &security::ell_counter(sender, &ell, session_number), plain);
        let plain: &'a [u8] = plain;
        match self.check_payload(plain) {
            Some(opened) => Ok(opened),
            None => self.check_payload(payload).ok_or(self.cut_or(Verdict::WrongKey)),
        }
    }

    /// The payload behind its CRC, where that is right.
    fn check_payload<'a>(&mut self, mut payload: &'a [u8]) -> Option<&'a [u8]> {
        let sent = payload.try_get_u16_le().ok()?;
        let is_right = crate::link::crc(payload) == sent;
        self.is_whole |= is_right;
        is_right.then_some(payload)
    }

    fn open_tpl<'a>(
        &mut self,
        tpl: Tpl,
        header: ShortHeader,
        tpdu: &'a [u8],
        payload: &'a [u8],
        keys: &impl Keys,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let mode = SecurityMode::of(header.configuration.mode());
        if mode != SecurityMode::None {
            self.security.mode = mode;
        }
        let blocks = 16 * header.configuration.blocks();
        let has_mac = self.afl.is_some_and(|afl| afl.mac.is_some());
        let is_encrypted = match mode {
            SecurityMode::None => false,
            SecurityMode::AesCbcIv | SecurityMode::AesCbcNoIv => blocks > 0,
            SecurityMode::AesCcm | SecurityMode::EllAesCtr => true,
            SecurityMode::Other(_) => !payload.is_empty(),
        };
        if !is_encrypted && !has_mac {
            return Ok(payload);
        }
        if let SecurityMode::Other(mode) = mode {
            return Err(Ended::Plain(payload, Reject::UnsupportedSecurity(mode).into()));
        }
        if matches!(mode, SecurityMode::AesCbcIv | SecurityMode::AesCbcNoIv) && payload.len() < blocks {
            return Err(Stop::from(Reject::Truncated).into());
        }
        let address = self.address.ok_or(Reject::NoAddress)?;
        let Some(key) = keys.key(&address) else {
            return match payload.strip_prefix(&CHECK) {
                // Some receivers decrypt by themselves and leave the header as it was.
                Some(plain) if mode == SecurityMode::AesCbcIv => Ok(plain),
                _ => Err(self.no_key().into()),
            };
        };
        match mode {
            SecurityMode::AesCcm => self.open_ccm(tpl, header, tpdu, payload, key, address, plain),
            _ => self.open_cbc(tpl, header, tpdu, payload, key, address, plain),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a message is protected with, each needed once")]
    fn open_cbc<'a>(
        &mut self,
        tpl: Tpl,
        header: ShortHeader,
        tpdu: &'a [u8],
        payload: &'a [u8],
        key: &Key,
        address: Address,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let is_mode_7 = header.configuration.mode() == 7;
        let is_derived = match header.configuration.extension {
            Extension::Kdf(field) => match field >> 4 & 3 {
                0 => false,
                1 => true,
                _ => return Err(Reject::Reserved("key derivation").into()),
            },
            _ => true,
        };
        let counter = self.afl.and_then(|afl| afl.counter);
        let derived = |purpose| -> Result<Block, Reject> {
            if !is_derived {
                return Ok(*key.octets());
            }
            let counter = counter.ok_or(Reject::Reserved("message counter"))?;
            Ok(security::derive(key, purpose, counter, address.identification))
        };
        let (encrypt, authenticate) = if tpl.to_meter {
            (Purpose::EncryptToMeter, Purpose::AuthenticateToMeter)
        } else {
            (Purpose::EncryptFromMeter, Purpose::AuthenticateFromMeter)
        };
        let mac = match self.afl.filter(|afl| afl.mac.is_some()) {
            Some(afl) if !afl.is_cmac() => return Err(Reject::Reserved("authentication type").into()),
            Some(afl) => Some(is_mac_right(&afl, &derived(authenticate)?, tpdu, plain)),
            None => None,
        };
        let blocks = 16 * header.configuration.blocks();
        if blocks == 0 {
            return match mac {
                Some(false) => Err(self.cut_or(Verdict::BadMac).into()),
                _ => {
                    self.verified(mac);
                    Ok(payload)
                }
            };
        }
        plain.clear();
        plain.extend_from_slice(payload);
        let encrypted = plain.get_mut(..blocks).ok_or(Reject::Truncated)?;
        if is_mode_7 {
            security::cbc_decrypt(&derived(encrypt)?, &[0; 16], encrypted);
        } else {
            let iv = security::mode_5_iv(&address, header.access_number);
            security::cbc_decrypt(key.octets(), &iv, encrypted);
        }
        let plain: &'a [u8] = plain;
        match (plain.strip_prefix(&CHECK), mac) {
            (Some(_), Some(false)) => Err(self.cut_or(Verdict::BadMac).into()),
            (Some(opened), mac) => {
                self.verified(mac);
                Ok(opened)
            }
            (None, _) => match payload.strip_prefix(&CHECK) {
                Some(opened) if !is_mode_7 => Ok(opened),
                _ => Err(Verdict::WrongKey.into()),
            },
        }
    }

    /// Mode 10: everything to the tag is encrypted; the tag also covers CI-field to configuration extension.
    #[expect(clippy::too_many_arguments, reason = "what a message is protected with, each needed once")]
    fn open_ccm<'a>(
        &mut self,
        tpl: Tpl,
        header: ShortHeader,
        tpdu: &'a [u8],
        payload: &'a [u8],
        key: &Key,
        address: Address,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let Extension::Ccm { field, counter } = header.configuration.extension else {
            return Err(Reject::Reserved("configuration extension").into());
        };
        self.security.counter = Some(counter);
        if field & !CCM_KEY_ID != CCM_DERIVED_TAG_8 || header.configuration.field & 0xff != CCM_ALL {
            return Err(Reject::UnsupportedSecurity(10).into());
        }
        let purpose = if tpl.to_meter { Purpose::EncryptToMeter } else { Purpose::EncryptFromMeter };
        let key = security::derive(key, purpose, counter, address.identification);
        let (sealed, tag) = payload
            .len()
            .checked_sub(security::CCM_TAG)
            .and_then(|len| payload.split_at_checked(len))
            .ok_or(Reject::Truncated)?;
        let header_len = tpdu.len() - payload.len();
        let associated = tpdu.get(..header_len.saturating_sub(CCM_COUNTER)).ok_or(Reject::Truncated)?;
        plain.clear();
        plain.extend_from_slice(sealed);
        let nonce = security::ccm_nonce(&address, counter);
        if !security::ccm_open(&key, &nonce, associated, plain, tag) {
            return Err(self.cut_or(Verdict::WrongKey).into());
        }
        self.verified(Some(true));
        Ok(plain.strip_prefix(&CHECK).unwrap_or(plain))
    }

    /// Nothing was wrong with the MAC, where there was one.
    fn verified(&mut self, mac: Option<bool>) {
        self.security.authenticated = mac == Some(true);
        self.is_whole |= self.security.authenticated;
    }

    /// A frame that may lack octets is not accused of anything else.
    fn cut_or(&self, verdict: Verdict) -> Stop {
        if self.is_short { Reject::Truncated.into() } else { verdict.into() }
    }

    /// A key would not help a frame that lacks octets.
    fn no_key(&self) -> Stop {
        if self.is_cut { Reject::Truncated.into() } else { Verdict::NoKey.into() }
    }

    /// Application data that are not decoded here, though decrypted.
    fn content_reject(&self) -> Option<Reject> {
        let tpl = self.tpl?;
        match tpl.content {
            Content::CompactFrame => Some(Reject::CompactFrame),
            Content::FormatFrame | Content::Foreign => Some(Reject::UnsupportedCi(tpl.ci_field)),
            _ => None,
        }
    }
}

/// Opening ended before the application data.
#[derive(Debug)]
enum Ended<'a> {
    /// There are octets for those who know what to do with them.
    Plain(&'a [u8], Stop),
    Closed(Stop),
}

impl From<Stop> for Ended<'_> {
    fn from(stop: Stop) -> Self {
        Self::Closed(stop)
    }
}

impl From<Verdict> for Ended<'_> {
    fn from(verdict: Verdict) -> Self {
        Self::Closed(verdict.into())
    }
}

impl From<Reject> for Ended<'_> {
    fn from(reject: Reject) -> Self {
        Self::Closed(reject.into())
    }
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self { verdict: reject.into(), reject: Some(reject) }
    }
}

impl From<Verdict> for Stop {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, reject: None }
    }
}

/// EN 13757-7:2018, 9.3.2: CMAC over the AFL's message fields and the transport layer to its end.
fn is_mac_right(afl: &Afl, key: &Block, tpdu: &[u8], scratch: &mut Vec<u8>) -> bool {
    scratch.clear();
    afl.authenticated(scratch);
    scratch.extend_from_slice(tpdu);
    let computed = security::cmac(key, scratch);
    let sent = afl.mac.as_ref().map_or(&[][..], |mac| mac.as_slice());
    // No early return: the time taken tells nothing of the MAC.
    !sent.is_empty() && computed.iter().zip(sent).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// What decrypted data begin with. EN 13757-7:2018, 9.4.
const CHECK: [u8; 2] = [0x2f, 0x2f];
/// Mode 10: key derivation A, tag of eight octets.
const CCM_DERIVED_TAG_8: u16 = 0x0110;
const CCM_KEY_ID: u16 = 0x000f;
/// Mode 10: the whole message is encrypted.
const CCM_ALL: u16 = 0xff;
const CCM_COUNTER: usize = 4;
