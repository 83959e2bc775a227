//! One received frame: link header, layers, decrypted application octets, and the verdict on them.
//!
//! What cannot be decrypted or is not decoded keeps the headers that were read. The records are read lazily.

mod choice;
mod open;
#[cfg(test)]
mod tests;

use std::fmt;

use self::open::Buffers;
use crate::afl::Afl;
use crate::application::Notice;
use crate::ell::Ell;
use crate::link::Body;
use crate::record::{DataRecord, IDLE, Records, Unit, Value};
use crate::spec::Content;
use crate::tpl::{Status, Tpl};
use crate::vendor::{self, Answer};
use crate::wize;
use crate::{Address, Form, Formats, Keys, Link, Reject};

/// One received frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Telegram<'a> {
    /// How the frame came in.
    pub form: Form,
    pub link: Link,
    pub ell: Option<Ell>,
    pub afl: Option<Afl>,
    /// None where the frame ends or turns unreadable before it.
    pub tpl: Option<Tpl>,
    /// In place of all layers behind the link layer's.
    pub wize: Option<wize::Header>,
    /// The meter: the transport layer's address where there is a long header, else the link layer's.
    pub address: Address,
    pub security: Security,
    /// The frame was a compact one. Where its format is known, CI-field aside, it is shown as the full frame.
    pub compact: Option<Compact>,
    /// Decrypted octets after the headers (and after the check octets 2F 2F); empty where they cannot be had. What
    /// a manufacturer's CI-field or security mode protects is here as received.
    pub application: &'a [u8],
    /// Protection and layers; [`Verdict::Partial`] shows only in the records, see [`Self::verdict_with_records`].
    pub verdict: Verdict,
    /// Why the verdict is not `Ok`, where it is not for a key.
    pub reject: Option<Reject>,
    /// What the octets of the manufacturer's own mean.
    translated: Option<&'a [u8]>,
    octets: &'a [u8],
}

/// What a compact frame says of its full frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compact {
    /// Of its format.
    pub signature: u16,
    pub full_frame_crc: u16,
}

/// What protected a telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security {
    pub mode: SecurityMode,
    /// A MAC over the message was verified.
    pub authenticated: bool,
    /// Encrypted by its header, and open as it was heard: some receivers decrypt by themselves. Nothing proves that.
    pub came_open: bool,
    /// Octets at the end of the application's that were sent in the clear behind what was encrypted; no MAC covers them.
    pub in_the_clear: u16,
    /// The counter that must never fall: AFL.MCR, the counter of mode 10, or the session number of the ELL.
    pub counter: Option<u32>,
}

/// The security mode, of the configuration field or of the ELL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityMode {
    /// Mode 0.
    None,
    /// AES-128-CTR of the extended link layer.
    EllAesCtr,
    /// Mode 2: DES-CBC.
    DesCbc,
    /// Mode 5: AES-128-CBC with an initialisation vector.
    AesCbcIv,
    /// Mode 7: AES-128-CBC with a derived key.
    AesCbcNoIv,
    /// Mode 10: AES-128-CCM.
    AesCcm,
    /// AES-128-CTR under Kenc of Wize.
    Wize,
    /// A cipher of the manufacturer's own, without a security mode.
    Manufacturer,
    Other(u8),
}

/// What may be said of a telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Ok,
    /// A record was not taken; those before it are good, and so are those behind it that were read.
    Partial,
    NoKey,
    /// Not decrypted by the key we have.
    WrongKey,
    /// Decrypted, but its MAC is wrong: it was changed, or forged.
    BadMac,
    /// Octets are missing at the end.
    Truncated,
    BadCrc,
    /// A layer, mode or manufacturer's format that is not decoded.
    Unsupported,
}

/// Buffers for what decoding has to move or decrypt. Keep one and use it again.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    first: Room,
    /// For frames that are read in two ways.
    second: Option<Box<Room>>,
}

#[derive(Debug, Clone, Default)]
struct Room {
    frame: Vec<u8>,
    link: Vec<u8>,
    transport: Vec<u8>,
    full: Vec<u8>,
    translation: Vec<u8>,
}

