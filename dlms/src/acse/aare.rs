//! The answer to a request for an association.

use std::fmt;

use super::aarq::authentication_value;
use super::{
    ACSE_REQUIREMENTS, ApplicationContext, CONTEXT_NAME, MECHANISM_NAME, Mechanism, element, elements, emit_element,
    emit_nested, name, only, tag,
};
use crate::Reject;
use crate::spec::enumeration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aare<'a> {
    pub context: ApplicationContext,
    pub result: AssociationResult,
    pub diagnostic: Diagnostic,
    /// The meter's system title.
    pub responding_ap_title: Option<&'a [u8]>,
    pub mechanism: Mechanism,
    /// The meter's challenge.
    pub responding_authentication_value: Option<&'a [u8]>,
    /// An InitiateResponse or a ConfirmedServiceError, ciphered or not.
    pub user_information: Option<&'a [u8]>,
}

enumeration! {
    AssociationResult {
        Accepted = 0 "accepted",
        RejectedPermanent = 1 "rejected, permanently",
        RejectedTransient = 2 "rejected, for now",
    }
}

/// Why, by the user of the service or by its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Diagnostic {
    User(UserDiagnostic),
    Provider(u8),
}

enumeration! {
    /// IEC 62056-5-3, `Acse-service-user`.
    UserDiagnostic {
        Null = 0 "no reason",
        NoReasonGiven = 1 "no reason given",
        ApplicationContextNameNotSupported = 2 "application context not supported",
        CallingApTitleNotRecognized = 3 "calling ap title not recognized",
        CallingApInvocationIdentifierNotRecognized = 4 "calling ap invocation identifier not recognized",
        CallingAeQualifierNotRecognized = 5 "calling ae qualifier not recognized",
        CallingAeInvocationIdentifierNotRecognized = 6 "calling ae invocation identifier not recognized",
        CalledApTitleNotRecognized = 7 "called ap title not recognized",
        AuthenticationMechanismNameNotRecognised = 11 "authentication mechanism not recognised",
        AuthenticationMechanismNameRequired = 12 "authentication mechanism required",
        AuthenticationFailure = 13 "authentication failure",
        AuthenticationRequired = 14 "authentication required",
    }
}

impl<'a> Aare<'a> {
    /// Reads an APDU that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut context = None;
        let mut result = None;
        let mut aare = Self {
            context: ApplicationContext::LogicalName,
            result: AssociationResult::Accepted,
            diagnostic: Diagnostic::User(UserDiagnostic::Null),
            responding_ap_title: None,
            mechanism: Mechanism::Lowest,
            responding_authentication_value: None,
            user_information: None,
        };
        elements(octets, tag::AARE, |tag, content| {
            match tag {
                0xa1 => context = Some(name(only(6, content, "context")?, CONTEXT_NAME, "context")?.into()),
                0xa2 => result = Some(integer(content, "association result")?.into()),
                0xa3 => aare.diagnostic = diagnostic(content)?,
                0xa4 => aare.responding_ap_title = Some(only(4, content, "ap title")?),
                0x89 => aare.mechanism = name(content, MECHANISM_NAME, "mechanism")?.into(),
                0xaa => aare.responding_authentication_value = Some(authentication_value(content)?),
                0xbe => aare.user_information = Some(only(4, content, "user information")?),
                // Some meters say the version, 80 02 07 80, although it is the default.
                _ => {}
            }
            Ok(())
        })?;
        aare.context = context.ok_or(Reject::Truncated)?;
        aare.result = result.ok_or(Reject::Truncated)?;
        Ok(aare)
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let context = [&CONTEXT_NAME[..], &[self.context.into()]].concat();
        emit_nested(0xa1, 6, &context, &mut body);
        emit_nested(0xa2, 2, &[self.result.into()], &mut body);
        let (choice, number) = match self.diagnostic {
            Diagnostic::User(reason) => (0xa1, reason.into()),
            Diagnostic::Provider(number) => (0xa2, number),
        };
        emit_nested(0xa3, choice, &[2, 1, number], &mut body);
        if let Some(title) = self.responding_ap_title {
            emit_nested(0xa4, 4, title, &mut body);
        }
        if self.mechanism != Mechanism::Lowest {
            emit_element(0x88, &ACSE_REQUIREMENTS, &mut body);
            emit_element(0x89, &[&MECHANISM_NAME[..], &[self.mechanism.into()]].concat(), &mut body);
        }
        if let Some(value) = self.responding_authentication_value {
            emit_nested(0xaa, 0x80, value, &mut body);
        }
        if let Some(information) = self.user_information {
            emit_nested(0xbe, 4, information, &mut body);
        }
        emit_element(tag::AARE, &body, out);
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(reason) => write!(f, "{reason}"),
            Self::Provider(number) => write!(f, "provider's reason {number}"),
        }
    }
}

fn integer(content: &[u8], field: &'static str) -> Result<u8, Reject> {
    match only(2, content, field)? {
        [number] => Ok(*number),
        _ => Err(Reject::Length(field)),
    }
}

fn diagnostic(content: &[u8]) -> Result<Diagnostic, Reject> {
    let mut buf = content;
    match element(&mut buf)? {
        (0xa1, content) => Ok(Diagnostic::User(integer(content, "diagnostic")?.into())),
        (0xa2, content) => Ok(Diagnostic::Provider(integer(content, "diagnostic")?)),
        _ => Err(Reject::Reserved("diagnostic")),
    }
}
