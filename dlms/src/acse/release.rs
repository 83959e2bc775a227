//! The end of an association, and its answer.

use super::{elements, emit_element, emit_nested, only, tag};
use crate::Reject;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release<'a> {
    pub kind: ReleaseKind,
    /// 0 is normal.
    pub reason: Option<u8>,
    pub user_information: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseKind {
    Request,
    Response,
}

impl<'a> Release<'a> {
    /// Reads an APDU that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let kind = match octets.first() {
            Some(&tag::RLRQ) => ReleaseKind::Request,
            Some(&tag::RLRE) => ReleaseKind::Response,
            Some(&tag) => return Err(Reject::UnsupportedApdu(tag)),
            None => return Err(Reject::Truncated),
        };
        let mut release = Self { kind, reason: None, user_information: None };
        elements(octets, kind.tag(), |tag, content| {
            match tag {
                0x80 => release.reason = content.last().copied(),
                0xbe => release.user_information = Some(only(4, content, "user information")?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(release)
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        if let Some(reason) = self.reason {
            emit_element(0x80, &[reason], &mut body);
        }
        if let Some(information) = self.user_information {
            emit_nested(0xbe, 4, information, &mut body);
        }
        emit_element(self.kind.tag(), &body, out);
    }
}

impl ReleaseKind {
    const fn tag(self) -> u8 {
        match self {
            Self::Request => tag::RLRQ,
            Self::Response => tag::RLRE,
        }
    }
}