impl<'a> Telegram<'a> {
    /// Decodes a frame read in one way.
    #[inline(always)]
    fn decode_one(
        form: Form,
        octets: &'a [u8],
        keys: &impl Keys,
        formats: &Formats,
        room: &'a mut Room,
    ) -> Result<Self, Reject> {
        let Room { frame, link, transport, full, translation } = room;
        let body = Body::parse(octets, form, frame)?;
        let mut rest = body.octets;
        let header = match form {
            Form::Wired => Link::parse_wired(&mut rest)?,
            _ => Link::parse(&mut rest)?,
        };
        let mut opening = open::Opening::new(header, &body);
        if let Some(address) = vendor::address(header.address(), rest) {
            opening.address = Some(address);
        }
        let mut openers = vendor::WithDefault::new(keys, header.address());
        if openers.has_doubtful_key() && opening.is_wrong_key(rest, &openers, formats) {
            openers.prefer_default();
        }
        let (application, stop) = opening.open(rest, &openers, formats, Buffers { link, transport, full });
        let address = opening.address.ok_or(Reject::NoAddress)?;
        let (mut verdict, mut reject) = stop.map_or((Verdict::Ok, None), |stop| (stop.verdict, stop.reject));
        verdict = openers.verdict(verdict);
        let mut translated = None;
        let maker = vendor::Known::of(&address).filter(|_| verdict == Verdict::Ok || reject.is_some());
        if let Some(maker) = maker {
            let sent = vendor::Sent {
                link: header.address().copied(),
                address,
                tpl: opening.tpl,
                application,
                reject,
                is_cut: opening.lacks_octets(),
                key: None,
                tries_default: false,
            };
            match vendor::translate(maker, &sent, keys, translation) {
                Answer::None => {}
                Answer::Records { octets, is_decrypted } => {
                    translated = Some(octets);
                    if reject != Some(Reject::Truncated) {
                        (verdict, reject) = (Verdict::Ok, None);
                    }
                    if is_decrypted && opening.security.mode == SecurityMode::None {
                        opening.security.mode = SecurityMode::Manufacturer;
                    }
                }
                Answer::Stop(own, why) => {
                    translated = Some(&[]);
                    (verdict, reject) = (own, why);
                }
            }
        }
        Ok(Self {
            form,
            link: header,
            ell: opening.ell,
            afl: opening.afl,
            tpl: opening.tpl,
            wize: opening.wize,
            address,
            security: opening.security,
            compact: opening.compact,
            application,
            verdict,
            reject,
            translated,
            octets: body.octets,
        })
    }

    /// The data records, those among them that translate what is the manufacturer's own. Empty where the application
    /// data are none or could not be decrypted.
    pub fn records(&self) -> Records<'a> {
        if let Some(octets) = self.translated {
            return Records::new(octets);
        }
        let has_records = matches!(self.tpl, Some(Tpl { content: Content::Records, .. }));
        let is_open = matches!(self.verdict, Verdict::Ok | Verdict::Truncated);
        Records::new(if has_records && is_open { self.application } else { &[] })
    }

    /// The error or alarm that is sent in place of data records.
    pub fn notice(&self) -> Option<Notice> {
        let content = self.tpl.filter(|_| self.verdict == Verdict::Ok)?.content;
        Notice::parse(content, self.application)?.ok()
    }

    /// The records are not the application octets as sent, but what these mean.
    pub const fn is_translated(&self) -> bool {
        self.translated.is_some()
    }

    /// The record stood in the clear behind what was encrypted: whoever sent it needed no key.
    pub fn is_in_the_clear(&self, record: &DataRecord<'_>) -> bool {
        let len = record.octets.len();
        let at = self.application.len().saturating_sub(self.security.in_the_clear.into());
        let (sealed, clear) = self.application.split_at_checked(at).unwrap_or_default();
        if clear.iter().all(|octet| *octet == IDLE) || len == 0 {
            return false;
        }
        match self.application.as_ptr_range().contains(&record.octets.as_ptr()) {
            true => record.octets.as_ptr().addr() - self.application.as_ptr().addr() + len > sealed.len(),
            // What was translated or expanded is known by its octets.
            false => !sealed.windows(len).any(|octets| octets == record.octets),
        }
    }

    /// The verdict, with [`Verdict::Partial`] where a record is damaged. Reads all records.
    pub fn verdict_with_records(&self) -> Verdict {
        match self.verdict {
            Verdict::Ok if self.records().any(|record| record.is_err()) => Verdict::Partial,
            verdict => verdict,
        }
    }

    /// The frame went through a repeater, as the extended link layer says or, without one, the transport layer.
    pub fn is_repeated(&self) -> bool {
        let header = self.tpl.and_then(|tpl| tpl.header);
        self.ell
            .map_or_else(|| header.is_some_and(|header| header.configuration.is_repeated()), |ell| ell.is_repeated())
    }

    /// The access number of the transport layer, else of the extended link layer; of Wize the counter's last octet.
    pub fn access_number(&self) -> Option<u8> {
        let tpl = self.tpl.and_then(|tpl| tpl.header).map(|header| header.access_number);
        let wize = || self.wize.map(|wize| wize.counter as u8);
        tpl.or(self.ell.map(|ell| ell.access_number)).or_else(wize)
    }

    /// The frame goes to a meter.
    pub fn is_to_meter(&self) -> bool {
        let to_device = self.wize.is_some() && matches!(self.link.c_field(), wize::INSTPONG | wize::COMMAND);
        to_device || self.tpl.is_some_and(|tpl| tpl.to_meter)
    }

    /// The meter's status octet; None without a header, and in frames to the meter.
    pub fn status(&self) -> Option<Status> {
        self.tpl.filter(|tpl| !tpl.to_meter).and_then(|tpl| tpl.header).map(|header| header.status)
    }

    /// The protected frame from the C-field on, as received, without lengths and CRCs.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The protected frame, L-field first, without CRCs.
    pub fn stripped(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.octets.len());
        out.push(self.octets.len().min(255) as u8);
        out.extend_from_slice(self.octets);
        out
    }
}

