//! Why something was not done: of which object, and by whom.

use std::fmt;

use crate::Reject;
use crate::acse::{AssociationResult, Diagnostic};
use crate::apdu::{Attribute, ConfirmedServiceError, ExceptionResponse, Method, ServiceError};
use crate::link::LinkFailure;
use crate::spec::{ActionResult, DataAccessResult};

/// What was asked, and why it was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub target: Target,
    pub cause: Cause,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Association,
    Get(Attribute),
    Set(Attribute),
    Action(Method),
    /// A list of so many: each has its own answer.
    List(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The meter says why.
    Access(DataAccessResult),
    Action(ActionResult),
    Exception(ExceptionResponse),
    Service(ConfirmedServiceError),
    /// The meter does not associate.
    Refused(AssociationResult, Diagnostic),
    /// The meter does not prove that it knows the key.
    NotProven,
    /// The meter does not take the proof.
    ProofRefused(ActionResult),
    /// Nothing came in time.
    Timeout,
    /// The link came to its end.
    Link(LinkFailure),
    /// The association or the link was ended before.
    NotAssociated,
    /// What came was not taken.
    Rejected(Reject),
    /// What was asked cannot be said.
    Unsendable(Reject),
    /// There is no invocation counter left.
    CountersExhausted,
}

impl Cause {
    /// What a meter answers that does not select rows, or has none among those that are selected: the whole profile
    /// may be asked for instead.
    pub const fn is_unselective(&self) -> bool {
        use DataAccessResult as R;
        match self {
            Self::Access(result) => matches!(
                result,
                R::ReadWriteDenied
                    | R::ObjectUndefined
                    | R::ObjectClassInconsistent
                    | R::ObjectUnavailable
                    | R::TypeUnmatched
                    | R::ScopeOfAccessViolated
                    | R::DataBlockUnavailable
                    | R::OtherReason
            ),
            Self::Exception(exception) => {
                matches!(
                    exception.service_error,
                    ServiceError::ServiceNotSupported | ServiceError::OperationNotPossible
                )
            }
            // The request with the selection is longer than what the meter takes.
            Self::Unsendable(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Association => f.write_str("associate"),
            Self::Get(attribute) => write!(f, "get {attribute}"),
            Self::Set(attribute) => write!(f, "set {attribute}"),
            Self::Action(method) => write!(f, "action {method}"),
            Self::List(count) => write!(f, "list of {count}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(result) => result.fmt(f),
            Self::Action(result) => result.fmt(f),
            Self::Exception(exception) => exception.fmt(f),
            Self::Service(error) => error.fmt(f),
            Self::Refused(result, diagnostic) => write!(f, "{result}: {diagnostic}"),
            Self::NotProven => f.write_str("the meter's proof is wrong"),
            Self::ProofRefused(result) => write!(f, "the meter refuses the proof: {result}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Link(failure) => write!(f, "link: {failure}"),
            Self::NotAssociated => f.write_str("not associated"),
            Self::Rejected(reject) => write!(f, "answer not taken: {reject}"),
            Self::Unsendable(reject) => write!(f, "cannot be sent: {reject}"),
            Self::CountersExhausted => f.write_str("no invocation counter is reserved"),
        }
    }
}

impl fmt::Display for Failure {
    /// `get 1-0:1.8.0*255 class 3 attribute 2: object undefined`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.target, self.cause)
    }
}

impl std::error::Error for Failure {}

impl From<Reject> for Cause {
    fn from(reject: Reject) -> Self {
        Self::Rejected(reject)
    }
}
