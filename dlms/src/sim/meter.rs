//! What an emulated meter is: its objects, its clock, and what it was built after.

use std::collections::BTreeMap;

use super::object::{
    ClockObject, DisconnectControl, EventLog, ImageTransfer, MbusChannel, Object, ProfileGeneric, PushSetup, Register,
    Returned, SecuritySetup, Stored, name,
};
use super::{Cadence, Capture, Curve, MeterClock, ProfileModel, Quirks, SplitMix, Zone};
use crate::apdu::{Attribute, CaptureObject, Method, Selection};
use crate::cosem::{
    ControlMode, ControlState, KeyKind, MbusClient, ObjectListElement, PushDestination, ScalerUnit, class,
};
use crate::data::encode;
use crate::security::{Secret, Suite, SystemTitle};
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, Obis, Reject};

/// What objects see of each other and of the world.
#[derive(Debug)]
pub struct World {
    /// True time, milliseconds since 1970 UTC.
    pub true_ms: i64,
    pub clock: MeterClock,
    /// What methods brought about, for the server and for whoever watches.
    pub effects: Vec<Effect>,
}

/// What a method brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Switched(ControlState),
    Activated(Vec<u8>),
    Keys(Vec<(KeyKind, Secret)>),
    Push(Vec<CaptureObject>),
    Script(u16),
    MbusData(u8, Vec<u8>),
}

#[derive(Debug)]
pub struct Meter {
    pub world: World,
    objects: BTreeMap<Obis, Box<dyn Object>>,
}

/// What a meter is built after. The same model gives the same meter, and the same values.
#[derive(Debug, Clone)]
pub struct Model {
    pub serial: u32,
    pub zone: Zone,
    pub suite: Suite,
    pub master: Secret,
    /// Of the load profile, in seconds.
    pub period: u32,
    /// The first row of each profile, seconds since 1970 UTC.
    pub begin: i64,
    /// Rows of the load profile that are kept.
    pub entries: u32,
    pub quirks: Quirks,
    pub control_mode: ControlMode,
    /// A gas meter on channel 1.
    pub gas: Option<MbusClient>,
}

impl World {
    /// Seconds since 1970 UTC as the meter has them.
    pub fn unix(&self) -> i64 {
        self.clock.unix(self.true_ms)
    }
}

impl Model {
    /// An electricity meter with a quarter-hourly profile of 10,000 rows.
    pub fn electricity(serial: u32) -> Result<Self, Reject> {
        Ok(Self {
            serial,
            zone: Zone::CENTRAL_EUROPE,
            suite: Suite::Zero,
            master: Secret::new(&[0x4d; 16]),
            period: 900,
            begin: 1_767_225_600,
            entries: 10_000,
            quirks: Quirks::default(),
            control_mode: ControlMode::new(4)?,
            gas: None,
        })
    }

    /// The name of the meter in ciphering.
    pub fn system_title(&self) -> SystemTitle {
        let [a, b, c, d] = self.serial.to_be_bytes();
        SystemTitle([b'D', b'C', b'U', 1, a, b, c, d])
    }

    /// What a register of the meter goes by: the truth that readings are compared with.
    pub fn curve(&self, register: Obis) -> Curve {
        let [_, _, c, d, e, _] = register.0;
        let number = u64::from_be_bytes([0, c, d, e, 0, 0, 0, 0]) | u64::from(self.serial);
        let seed = SplitMix::mix(number);
        Curve { start: seed % 1_000_000, slope: 20 + (seed >> 40) as u32 % 400, seed }
    }

