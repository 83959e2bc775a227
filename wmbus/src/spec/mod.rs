//! Numbers of the standards, each once, under its clause.

mod c_field;
mod ci_field;
mod device_type;

pub use c_field::c_field_name;
pub use ci_field::{Content, Header, TplRow, tpl};
pub use device_type::{device_type_name, own_device_types, standard_device_type};

// EN 13757-7:2018, table 2 and EN 13757-4:2019, clause 12.2: layers below the transport layer.
pub const CI_ELL_V: u8 = 0x86;
pub const CI_ELL_I: u8 = 0x8c;
pub const CI_ELL_II: u8 = 0x8d;
pub const CI_ELL_III: u8 = 0x8e;
pub const CI_ELL_IV: u8 = 0x8f;
pub const CI_AFL: u8 = 0x90;
/// CI-fields of the manufacturer's own.
pub const CI_MANUFACTURER: std::ops::RangeInclusive<u8> = 0xa0..=0xb7;

/// There is such a CI-field, of whatever layer.
pub fn is_ci_field(octet: u8) -> bool {
    let is_below = matches!(octet, CI_ELL_V | CI_ELL_I..=CI_ELL_IV | CI_AFL | crate::wize::CI_WIZE);
    is_below || CI_MANUFACTURER.contains(&octet) || tpl(octet).is_some()
}
