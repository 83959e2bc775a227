//! Several attributes with as few requests as the meter takes: where it takes lists, some at once.

use std::sync::atomic::{AtomicBool, Ordering};

use dlms::apdu::{Attribute, Selected};
use dlms::client::{Answer, Cause, Failure};
use dlms::spec::{Conformance, DataAccessResult};

use super::Job;
use crate::task::electricity::{Session, SessionError};

impl Job {
    /// What each attribute is, or why it is not told.
    pub(super) async fn several(
        &self,
        attributes: &[Attribute],
        session: &mut Session,
    ) -> Result<Vec<Result<Vec<u8>, DataAccessResult>>, SessionError> {
        let mut all = Vec::with_capacity(attributes.len());
        for part in attributes.chunks(AT_ONCE) {
            let list: Vec<_> = part.iter().copied().map(Selected::all).collect();
            match self.list(&list, &self.meter.shown.takes_no_lists, session).await? {
                Some(values) => all.extend(values),
                None => {
                    for attribute in part {
                        all.push(match session.get(*attribute, None).await {
                            Err(SessionError::Failed(Failure { cause: Cause::Access(why), .. })) => Err(why),
                            value => Ok(value?),
                        });
                    }
                }
            }
        }
        Ok(all)
    }

    /// With one request; None where the meter takes no such request, which is `shown` from then on.
    pub(super) async fn list(
        &self,
        list: &[Selected<'_>],
        shown: &AtomicBool,
        session: &mut Session,
    ) -> Result<Option<Vec<Result<Vec<u8>, DataAccessResult>>>, SessionError> {
        let is_offered = session.client().association().conformance.has(Conformance::MULTIPLE_REFERENCES);
        if list.len() < 2 || !is_offered || shown.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match session.get_list(list).await {
            Ok(Answer::Values(values)) if values.len() == list.len() => return Ok(Some(values)),
            // It is not there, or has forgotten us: that says nothing of lists.
            Err(error) if !session.is_answered() || is_away(&error) => return Err(error),
            _ => {}
        }
        shown.store(true, Ordering::Relaxed);
        Ok(None)
    }
}

fn is_away(error: &SessionError) -> bool {
    match error {
        SessionError::Open(_) | SessionError::Port(_) => true,
        SessionError::Failed(failure) => {
            matches!(failure.cause, Cause::Timeout | Cause::Link(_) | Cause::NotAssociated | Cause::CountersExhausted)
        }
    }
}

/// Attributes of one request: with their values they fit what the least of meters takes, and one lost frame loses no more.
const AT_ONCE: usize = 8;
