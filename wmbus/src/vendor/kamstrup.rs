//! Kamstrup: heat meters.
//!
//! ```text
//! 04 FF 07  eeeeeeee    energy E8: volume times flow temperature, summed up, in m3 times degrees Celsius
//! 04 FF 08  eeeeeeee    energy E9: the same with the return temperature
//! ```
//!
//! The manufacturer publishes E8 and E9 as registers of its heat meters; the records are known from public decoders.
//! The volume's power of ten does not apply.

use super::field::{Field, Row};
use super::layout::Maker;
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker { manufacturers: &["KAM", "KAW"], address: None, layouts: &[], rows: ROWS };

const ROWS: &[Row] = &[
    Row {
        models: &[],
        vifes: &[0x07],
        fields: &[Field::whole("volume_times_flow_temperature", Unit::CubicMetreCelsius)],
    },
    Row {
        models: &[],
        vifes: &[0x08],
        fields: &[Field::whole("volume_times_return_temperature", Unit::CubicMetreCelsius)],
    },
];
