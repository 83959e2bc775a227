//! Class 15: which objects there are.

use crate::data::Encoder;
use crate::{Data, Obis, Reject};

/// An object, its class and version, and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectListElement {
    pub class_id: u16,
    pub version: u8,
    pub logical_name: Obis,
    /// Attribute and access mode: bit 0 read, bit 1 write in the newer versions; 1, 2 and 3 mean the same in all.
    pub attributes: Vec<(i8, u8)>,
    /// Method and access mode.
    pub methods: Vec<(i8, u8)>,
}

/// The objects: attribute 2.
pub fn object_list(data: Data<'_>) -> Result<Vec<ObjectListElement>, Reject> {
    data.array()?.map(ObjectListElement::try_from).collect()
}

impl TryFrom<Data<'_>> for ObjectListElement {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [class_id, version, logical_name, rights] = data.fields("an object list element")?;
        let [attributes, methods] = rights.fields("access rights")?;
        let attribute = |data: Data<'_>| {
            let [number, mode, _selectors] = data.fields("an attribute's access")?;
            Ok((number.number()?, mode.number()?))
        };
        let method = |data: Data<'_>| {
            let [number, mode] = data.fields("a method's access")?;
            // Version 0 of the class has a boolean.
            let mode = mode.boolean().map(u8::from).or_else(|_| mode.number())?;
            Ok((number.number()?, mode))
        };
        Ok(Self {
            class_id: class_id.number()?,
            version: version.number()?,
            logical_name: logical_name.obis()?,
            attributes: attributes.array()?.map(attribute).collect::<Result<_, Reject>>()?,
            methods: methods.array()?.map(method).collect::<Result<_, Reject>>()?,
        })
    }
}

impl ObjectListElement {
    pub fn write(&self, out: &mut Encoder) {
        out.structure(4)
            .put(Data::LongUnsigned(self.class_id))
            .put(Data::Unsigned(self.version))
            .obis(self.logical_name)
            .structure(2)
            .array(self.attributes.len());
        for (number, mode) in &self.attributes {
            out.structure(3).put(Data::Integer(*number)).put(Data::Enum(*mode)).put(Data::NullData);
        }
        out.array(self.methods.len());
        for (number, mode) in &self.methods {
            out.structure(2).put(Data::Integer(*number)).put(Data::Enum(*mode));
        }
    }
}