    /// Builds the meter.
    pub fn build(&self) -> Meter {
        let mut objects: BTreeMap<Obis, Box<dyn Object>> = BTreeMap::new();
        let serial = format!("DCU{:013}", self.serial);
        objects.insert(LOGICAL_DEVICE_NAME, Box::new(Stored::data(Data::OctetString(serial.as_bytes()).octets())));
        let digits = format!("{:08}", self.serial);
        let number = Data::OctetString(digits.as_bytes()).octets();
        objects.insert(Obis::new(0, 0, 96, 1, 0, 255), Box::new(Stored::data(number)));
        let firmware = Data::OctetString(b"1.0.0").octets();
        objects.insert(Obis::new(1, 0, 0, 2, 0, 255), Box::new(Stored::data(firmware)));
        objects.insert(CLOCK, Box::new(ClockObject::default()));
        for (register, scaler_unit) in REGISTERS {
            let object = Register::new(class::REGISTER, self.curve(*register), *scaler_unit);
            objects.insert(*register, Box::new(object));
        }
        let demand = Obis::new(1, 0, 1, 4, 0, 255);
        let power = ScalerUnit { scaler: 0, unit: 27 };
        objects.insert(demand, Box::new(Register::new(class::DEMAND_REGISTER, self.curve(demand), power)));
        let maximum = Obis::new(1, 0, 1, 6, 0, 255);
        objects.insert(maximum, Box::new(Register::new(class::EXTENDED_REGISTER, self.curve(maximum), power)));
        for (logical_name, profile) in self.profiles() {
            objects.insert(logical_name, Box::new(ProfileGeneric { model: profile }));
        }
        let log = EventLog { code: Obis::new(0, 0, 96, 11, 0, 255), entries: vec![(self.begin, 2)] };
        objects.insert(EVENT_LOG, Box::new(log));
        objects.insert(RELAY, Box::new(DisconnectControl::new(self.control_mode)));
        objects.insert(Obis::new(0, 0, 44, 0, 0, 255), Box::new(ImageTransfer::new(128)));
        let security = SecuritySetup {
            policy: 0,
            suite: self.suite,
            client_title: None,
            server_title: self.system_title(),
            master: self.master.clone(),
        };
        objects.insert(Obis::new(0, 0, 43, 0, 0, 255), Box::new(security));
        let destination = PushDestination { service: 0, destination: b"127.0.0.1:4059".to_vec(), message: 0 };
        let pushed = [(class::DATA, LOGICAL_DEVICE_NAME), (class::CLOCK, CLOCK), (class::REGISTER, ACTIVE_IMPORT)];
        let pushed = pushed.map(|(class_id, name)| CaptureObject::new(Attribute::new(class_id, name, 2)));
        objects.insert(Obis::new(0, 0, 25, 9, 0, 255), Box::new(PushSetup { objects: pushed.to_vec(), destination }));
        if let Some(gas) = self.gas {
            objects.insert(Obis::new(0, 1, 24, 1, 0, 255), Box::new(MbusChannel::new(1, Some(gas))));
            let volume = ScalerUnit { scaler: -3, unit: 13 };
            let register = Register::new(class::EXTENDED_REGISTER, self.curve(GAS_VOLUME), volume);
            objects.insert(GAS_VOLUME, Box::new(register));
            objects.insert(Obis::new(0, 1, 24, 4, 0, 255), Box::new(DisconnectControl::new(self.control_mode)));
        }
        for (logical_name, object) in tables() {
            objects.insert(logical_name, Box::new(object));
        }
        let clock = MeterClock::new(self.zone);
        Meter { world: World { true_ms: self.begin * 1000, clock, effects: Vec::new() }, objects }
    }

