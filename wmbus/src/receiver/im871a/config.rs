//! What the module says of itself, and its settings. "WMBus HCI Specification V1.6", device management.

use bytes::Buf;

use crate::receiver::{Mode, Reject};

/// The answer to GET_DEVICEINFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceInfo {
    pub module_type: u8,
    pub device_mode: u8,
    pub firmware: u8,
    pub hci: u8,
    pub uid: u32,
}

impl DeviceInfo {
    /// Reads it and leaves `buf` at the first octet after it.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self {
            module_type: buf.try_get_u8()?,
            device_mode: buf.try_get_u8()?,
            firmware: buf.try_get_u8()?,
            hci: buf.try_get_u8()?,
            uid: buf.try_get_u32_le()?,
        })
    }

    /// Appends exactly what `parse` reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.module_type, self.device_mode, self.firmware, self.hci]);
        out.extend(self.uid.to_le_bytes());
    }
}

/// Settings, two groups of fields; what is None is not sent, and not changed by SET_CONFIG.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Config {
    pub device_mode: Option<u8>,
    pub link_mode: Option<u8>,
    pub c_field: Option<u8>,
    pub manufacturer: Option<u16>,
    pub identification: Option<u32>,
    pub version: Option<u8>,
    pub device_type: Option<u8>,
    pub channel: Option<u8>,
    pub power: Option<u8>,
    pub data_rate: Option<u8>,
    pub rx_window: Option<u8>,
    pub auto_power_save: Option<u8>,
    pub auto_rssi: Option<u8>,
    pub auto_timestamp: Option<u8>,
    pub led: Option<u8>,
    pub rtc: Option<u8>,
}

impl Config {
    /// Reads both groups and leaves `buf` at the first octet after them.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let has = buf.try_get_u8()?;
        let mut config = Self {
            device_mode: octet(buf, has, 0x01)?,
            link_mode: octet(buf, has, 0x02)?,
            c_field: octet(buf, has, 0x04)?,
            manufacturer: (has & 0x08 != 0).then(|| buf.try_get_u16_le()).transpose()?,
            identification: (has & 0x10 != 0).then(|| buf.try_get_u32_le()).transpose()?,
            version: octet(buf, has, 0x20)?,
            device_type: octet(buf, has, 0x40)?,
            channel: octet(buf, has, 0x80)?,
            ..Self::default()
        };
        let has = buf.try_get_u8()?;
        config.power = octet(buf, has, 0x01)?;
        config.data_rate = octet(buf, has, 0x02)?;
        config.rx_window = octet(buf, has, 0x04)?;
        config.auto_power_save = octet(buf, has, 0x08)?;
        config.auto_rssi = octet(buf, has, 0x10)?;
        config.auto_timestamp = octet(buf, has, 0x20)?;
        config.led = octet(buf, has, 0x40)?;
        config.rtc = octet(buf, has, 0x80)?;
        Ok(config)
    }

    /// Appends exactly what `parse` reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let manufacturer = self.manufacturer.map(u16::to_le_bytes);
        let identification = self.identification.map(u32::to_le_bytes);
        group(
            out,
            [
                self.device_mode.as_slice(),
                self.link_mode.as_slice(),
                self.c_field.as_slice(),
                manufacturer.as_ref().map_or(&[], |octets| octets.as_slice()),
                identification.as_ref().map_or(&[], |octets| octets.as_slice()),
                self.version.as_slice(),
                self.device_type.as_slice(),
                self.channel.as_slice(),
            ],
        );
        group(
            out,
            [
                self.power.as_slice(),
                self.data_rate.as_slice(),
                self.rx_window.as_slice(),
                self.auto_power_save.as_slice(),
                self.auto_rssi.as_slice(),
                self.auto_timestamp.as_slice(),
                self.led.as_slice(),
                self.rtc.as_slice(),
            ],
        );
    }

    /// Takes over what `change` sets.
    pub fn apply(&mut self, change: &Self) {
        *self = Self {
            device_mode: change.device_mode.or(self.device_mode),
            link_mode: change.link_mode.or(self.link_mode),
            c_field: change.c_field.or(self.c_field),
            manufacturer: change.manufacturer.or(self.manufacturer),
            identification: change.identification.or(self.identification),
            version: change.version.or(self.version),
            device_type: change.device_type.or(self.device_type),
            channel: change.channel.or(self.channel),
            power: change.power.or(self.power),
            data_rate: change.data_rate.or(self.data_rate),
            rx_window: change.rx_window.or(self.rx_window),
            auto_power_save: change.auto_power_save.or(self.auto_power_save),
            auto_rssi: change.auto_rssi.or(self.auto_rssi),
            auto_timestamp: change.auto_timestamp.or(self.auto_timestamp),
            led: change.led.or(self.led),
            rtc: change.rtc.or(self.rtc),
        };
    }
}

/// A link mode in the numbers of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkMode {
    pub mode: Mode,
    pub number: u8,
    /// The module is an iM871A (868 MHz); else an iM170A (169 MHz).
    pub is_868: bool,
    /// The oldest firmware that knows it.
    pub firmware: u8,
}

impl LinkMode {
    const fn new(mode: Mode, number: u8, is_868: bool, firmware: u8) -> Self {
        Self { mode, number, is_868, firmware }
    }

