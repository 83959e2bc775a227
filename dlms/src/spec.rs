//! Numbers of IEC 62056-5-3 that more than one APDU has.

/// An enumeration of the standard whose other numbers are kept.
macro_rules! enumeration {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $number:literal $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($variant,)+
            Other(u8),
        }

        impl From<u8> for $name {
            fn from(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)+
                    number => Self::Other(number),
                }
            }
        }

        impl From<$name> for u8 {
            fn from(value: $name) -> u8 {
                match value {
                    $($name::$variant => $number,)+
                    $name::Other(number) => number,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)+
                    Self::Other(number) => write!(f, "result {number}"),
                }
            }
        }
    };
}
pub(crate) use enumeration;

enumeration! {
    /// Why an attribute was not read or written. IEC 62056-5-3, `Data-Access-Result`; 0 is success.
    DataAccessResult {
        Success = 0 "success",
        HardwareFault = 1 "hardware fault",
        TemporaryFailure = 2 "temporary failure",
        ReadWriteDenied = 3 "read-write denied",
        ObjectUndefined = 4 "object undefined",
        ObjectClassInconsistent = 9 "object class inconsistent",
        ObjectUnavailable = 11 "object unavailable",
        TypeUnmatched = 12 "type unmatched",
        ScopeOfAccessViolated = 13 "scope of access violated",
        DataBlockUnavailable = 14 "data block unavailable",
        LongGetAborted = 15 "long get aborted",
        NoLongGetInProgress = 16 "no long get in progress",
        LongSetAborted = 17 "long set aborted",
        NoLongSetInProgress = 18 "no long set in progress",
        DataBlockNumberInvalid = 19 "data block number invalid",
        OtherReason = 250 "other reason",
    }
}

enumeration! {
    /// How a method ended. IEC 62056-5-3, `Action-Result`.
    ActionResult {
        Success = 0 "success",
        HardwareFault = 1 "hardware fault",
        TemporaryFailure = 2 "temporary failure",
        ReadWriteDenied = 3 "read-write denied",
        ObjectUndefined = 4 "object undefined",
        ObjectClassInconsistent = 9 "object class inconsistent",
        ObjectUnavailable = 11 "object unavailable",
        TypeUnmatched = 12 "type unmatched",
        ScopeOfAccessViolated = 13 "scope of access violated",
        DataBlockUnavailable = 14 "data block unavailable",
        LongActionAborted = 15 "long action aborted",
        NoLongActionInProgress = 16 "no long action in progress",
        OtherReason = 250 "other reason",
    }
}

enumeration! {
    /// What an exception says of the association.
    StateError {
        ServiceNotAllowed = 1 "service not allowed",
        ServiceUnknown = 2 "service unknown",
    }
}

/// The services both sides have, one bit each. IEC 62056-5-3, `Conformance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conformance(pub u32);

impl Conformance {
    pub const GENERAL_PROTECTION: Self = Self(1 << 22);
    pub const GENERAL_BLOCK_TRANSFER: Self = Self(1 << 21);
    pub const ATTRIBUTE_0_WITH_SET: Self = Self(1 << 15);
    pub const PRIORITY: Self = Self(1 << 14);
    pub const ATTRIBUTE_0_WITH_GET: Self = Self(1 << 13);
    pub const BLOCK_TRANSFER_WITH_GET: Self = Self(1 << 12);
    pub const BLOCK_TRANSFER_WITH_SET: Self = Self(1 << 11);
    pub const BLOCK_TRANSFER_WITH_ACTION: Self = Self(1 << 10);
    pub const MULTIPLE_REFERENCES: Self = Self(1 << 9);
    pub const DATA_NOTIFICATION: Self = Self(1 << 7);
    pub const ACCESS: Self = Self(1 << 6);
    pub const GET: Self = Self(1 << 4);
    pub const SET: Self = Self(1 << 3);
    pub const SELECTIVE_ACCESS: Self = Self(1 << 2);
    pub const EVENT_NOTIFICATION: Self = Self(1 << 1);
    pub const ACTION: Self = Self(1);

    /// Either way of an answer that is longer than an APDU.
    pub const BLOCKS_OF_ANSWERS: Self = Self(Self::GENERAL_BLOCK_TRANSFER.0 | Self::BLOCK_TRANSFER_WITH_GET.0);

    /// What this crate has with logical names, general block transfer excepted.
    pub const USUAL: Self = Self(
        Self::GENERAL_PROTECTION.0
            | Self::PRIORITY.0
            | Self::BLOCK_TRANSFER_WITH_GET.0
            | Self::BLOCK_TRANSFER_WITH_SET.0
            | Self::BLOCK_TRANSFER_WITH_ACTION.0
            | Self::MULTIPLE_REFERENCES.0
            | Self::DATA_NOTIFICATION.0
            | Self::GET.0
            | Self::SET.0
            | Self::SELECTIVE_ACCESS.0
            | Self::EVENT_NOTIFICATION.0
            | Self::ACTION.0,
    );

    /// What a client offers, with general block transfer or without.
    pub const fn offered(has_general_blocks: bool) -> Self {
        if has_general_blocks { Self::USUAL.with(Self::GENERAL_BLOCK_TRANSFER) } else { Self::USUAL }
    }

    pub const fn has(self, service: Self) -> bool {
        self.0 & service.0 == service.0
    }

    #[must_use]
    pub const fn with(self, service: Self) -> Self {
        Self(self.0 | service.0)
    }

    /// What both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What this has and the other has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
