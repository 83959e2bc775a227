//! APDUs of the xDLMS application layer with logical names, IEC 62056-5-3:2017, clauses 7 to 9.
//!
//! Not here: association (`acse`) and ciphering (`security`), whose APDUs wrap those of this room.

mod action;
mod block;
mod display;
mod error;
mod get;
mod initiate;
mod notification;
mod selection;
mod set;

use std::fmt;

use bytes::{Buf, BufMut};

pub use action::{ActionRequest, ActionResponse, ActionReturn};
pub use block::{BlockControl, GeneralBlockTransfer};
pub use error::{ConfirmedServiceError, ExceptionResponse, ServiceError};
pub use get::{GetRequest, GetResponse};
pub use initiate::{InitiateRequest, InitiateResponse};
pub use notification::{DataNotification, EventNotification};
pub use selection::{CaptureObject, EntryDescriptor, RangeDescriptor, Selection};
pub use set::{SetRequest, SetResponse};

use crate::data::length;
use crate::{Data, Obis, Reject};

/// One APDU, in the clear.
#[derive(Debug, Clone, PartialEq)]
pub enum Apdu<'a> {
    GetRequest(GetRequest<'a>),
    GetResponse(GetResponse<'a>),
    SetRequest(SetRequest<'a>),
    SetResponse(SetResponse),
    ActionRequest(ActionRequest<'a>),
    ActionResponse(ActionResponse<'a>),
    EventNotification(EventNotification<'a>),
    DataNotification(DataNotification<'a>),
    GeneralBlockTransfer(GeneralBlockTransfer<'a>),
    ExceptionResponse(ExceptionResponse),
    ConfirmedServiceError(ConfirmedServiceError),
}

/// An attribute of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    pub class_id: u16,
    pub logical_name: Obis,
    pub attribute: i8,
}

/// A method of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method {
    pub class_id: u16,
    pub logical_name: Obis,
    pub method: i8,
}

/// `Invoke-Id-And-Priority`: four bits tell the answer to which question this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InvokeId(pub u8);

/// An attribute with the rows and columns that are wanted of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected<'a> {
    pub attribute: Attribute,
    pub selection: Option<Selection<'a>>,
}

/// A part of a longer value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    pub is_last: bool,
    pub number: u32,
    pub raw: &'a [u8],
}

impl<'a> Apdu<'a> {
    /// Reads an APDU that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        let apdu = match buf.try_get_u8()? {
            tag::GET_REQUEST => Self::GetRequest(GetRequest::parse(&mut buf)?),
            tag::GET_RESPONSE => Self::GetResponse(GetResponse::parse(&mut buf)?),
            tag::SET_REQUEST => Self::SetRequest(SetRequest::parse(&mut buf)?),
            tag::SET_RESPONSE => Self::SetResponse(SetResponse::parse(&mut buf)?),
            tag::ACTION_REQUEST => Self::ActionRequest(ActionRequest::parse(&mut buf)?),
            tag::ACTION_RESPONSE => Self::ActionResponse(ActionResponse::parse(&mut buf)?),
            tag::EVENT_NOTIFICATION => Self::EventNotification(EventNotification::parse(&mut buf)?),
            tag::DATA_NOTIFICATION => Self::DataNotification(DataNotification::parse(&mut buf)?),
            tag::GENERAL_BLOCK_TRANSFER => Self::GeneralBlockTransfer(GeneralBlockTransfer::parse(&mut buf)?),
            tag::EXCEPTION_RESPONSE => Self::ExceptionResponse(ExceptionResponse::parse(&mut buf)?),
            tag::CONFIRMED_SERVICE_ERROR => Self::ConfirmedServiceError(ConfirmedServiceError::parse(&mut buf)?),
            tag => return Err(Reject::UnsupportedApdu(tag)),
        };
        if buf.is_empty() { Ok(apdu) } else { Err(Reject::Trailing) }
    }

    /// Appends what [`Self::parse`] reads, with lengths in their shortest form.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.tag());
        match self {
            Self::GetRequest(apdu) => apdu.emit(out),
            Self::GetResponse(apdu) => apdu.emit(out),
            Self::SetRequest(apdu) => apdu.emit(out),
            Self::SetResponse(apdu) => apdu.emit(out),
            Self::ActionRequest(apdu) => apdu.emit(out),
            Self::ActionResponse(apdu) => apdu.emit(out),
            Self::EventNotification(apdu) => apdu.emit(out),
            Self::DataNotification(apdu) => apdu.emit(out),
            Self::GeneralBlockTransfer(apdu) => apdu.emit(out),
            Self::ExceptionResponse(apdu) => apdu.emit(out),
            Self::ConfirmedServiceError(apdu) => apdu.emit(out),
        }
    }

    /// The octets that [`Self::emit`] appends.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }

    pub const fn tag(&self) -> u8 {
        match self {
            Self::GetRequest(_) => tag::GET_REQUEST,
            Self::GetResponse(_) => tag::GET_RESPONSE,
            Self::SetRequest(_) => tag::SET_REQUEST,
            Self::SetResponse(_) => tag::SET_RESPONSE,
            Self::ActionRequest(_) => tag::ACTION_REQUEST,
            Self::ActionResponse(_) => tag::ACTION_RESPONSE,
            Self::EventNotification(_) => tag::EVENT_NOTIFICATION,
            Self::DataNotification(_) => tag::DATA_NOTIFICATION,
            Self::GeneralBlockTransfer(_) => tag::GENERAL_BLOCK_TRANSFER,
            Self::ExceptionResponse(_) => tag::EXCEPTION_RESPONSE,
            Self::ConfirmedServiceError(_) => tag::CONFIRMED_SERVICE_ERROR,
        }
    }
}

