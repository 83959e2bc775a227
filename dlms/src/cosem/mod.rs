//! Interface classes of IEC 62056-6-2:2021 as far as collection needs them: what their attributes and methods are
//! called, and the values of attributes as types.

mod association;
mod limit;
mod mbus;
mod profile;
mod register;
mod relay;
mod schedule;
mod transfer;

use std::fmt;

pub use association::{ObjectListElement, object_list};
pub use limit::Emergency;
pub use mbus::{MbusClient, MbusKeyStatus, MbusValue, mbus_method};
pub use profile::{Column, Row, Rows, capture_objects};
pub use register::ScalerUnit;
pub use relay::{ControlMode, ControlState, Reconnection};
pub use schedule::{ExecutedScript, ExecutionTime, SpecialDay};
pub use transfer::{ImageToActivate, ImageTransferStatus, KeyKind, PushDestination, SecurityPolicy, key_transfer};

/// What a class has. Numbers of attributes and methods are places in the lists, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    pub id: u16,
    pub name: &'static str,
    pub attributes: &'static [&'static str],
    pub methods: &'static [&'static str],
}

impl Class {
    /// The class of this number.
    pub fn numbered(id: u16) -> Option<&'static Self> {
        CLASSES.iter().find(|class| class.id == id)
    }

    /// The name of an attribute.
    pub fn attribute(&self, number: i8) -> Option<&'static str> {
        Self::nth(self.attributes, number)
    }

    /// The name of a method.
    pub fn method(&self, number: i8) -> Option<&'static str> {
        Self::nth(self.methods, number)
    }

    fn nth(names: &[&'static str], number: i8) -> Option<&'static str> {
        names.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

/// Numbers of classes.
pub mod class {
    pub const DATA: u16 = 1;
    pub const REGISTER: u16 = 3;
    pub const EXTENDED_REGISTER: u16 = 4;
    pub const DEMAND_REGISTER: u16 = 5;
    pub const PROFILE_GENERIC: u16 = 7;
    pub const CLOCK: u16 = 8;
    pub const SCRIPT_TABLE: u16 = 9;
    pub const SPECIAL_DAYS_TABLE: u16 = 11;
    pub const ASSOCIATION_LN: u16 = 15;
    pub const IMAGE_TRANSFER: u16 = 18;
    pub const ACTIVITY_CALENDAR: u16 = 20;
    pub const SINGLE_ACTION_SCHEDULE: u16 = 22;
    pub const PUSH_SETUP: u16 = 40;
    pub const SECURITY_SETUP: u16 = 64;
    pub const ARBITRATOR: u16 = 68;
    pub const DISCONNECT_CONTROL: u16 = 70;
    pub const LIMITER: u16 = 71;
    pub const MBUS_CLIENT: u16 = 72;
}

/// IEC 62056-6-2:2021, clauses 5.3 to 5.9.
pub static CLASSES: &[Class] = &[
    Class { id: class::DATA, name: "data", attributes: &["logical_name", "value"], methods: &[] },
    Class {
        id: class::REGISTER,
        name: "register",
        attributes: &["logical_name", "value", "scaler_unit"],
        methods: &["reset"],
    },
    Class {
        id: class::EXTENDED_REGISTER,
        name: "extended register",
        attributes: &["logical_name", "value", "scaler_unit", "status", "capture_time"],
        methods: &["reset"],
    },
    Class {
        id: class::DEMAND_REGISTER,
        name: "demand register",
        attributes: &[
            "logical_name",
            "current_average_value",
            "last_average_value",
            "scaler_unit",
            "status",
            "capture_time",
            "start_time_current",
            "period",
            "number_of_periods",
        ],
        methods: &["reset", "next_period"],
    },
    Class {
        id: class::PROFILE_GENERIC,
        name: "profile generic",
        attributes: &[
            "logical_name",
            "buffer",
            "capture_objects",
            "capture_period",
            "sort_method",
            "sort_object",
            "entries_in_use",
            "profile_entries",
        ],
        methods: &["reset", "capture"],
    },
    Class {
        id: class::CLOCK,
        name: "clock",
        attributes: &[
            "logical_name",
            "time",
            "time_zone",
            "status",
            "daylight_savings_begin",
            "daylight_savings_end",
            "daylight_savings_deviation",
            "daylight_savings_enabled",
            "clock_base",
        ],
        methods: &[
            "adjust_to_quarter",
            "adjust_to_measuring_period",
            "adjust_to_minute",
            "adjust_to_preset_time",
            "preset_adjusting_time",
            "shift_time",
        ],
    },
    Class {
        id: class::SCRIPT_TABLE,
        name: "script table",
        attributes: &["logical_name", "scripts"],
        methods: &["execute"],
    },
    Class {
        id: class::SPECIAL_DAYS_TABLE,
        name: "special days table",
        attributes: &["logical_name", "entries"],
        methods: &["insert", "delete"],
    },
    Class {
        id: class::ASSOCIATION_LN,
        name: "association ln",
        attributes: &[
            "logical_name",
            "object_list",
            "associated_partners_id",
            "application_context_name",
            "xdlms_context_info",
            "authentication_mechanism_name",
            "secret",
            "association_status",
            "security_setup_reference",
            "user_list",
            "current_user",
        ],
        methods: &[
            "reply_to_hls_authentication",
            "change_hls_secret",
            "add_object",
            "remove_object",
            "add_user",
            "remove_user",
        ],
    },
    Class {
        id: class::IMAGE_TRANSFER,
        name: "image transfer",
        attributes: &[
            "logical_name",
            "image_block_size",
            "image_transferred_blocks_status",
            "image_first_not_transferred_block_number",
            "image_transfer_enabled",
            "image_transfer_status",
            "image_to_activate_info",
        ],
        methods: &["image_transfer_initiate", "image_block_transfer", "image_verify", "image_activate"],
    },
    Class {
        id: class::ACTIVITY_CALENDAR,
        name: "activity calendar",
        attributes: &[
            "logical_name",
            "calendar_name_active",
            "season_profile_active",
            "week_profile_table_active",
            "day_profile_table_active",
            "calendar_name_passive",
            "season_profile_passive",
            "week_profile_table_passive",
            "day_profile_table_passive",
            "activate_passive_calendar_time",
        ],
        methods: &["activate_passive_calendar"],
    },
    Class {
        id: class::SINGLE_ACTION_SCHEDULE,
        name: "single action schedule",
        attributes: &["logical_name", "executed_script", "type", "execution_time"],
        methods: &[],
    },
    Class {
        id: class::PUSH_SETUP,
        name: "push setup",
        attributes: &[
            "logical_name",
            "push_object_list",
            "send_destination_and_method",
            "communication_window",
            "randomisation_start_interval",
            "number_of_retries",
            "repetition_delay",
        ],
        methods: &["push"],
    },
    Class {
        id: class::SECURITY_SETUP,
        name: "security setup",
        attributes: &[
            "logical_name",
            "security_policy",
            "security_suite",
            "client_system_title",
            "server_system_title",
            "certificates",
        ],
        methods: &[
            "security_activate",
            "key_transfer",
            "key_agreement",
            "generate_key_pair",
            "generate_certificate_request",
            "import_certificate",
            "export_certificate",
            "remove_certificate",
        ],
    },
    Class {
        id: class::ARBITRATOR,
        name: "arbitrator",
        attributes: &[
            "logical_name",
            "actions",
            "permissions_table",
            "weightings_table",
            "most_recent_requests_table",
            "last_outcome",
        ],
        methods: &["request_action", "reset"],
    },
    Class {
        id: class::DISCONNECT_CONTROL,
        name: "disconnect control",
        attributes: &["logical_name", "output_state", "control_state", "control_mode"],
        methods: &["remote_disconnect", "remote_reconnect"],
    },
    Class {
        id: class::LIMITER,
        name: "limiter",
        attributes: &[
            "logical_name",
            "monitored_value",
            "threshold_active",
            "threshold_normal",
            "threshold_emergency",
            "min_over_threshold_duration",
            "min_under_threshold_duration",
            "emergency_profile",
            "emergency_profile_group_id_list",
            "emergency_profile_active",
            "actions",
        ],
        methods: &[],
    },
    Class {
        id: class::MBUS_CLIENT,
        name: "m-bus client",
        attributes: &[
            "logical_name",
            "mbus_port_reference",
            "capture_definition",
            "capture_period",
            "primary_address",
            "identification_number",
            "manufacturer_id",
            "version",
            "device_type",
            "access_number",
            "status",
            "alarm",
            "configuration",
            "encryption_key_status",
        ],
        methods: &[
            "slave_install",
            "slave_deinstall",
            "capture",
            "reset_alarm",
            "synchronize_clock",
            "data_send",
            "set_encryption_key",
            "transfer_key",
        ],
    },
];

#[cfg(test)]
mod tests;
