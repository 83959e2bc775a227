//! M-Bus channels of electricity meters (class 72) as people ask for them and see them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is wanted of a channel. All but `Show` change something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum ChannelAsk {
    Show,
    /// Takes a meter onto the channel: this one, or whichever is found.
    Install {
        #[serde(default)]
        behind: Option<String>,
        /// Primary address on the wired M-Bus; 0: the electricity meter chooses.
        #[serde(default)]
        address: u8,
    },
    Deinstall,
    /// Has the meter behind it read now.
    Capture,
    ResetAlarm,
    SynchronizeClock,
    SetKey(MbusKey),
    /// Closes the valve, opens the breaker.
    Disconnect,
    /// Enables manual opening, or opens, as the control mode has it. A gas valve is opened from afar only `directly`,
    /// which nobody at the unit itself may order.
    Connect {
        #[serde(default)]
        directly: bool,
    },
}

/// A new key of a meter behind an electricity meter; hexadecimal digits that are never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MbusKey {
    /// Whose it is: another meter on the channel does not get it.
    pub behind: String,
    /// What the electricity meter deciphers with, 16 octets.
    pub key: String,
    /// The same under the default key of the meter behind it, to which it is sent; None: that one has it already.
    #[serde(default)]
    pub enciphered: Option<String>,
}

impl fmt::Debug for MbusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MbusKey({}, ..)", self.behind)
    }
}

impl ChannelAsk {
    /// The word of the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Show => "show",
            Self::Install { .. } => "install",
            Self::Deinstall => "deinstall",
            Self::Capture => "capture",
            Self::ResetAlarm => "reset-alarm",
            Self::SynchronizeClock => "synchronize-clock",
            Self::SetKey(_) => "set-key",
            Self::Disconnect => "disconnect",
            Self::Connect { .. } => "connect",
        }
    }
}

/// A channel, as it was just read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelCard {
    /// The electricity meter.
    pub meter: String,
    pub channel: u8,
    /// None: nobody is installed.
    pub behind: Option<String>,
    pub primary_address: u8,
    /// `encryption key in use` and so on; None where the electricity meter does not tell.
    #[serde(default)]
    pub key: Option<String>,
    /// Bits of the M-Bus status that were set since the last reset.
    #[serde(default)]
    pub alarm: Option<u8>,
    /// None where the channel has none.
    #[serde(default)]
    pub valve: Option<Valve>,
}

/// Class 70 of the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valve {
    /// `connected`, `disconnected`, `ready for reconnection`
    pub state: String,
    pub state_number: u8,
    /// What the contacts or the valve really are.
    pub is_connected: bool,
    /// IEC 62056-6-2: 0 to 6.
    pub control_mode: u8,
}