    /// Load profile, daily and monthly values, and those of the gas meter.
    pub fn profiles(&self) -> Vec<(Obis, ProfileModel)> {
        let column = |class_id, name, capture| (CaptureObject::new(Attribute::new(class_id, name, 2)), capture);
        let clock = column(class::CLOCK, CLOCK, Capture::Clock);
        let status = column(class::DATA, Obis::new(0, 0, 96, 10, 1, 255), Capture::Status);
        let value = |name| column(class::REGISTER, name, Capture::Value(self.curve(name)));
        let profile = |columns: Vec<_>, cadence, entries| ProfileModel {
            columns,
            cadence,
            begin: self.begin,
            entries,
            quirks: self.quirks.clone(),
        };
        let load = vec![clock, status, value(ACTIVE_IMPORT), value(ACTIVE_EXPORT)];
        let tariffs = REGISTERS.iter().map(|(name, _)| value(*name));
        let daily: Vec<_> = [clock, status].into_iter().chain(tariffs).collect();
        let mut all = vec![
            (LOAD_PROFILE, profile(load, Cadence::Seconds(self.period), self.entries)),
            (Obis::new(1, 0, 99, 2, 0, 255), profile(daily.clone(), Cadence::Daily, 400)),
            (Obis::new(0, 0, 98, 1, 0, 255), profile(daily, Cadence::Monthly, 36)),
        ];
        if self.gas.is_some() {
            let volume = column(class::EXTENDED_REGISTER, GAS_VOLUME, Capture::Value(self.curve(GAS_VOLUME)));
            let hourly = profile(vec![clock, status, volume], Cadence::Seconds(3600), 2_400);
            all.push((Obis::new(0, 1, 24, 3, 0, 255), hourly));
        }
        all
    }
}

impl Meter {
    /// Puts an object in, in place of another of its name.
    pub fn insert(&mut self, logical_name: Obis, object: Box<dyn Object>) {
        self.objects.insert(logical_name, object);
    }

    pub fn get(&self, wanted: &Attribute, selection: Option<&Selection<'_>>) -> Result<Vec<u8>, DataAccessResult> {
        if wanted.logical_name == CURRENT_ASSOCIATION && wanted.class_id == class::ASSOCIATION_LN {
            return match wanted.attribute {
                1 => Ok(name(CURRENT_ASSOCIATION)),
                2 => Ok(self.object_list()),
                8 => Ok(Data::Enum(2).octets()),
                _ => Err(DataAccessResult::ObjectUnavailable),
            };
        }
        let object = self.objects.get(&wanted.logical_name).ok_or(DataAccessResult::ObjectUndefined)?;
        if object.class_id() != wanted.class_id {
            return Err(DataAccessResult::ObjectClassInconsistent);
        }
        match wanted.attribute {
            1 => Ok(name(wanted.logical_name)),
            attribute => object.get(attribute, selection, &self.world),
        }
    }

    pub fn set(&mut self, wanted: &Attribute, value: Data<'_>) -> DataAccessResult {
        match self.objects.get_mut(&wanted.logical_name) {
            None => DataAccessResult::ObjectUndefined,
            Some(object) if object.class_id() != wanted.class_id => DataAccessResult::ObjectClassInconsistent,
            Some(object) => object.set(wanted.attribute, value, &mut self.world),
        }
    }

    pub fn invoke(&mut self, wanted: &Method, parameter: Option<Data<'_>>) -> Returned {
        match self.objects.get_mut(&wanted.logical_name) {
            None => Err(ActionResult::ObjectUndefined),
            Some(object) if object.class_id() != wanted.class_id => Err(ActionResult::ObjectClassInconsistent),
            Some(object) => object.invoke(wanted.method, parameter, &mut self.world),
        }
    }

    fn object_list(&self) -> Vec<u8> {
        encode(|out| {
            out.array(self.objects.len());
            for (logical_name, object) in &self.objects {
                let (attributes, methods) = object.rights();
                let (class_id, version) = (object.class_id(), object.version());
                ObjectListElement { class_id, version, logical_name: *logical_name, attributes, methods }.write(out);
            }
        })
    }
}

