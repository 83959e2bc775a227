//! G3-PLC, ITU-T G.9903, as the host of a modem sees it.

pub mod adp;
pub mod bootstrap;
pub mod coordinator;
pub mod lbp;
pub mod modem;
pub mod pib;
mod status;

pub use status::{AdpStatus, MacStatus, SerialStatus};
