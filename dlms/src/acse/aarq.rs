//! The request for an association.

use super::{
    ACSE_REQUIREMENTS, ApplicationContext, CONTEXT_NAME, MECHANISM_NAME, Mechanism, element, elements, emit_element,
    emit_nested, name, only, tag,
};
use crate::Reject;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aarq<'a> {
    pub context: ApplicationContext,
    /// The client's system title.
    pub calling_ap_title: Option<&'a [u8]>,
    /// The client's certificate.
    pub calling_ae_qualifier: Option<&'a [u8]>,
    /// The client's user.
    pub calling_ae_invocation_id: Option<u8>,
    pub mechanism: Mechanism,
    /// Password or challenge.
    pub calling_authentication_value: Option<&'a [u8]>,
    /// An InitiateRequest, ciphered or not.
    pub user_information: &'a [u8],
}

impl<'a> Aarq<'a> {
    /// Reads an APDU that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut context = None;
        let mut user_information = None;
        let mut aarq = Self {
            context: ApplicationContext::LogicalName,
            calling_ap_title: None,
            calling_ae_qualifier: None,
            calling_ae_invocation_id: None,
            mechanism: Mechanism::Lowest,
            calling_authentication_value: None,
            user_information: &[],
        };
        elements(octets, tag::AARQ, |tag, content| {
            match tag {
                0xa1 => context = Some(name(only(6, content, "context")?, CONTEXT_NAME, "context")?.into()),
                0xa6 => aarq.calling_ap_title = Some(only(4, content, "ap title")?),
                0xa7 => aarq.calling_ae_qualifier = Some(only(4, content, "ae qualifier")?),
                0xa9 => aarq.calling_ae_invocation_id = only(2, content, "ae invocation id")?.last().copied(),
                0x8b => aarq.mechanism = name(content, MECHANISM_NAME, "mechanism")?.into(),
                0xac => aarq.calling_authentication_value = Some(authentication_value(content)?),
                0xbe => user_information = Some(only(4, content, "user information")?),
                // Version, requirements and what else says nothing here.
                _ => {}
            }
            Ok(())
        })?;
        aarq.context = context.ok_or(Reject::Truncated)?;
        aarq.user_information = user_information.ok_or(Reject::Truncated)?;
        Ok(aarq)
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let context = [&CONTEXT_NAME[..], &[self.context.into()]].concat();
        emit_nested(0xa1, 6, &context, &mut body);
        if let Some(title) = self.calling_ap_title {
            emit_nested(0xa6, 4, title, &mut body);
        }
        if let Some(certificate) = self.calling_ae_qualifier {
            emit_nested(0xa7, 4, certificate, &mut body);
        }
        if let Some(user) = self.calling_ae_invocation_id {
            emit_nested(0xa9, 2, &[user], &mut body);
        }
        if self.mechanism != Mechanism::Lowest {
            emit_element(0x8a, &ACSE_REQUIREMENTS, &mut body);
            emit_element(0x8b, &[&MECHANISM_NAME[..], &[self.mechanism.into()]].concat(), &mut body);
        }
        if let Some(value) = self.calling_authentication_value {
            emit_nested(0xac, 0x80, value, &mut body);
        }
        emit_nested(0xbe, 4, self.user_information, &mut body);
        emit_element(tag::AARQ, &body, out);
    }
}

/// A string of characters; other choices are not taken.
pub(super) fn authentication_value(content: &[u8]) -> Result<&[u8], Reject> {
    let mut buf = content;
    match element(&mut buf)? {
        (0x80, value) if buf.is_empty() => Ok(value),
        _ => Err(Reject::Reserved("authentication value")),
    }
}
