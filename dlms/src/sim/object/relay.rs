//! Class 70.

use super::{Object, Returned, value};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::{ControlMode, ControlState, Reconnection, class};
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct DisconnectControl {
    pub mode: ControlMode,
    pub state: ControlState,
    /// The contacts do not move, whatever the state says.
    pub is_stuck: bool,
    output: bool,
}

impl DisconnectControl {
    /// Connected.
    pub const fn new(mode: ControlMode) -> Self {
        Self { mode, state: ControlState::Connected, is_stuck: false, output: true }
    }

    /// Somebody at the meter presses the button.
    pub fn press(&mut self) {
        match self.state {
            ControlState::ReadyForReconnection => self.go(ControlState::Connected),
            ControlState::Connected if self.mode.has_manual_disconnection() => {
                self.go(ControlState::ReadyForReconnection)
            }
            _ => {}
        }
    }

    fn go(&mut self, state: ControlState) {
        self.state = state;
        if !self.is_stuck {
            self.output = state == ControlState::Connected;
        }
    }
}

impl Object for DisconnectControl {
    fn class_id(&self) -> u16 {
        class::DISCONNECT_CONTROL
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, _: &World) -> Result<Vec<u8>, DataAccessResult> {
        match attribute {
            2 => value(Data::Boolean(self.output)),
            3 => value(Data::Enum(self.state.into())),
            4 => value(Data::Enum(self.mode.number())),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn set(&mut self, attribute: i8, value: Data<'_>, _: &mut World) -> DataAccessResult {
        match (attribute, ControlMode::try_from(value)) {
            (4, Ok(mode)) => {
                self.mode = mode;
                DataAccessResult::Success
            }
            (4, Err(_)) => DataAccessResult::TypeUnmatched,
            _ => DataAccessResult::ReadWriteDenied,
        }
    }

    fn invoke(&mut self, method: i8, _: Option<Data<'_>>, world: &mut World) -> Returned {
        let before = self.state;
        match (method, self.mode.reconnection()) {
            (1, _) if self.mode.has_remote_disconnection() => self.go(ControlState::Disconnected),
            (2, Reconnection::Connected) => self.go(ControlState::Connected),
            (2, Reconnection::Armed) if self.state == ControlState::Disconnected => {
                self.go(ControlState::ReadyForReconnection);
            }
            (2, Reconnection::Armed) => {}
            _ => return Err(ActionResult::ReadWriteDenied),
        }
        if self.state != before {
            world.effects.push(Effect::Switched(self.state));
        }
        Ok(None)
    }

    fn writable(&self) -> &[i8] {
        &[4]
    }
}
