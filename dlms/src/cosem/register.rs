//! Classes 3, 4 and 5: values with a scaler and a unit.

use std::fmt;

use crate::data::Encoder;
use crate::{Data, Reject};

/// Value times ten to the scaler, in the unit of IEC 62056-6-2:2021, table 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScalerUnit {
    pub scaler: i8,
    pub unit: u8,
}

impl ScalerUnit {
    pub fn write(&self, out: &mut Encoder) {
        out.structure(2).put(Data::Integer(self.scaler)).put(Data::Enum(self.unit));
    }

    /// The unit's symbol; None where the number has none here.
    pub fn symbol(&self) -> Option<&'static str> {
        UNITS.iter().find(|row| row.0 == self.unit).map(|row| row.1)
    }
}

impl TryFrom<Data<'_>> for ScalerUnit {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [scaler, unit] = data.fields("a scaler and unit")?;
        Ok(Self { scaler: scaler.number()?, unit: unit.number()? })
    }
}

impl fmt::Display for ScalerUnit {
    /// `1e3 Wh`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.symbol() {
            Some(symbol) => write!(f, "1e{} {symbol}", self.scaler),
            None => write!(f, "1e{} unit {}", self.scaler, self.unit),
        }
    }
}

/// IEC 62056-6-2:2021, table 4, as far as meters of energy and of volumes have them.
const UNITS: &[(u8, &str)] = &[
    (1, "a"),
    (2, "mo"),
    (3, "wk"),
    (4, "d"),
    (5, "h"),
    (6, "min"),
    (7, "s"),
    (8, "deg"),
    (9, "Cel"),
    (11, "m"),
    (12, "m/s"),
    (13, "m3"),
    (14, "m3"),
    (15, "m3/h"),
    (16, "m3/h"),
    (17, "m3/d"),
    (18, "m3/d"),
    (19, "l"),
    (20, "kg"),
    (21, "N"),
    (22, "Nm"),
    (23, "Pa"),
    (24, "bar"),
    (25, "J"),
    (26, "J/h"),
    (27, "W"),
    (28, "VA"),
    (29, "var"),
    (30, "Wh"),
    (31, "VAh"),
    (32, "varh"),
    (33, "A"),
    (34, "C"),
    (35, "V"),
    (37, "F"),
    (38, "Ohm"),
    (40, "Wb"),
    (41, "T"),
    (42, "A/m"),
    (43, "H"),
    (44, "Hz"),
    (52, "K"),
    (56, "%"),
    (57, "Ah"),
    (60, "kg/m3"),
    (67, "m"),
    (70, "dBm"),
    (255, "1"),
];
