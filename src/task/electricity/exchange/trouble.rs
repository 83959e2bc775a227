//! How what went wrong ends an order: did the meter answer?

use dlms::Reject;
use dlms::client::{Cause, Target};
use dlms::spec::{ActionResult, DataAccessResult};

use crate::control::{Refusal, RefusalKind};
use crate::schedule::End;
use crate::task::chain;
use crate::task::electricity::SessionError;

/// Why an order did not come to its end.
pub(super) struct Trouble {
    pub(super) end: End,
    pub(super) detail: String,
    /// What it is for whoever asked.
    pub(super) kind: RefusalKind,
}

impl Trouble {
    pub(super) fn refused(detail: String) -> Self {
        Self { end: End::Refused, detail, kind: RefusalKind::Failed }
    }

    pub(super) fn denied(detail: String) -> Self {
        Self { end: End::Denied, detail, kind: RefusalKind::NotPermitted }
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble.kind, trouble.detail)
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
        Self { end, detail: chain(&error), kind: kind(&error) }
    }
}

impl From<Reject> for Trouble {
    fn from(reject: Reject) -> Self {
        Self::refused(format!("answer not taken: {reject}"))
    }
}

/// What an answer that is none, or a no, is for whoever asked.
pub(super) fn kind(error: &SessionError) -> RefusalKind {
    let SessionError::Failed(failure) = error else { return RefusalKind::TimedOut };
    match failure.cause {
        Cause::Timeout | Cause::Link(_) | Cause::NotAssociated => RefusalKind::TimedOut,
        Cause::Access(result) => match result {
            DataAccessResult::ReadWriteDenied | DataAccessResult::ScopeOfAccessViolated => RefusalKind::NotPermitted,
            DataAccessResult::ObjectUndefined
            | DataAccessResult::ObjectClassInconsistent
            | DataAccessResult::ObjectUnavailable => RefusalKind::NotFound,
            _ => RefusalKind::Failed,
        },
        Cause::Action(result) => match result {
            ActionResult::ReadWriteDenied | ActionResult::ScopeOfAccessViolated => RefusalKind::NotPermitted,
            ActionResult::ObjectUndefined | ActionResult::ObjectClassInconsistent => RefusalKind::NotFound,
            _ => RefusalKind::Failed,
        },
        _ if failure.target == Target::Association => RefusalKind::NotPermitted,
        _ => RefusalKind::Failed,
    }
}
