//! Status octets. Firmware differs in its codes: zero is success everywhere, every other value keeps its number.

use std::fmt;

use crate::{Reject, octets::Field};

macro_rules! status {
    ($(#[$meta:meta])* $name:ident { $($code:literal $konst:ident $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u8);

        impl $name {
            $(pub const $konst: Self = Self($code);)*

            pub const fn is_success(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($code => f.write_str($text),)*
                    code => write!(f, "status {code:02x}"),
                }
            }
        }

        impl Field for $name {
            fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
                Field::parse(buf).map(Self)
            }

            fn emit(&self, out: &mut Vec<u8>) {
                out.push(self.0);
            }
        }
    };
}

status! {
    /// What the modem says of a command that it does not carry out.
    SerialStatus {
        0x00 SUCCESS "success",
        0x01 NOT_ALLOWED "not allowed",
        0x02 UNKNOWN_COMMAND "unknown command",
        0x03 INVALID_PARAMETER "invalid parameter",
    }
}

status! {
    /// Of the adaptation layer, G.9903 clause 9.4.
    AdpStatus {
        0x00 SUCCESS "success",
        0xa1 INVALID_REQUEST "invalid request",
        0xa2 FAILED "failed",
        0xa3 INVALID_IPV6_FRAME "invalid ipv6 frame",
        0xa4 NOT_PERMITTED "not permitted",
        0xa5 ROUTE_ERROR "route error",
        0xa6 TIMEOUT "timeout",
        0xa7 INVALID_INDEX "invalid index",
        0xa8 INVALID_PARAMETER "invalid parameter",
        0xa9 NO_BEACON "no beacon",
        0xb0 READ_ONLY "read only",
        0xb1 UNSUPPORTED_ATTRIBUTE "unsupported attribute",
        0xb2 INCOMPLETE_PATH "incomplete path",
        0xb3 BUSY "busy",
        0xb4 NO_BUFFERS "no buffers",
        0xb5 TRICKLE_REDUNDANT "trickle redundant",
        0xff INTERNAL "internal error",
    }
}

status! {
    /// Of the MAC layer, IEEE 802.15.4.
    MacStatus {
        0x00 SUCCESS "success",
        0x80 ALTERNATE_PAN_ID "alternate pan id",
        0xd0 QUEUE_FULL "queue full",
        0xdb COUNTER_ERROR "counter error",
        0xdf UNSUPPORTED_SECURITY "unsupported security",
        0xe1 CHANNEL_ACCESS_FAILURE "channel access failure",
        0xe2 DENIED "denied",
        0xe4 SECURITY_ERROR "security error",
        0xe5 FRAME_TOO_LONG "frame too long",
        0xe7 INVALID_HANDLE "invalid handle",
        0xe8 INVALID_PARAMETER "invalid parameter",
        0xe9 NO_ACK "no ack",
        0xec NO_SHORT_ADDRESS "no short address",
        0xee PAN_ID_CONFLICT "pan id conflict",
        0xf1 TRANSACTION_OVERFLOW "transaction overflow",
        0xf3 UNAVAILABLE_KEY "unavailable key",
        0xf4 UNSUPPORTED_ATTRIBUTE "unsupported attribute",
        0xf9 INVALID_INDEX "invalid index",
        0xfa LIMIT_REACHED "limit reached",
        0xfb READ_ONLY "read only",
    }
}

impl AdpStatus {
    /// The modem may take the same request a little later.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::BUSY | Self::NO_BUFFERS)
    }
}
