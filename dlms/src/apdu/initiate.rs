//! What both sides tell each other when they associate: services, longest APDU, dedicated key.

use bytes::{Buf, BufMut};

use super::{emit_optional, optional, tag};
use crate::Reject;
use crate::data::length;
use crate::spec::Conformance;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitiateRequest<'a> {
    pub dedicated_key: Option<&'a [u8]>,
    pub is_response_allowed: bool,
    pub quality_of_service: Option<i8>,
    pub conformance: Conformance,
    pub max_receive_pdu_size: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitiateResponse {
    pub quality_of_service: Option<i8>,
    pub conformance: Conformance,
    pub max_receive_pdu_size: u16,
}

impl<'a> InitiateRequest<'a> {
    /// Reads the APDU with its tag, all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        if buf.try_get_u8()? != tag::INITIATE_REQUEST {
            return Err(Reject::Reserved("initiate request"));
        }
        let dedicated_key = optional(&mut buf, length::octets)?;
        // A DEFAULT of A-XDR: present or not, and then its value.
        let is_response_allowed = optional(&mut buf, |buf| Ok(buf.try_get_u8()? != 0))?.unwrap_or(true);
        let quality_of_service = optional(&mut buf, |buf| Ok(buf.try_get_i8()?))?;
        version(&mut buf)?;
        let conformance = conformance(&mut buf)?;
        let max_receive_pdu_size = buf.try_get_u16()?;
        end(buf)?;
        Ok(Self { dedicated_key, is_response_allowed, quality_of_service, conformance, max_receive_pdu_size })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(tag::INITIATE_REQUEST);
        emit_optional(self.dedicated_key, out, length::emit_octets);
        emit_optional((!self.is_response_allowed).then_some(0), out, |value, out| out.push(value));
        emit_optional(self.quality_of_service, out, |value, out| out.put_i8(value));
        out.push(VERSION);
        emit_conformance(self.conformance, out);
        out.put_u16(self.max_receive_pdu_size);
    }
}

impl InitiateResponse {
    /// Reads the APDU with its tag, all of `octets`.
    pub fn parse(octets: &[u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        if buf.try_get_u8()? != tag::INITIATE_RESPONSE {
            return Err(Reject::Reserved("initiate response"));
        }
        let quality_of_service = optional(&mut buf, |buf| Ok(buf.try_get_i8()?))?;
        version(&mut buf)?;
        let conformance = conformance(&mut buf)?;
        let max_receive_pdu_size = buf.try_get_u16()?;
        if buf.try_get_u16()? != VAA_NAME {
            return Err(Reject::Reserved("vaa name"));
        }
        end(buf)?;
        Ok(Self { quality_of_service, conformance, max_receive_pdu_size })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(tag::INITIATE_RESPONSE);
        emit_optional(self.quality_of_service, out, |value, out| out.put_i8(value));
        out.push(VERSION);
        emit_conformance(self.conformance, out);
        out.put_u16(self.max_receive_pdu_size);
        out.put_u16(VAA_NAME);
    }
}

fn version(buf: &mut &[u8]) -> Result<(), Reject> {
    if buf.try_get_u8()? == VERSION { Ok(()) } else { Err(Reject::Reserved("dlms version")) }
}

fn end(buf: &[u8]) -> Result<(), Reject> {
    if buf.is_empty() { Ok(()) } else { Err(Reject::Trailing) }
}

/// Reads 24 bits under the tag `[APPLICATION 31]`.
fn conformance(buf: &mut &[u8]) -> Result<Conformance, Reject> {
    // The tag in one octet is an old way of writing it.
    if buf.try_get_u8()? == 0x5f && buf.first() == Some(&0x1f) {
        buf.advance(1);
    }
    if buf.try_get_u8()? != 4 || buf.try_get_u8()? != 0 {
        return Err(Reject::Length("conformance"));
    }
    Ok(Conformance(buf.try_get_uint(3)? as u32))
}

fn emit_conformance(conformance: Conformance, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x5f, 0x1f, 4, 0]);
    out.put_uint(u64::from(conformance.0), 3);
}

const VERSION: u8 = 6;
/// Logical names: the fixed name of the association.
const VAA_NAME: u16 = 7;
