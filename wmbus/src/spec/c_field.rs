//! EN 13757-4:2019, table 33 and EN 13757-2:2018: the C-field.

/// The message type of a C-field; the bits FCB, FCV, ACD and DFC do not change it.
pub const fn c_field_name(c_field: u8) -> &'static str {
    match c_field {
        // 54 is what Wize sends with priority.
        0x44 | 0x54 => "SND-NR",
        0x46 => "SND-IR",
        0x47 => "ACC-NR",
        0x48 => "ACC-DMD",
        0x08 | 0x18 | 0x28 | 0x38 => "RSP-UD",
        0x00 | 0x10 | 0x20 | 0x30 => "ACK",
        0x01 => "NACK",
        0x40 => "SND-NKE",
        0x43 => "SND-UD2",
        0x45 => "SND-UD3",
        0x53 | 0x73 => "SND-UD",
        0x5a | 0x7a => "REQ-UD1",
        0x5b | 0x7b => "REQ-UD2",
        0x06 => "CNF-IR",
        _ => "?",
    }
}
