//! Class 70: the supply's switch. IEC 62056-6-2:2021, 5.4.8.

use crate::spec::enumeration;
use crate::{Data, Reject};

enumeration! {
    /// Attribute 3.
    ControlState {
        Disconnected = 0 "disconnected",
        Connected = 1 "connected",
        ReadyForReconnection = 2 "ready for reconnection",
    }
}

/// Attribute 4: who may switch, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlMode(u8);

/// What a remote reconnection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reconnection {
    /// Nothing: the mode has none.
    None,
    /// Somebody at the meter connects it then.
    Armed,
    Connected,
}

impl ControlMode {
    /// 0 to 6.
    pub const fn new(number: u8) -> Result<Self, Reject> {
        match number {
            0..=6 => Ok(Self(number)),
            _ => Err(Reject::Reserved("control mode")),
        }
    }

    pub const fn number(self) -> u8 {
        self.0
    }

    /// Remote disconnection is in every mode but 0.
    pub const fn has_remote_disconnection(self) -> bool {
        self.0 != 0
    }

    pub const fn reconnection(self) -> Reconnection {
        match self.0 {
            2 | 4 => Reconnection::Connected,
            1 | 3 | 5 | 6 => Reconnection::Armed,
            _ => Reconnection::None,
        }
    }

    /// Somebody at the meter may disconnect it.
    pub const fn has_manual_disconnection(self) -> bool {
        matches!(self.0, 1..=4)
    }
}

impl TryFrom<Data<'_>> for ControlMode {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        Self::new(data.number()?)
    }
}

impl TryFrom<Data<'_>> for ControlState {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        Ok(data.number::<u8>()?.into())
    }
}