/// Objects that are only what is stored in them.
fn tables() -> Vec<(Obis, Stored)> {
    let empty = super::object::empty();
    let text = |text: &[u8]| Data::OctetString(text).octets();
    let calendar = (2..=9).fold(Stored::new(class::ACTIVITY_CALENDAR, 0), |calendar, attribute| {
        let name: &[u8] = if attribute == 2 { b"active" } else { b"passive" };
        calendar.with(attribute, if matches!(attribute, 2 | 6) { text(name) } else { empty.clone() })
    });
    let schedule = Stored::new(class::SINGLE_ACTION_SCHEDULE, 0)
        .with(2, encode(|out| crate::cosem::ExecutedScript { logical_name: SCRIPTS, selector: 1 }.write(out)))
        .with(3, Data::Enum(1).octets())
        .with(4, empty.clone());
    let limiter = (3..=7).fold(Stored::new(class::LIMITER, 0), |limiter, attribute| {
        limiter.with(attribute, Data::DoubleLongUnsigned(if attribute < 6 { 10_000 } else { 60 }).octets())
    });
    let emergency =
        crate::cosem::Emergency { profile_id: 0, activation_time: crate::DateTime::UNSPECIFIED, duration: 0 };
    let limiter = limiter
        .with(8, encode(|out| emergency.write(out)))
        .with(9, empty.clone())
        .with(10, Data::Boolean(false).octets());
    let arbitrator = (2..=5).fold(Stored::new(class::ARBITRATOR, 0), |it, attribute| it.with(attribute, empty.clone()));
    vec![
        (SCRIPTS, Stored::new(class::SCRIPT_TABLE, 0).with(2, empty.clone())),
        (Obis::new(0, 0, 11, 0, 0, 255), Stored::new(class::SPECIAL_DAYS_TABLE, 0).with(2, empty).with_writable(&[2])),
        (Obis::new(0, 0, 13, 0, 0, 255), calendar.with_writable(&[6, 7, 8, 9, 10])),
        (Obis::new(0, 0, 15, 0, 0, 255), schedule.with_writable(&[2, 3, 4])),
        (Obis::new(0, 0, 17, 0, 0, 255), limiter.with_writable(&[4, 5, 6, 7, 8, 9])),
        (Obis::new(0, 0, 96, 3, 20, 255), arbitrator.with(6, Data::Unsigned(0).octets())),
        (Obis::new(0, 0, 96, 11, 0, 255), Stored::data(Data::Unsigned(255).octets())),
        (Obis::new(0, 0, 96, 13, 0, 255), Stored::data(text(b"")).with_writable(&[2])),
    ]
}

pub(super) const LOGICAL_DEVICE_NAME: Obis = Obis::new(0, 0, 42, 0, 0, 255);
pub(super) const CLOCK: Obis = Obis::new(0, 0, 1, 0, 0, 255);
pub(super) const RELAY: Obis = Obis::new(0, 0, 96, 3, 10, 255);
pub(super) const CURRENT_ASSOCIATION: Obis = Obis::new(0, 0, 40, 0, 0, 255);
pub(super) const LOAD_PROFILE: Obis = Obis::new(1, 0, 99, 1, 0, 255);
const EVENT_LOG: Obis = Obis::new(0, 0, 99, 98, 0, 255);
const ACTIVE_IMPORT: Obis = Obis::new(1, 0, 1, 8, 0, 255);
const ACTIVE_EXPORT: Obis = Obis::new(1, 0, 2, 8, 0, 255);
const GAS_VOLUME: Obis = Obis::new(0, 1, 24, 2, 1, 255);
const SCRIPTS: Obis = Obis::new(0, 0, 10, 0, 106, 255);
const WATT_HOURS: ScalerUnit = ScalerUnit { scaler: 0, unit: 30 };
const VAR_HOURS: ScalerUnit = ScalerUnit { scaler: 0, unit: 32 };
const REGISTERS: &[(Obis, ScalerUnit)] = &[
    (ACTIVE_IMPORT, WATT_HOURS),
    (Obis::new(1, 0, 1, 8, 1, 255), WATT_HOURS),
    (Obis::new(1, 0, 1, 8, 2, 255), WATT_HOURS),
    (ACTIVE_EXPORT, WATT_HOURS),
    (Obis::new(1, 0, 3, 8, 0, 255), VAR_HOURS),
    (Obis::new(1, 0, 4, 8, 0, 255), VAR_HOURS),
];
