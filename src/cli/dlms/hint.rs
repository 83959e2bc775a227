//! What went wrong with a meter, as a person can act on it: what, where, what to do; and its exit code.

use dlms::Reject;
use dlms::acse::{Diagnostic, UserDiagnostic};
use dlms::apdu::ServiceError;
use dlms::client::{Cause, Failure as Why, Target};
use dlms::link::LinkFailure;
use dlms::spec::{ActionResult, DataAccessResult};

use crate::cli::{Exit, Failure};
use crate::task::electricity::{DirectError, SessionError};

/// There is no association.
pub(super) fn unopened(error: DirectError) -> Failure {
    match error {
        DirectError::Session { error, strange, .. } => told(error, strange),
        error => Failure::new(Exit::Failed, error),
    }
}

/// Something that was asked has no answer. `strange` came meanwhile and was not taken.
pub(super) fn told(error: SessionError, strange: Option<Reject>) -> Failure {
    match error {
        SessionError::Failed(why) => {
            let (exit, hint) = advice(&why);
            let mut text = why.to_string();
            if let Some(reject) = strange.filter(|_| exit == Exit::TimedOut) {
                text += &format!(", and what came was not taken: {reject}");
            }
            Failure::said(exit, if hint.is_empty() { text } else { format!("{text}: {hint}") })
        }
        SessionError::Port(source) if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            Failure::said(Exit::Failed, "nobody takes datagrams there: are address and port those of the meter?")
        }
        SessionError::Port(_) => {
            Failure::new(Exit::Failed, anyhow::Error::new(error).context("the meter, or what is before it, hung up"))
        }
        SessionError::Open(error) => {
            let is_late = std::error::Error::source(&error)
                .and_then(|source| source.downcast_ref::<std::io::Error>())
                .is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut);
            Failure::new(if is_late { Exit::TimedOut } else { Exit::Failed }, error)
        }
    }
}

/// The meter said nothing, or can say nothing any more.
pub(super) fn is_silence(error: &SessionError) -> bool {
    match error {
        SessionError::Failed(why) => matches!(why.cause, Cause::Timeout | Cause::Link(_) | Cause::NotAssociated),
        SessionError::Port(_) | SessionError::Open(_) => true,
    }
}

/// The exit code, and what to do about it.
fn advice(why: &Why) -> (Exit, &'static str) {
    match (&why.cause, why.target) {
        (Cause::Access(result), target) => access(*result, target),
        (Cause::Action(result), _) => action(*result),
        (Cause::Refused(_, diagnostic), _) => refused(*diagnostic),
        (Cause::NotProven, _) => (
            Exit::NotPermitted,
            "it is another meter, or the keys of the file are not its keys: check the password or the keys",
        ),
        (Cause::ProofRefused(_), _) => (Exit::NotPermitted, WRONG_SECRET),
        (Cause::Exception(exception), target) => match exception.service_error {
            ServiceError::InvocationCounter(_) => {
                (Exit::NotPermitted, "set invocation_counter in the keys file to what the meter says, or above")
            }
            ServiceError::DecipheringError => (Exit::NotPermitted, WRONG_SECRET),
            ServiceError::PduTooLong => (Exit::Failed, "try a smaller --pdu"),
            // Many meters say no more of what they cannot decipher.
            ServiceError::ServiceNotSupported | ServiceError::OtherReason if target == Target::Association => {
                (Exit::NotPermitted, WRONG_SECRET)
            }
            ServiceError::ServiceNotSupported => (Exit::Failed, "the meter does not have this service for this client"),
            ServiceError::OperationNotPossible => {
                (Exit::NotPermitted, "the client may not, or not in this association")
            }
            _ => (Exit::Failed, ""),
        },
        // IEC 62056-5-3, `ConfirmedServiceError`, initiate.
        (Cause::Service(error), Target::Association) => match error.value {
            2 => (Exit::Failed, "this client may use none of the services: check --client"),
            3 => (Exit::Failed, "try a larger --pdu"),
            _ => (Exit::Failed, "the meter does not take what the client offers: try another --protection"),
        },
        (Cause::Timeout | Cause::Link(LinkFailure::NoAnswer), Target::Association) => (
            Exit::TimedOut,
            "are --server, --client, the link and its speed those of the meter? --timeout waits longer",
        ),
        (Cause::Timeout | Cause::Link(LinkFailure::NoAnswer), _) => (Exit::TimedOut, "--timeout waits longer"),
        (Cause::Link(LinkFailure::Disconnected), _) => {
            (Exit::NotPermitted, "the meter does not connect: check --server and --client, or try again in a minute")
        }
        (Cause::Link(LinkFailure::FrameRejected), _) => (Exit::Failed, "try a smaller --frame"),
        (Cause::Rejected(Reject::NotProtected), _) => (Exit::NotPermitted, "try another --protection"),
        (Cause::Rejected(Reject::BadTag), _) => (Exit::NotPermitted, WRONG_SECRET),
        (Cause::Rejected(Reject::NoKey), _) => (
            Exit::Configuration,
            "--keys names a file with the keys, and meter_system_title where the meter does not say it",
        ),
        (Cause::Unsendable(Reject::TooLong(_)), _) => {
            (Exit::Failed, "the meter takes no request of this length, nor in blocks: some do with --general-blocks")
        }
        (Cause::CountersExhausted, _) => (Exit::Failed, "the keys file has the counters: --keys"),
        _ => (Exit::Failed, ""),
    }
}

