//! Takes the layers of a frame off one after the other and opens what is protected: one file a kind of protection.

mod cbc;
mod ccm;
mod content;
mod des;
mod ell;
mod wize;

use super::{Compact, Security, SecurityMode, Verdict};
use crate::afl::Afl;
use crate::ell::Ell;
use crate::link::Body;
use crate::spec::CI_AFL;
use crate::tpl::{Extension, ShortHeader, Tpl};
use crate::wize::CI_WIZE;
use crate::{Address, Formats, Keys, Link, Reject};

/// What has been read so far.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    link: Link,
    pub(super) ell: Option<Ell>,
    pub(super) afl: Option<Afl>,
    pub(super) tpl: Option<Tpl>,
    pub(super) wize: Option<crate::wize::Header>,
    pub(super) address: Option<Address>,
    pub(super) security: Security,
    /// The L-field promised more octets than there are.
    is_short: bool,
    /// So it did, and nothing explains it.
    is_cut: bool,
    /// What a compact frame says of its full frame.
    pub(super) compact: Option<Compact>,
    /// A CRC or MAC to the end of the frame was right: nothing is missing, whatever the L-field says.
    is_whole: bool,
}

/// Why opening ended early, or what is wrong with what was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) verdict: Verdict,
    pub(super) reject: Option<Reject>,
}

/// A message whose protection is to be taken off.
#[derive(Debug, Clone, Copy)]
struct Sealed<'a> {
    tpl: Tpl,
    header: ShortHeader,
    address: Address,
    /// From the CI-field on.
    tpdu: &'a [u8],
    /// Behind the header.
    payload: &'a [u8],
}

/// Where octets go that have to move: one buffer a layer.
#[derive(Debug)]
pub(super) struct Buffers<'a> {
    pub(super) link: &'a mut Vec<u8>,
    pub(super) transport: &'a mut Vec<u8>,
    /// The full frame of a compact one.
    pub(super) full: &'a mut Vec<u8>,
}

type Opened<'a> = (&'a [u8], Option<Stop>);

impl Opening {
    pub(super) fn new(link: Link, body: &Body<'_>) -> Self {
        Self {
            link,
            ell: None,
            afl: None,
            tpl: None,
            wize: None,
            address: link.address().copied(),
            security: Security {
                mode: SecurityMode::None,
                authenticated: false,
                came_open: false,
                in_the_clear: 0,
                counter: None,
            },
            is_short: body.is_short,
            is_cut: body.is_cut,
            compact: None,
            is_whole: false,
        }
    }

    /// The application octets of the frame whose CI-field is first in `rest`, and what stood in the way.
    pub(super) fn open<'a>(
        &mut self,
        rest: &'a [u8],
        keys: &impl Keys,
        formats: &Formats,
        buffers: Buffers<'a>,
    ) -> Opened<'a> {
        match self.layers(rest, keys, buffers.link, buffers.transport) {
            Ok(application) => self.content(application, formats, buffers.full),
            Err(Ended::Plain(application, stop)) => (application, Some(stop)),
            Err(Ended::Closed(stop)) => (&[], Some(stop)),
        }
    }

    /// What is to be opened does not open with its key, as far as can be told; nothing is opened for good.
    #[inline(never)]
    pub(super) fn is_wrong_key(&self, rest: &[u8], keys: &impl Keys, formats: &Formats) -> bool {
        let (mut link, mut transport, mut full) = (Vec::new(), Vec::new(), Vec::new());
        let buffers = Buffers { link: &mut link, transport: &mut transport, full: &mut full };
        let (_, stop) = self.clone().open(rest, keys, formats, buffers);
        stop.is_some_and(|stop| stop.verdict == Verdict::WrongKey)
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
                return Err(Ended::Plain(rest, Reject::Fragment.into()));
            }
            self.security.counter = afl.counter.or(self.security.counter);
        }
        if rest.first() == Some(&CI_WIZE) {
            return self.open_wize(rest, keys, transport);
        }
        let tpdu = rest;
        let tpl = match Tpl::parse(&mut rest) {
            Ok(tpl) => {
                self.tpl = Some(tpl);
                tpl
            }
            Err(reject @ (Reject::ManufacturerCi(ci_field) | Reject::UnsupportedCi(ci_field))) => {
                // What the manufacturer sends is there for those who know it.
                self.tpl = Some(Tpl::bare(ci_field));
                if let Some(afl) = self.afl.filter(|afl| afl.mac.is_some()) {
                    self.prove(&afl, false, tpdu, keys, transport)?;
                }
                return Err(Ended::Plain(rest, reject.into()));
            }
            Err(reject) => return Err(reject.into()),
        };
        self.address = tpl.address.or(self.address);
        match tpl.header {
            Some(header) => self.open_tpl(tpl, header, tpdu, rest, keys, transport),
            None => {
                if let Some(afl) = self.afl.filter(|afl| afl.mac.is_some()) {
                    self.prove(&afl, tpl.to_meter, tpdu, keys, transport)?;
                }
                Ok(rest)
            }
        }
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
            SecurityMode::DesCbc => header.configuration.field & 0xff != 0,
            SecurityMode::AesCcm | SecurityMode::EllAesCtr | SecurityMode::Wize | SecurityMode::Manufacturer => true,
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
        let key = match self.key_id(&header) {
            Some(key_id) => keys.numbered_key(&address, key_id),
            None => keys.key(&address),
        };
        let Some(key) = key else {
            return match payload.strip_prefix(&CHECK) {
                // Some receivers decrypt by themselves and leave the header as it was.
                Some(plain) if mode == SecurityMode::AesCbcIv => {
                    self.security.came_open = true;
                    Ok(plain)
                }
                _ => Err(self.no_key().into()),
            };
        };
        let sealed = Sealed { tpl, header, address, tpdu, payload };
        match mode {
            SecurityMode::DesCbc => self.open_des(&sealed, key, plain),
            SecurityMode::AesCcm => self.open_ccm(&sealed, key, plain),
            _ => self.open_cbc(&sealed, key, plain),
        }
    }

    /// The number of the key, where the telegram names one: in the extension of the configuration, else in AFL.KI.
    fn key_id(&self, header: &ShortHeader) -> Option<u8> {
        match header.configuration.extension {
            Extension::Kdf(field) => Some(field & KEY_ID),
            Extension::Ccm { field, .. } => Some(field as u8 & KEY_ID),
            Extension::None => self.afl?.key_id(),
        }
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

    /// Octets are missing, as far as is known.
    pub(super) const fn lacks_octets(&self) -> bool {
        self.is_cut && !self.is_whole
    }

    /// A key would not help a frame that lacks octets.
    fn no_key(&self) -> Stop {
        if self.is_cut { Reject::Truncated.into() } else { Verdict::NoKey.into() }
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

/// What decrypted data begin with. EN 13757-7:2018, 9.4.
const CHECK: [u8; 2] = [0x2f, 0x2f];
const KEY_ID: u8 = 0x0f;
