//! What a meter says unasked.

use bytes::{Buf, BufMut};

use super::{Attribute, emit_optional, optional};
use crate::data::length;
use crate::{Data, DateTime, Reject};

/// Push data, class 40.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataNotification<'a> {
    /// `Long-Invoke-Id-And-Priority`.
    pub long_invoke_id: u32,
    pub date_time: Option<DateTime>,
    pub body: Data<'a>,
}

/// One attribute that changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventNotification<'a> {
    pub time: Option<DateTime>,
    pub attribute: Attribute,
    pub value: Data<'a>,
}

impl<'a> DataNotification<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let long_invoke_id = buf.try_get_u32()?;
        let date_time = match buf {
            // Some meters have the tag of an octet string before its length.
            [9, 12, ..] => {
                buf.advance(1);
                date_time(buf)?
            }
            // Some have it as a value of its own type.
            [25, ..] => {
                buf.advance(1);
                Some(DateTime::parse(buf)?)
            }
            _ => date_time(buf)?,
        };
        Ok(Self { long_invoke_id, date_time, body: Data::parse(buf)? })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u32(self.long_invoke_id);
        match &self.date_time {
            Some(date_time) => length::emit_octets(&date_time.octets(), out),
            None => out.push(0),
        }
        self.body.emit(out);
    }
}

impl<'a> EventNotification<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Ok(Self {
            time: optional(buf, date_time)?.flatten(),
            attribute: Attribute::parse(buf)?,
            value: Data::parse(buf)?,
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_optional(self.time, out, |time, out| length::emit_octets(&time.octets(), out));
        self.attribute.emit(out);
        self.value.emit(out);
    }
}

/// Reads an octet string that is empty or a moment.
fn date_time(buf: &mut &[u8]) -> Result<Option<DateTime>, Reject> {
    let mut octets = length::octets(buf)?;
    match octets.len() {
        0 => Ok(None),
        DateTime::LENGTH => DateTime::parse(&mut octets).map(Some),
        _ => Err(Reject::Length("date and time")),
    }
}
