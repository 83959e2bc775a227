//! Several attributes with as few requests as the meter takes: where it takes lists, some at once.

use std::sync::atomic::Ordering;

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
            match self.list(part, session).await? {
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

    /// With one request; None where the meter takes no such request.
    async fn list(
        &self,
        attributes: &[Attribute],
        session: &mut Session,
    ) -> Result<Option<Vec<Result<Vec<u8>, DataAccessResult>>>, SessionError> {
        let takes_no_lists = &self.meter.shown.takes_no_lists;
        let is_offered = session.client().association().conformance.has(Conformance::MULTIPLE_REFERENCES);
        if attributes.len() < 2 || !is_offered || takes_no_lists.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let list: Vec<_> = attributes.iter().copied().map(Selected::all).collect();
        match session.get_list(&list).await {
            Ok(Answer::Values(values)) if values.len() == attributes.len() => return Ok(Some(values)),
            // It is not there, or has forgotten us: that says nothing of lists.
            Err(error) if !session.is_answered() || is_away(&error) => return Err(error),
            _ => {}
        }
        takes_no_lists.store(true, Ordering::Relaxed);
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