impl Attribute {
    pub const fn new(class_id: u16, logical_name: Obis, attribute: i8) -> Self {
        Self { class_id, logical_name, attribute }
    }

    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self { class_id: buf.try_get_u16()?, logical_name: Obis::parse(buf)?, attribute: buf.try_get_i8()? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16(self.class_id);
        self.logical_name.emit(out);
        out.put_i8(self.attribute);
    }
}

impl Method {
    pub const fn new(class_id: u16, logical_name: Obis, method: i8) -> Self {
        Self { class_id, logical_name, method }
    }

    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let Attribute { class_id, logical_name, attribute } = Attribute::parse(buf)?;
        Ok(Self { class_id, logical_name, method: attribute })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        Attribute::new(self.class_id, self.logical_name, self.method).emit(out);
    }
}

impl InvokeId {
    /// Confirmed, of high priority.
    pub const fn new(number: u8) -> Self {
        Self(0xc0 | number & 0x0f)
    }

    pub const fn number(self) -> u8 {
        self.0 & 0x0f
    }

    pub const fn is_confirmed(self) -> bool {
        self.0 & 0x40 != 0
    }

    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self(buf.try_get_u8()?))
    }
}

impl<'a> Selected<'a> {
    pub const fn all(attribute: Attribute) -> Self {
        Self { attribute, selection: None }
    }

    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Ok(Self { attribute: Attribute::parse(buf)?, selection: optional(buf, Selection::parse)? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        self.attribute.emit(out);
        emit_optional(self.selection, out, |selection, out| selection.emit(out));
    }
}

impl<'a> Block<'a> {
    /// A block whose data stand as they are.
    fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Ok(Self { is_last: buf.try_get_u8()? != 0, number: buf.try_get_u32()?, raw: length::octets(buf)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_last));
        out.put_u32(self.number);
        length::emit_octets(self.raw, out);
    }
}

impl fmt::Display for Attribute {
    /// `1-0:1.8.0*255 class 3 attribute 2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} class {} attribute {}", self.logical_name, self.class_id, self.attribute)
    }
}

impl fmt::Display for Method {
    /// `0-0:96.3.10*255 class 70 method 1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} class {} method {}", self.logical_name, self.class_id, self.method)
    }
}

/// Reads what has an octet before it that says whether it is there.
fn optional<'a, T>(
    buf: &mut &'a [u8],
    parse: impl FnOnce(&mut &'a [u8]) -> Result<T, Reject>,
) -> Result<Option<T>, Reject> {
    (buf.try_get_u8()? != 0).then(|| parse(buf)).transpose()
}

fn emit_optional<T>(value: Option<T>, out: &mut Vec<u8>, emit: impl FnOnce(T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        emit(value, out);
    }
}

/// Reads a count and so many of a kind. What is kept grows with what was read, not with the count.
fn list<'a, T>(
    buf: &mut &'a [u8],
    mut parse: impl FnMut(&mut &'a [u8]) -> Result<T, Reject>,
) -> Result<Vec<T>, Reject> {
    let count = length::parse(buf)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(parse(buf)?);
    }
    Ok(all)
}

fn emit_list<T>(all: &[T], out: &mut Vec<u8>, mut emit: impl FnMut(&T, &mut Vec<u8>)) {
    length::emit(all.len(), out);
    all.iter().for_each(|one| emit(one, out));
}

/// Reads a value or the reason why there is none.
fn data_result<'a>(buf: &mut &'a [u8]) -> Result<Result<Data<'a>, crate::spec::DataAccessResult>, Reject> {
    match buf.try_get_u8()? {
        0 => Ok(Ok(Data::parse(buf)?)),
        1 => Ok(Err(buf.try_get_u8()?.into())),
        _ => Err(Reject::Reserved("get data result")),
    }
}

fn emit_data_result(result: Result<Data<'_>, crate::spec::DataAccessResult>, out: &mut Vec<u8>) {
    match result {
        Ok(data) => {
            out.push(0);
            data.emit(out);
        }
        Err(reason) => out.extend_from_slice(&[1, reason.into()]),
    }
}

/// First octets of APDUs, IEC 62056-5-3, `XDLMS-APDU`.
pub mod tag {
    pub const INITIATE_REQUEST: u8 = 1;
    pub const INITIATE_RESPONSE: u8 = 8;
    pub const CONFIRMED_SERVICE_ERROR: u8 = 14;
    pub const DATA_NOTIFICATION: u8 = 15;
    pub const GET_REQUEST: u8 = 0xc0;
    pub const SET_REQUEST: u8 = 0xc1;
    pub const EVENT_NOTIFICATION: u8 = 0xc2;
    pub const ACTION_REQUEST: u8 = 0xc3;
    pub const GET_RESPONSE: u8 = 0xc4;
    pub const SET_RESPONSE: u8 = 0xc5;
    pub const ACTION_RESPONSE: u8 = 0xc7;
    pub const EXCEPTION_RESPONSE: u8 = 0xd8;
    pub const GENERAL_BLOCK_TRANSFER: u8 = 0xe0;
}

#[cfg(test)]
mod tests;
