//! Selective access: which rows and columns of a profile are wanted. IEC 62056-6-2:2021, 5.3.6.

use bytes::Buf;

use super::Attribute;
use crate::data::{Encoder, Items, encode};
use crate::{Data, Reject};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Selection<'a> {
    /// Selector 1.
    Range(RangeDescriptor<'a>),
    /// Selector 2.
    Entries(EntryDescriptor),
    Other {
        selector: u8,
        parameters: Data<'a>,
    },
}

/// Rows whose value in one column lies between two, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangeDescriptor<'a> {
    pub restricting_object: CaptureObject,
    pub from_value: Data<'a>,
    pub to_value: Data<'a>,
    /// Columns, as capture objects; none means all.
    pub selected_values: Items<'a>,
}

/// Rows and columns by their numbers, from 1; 0 as the last means the last there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryDescriptor {
    pub from_entry: u32,
    pub to_entry: u32,
    pub from_selected_value: u16,
    pub to_selected_value: u16,
}

/// One column of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaptureObject {
    pub attribute: Attribute,
    /// An element of the attribute, from 1; 0 is all of it.
    pub data_index: u16,
}

impl<'a> Selection<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let selector = buf.try_get_u8()?;
        let parameters = Data::parse(buf)?;
        match selector {
            1 => RangeDescriptor::try_from(parameters).map(Self::Range),
            2 => EntryDescriptor::try_from(parameters).map(Self::Entries),
            selector => Ok(Self::Other { selector, parameters }),
        }
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Range(range) => {
                out.push(1);
                out.extend(encode(|out| range.write(out)));
            }
            Self::Entries(entries) => {
                out.push(2);
                out.extend(encode(|out| entries.write(out)));
            }
            Self::Other { selector, parameters } => {
                out.push(*selector);
                parameters.emit(out);
            }
        }
    }
}

impl RangeDescriptor<'_> {
    fn write(&self, out: &mut Encoder) {
        out.structure(4);
        self.restricting_object.write(out);
        out.put(self.from_value).put(self.to_value).put(Data::Array(self.selected_values));
    }
}

impl<'a> TryFrom<Data<'a>> for RangeDescriptor<'a> {
    type Error = Reject;

    fn try_from(data: Data<'a>) -> Result<Self, Reject> {
        let [restricting, from_value, to_value, selected] = data.fields("a range descriptor")?;
        let selected_values = selected.array()?;
        selected_values.into_iter().try_for_each(|column| CaptureObject::try_from(column).map(drop))?;
        Ok(Self { restricting_object: restricting.try_into()?, from_value, to_value, selected_values })
    }
}

impl EntryDescriptor {
    /// Rows of these numbers, all columns.
    pub const fn rows(from_entry: u32, to_entry: u32) -> Self {
        Self { from_entry, to_entry, from_selected_value: 1, to_selected_value: 0 }
    }

    fn write(&self, out: &mut Encoder) {
        out.structure(4)
            .put(Data::DoubleLongUnsigned(self.from_entry))
            .put(Data::DoubleLongUnsigned(self.to_entry))
            .put(Data::LongUnsigned(self.from_selected_value))
            .put(Data::LongUnsigned(self.to_selected_value));
    }
}

impl TryFrom<Data<'_>> for EntryDescriptor {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [from_entry, to_entry, from_value, to_value] = data.fields("an entry descriptor")?;
        Ok(Self {
            from_entry: from_entry.number()?,
            to_entry: to_entry.number()?,
            from_selected_value: from_value.number()?,
            to_selected_value: to_value.number()?,
        })
    }
}

impl CaptureObject {
    pub const fn new(attribute: Attribute) -> Self {
        Self { attribute, data_index: 0 }
    }

    pub fn write(&self, out: &mut Encoder) {
        out.structure(4)
            .put(Data::LongUnsigned(self.attribute.class_id))
            .obis(self.attribute.logical_name)
            .put(Data::Integer(self.attribute.attribute))
            .put(Data::LongUnsigned(self.data_index));
    }
}

impl TryFrom<Data<'_>> for CaptureObject {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [class_id, logical_name, attribute, data_index] = data.fields("a capture object")?;
        Ok(Self {
            attribute: Attribute::new(class_id.number()?, logical_name.obis()?, attribute.number()?),
            data_index: data_index.number()?,
        })
    }
}
