//! What an answer means for the request that it answers.

use super::job::{Answer, Job};
use super::{Cause, Service};
use crate::apdu::{ActionResponse, ActionReturn, Apdu, GetResponse, SetResponse};
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, Reject};

/// What follows an answer.
pub(super) enum Step {
    Finished(Answer),
    /// The next block of the answer is asked for.
    AskNext,
    /// The next block of the request is sent.
    SendNext,
    /// An answer to another request.
    Stale,
}

impl Job {
    /// Takes an answer, all of `octets`, with this invoke id.
    pub(super) fn answer(&mut self, octets: &[u8], invoke_id: u8, limit: usize) -> Result<Step, Cause> {
        let apdu = Apdu::parse(octets)?;
        let number = match &apdu {
            Apdu::GetResponse(apdu) => apdu.invoke_id().number(),
            Apdu::SetResponse(apdu) => apdu.invoke_id().number(),
            Apdu::ActionResponse(apdu) => apdu.invoke_id().number(),
            Apdu::ExceptionResponse(exception) => return Err(Cause::Exception(*exception)),
            Apdu::ConfirmedServiceError(error) => return Err(Cause::Service(*error)),
            _ => return Err(Reject::UnsupportedApdu(apdu.tag()).into()),
        };
        if number != invoke_id & 0x0f {
            return Ok(Step::Stale);
        }
        match apdu {
            Apdu::GetResponse(apdu) => self.get_response(&apdu, octets, limit),
            Apdu::SetResponse(apdu) => self.set_response(apdu),
            Apdu::ActionResponse(apdu) => self.action_response(&apdu, limit),
            _ => Ok(Step::Stale),
        }
    }

    fn get_response(&mut self, apdu: &GetResponse<'_>, octets: &[u8], limit: usize) -> Result<Step, Cause> {
        match (self.service, apdu) {
            (Service::Get, GetResponse::Normal { result, .. }) => match result {
                // Tag, choice, invoke id, result: the value is what follows.
                Ok(_) => Ok(Step::Finished(Answer::Value(octets.get(4..).unwrap_or_default().to_vec()))),
                Err(reason) => Err(Cause::Access(*reason)),
            },
            (Service::GetList, GetResponse::WithList { results, .. }) => {
                Ok(Step::Finished(Answer::Values(results.iter().map(owned).collect())))
            }
            (Service::Get | Service::GetList, GetResponse::WithDataBlock { is_last, block_number, result, .. }) => {
                let raw = result.map_err(Cause::Access)?;
                // One that was asked for again, and came twice.
                if *block_number != 0 && *block_number <= self.block {
                    return Ok(Step::Stale);
                }
                if !self.assemble(*block_number, raw, *is_last, limit)? {
                    return Ok(Step::AskNext);
                }
                let whole = std::mem::take(&mut self.assembled);
                if self.service == Service::Get {
                    Data::parse_all(&whole)?;
                    return Ok(Step::Finished(Answer::Value(whole)));
                }
                // The list stands in the blocks as it stands in an answer without.
                let whole = [&[0xc4, 3, 0][..], &whole].concat();
                match Apdu::parse(&whole)? {
                    Apdu::GetResponse(GetResponse::WithList { results, .. }) => {
                        Ok(Step::Finished(Answer::Values(results.iter().map(owned).collect())))
                    }
                    _ => Err(Reject::Reserved("get response").into()),
                }
            }
            _ => Err(Reject::Reserved("get response").into()),
        }
    }

    fn set_response(&mut self, apdu: SetResponse) -> Result<Step, Cause> {
        match (self.service, apdu) {
            (Service::Set, SetResponse::Normal { result, .. } | SetResponse::LastDatablock { result, .. }) => {
                match result {
                    DataAccessResult::Success => Ok(Step::Finished(Answer::Done)),
                    reason => Err(Cause::Access(reason)),
                }
            }
            (
                Service::SetList,
                SetResponse::WithList { results, .. } | SetResponse::LastDatablockWithList { results, .. },
            ) => Ok(Step::Finished(Answer::Results(results))),
            (Service::Set | Service::SetList, SetResponse::Datablock { block_number, .. }) => {
                self.acknowledged(block_number)
            }
            _ => Err(Reject::Reserved("set response").into()),
        }
    }

    fn action_response(&mut self, apdu: &ActionResponse<'_>, limit: usize) -> Result<Step, Cause> {
        match (self.service, apdu) {
            (Service::Action, ActionResponse::Normal { answer, .. }) => returned(answer),
            (Service::ActionList, ActionResponse::WithList { answers, .. }) => {
                Ok(Step::Finished(Answer::ReturnedList(answers.iter().map(returned_of_list).collect())))
            }
            (Service::Action | Service::ActionList, ActionResponse::NextPblock { block_number, .. }) => {
                self.acknowledged(*block_number)
            }
            (Service::Action | Service::ActionList, ActionResponse::WithPblock { block, .. }) => {
                // The answer's blocks have numbers of their own.
                if self.assembled.is_empty() && block.number == 1 {
                    self.block = 0;
                }
                if !self.assemble(block.number, block.raw, block.is_last, limit)? {
                    return Ok(Step::AskNext);
                }
                let whole = std::mem::take(&mut self.assembled);
                if self.service == Service::ActionList {
                    return match Apdu::parse(&[&[0xc7, 3, 0][..], &whole].concat())? {
                        Apdu::ActionResponse(ActionResponse::WithList { answers, .. }) => {
                            Ok(Step::Finished(Answer::ReturnedList(answers.iter().map(returned_of_list).collect())))
                        }
                        _ => Err(Reject::Reserved("action response").into()),
                    };
                }
                let mut buf = whole.as_slice();
                let answer = ActionReturn::parse(&mut buf)?;
                if buf.is_empty() { returned(&answer) } else { Err(Reject::Trailing.into()) }
            }
            _ => Err(Reject::Reserved("action response").into()),
        }
    }

    /// The meter has a block of the request.
    fn acknowledged(&self, number: u32) -> Result<Step, Cause> {
        if number == self.block && self.has_more() { Ok(Step::SendNext) } else { Err(Reject::OutOfSequence.into()) }
    }
}

fn owned(result: &Result<Data<'_>, DataAccessResult>) -> Result<Vec<u8>, DataAccessResult> {
    result.map(|data| data.octets())
}

fn returned(answer: &ActionReturn<'_>) -> Result<Step, Cause> {
    match (answer.result, answer.value) {
        (ActionResult::Success, Some(Err(reason))) if reason != DataAccessResult::Success => Err(Cause::Access(reason)),
        (ActionResult::Success, value) => {
            Ok(Step::Finished(Answer::Returned(value.and_then(Result::ok).map(|data| data.octets()))))
        }
        (reason, _) => Err(Cause::Action(reason)),
    }
}

fn returned_of_list(answer: &ActionReturn<'_>) -> (ActionResult, Option<Vec<u8>>) {
    (answer.result, answer.value.and_then(Result::ok).map(|data| data.octets()))
}
