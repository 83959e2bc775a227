//! Data records of the application layer, EN 13757-3 clause 6: DIF, DIFE, VIF, VIFE and data.

/// One data record as the meter sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct DataRecord<'a> {
    pub function: Function,
    pub storage_number: u64,
    pub tariff: u32,
    pub subunit: u16,
    pub vib: Vib<'a>,
    pub value: Value<'a>,
    /// The whole record: DIB, VIB and data.
    pub octets: &'a [u8],
}

/// The function field of the DIF. EN 13757-3:2018, table 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Instantaneous,
    Maximum,
    Minimum,
    /// The value during an error state: never a good value.
    Error,
}

/// What a value is: the VIF and its VIFEs taken together.
#[derive(Debug, Clone, PartialEq)]
pub struct Vib<'a> {
    pub quantity: Quantity<'a>,
    pub unit: Unit,
    /// Power of ten by which the integer is multiplied, corrections by VIFE included.
    pub exponent: i8,
    /// Orthogonal VIFEs that do not scale, in the order they were sent.
    pub modifiers: Modifiers,
}

/// The data of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No data, selection for readout, or special functions.
    None,
    Integer(i64),
    /// A 32 bit real, its bits as sent.
    Float32(u32),
    Date(Date),
    DateTime(DateTime),
    /// Text in the order it is read, still in the meter's code page.
    Text(&'a [u8]),
    /// Octets without a numeric meaning here (type D flags, containers, numbers wider than 64 bit).
    Binary(&'a [u8]),
    /// The meter says that it has no value, or sent digits that are none.
    Invalid,
}
