//! What the gateway wants to know of a meter's frame.

use super::{ACC_DMD, ACK, RSP_UD, TYPE, Valve, command, valve_state};
use crate::{Address, SecurityMode, Telegram, Verdict};

/// A frame of a meter, as far as the gateway cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hearing {
    pub meter: Address,
    pub c_field: u8,
    pub access_number: u8,
    /// The meter says that it listens now.
    pub is_accessible: bool,
    /// It listens after the shorter of the two times of modes C and N.
    pub is_fast: bool,
    /// The frame opened, whatever protects it.
    pub is_open: bool,
    pub proof: Proof,
    /// What the valve is, where the frame says it.
    pub valve: Option<Valve>,
    /// The code of an application error.
    pub error: Option<u8>,
    pub rssi_dbm: Option<i16>,
    /// The meter has said it before, and listens again: what is sent again for it is no further try.
    pub is_repetition: bool,
}

/// What protected a frame of a meter. What comes back about a command must be proven as well as the command was protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    Nothing,
    Encrypted,
    Authenticated,
}

impl Hearing {
    pub fn of(telegram: &Telegram<'_>, rssi_dbm: Option<i16>) -> Option<Self> {
        let control = telegram.ell.map(|ell| ell.communication_control);
        let configuration = telegram.tpl.and_then(|tpl| tpl.header).map(|header| header.configuration);
        let by_ell =
            control.is_some_and(|control| control & (CC_TWO_WAY | CC_ACCESSIBLE) == CC_TWO_WAY | CC_ACCESSIBLE);
        let by_tpl = configuration.is_some_and(|field| field.is_bidirectional() && field.is_accessible());
        Some(Self {
            meter: telegram.address,
            c_field: telegram.link.c_field(),
            access_number: telegram.access_number()?,
            is_accessible: by_ell || by_tpl,
            is_fast: control.is_some_and(|control| control & CC_FAST != 0),
            is_open: telegram.verdict == Verdict::Ok,
            proof: match telegram.security.mode {
                _ if telegram.security.authenticated => Proof::Authenticated,
                SecurityMode::None => Proof::Nothing,
                _ => Proof::Encrypted,
            },
            valve: valve_state(telegram),
            error: command::application_error(telegram),
            rssi_dbm,
            is_repetition: false,
        })
    }

    /// It comes because the meter was spoken to.
    pub const fn is_answer(&self) -> bool {
        matches!(self.c_field & TYPE, RSP_UD | ACK)
    }

    /// It says something of the link alone, which nothing protects: an acknowledgement, a demand.
    pub const fn is_link(&self) -> bool {
        self.c_field & TYPE == ACK || self.is_demand()
    }

    /// Sent again as it was until it is acknowledged.
    pub const fn is_demand(&self) -> bool {
        self.c_field == ACC_DMD
    }
}

// The communication control field, EN 13757-4:2019, 13.2.7.
const CC_TWO_WAY: u8 = 0x80;
const CC_FAST: u8 = 0x40;
const CC_ACCESSIBLE: u8 = 0x04;