impl Verdict {
    /// The name in JSON output and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::BadMac => "bad_mac",
            Self::Truncated => "truncated",
            Self::BadCrc => "bad_crc",
            Self::Unsupported => "unsupported",
        }
    }
}

/// The verdict on a frame of which not even the sender could be read, and of layers below the records.
impl From<Reject> for Verdict {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Truncated => Self::Truncated,
            Reject::BadCrc | Reject::BadChecksum | Reject::FormatSignature | Reject::FullFrameCrc => Self::BadCrc,
            _ => Self::Unsupported,
        }
    }
}

impl SecurityMode {
    pub(crate) const fn of(mode: u8) -> Self {
        match mode {
            0 => Self::None,
            2 => Self::DesCbc,
            5 => Self::AesCbcIv,
            7 => Self::AesCbcNoIv,
            10 => Self::AesCcm,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for SecurityMode {
    /// The number of the mode, or `ell-ctr`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("0"),
            Self::EllAesCtr => f.write_str("ell-ctr"),
            Self::DesCbc => f.write_str("2"),
            Self::AesCbcIv => f.write_str("5"),
            Self::AesCbcNoIv => f.write_str("7"),
            Self::AesCcm => f.write_str("10"),
            Self::Wize => f.write_str("wize"),
            Self::Manufacturer => f.write_str("manufacturer"),
            Self::Other(mode) => write!(f, "{mode}"),
        }
    }
}

impl fmt::Display for Telegram<'_> {
    /// `SND-NR KAM-12345678-1b-16 ell 8c cc 20 acc 27 tpl 7a acc 2a sts 00 mode 5 ok: volume 123e-3 m3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.link)?;
        if let Some(ell) = &self.ell {
            write!(f, " {ell}")?;
        }
        if let Some(afl) = &self.afl {
            write!(f, " {afl}")?;
        }
        if let Some(tpl) = &self.tpl {
            write!(f, " {tpl}")?;
        }
        if let Some(wize) = &self.wize {
            write!(f, " {wize}")?;
        }
        write!(f, " {}", self.verdict_with_records())?;
        if let Some(reject) = self.reject {
            write!(f, " ({reject})")?;
        }
        if let Some(notice) = self.notice() {
            write!(f, ": {notice}")?;
        }
        let mut separator = ":";
        for record in self.records() {
            match record {
                Ok(record) if record.value == Value::None && record.vib.unit == Unit::None => continue,
                Ok(record) => write!(f, "{separator} {record}")?,
                Err(reject) => write!(f, "{separator} {reject}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}
