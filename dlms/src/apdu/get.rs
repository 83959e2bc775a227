//! GET: reading attributes.

use bytes::{Buf, BufMut};

use super::{InvokeId, Selected, data_result, emit_data_result, emit_list, list};
use crate::data::length;
use crate::spec::DataAccessResult;
use crate::{Data, Reject};

#[derive(Debug, Clone, PartialEq)]
pub enum GetRequest<'a> {
    Normal { invoke_id: InvokeId, selected: Selected<'a> },
    Next { invoke_id: InvokeId, block_number: u32 },
    WithList { invoke_id: InvokeId, list: Vec<Selected<'a>> },
}

#[derive(Debug, Clone, PartialEq)]
pub enum GetResponse<'a> {
    Normal { invoke_id: InvokeId, result: Result<Data<'a>, DataAccessResult> },
    WithDataBlock { invoke_id: InvokeId, is_last: bool, block_number: u32, result: Result<&'a [u8], DataAccessResult> },
    WithList { invoke_id: InvokeId, results: Vec<Result<Data<'a>, DataAccessResult>> },
}

impl<'a> GetRequest<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let choice = buf.try_get_u8()?;
        let invoke_id = InvokeId::parse(buf)?;
        Ok(match choice {
            1 => Self::Normal { invoke_id, selected: Selected::parse(buf)? },
            2 => Self::Next { invoke_id, block_number: buf.try_get_u32()? },
            3 => Self::WithList { invoke_id, list: list(buf, Selected::parse)? },
            _ => return Err(Reject::Reserved("get request")),
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Normal { invoke_id, selected } => {
                out.extend_from_slice(&[1, invoke_id.0]);
                selected.emit(out);
            }
            Self::Next { invoke_id, block_number } => {
                out.extend_from_slice(&[2, invoke_id.0]);
                out.put_u32(*block_number);
            }
            Self::WithList { invoke_id, list } => {
                out.extend_from_slice(&[3, invoke_id.0]);
                emit_list(list, out, Selected::emit);
            }
        }
    }

    pub const fn invoke_id(&self) -> InvokeId {
        match self {
            Self::Normal { invoke_id, .. } | Self::Next { invoke_id, .. } | Self::WithList { invoke_id, .. } => {
                *invoke_id
            }
        }
    }
}

impl<'a> GetResponse<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let choice = buf.try_get_u8()?;
        let invoke_id = InvokeId::parse(buf)?;
        Ok(match choice {
            1 => Self::Normal { invoke_id, result: data_result(buf)? },
            2 => {
                let (is_last, block_number) = (buf.try_get_u8()? != 0, buf.try_get_u32()?);
                let result = match buf.try_get_u8()? {
                    0 => Ok(length::octets(buf)?),
                    1 => Err(buf.try_get_u8()?.into()),
                    _ => return Err(Reject::Reserved("data block result")),
                };
                Self::WithDataBlock { invoke_id, is_last, block_number, result }
            }
            3 => Self::WithList { invoke_id, results: list(buf, data_result)? },
            _ => return Err(Reject::Reserved("get response")),
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Normal { invoke_id, result } => {
                out.extend_from_slice(&[1, invoke_id.0]);
                emit_data_result(*result, out);
            }
            Self::WithDataBlock { invoke_id, is_last, block_number, result } => {
                out.extend_from_slice(&[2, invoke_id.0]);
                out.push(u8::from(*is_last));
                out.put_u32(*block_number);
                match *result {
                    Ok(raw) => {
                        out.push(0);
                        length::emit_octets(raw, out);
                    }
                    Err(reason) => out.extend_from_slice(&[1, reason.into()]),
                }
            }
            Self::WithList { invoke_id, results } => {
                out.extend_from_slice(&[3, invoke_id.0]);
                emit_list(results, out, |result, out| emit_data_result(*result, out));
            }
        }
    }

    pub const fn invoke_id(&self) -> InvokeId {
        match self {
            Self::Normal { invoke_id, .. }
            | Self::WithDataBlock { invoke_id, .. }
            | Self::WithList { invoke_id, .. } => *invoke_id,
        }
    }
}