const WRONG_SECRET: &str = "check password or keys, system_title and invocation_counter of the keys file, and --auth";

fn access(result: DataAccessResult, target: Target) -> (Exit, &'static str) {
    use DataAccessResult as R;
    match result {
        R::ReadWriteDenied => (Exit::NotPermitted, "this client may not: try another --client with another --auth"),
        R::ScopeOfAccessViolated => {
            (Exit::NotPermitted, "this client may not, or the selection names what is not there")
        }
        R::ObjectUndefined => (Exit::NotFound, "`dcu dlms get 15:0-0:40.0.0*255:2` lists the meter's objects"),
        R::ObjectClassInconsistent => (Exit::NotFound, "the object is of another class"),
        R::ObjectUnavailable => (Exit::NotFound, "the object is there and has no such attribute now"),
        R::TypeUnmatched if matches!(target, Target::Set(_)) => {
            (Exit::Failed, "read the attribute to see which type it has")
        }
        R::TemporaryFailure | R::DataBlockUnavailable | R::LongGetAborted | R::LongSetAborted => {
            (Exit::Failed, "try again")
        }
        _ => (Exit::Failed, ""),
    }
}

fn action(result: ActionResult) -> (Exit, &'static str) {
    use ActionResult as R;
    match result {
        R::ReadWriteDenied | R::ScopeOfAccessViolated => {
            (Exit::NotPermitted, "this client may not: try another --client with another --auth")
        }
        R::ObjectUndefined => (Exit::NotFound, "`dcu dlms get 15:0-0:40.0.0*255:2` lists the meter's objects"),
        R::ObjectClassInconsistent | R::ObjectUnavailable => (Exit::NotFound, "the object has no such method"),
        R::TypeUnmatched => (Exit::Failed, "the method wants a parameter of another type"),
        R::TemporaryFailure => (Exit::Failed, "try again"),
        _ => (Exit::Failed, ""),
    }
}

fn refused(diagnostic: Diagnostic) -> (Exit, &'static str) {
    use UserDiagnostic as U;
    let Diagnostic::User(reason) = diagnostic else { return (Exit::NotPermitted, "") };
    let hint = match reason {
        U::ApplicationContextNameNotSupported => {
            "the meter wants APDUs ciphered, or not ciphered: --protection full, or --protection none"
        }
        U::AuthenticationMechanismNameNotRecognised
        | U::AuthenticationMechanismNameRequired
        | U::AuthenticationRequired => "this client has another --auth with this meter",
        U::AuthenticationFailure => WRONG_SECRET,
        U::CallingApTitleNotRecognized => "check system_title of the keys file",
        _ => "check --client, --server and --auth",
    };
    (Exit::NotPermitted, hint)
}

#[cfg(test)]
mod tests {
    use dlms::apdu::ExceptionResponse;
    use dlms::spec::StateError;

    use super::*;

    #[test]
    fn a_meter_that_cannot_decipher_the_beginning_is_not_one_without_the_service() {
        let (state_error, service_error) = (StateError::ServiceNotAllowed, ServiceError::ServiceNotSupported);
        let cause = Cause::Exception(ExceptionResponse { state_error, service_error });
        assert_eq!(advice(&Why { target: Target::Association, cause }), (Exit::NotPermitted, WRONG_SECRET));
        let (exit, hint) = advice(&Why { target: Target::List(2), cause });
        assert!(exit == Exit::Failed && hint.contains("does not have this service"));
    }
}
