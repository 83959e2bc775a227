//! What a server says instead of an answer.

use std::fmt;

use bytes::{Buf, BufMut};

use crate::Reject;
use crate::spec::{StateError, enumeration};

/// IEC 62056-5-3, `ExceptionResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExceptionResponse {
    pub state_error: StateError,
    pub service_error: ServiceError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceError {
    OperationNotPossible,
    ServiceNotSupported,
    OtherReason,
    PduTooLong,
    DecipheringError,
    /// The counter that the server expects at least.
    InvocationCounter(u32),
    Other(u8),
}

/// IEC 62056-5-3, `ConfirmedServiceError`: of which service, of which kind, which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedServiceError {
    pub service: ConfirmedService,
    pub kind: ErrorKind,
    pub value: u8,
}

enumeration! {
    /// What was asked.
    ConfirmedService {
        Initiate = 1 "initiate",
        Read = 5 "read",
        Write = 6 "write",
    }
}

enumeration! {
    /// What is wrong.
    ErrorKind {
        ApplicationReference = 0 "application reference",
        HardwareResource = 1 "hardware resource",
        VdeState = 2 "vde state",
        Service = 3 "service",
        Definition = 4 "definition",
        Access = 5 "access",
        Initiate = 6 "initiate",
        LoadDataSet = 7 "load data set",
        Task = 9 "task",
    }
}

impl ExceptionResponse {
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let state_error = buf.try_get_u8()?.into();
        let service_error = match buf.try_get_u8()? {
            1 => ServiceError::OperationNotPossible,
            2 => ServiceError::ServiceNotSupported,
            3 => ServiceError::OtherReason,
            4 => ServiceError::PduTooLong,
            5 => ServiceError::DecipheringError,
            6 => ServiceError::InvocationCounter(buf.try_get_u32()?),
            number => ServiceError::Other(number),
        };
        Ok(Self { state_error, service_error })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.state_error.into());
        match self.service_error {
            ServiceError::OperationNotPossible => out.push(1),
            ServiceError::ServiceNotSupported => out.push(2),
            ServiceError::OtherReason => out.push(3),
            ServiceError::PduTooLong => out.push(4),
            ServiceError::DecipheringError => out.push(5),
            ServiceError::InvocationCounter(counter) => {
                out.push(6);
                out.put_u32(counter);
            }
            ServiceError::Other(number) => out.push(number),
        }
    }
}

impl ConfirmedServiceError {
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self { service: buf.try_get_u8()?.into(), kind: buf.try_get_u8()?.into(), value: buf.try_get_u8()? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.service.into(), self.kind.into(), self.value]);
    }
}

impl fmt::Display for ExceptionResponse {
    /// `exception: service unknown, service not supported`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exception: {}, ", self.state_error)?;
        match self.service_error {
            ServiceError::OperationNotPossible => f.write_str("operation not possible"),
            ServiceError::ServiceNotSupported => f.write_str("service not supported"),
            ServiceError::OtherReason => f.write_str("other reason"),
            ServiceError::PduTooLong => f.write_str("pdu too long"),
            ServiceError::DecipheringError => f.write_str("deciphering error"),
            ServiceError::InvocationCounter(counter) => write!(f, "invocation counter below {counter}"),
            ServiceError::Other(number) => write!(f, "error {number}"),
        }
    }
}

impl fmt::Display for ConfirmedServiceError {
    /// `confirmed service error: initiate, service 4`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "confirmed service error: {}, {} {}", self.service, self.kind, self.value)
    }
}
