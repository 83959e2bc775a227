//! SET: writing attributes.

use bytes::{Buf, BufMut};

use super::{Block, InvokeId, Selected, emit_list, list};
use crate::spec::DataAccessResult;
use crate::{Data, Reject};

#[derive(Debug, Clone, PartialEq)]
pub enum SetRequest<'a> {
    Normal { invoke_id: InvokeId, selected: Selected<'a>, value: Data<'a> },
    WithFirstDatablock { invoke_id: InvokeId, selected: Selected<'a>, block: Block<'a> },
    WithDatablock { invoke_id: InvokeId, block: Block<'a> },
    WithList { invoke_id: InvokeId, list: Vec<Selected<'a>>, values: Vec<Data<'a>> },
    WithListAndFirstDatablock { invoke_id: InvokeId, list: Vec<Selected<'a>>, block: Block<'a> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetResponse {
    Normal { invoke_id: InvokeId, result: DataAccessResult },
    Datablock { invoke_id: InvokeId, block_number: u32 },
    LastDatablock { invoke_id: InvokeId, result: DataAccessResult, block_number: u32 },
    LastDatablockWithList { invoke_id: InvokeId, results: Vec<DataAccessResult>, block_number: u32 },
    WithList { invoke_id: InvokeId, results: Vec<DataAccessResult> },
}

impl<'a> SetRequest<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let choice = buf.try_get_u8()?;
        let invoke_id = InvokeId::parse(buf)?;
        Ok(match choice {
            1 => Self::Normal { invoke_id, selected: Selected::parse(buf)?, value: Data::parse(buf)? },
            2 => Self::WithFirstDatablock { invoke_id, selected: Selected::parse(buf)?, block: Block::parse(buf)? },
            3 => Self::WithDatablock { invoke_id, block: Block::parse(buf)? },
            4 => Self::WithList { invoke_id, list: list(buf, Selected::parse)?, values: list(buf, Data::parse)? },
            5 => Self::WithListAndFirstDatablock {
                invoke_id,
                list: list(buf, Selected::parse)?,
                block: Block::parse(buf)?,
            },
            _ => return Err(Reject::Reserved("set request")),
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Normal { invoke_id, selected, value } => {
                out.extend_from_slice(&[1, invoke_id.0]);
                selected.emit(out);
                value.emit(out);
            }
            Self::WithFirstDatablock { invoke_id, selected, block } => {
                out.extend_from_slice(&[2, invoke_id.0]);
                selected.emit(out);
                block.emit(out);
            }
            Self::WithDatablock { invoke_id, block } => {
                out.extend_from_slice(&[3, invoke_id.0]);
                block.emit(out);
            }
            Self::WithList { invoke_id, list, values } => {
                out.extend_from_slice(&[4, invoke_id.0]);
                emit_list(list, out, Selected::emit);
                emit_list(values, out, Data::emit);
            }
            Self::WithListAndFirstDatablock { invoke_id, list, block } => {
                out.extend_from_slice(&[5, invoke_id.0]);
                emit_list(list, out, Selected::emit);
                block.emit(out);
            }
        }
    }

    pub const fn invoke_id(&self) -> InvokeId {
        match self {
            Self::Normal { invoke_id, .. }
            | Self::WithFirstDatablock { invoke_id, .. }
            | Self::WithDatablock { invoke_id, .. }
            | Self::WithList { invoke_id, .. }
            | Self::WithListAndFirstDatablock { invoke_id, .. } => *invoke_id,
        }
    }
}

impl SetResponse {
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let choice = buf.try_get_u8()?;
        let invoke_id = InvokeId::parse(buf)?;
        Ok(match choice {
            1 => Self::Normal { invoke_id, result: result(buf)? },
            2 => Self::Datablock { invoke_id, block_number: buf.try_get_u32()? },
            3 => Self::LastDatablock { invoke_id, result: result(buf)?, block_number: buf.try_get_u32()? },
            4 => {
                Self::LastDatablockWithList { invoke_id, results: list(buf, result)?, block_number: buf.try_get_u32()? }
            }
            5 => Self::WithList { invoke_id, results: list(buf, result)? },
            _ => return Err(Reject::Reserved("set response")),
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Normal { invoke_id, result } => out.extend_from_slice(&[1, invoke_id.0, (*result).into()]),
            Self::Datablock { invoke_id, block_number } => {
                out.extend_from_slice(&[2, invoke_id.0]);
                out.put_u32(*block_number);
            }
            Self::LastDatablock { invoke_id, result, block_number } => {
                out.extend_from_slice(&[3, invoke_id.0, (*result).into()]);
                out.put_u32(*block_number);
            }
            Self::LastDatablockWithList { invoke_id, results, block_number } => {
                out.extend_from_slice(&[4, invoke_id.0]);
                emit_list(results, out, |result, out| out.push((*result).into()));
                out.put_u32(*block_number);
            }
            Self::WithList { invoke_id, results } => {
                out.extend_from_slice(&[5, invoke_id.0]);
                emit_list(results, out, |result, out| out.push((*result).into()));
            }
        }
    }

    pub const fn invoke_id(&self) -> InvokeId {
        match self {
            Self::Normal { invoke_id, .. }
            | Self::Datablock { invoke_id, .. }
            | Self::LastDatablock { invoke_id, .. }
            | Self::LastDatablockWithList { invoke_id, .. }
            | Self::WithList { invoke_id, .. } => *invoke_id,
        }
    }
}

fn result(buf: &mut &[u8]) -> Result<DataAccessResult, Reject> {
    Ok(buf.try_get_u8()?.into())
}
