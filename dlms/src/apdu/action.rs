//! ACTION: invoking methods.

use bytes::{Buf, BufMut};

use super::{Block, InvokeId, Method, data_result, emit_data_result, emit_list, emit_optional, list, optional};
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, Reject};

#[derive(Debug, Clone, PartialEq)]
pub enum ActionRequest<'a> {
    Normal { invoke_id: InvokeId, method: Method, parameter: Option<Data<'a>> },
    NextPblock { invoke_id: InvokeId, block_number: u32 },
    WithList { invoke_id: InvokeId, methods: Vec<Method>, parameters: Vec<Data<'a>> },
    WithFirstPblock { invoke_id: InvokeId, method: Method, block: Block<'a> },
    WithListAndFirstPblock { invoke_id: InvokeId, methods: Vec<Method>, block: Block<'a> },
    WithPblock { invoke_id: InvokeId, block: Block<'a> },
}

#[derive(Debug, Clone, PartialEq)]
pub enum ActionResponse<'a> {
    Normal { invoke_id: InvokeId, answer: ActionReturn<'a> },
    WithPblock { invoke_id: InvokeId, block: Block<'a> },
    WithList { invoke_id: InvokeId, answers: Vec<ActionReturn<'a>> },
    NextPblock { invoke_id: InvokeId, block_number: u32 },
}

/// How a method ended, and what it returned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActionReturn<'a> {
    pub result: ActionResult,
    pub value: Option<Result<Data<'a>, DataAccessResult>>,
}

impl<'a> ActionRequest<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let choice = buf.try_get_u8()?;
        let invoke_id = InvokeId::parse(buf)?;
        Ok(match choice {
            1 => Self::Normal { invoke_id, method: Method::parse(buf)?, parameter: optional(buf, Data::parse)? },
            2 => Self::NextPblock { invoke_id, block_number: buf.try_get_u32()? },
            3 => Self::WithList { invoke_id, methods: list(buf, Method::parse)?, parameters: list(buf, Data::parse)? },
            4 => Self::WithFirstPblock { invoke_id, method: Method::parse(buf)?, block: Block::parse(buf)? },
            5 => Self::WithListAndFirstPblock {
                invoke_id,
                methods: list(buf, Method::parse)?,
                block: Block::parse(buf)?,
            },
            6 => Self::WithPblock { invoke_id, block: Block::parse(buf)? },
            _ => return Err(Reject::Reserved("action request")),
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Normal { invoke_id, method, parameter } => {
                out.extend_from_slice(&[1, invoke_id.0]);
                method.emit(out);
                emit_optional(*parameter, out, |parameter, out| parameter.emit(out));
            }
            Self::NextPblock { invoke_id, block_number } => {
                out.extend_from_slice(&[2, invoke_id.0]);
                out.put_u32(*block_number);
            }
            Self::WithList { invoke_id, methods, parameters } => {
                out.extend_from_slice(&[3, invoke_id.0]);
                emit_list(methods, out, Method::emit);
                emit_list(parameters, out, Data::emit);
            }
            Self::WithFirstPblock { invoke_id, method, block } => {
                out.extend_from_slice(&[4, invoke_id.0]);
                method.emit(out);
                block.emit(out);
            }
            Self::WithListAndFirstPblock { invoke_id, methods, block } => {
                out.extend_from_slice(&[5, invoke_id.0]);
                emit_list(methods, out, Method::emit);
                block.emit(out);
            }
            Self::WithPblock { invoke_id, block } => {
                out.extend_from_slice(&[6, invoke_id.0]);
                block.emit(out);
            }
        }
    }

    pub const fn invoke_id(&self) -> InvokeId {
        match self {
            Self::Normal { invoke_id, .. }
            | Self::NextPblock { invoke_id, .. }
            | Self::WithList { invoke_id, .. }
            | Self::WithFirstPblock { invoke_id, .. }
            | Self::WithListAndFirstPblock { invoke_id, .. }
            | Self::WithPblock { invoke_id, .. } => *invoke_id,
        }
    }
}

impl<'a> ActionResponse<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let choice = buf.try_get_u8()?;
        let invoke_id = InvokeId::parse(buf)?;
        Ok(match choice {
            1 => Self::Normal { invoke_id, answer: ActionReturn::parse(buf)? },
            2 => Self::WithPblock { invoke_id, block: Block::parse(buf)? },
            3 => Self::WithList { invoke_id, answers: list(buf, ActionReturn::parse)? },
            4 => Self::NextPblock { invoke_id, block_number: buf.try_get_u32()? },
            _ => return Err(Reject::Reserved("action response")),
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Normal { invoke_id, answer } => {
                out.extend_from_slice(&[1, invoke_id.0]);
                answer.emit(out);
            }
            Self::WithPblock { invoke_id, block } => {
                out.extend_from_slice(&[2, invoke_id.0]);
                block.emit(out);
            }
            Self::WithList { invoke_id, answers } => {
                out.extend_from_slice(&[3, invoke_id.0]);
                emit_list(answers, out, ActionReturn::emit);
            }
            Self::NextPblock { invoke_id, block_number } => {
                out.extend_from_slice(&[4, invoke_id.0]);
                out.put_u32(*block_number);
            }
        }
    }

    pub const fn invoke_id(&self) -> InvokeId {
        match self {
            Self::Normal { invoke_id, .. }
            | Self::WithPblock { invoke_id, .. }
            | Self::WithList { invoke_id, .. }
            | Self::NextPblock { invoke_id, .. } => *invoke_id,
        }
    }
}

impl<'a> ActionReturn<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Ok(Self { result: buf.try_get_u8()?.into(), value: optional(buf, data_result)? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.result.into());
        emit_optional(self.value, out, emit_data_result);
    }
}
