//! Configuration parameters: `type | length | value`, where the type is `number << 2 | is of the PAN << 1 | 1`.

use bytes::Buf;

use crate::octets::{Field, take};
use crate::{Key, Reject};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// The address that the device gets.
    ShortAddr(u16),
    Gmk {
        index: u8,
        key: Key,
    },
    /// The key of this index is in use from now on.
    GmkActivation(u8),
    GmkRemoval(u8),
    /// What a device says of a parameter that it was given: 0 taken, 1 missing, 2 invalid value, 3 unknown.
    Result {
        result: u8,
        parameter: Vec<u8>,
    },
    /// One that is not known here.
    Other {
        kind: u8,
        value: Vec<u8>,
    },
}

impl Parameter {
    /// Reads parameters to the end.
    ///
    /// # Errors
    /// `Truncated`, `BadLength` where a known one has another length.
    pub fn parse_all(buf: &mut &[u8]) -> Result<Vec<Self>, Reject> {
        let mut parameters = Vec::new();
        while !buf.is_empty() {
            parameters.push(Self::parse(buf)?);
        }
        Ok(parameters)
    }

    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (kind, length) = (buf.try_get_u8()?, buf.try_get_u8()?);
        let value = &mut take(buf, usize::from(length))?;
        let parameter = match kind {
            SHORT_ADDR => Field::parse(value).map(Self::ShortAddr),
            GMK => Ok(Self::Gmk { index: Field::parse(value)?, key: Field::parse(value)? }),
            GMK_ACTIVATION => Field::parse(value).map(Self::GmkActivation),
            GMK_REMOVAL => Field::parse(value).map(Self::GmkRemoval),
            RESULT => Ok(Self::Result { result: Field::parse(value)?, parameter: std::mem::take(value).to_vec() }),
            kind => Ok(Self::Other { kind, value: std::mem::take(value).to_vec() }),
        };
        if value.is_empty() { parameter } else { Err(Reject::BadLength) }
    }

    /// Appends exactly what is read. A value over 255 octets is cut.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        let kind = match self {
            Self::ShortAddr(short_addr) => {
                short_addr.emit(&mut value);
                SHORT_ADDR
            }
            Self::Gmk { index, key } => {
                index.emit(&mut value);
                key.emit(&mut value);
                GMK
            }
            Self::GmkActivation(index) => {
                index.emit(&mut value);
                GMK_ACTIVATION
            }
            Self::GmkRemoval(index) => {
                index.emit(&mut value);
                GMK_REMOVAL
            }
            Self::Result { result, parameter } => {
                result.emit(&mut value);
                value.extend(parameter);
                RESULT
            }
            Self::Other { kind, value: octets } => {
                value.extend(octets);
                *kind
            }
        };
        value.truncate(usize::from(u8::MAX));
        out.extend([kind, value.len() as u8]);
        out.extend(value);
    }
}

const SHORT_ADDR: u8 = 0x1d;
const GMK: u8 = 0x27;
const GMK_ACTIVATION: u8 = 0x2b;
const GMK_REMOVAL: u8 = 0x2f;
const RESULT: u8 = 0x31;
