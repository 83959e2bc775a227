//! The transport layer, EN 13757-7:2018 clause 7: address, access number, status, configuration field.

use std::fmt;

use bytes::{Buf, BufMut};

use crate::spec::{self, CI_MANUFACTURER, Content, Header};
use crate::{Address, Reject};

/// CI-field and header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tpl {
    pub ci_field: u8,
    /// Long header only.
    pub address: Option<Address>,
    /// Short and long header.
    pub header: Option<ShortHeader>,
    pub content: Content,
    /// The frame goes to the meter.
    pub to_meter: bool,
}

/// Access number, status and configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortHeader {
    pub access_number: u8,
    pub status: Status,
    pub configuration: Configuration,
}

/// The status octet of a meter. EN 13757-7:2018, 7.5.6. In frames to the meter it is the reception level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

/// What the application of the meter says of itself: two bits that are a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationStatus {
    NoError = 0,
    Busy = 1,
    Error = 2,
    Alarm = 3,
}

/// The configuration field, with the extension that its security mode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    pub field: u16,
    pub extension: Extension,
}

/// What follows the configuration field. EN 13757-7:2018, 7.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    None,
    /// Mode 7: key derivation and key id.
    Kdf(u8),
    /// Mode 10: key derivation and tag, then the message counter.
    Ccm {
        field: u16,
        counter: u32,
    },
}

impl Tpl {
    /// Reads CI-field and header and leaves `buf` at the application data.
    #[inline(always)]
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let ci_field = buf.try_get_u8()?;
        let row = spec::tpl(ci_field).ok_or(match CI_MANUFACTURER.contains(&ci_field) {
            true => Reject::ManufacturerCi(ci_field),
            false => Reject::UnsupportedCi(ci_field),
        })?;
        let address = (row.header == Header::Long).then(|| Address::parse_long(buf)).transpose()?;
        let header = (row.header != Header::None).then(|| ShortHeader::parse(buf)).transpose()?;
        Ok(Self { ci_field, address, header, content: row.content, to_meter: row.to_meter })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.ci_field);
        if let Some(address) = &self.address {
            address.emit_long(out);
        }
        if let Some(header) = &self.header {
            header.emit(out);
        }
    }

    /// A CI-field without header, or of the manufacturer's own.
    pub(crate) const fn bare(ci_field: u8) -> Self {
        Self { ci_field, address: None, header: None, content: Content::Foreign, to_meter: false }
    }
}

impl ShortHeader {
    #[inline(always)]
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (&[access_number, status], rest) = buf.split_first_chunk().ok_or(Reject::Truncated)?;
        *buf = rest;
        Ok(Self { access_number, status: Status(status), configuration: Configuration::parse(buf)? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.access_number, self.status.0]);
        self.configuration.emit(out);
    }
}

impl Configuration {
    /// Reads the field and, for modes 7 and 10, its extension.
    #[inline(always)]
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let field = buf.try_get_u16_le()?;
        let extension = match Self::mode_of(field) {
            7 => Extension::Kdf(buf.try_get_u8()?),
            10 => Extension::Ccm { field: buf.try_get_u16_le()?, counter: buf.try_get_u32_le()? },
            _ => Extension::None,
        };
        Ok(Self { field, extension })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.field);
        match self.extension {
            Extension::None => {}
            Extension::Kdf(field) => out.push(field),
            Extension::Ccm { field, counter } => {
                out.put_u16_le(field);
                out.put_u32_le(counter);
            }
        }
    }

    /// Modes 0 and 5: `blocks` of 16 octets are encrypted.
    pub const fn with_blocks(mode: u8, blocks: u8, extension: Extension) -> Self {
        Self { field: (mode as u16 & 0x1f) << 8 | (blocks as u16 & 0x0f) << 4, extension }
    }

    /// The security mode, 0 to 31.
    pub const fn mode(&self) -> u8 {
        Self::mode_of(self.field)
    }

    /// Encrypted blocks of 16 octets. Modes 5 and 7.
    pub const fn blocks(&self) -> usize {
        (self.field >> 4 & 0x0f) as usize
    }

    pub const fn is_bidirectional(&self) -> bool {
        self.field & 0x8000 != 0
    }

    pub const fn is_accessible(&self) -> bool {
        self.field & 0x4000 != 0
    }

    pub const fn is_synchronous(&self) -> bool {
        self.field & 0x2000 != 0
    }

    /// The frame went through a repeater. Modes 0 and 5; elsewhere only an extended link layer tells.
    pub const fn is_repeated(&self) -> bool {
        matches!(self.mode(), 0 | 5) && self.field & 0x0001 != 0
    }

    const fn mode_of(field: u16) -> u8 {
        (field >> 8) as u8 & 0x1f
    }
}

impl Status {
    pub const fn application(self) -> ApplicationStatus {
        match self.0 & 3 {
            0 => ApplicationStatus::NoError,
            1 => ApplicationStatus::Busy,
            2 => ApplicationStatus::Error,
            _ => ApplicationStatus::Alarm,
        }
    }

    /// Battery near its end, or the supply failed.
    pub const fn is_power_low(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub const fn is_permanent_error(self) -> bool {
        self.0 & 0x08 != 0
    }

    pub const fn is_temporary_error(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// The three bits only the manufacturer knows the meaning of.
    pub const fn manufacturer(self) -> u8 {
        self.0 >> 5
    }
}

impl fmt::Display for Tpl {
    /// `tpl 7a acc 2a sts 00 mode 5`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tpl {:02x}", self.ci_field)?;
        if let Some(address) = &self.address {
            write!(f, " {address}")?;
        }
        let Some(header) = &self.header else { return Ok(()) };
        write!(f, " acc {:02x} sts {:02x} mode {}", header.access_number, header.status.0, header.configuration.mode())
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<&str, Reject>) {
        let mut buf = octets;
        let tpl = Tpl::parse(&mut buf);
        assert_eq!(tpl.map(|tpl| tpl.to_string()), expected.map(ToOwned::to_owned));
        let Ok(tpl) = tpl else { return };
        assert!(buf.is_empty());
        let mut out = Vec::new();
        tpl.emit(&mut out);
        assert_eq!(out, octets);
        for end in 0..octets.len() {
            assert_eq!(Tpl::parse(&mut &octets[..end]), Err(Reject::Truncated));
        }
    }

    #[test]
    fn headers_are_none_short_and_long() {
        check(&hex!("78"), Ok("tpl 78"));
        check(&hex!("7a 2a 00 1005"), Ok("tpl 7a acc 2a sts 00 mode 5"));
        check(&hex!("7a 75 00 2007 10"), Ok("tpl 7a acc 75 sts 00 mode 7"));
        check(&hex!("72 78563412 9315 33 03 2a 00 0000"), Ok("tpl 72 ELS-12345678-33-03 acc 2a sts 00 mode 0"));
        check(&hex!("7a 30 10 ff2a 1001 8c570e00"), Ok("tpl 7a acc 30 sts 10 mode 10"));
        check(&hex!("a2"), Err(Reject::ManufacturerCi(0xa2)));
        check(&hex!("ff"), Err(Reject::UnsupportedCi(0xff)));
    }

    #[test]
    fn status_bits_zero_and_one_are_a_number() {
        assert_eq!(Status(0x2b).application(), ApplicationStatus::Alarm);
        assert!(Status(0x2b).is_permanent_error() && !Status(0x2b).is_power_low());
        assert_eq!(Status(0x2b).manufacturer(), 1);
    }
}