    /// How a module of this type is told to listen to `mode`.
    pub fn of(mode: Mode, module_type: u8) -> Option<&'static Self> {
        LINK_MODES.iter().find(|row| row.mode == mode && row.is_868 == (module_type == MODULE_IM871A))
    }

    /// What a module of this type listens to when it is told `number`.
    pub fn numbered(number: u8, module_type: u8) -> Option<&'static Self> {
        LINK_MODES.iter().find(|row| row.number == number && row.is_868 == (module_type == MODULE_IM871A))
    }
}

pub const MODULE_IM871A: u8 = 0x33;
/// Any other type is taken for it.
pub const MODULE_IM170A: u8 = 0x36;

/// Link modes, "WMBus HCI Specification V1.6". C1 and C2 have a number for each frame format they would send.
static LINK_MODES: &[LinkMode] = &[
    LinkMode::new(Mode::S1, 0x00, true, 0),
    LinkMode::new(Mode::S1m, 0x01, true, 0),
    LinkMode::new(Mode::S2, 0x02, true, 0),
    LinkMode::new(Mode::T1, 0x03, true, 0),
    LinkMode::new(Mode::T2, 0x04, true, 0),
    LinkMode::new(Mode::R2, 0x05, true, 0),
    LinkMode::new(Mode::C1, 0x06, true, 0),
    LinkMode::new(Mode::C1, 0x07, true, 0),
    LinkMode::new(Mode::C2, 0x08, true, 0),
    LinkMode::new(Mode::C2, 0x09, true, 0),
    LinkMode::new(Mode::C1T1, 0x0a, true, 0x14),
    LinkMode::new(Mode::N1a, 0x0a, false, 0),
    LinkMode::new(Mode::N2a, 0x0b, false, 0),
    LinkMode::new(Mode::N1b, 0x0c, false, 0),
    LinkMode::new(Mode::N2b, 0x0d, false, 0),
    LinkMode::new(Mode::N1c, 0x0e, false, 0),
    LinkMode::new(Mode::N2c, 0x0f, false, 0),
    LinkMode::new(Mode::N1d, 0x10, false, 0),
    LinkMode::new(Mode::N2d, 0x11, false, 0),
    LinkMode::new(Mode::N1e, 0x12, false, 0),
    LinkMode::new(Mode::N2e, 0x13, false, 0),
    LinkMode::new(Mode::N1f, 0x14, false, 0),
    LinkMode::new(Mode::N2f, 0x15, false, 0),
];

fn octet(buf: &mut &[u8], has: u8, bit: u8) -> Result<Option<u8>, Reject> {
    Ok((has & bit != 0).then(|| buf.try_get_u8()).transpose()?)
}

/// One group of fields: a bit per field that is there, then these fields.
fn group(out: &mut Vec<u8>, fields: [&[u8]; 8]) {
    let has = fields.iter().rev().fold(0, |has, field| has << 1 | u8::from(!field.is_empty()));
    out.push(has);
    for field in fields {
        out.extend(field);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Config) {
        let mut cursor = octets;
        assert_eq!(Config::parse(&mut cursor), Ok(expected));
        assert!(cursor.is_empty());
        let mut emitted = Vec::new();
        expected.emit(&mut emitted);
        assert_eq!(emitted, octets);
        for end in 0..octets.len() {
            assert_eq!(Config::parse(&mut &octets[..end]), Err(Reject::Incomplete), "prefix of {end}");
        }
    }

    #[test]
    fn captured_settings_are_read_and_written() {
        check(
            &hex!("ff 00 03 00 b3 25 36 17 10 00 01 00 01 ff 07 02 32 00 01 01 00 01"),
            Config {
                device_mode: Some(0),
                link_mode: Some(3),
                c_field: Some(0),
                manufacturer: Some(0x25b3),
                identification: Some(0x0010_1736),
                version: Some(1),
                device_type: Some(0),
                channel: Some(1),
                power: Some(7),
                data_rate: Some(2),
                rx_window: Some(0x32),
                auto_power_save: Some(0),
                auto_rssi: Some(1),
                auto_timestamp: Some(1),
                led: Some(0),
                rtc: Some(1),
            },
        );
        check(
            &hex!("02 0a 30 01 00"),
            Config { link_mode: Some(10), auto_rssi: Some(1), auto_timestamp: Some(0), ..Config::default() },
        );
        check(&hex!("00 00"), Config::default());
    }

    #[test]
    fn device_information_is_read_and_written() {
        let octets = hex!("33 00 14 01 78 56 34 12");
        let info = DeviceInfo { module_type: 0x33, device_mode: 0, firmware: 0x14, hci: 1, uid: 0x1234_5678 };
        assert_eq!(DeviceInfo::parse(&mut &octets[..]), Ok(info));
        let mut emitted = Vec::new();
        info.emit(&mut emitted);
        assert_eq!(emitted, octets);
        for end in 0..octets.len() {
            assert_eq!(DeviceInfo::parse(&mut &octets[..end]), Err(Reject::Incomplete));
        }
    }

    #[test]
    fn every_mode_that_can_be_configured_has_a_number() {
        for mode in Mode::ALL {
            let has_number = |module| LinkMode::of(mode, module).is_some();
            assert_eq!(super::super::MODES.contains(&mode), has_number(MODULE_IM871A), "{mode}");
            assert_eq!(crate::receiver::MODES_169.contains(&mode), has_number(MODULE_IM170A), "{mode}");
        }
    }
}
