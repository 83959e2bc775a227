//! How what went wrong ends an order: did the meter answer?

use dlms::Reject;
use dlms::client::{Cause, Target};

use crate::schedule::End;
use crate::task::chain;
use crate::task::electricity::SessionError;

/// Why an order did not come to its end.
pub(super) struct Trouble {
    pub(super) end: End,
    pub(super) detail: String,
}

impl Trouble {
    pub(super) fn refused(detail: String) -> Self {
        Self { end: End::Refused, detail }
    }

    pub(super) fn denied(detail: String) -> Self {
        Self { end: End::Denied, detail }
    }
}

impl From<SessionError> for Trouble {
    fn from(error: SessionError) -> Self {
        let end = match &error {
            SessionError::Open(_) | SessionError::Port(_) => End::Unreachable,
            SessionError::Failed(failure) => match failure.cause {
                Cause::Timeout | Cause::Link(_) | Cause::NotAssociated => End::Unreachable,
                _ if failure.target == Target::Association => End::Denied,
                _ => End::Refused,
            },
        };
        Self { end, detail: chain(&error) }
    }
}

impl From<Reject> for Trouble {
    fn from(reject: Reject) -> Self {
        Self { end: End::Refused, detail: format!("answer not taken: {reject}") }
    }
}
