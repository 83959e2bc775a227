//! One simulated meter: who it is, how it protects its telegrams, and registers that grow as time goes by.

use std::time::Duration;

use wmbus::sim::random::Random;
use wmbus::{Address, Form, Key, sim};

use super::register::{self, Raw, Register};
use crate::reading::{CivilDate, CivilTime, Manufacturer, MeterId};
use crate::simulate::ledger::Expected;

/// What a meter measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ColdWater,
    WarmWater,
    Gas,
    Heat,
    HeatCostAllocator,
}

/// How a meter protects its telegrams. OMS Vol. 2, clause 9: profiles A and B, and none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    None,
    Mode5,
    Mode7,
}

#[derive(Debug)]
pub struct Meter {
    pub kind: Kind,
    pub protection: Protection,
    pub address: Address,
    /// Sixteen octets in hex, as the file of meter keys has it.
    pub key_hex: String,
    pub rssi_dbm: i16,
    key: Key,
    access_number: u8,
    message_counter: u32,
    state: State,
}

/// The measured quantities, in the units of the registers that show them.
#[derive(Debug, Clone)]
pub(super) struct State {
    clock: CivilTime,
    target_date: CivilDate,
    main: i64,
    target: i64,
    volume: i64,
    flow: i64,
    temperature: i64,
    difference: i64,
}

/// What a meter says once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// The frame: L first, without CRCs, protected.
    pub frame: Vec<u8>,
    /// What the head-end must get to see of it. The first grows with every telegram, so it tells telegrams apart.
    pub readings: Vec<Expected>,
}

impl Kind {
    /// EN 13757-7:2018, table 13.
    pub const fn device_type(self) -> u8 {
        match self {
            Self::Gas => 0x03,
            Self::Heat => 0x04,
            Self::WarmWater => 0x06,
            Self::ColdWater => 0x07,
            Self::HeatCostAllocator => 0x08,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::ColdWater => "cold water",
            Self::WarmWater => "warm water",
            Self::Gas => "gas",
            Self::Heat => "heat",
            Self::HeatCostAllocator => "heat cost allocator",
        }
    }

    /// The mean time between two telegrams of such a meter where no rate is asked for.
    pub const fn interval(self) -> Duration {
        Duration::from_secs(match self {
            Self::ColdWater | Self::WarmWater => 16,
            Self::Heat => 24,
            Self::Gas => 30,
            Self::HeatCostAllocator => 48,
        })
    }

    const fn maker(self) -> (&'static str, u8) {
        match self {
            Self::ColdWater => ("ZRI", 0x88),
            Self::WarmWater => ("ZRI", 0x8a),
            Self::Gas => ("ELS", 0x51),
            Self::Heat => ("EFE", 0x2d),
            Self::HeatCostAllocator => ("EFE", 0x30),
        }
    }

    const fn registers(self) -> &'static [Register] {
        match self {
            Self::ColdWater => register::COLD_WATER,
            Self::WarmWater => register::WARM_WATER,
            Self::Gas => register::GAS,
            Self::Heat => register::HEAT,
            Self::HeatCostAllocator => register::HEAT_COST_ALLOCATOR,
        }
    }
}

impl Meter {
    /// Meter `index` of a fleet. Kinds and protections are spread evenly; all else is drawn.
    pub fn new(index: usize, mut random: Random) -> Self {
        let kind = nth(&KINDS, index);
        let protection = nth(&PROTECTIONS, index / KINDS.len() + index);
        let (maker, version) = kind.maker();
        let mut key = [0; 16];
        for octets in key.chunks_mut(8) {
            octets.iter_mut().zip(random.next_u64().to_le_bytes()).for_each(|(octet, number)| *octet = number);
        }
        let main = 10_000 + random.below(500_000) as i64;
        let state = State {
            clock: CivilTime { date: CivilDate { year: 2000, month: 1, day: 1 }, hour: 0, minute: 0, second: None },
            target_date: CivilDate { year: 2000, month: 1, day: 1 },
            main,
            target: main - random.below(9_000) as i64,
            volume: 1_000 + random.below(900_000) as i64,
            flow: random.below(1_200) as i64,
            temperature: 180 + random.below(500) as i64,
            difference: 500 + random.below(2_000) as i64,
        };
        Self {
            kind,
            protection,
            address: Address {
                manufacturer: Address::manufacturer_code(maker).expect("the table has three letters each"),
                identification: bcd(10_000_000 + (index as u32 * 7_919 + 1_234_567) % 80_000_000),
                version,
                device_type: kind.device_type(),
            },
            key_hex: hex::encode(key),
            key: Key::new(key),
            rssi_dbm: -95 + random.below(50) as i16,
            access_number: (random.next_u64() & 0xff) as u8,
            message_counter: 1 + random.below(1_000_000) as u32,
            state,
        }
    }

    pub const fn id(&self) -> MeterId {
        MeterId::MBus {
            manufacturer: Manufacturer(self.address.manufacturer),
            identification: self.address.identification,
            version: self.address.version,
            device_type: self.address.device_type,
        }
    }

    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Time goes by and the meter speaks. `clock` is what its clock shows.
    pub fn speak(&mut self, clock: CivilTime, random: &mut Random) -> Utterance {
        self.state.pass(clock, random);
        self.access_number = self.access_number.wrapping_add(1);
        self.message_counter += 1;
        let id = self.id();
        let registers = self.kind.registers();
        let readings = registers
            .iter()
            .map(|register| Expected { meter: id, quantity: register.quantity, amount: register.amount(&self.state) })
            .collect();
        let data: Vec<_> = registers.iter().map(|register| register.data(&self.state)).collect();
        let records: Vec<_> = registers.iter().zip(&data).map(|(register, data)| register.record(data)).collect();
        let protection = match self.protection {
            Protection::None => sim::Protection::None,
            Protection::Mode5 => sim::Protection::AesCbcIv(&self.key),
            Protection::Mode7 => sim::Protection::AesCbcNoIv { key: &self.key, counter: self.message_counter },
        };
        let message = sim::Message::new(self.address, self.access_number, &records).protection(protection);
        let frame = message.emit(Form::Stripped).expect("the longest telegram of the tables has 100 octets of records");
        Utterance { frame, readings }
    }
}

impl State {
    fn pass(&mut self, clock: CivilTime, random: &mut Random) {
        let mut wander = |value: &mut i64, step: u64, low: i64, high: i64| {
            *value = (*value + random.below(2 * step + 1) as i64 - step as i64).clamp(low, high);
        };
        wander(&mut self.flow, 60, 0, 2_500);
        wander(&mut self.temperature, 8, 120, 900);
        wander(&mut self.difference, 40, 100, 3_000);
        // At least one, so that no two telegrams of a meter are alike.
        self.main += 1 + self.flow / 240;
        self.volume += self.flow / 240;
        self.clock = clock;
        // The target date of the year: the last day of the year before.
        self.target_date = CivilDate { year: clock.date.year - 1, month: 12, day: 31 };
    }

    pub(super) const fn clock(&self) -> Raw {
        Raw::DateTime(self.clock)
    }

    pub(super) const fn target_date(&self) -> Raw {
        Raw::Date(self.target_date)
    }

    pub(super) const fn main(&self) -> Raw {
        Raw::Integer(self.main)
    }

    pub(super) const fn target(&self) -> Raw {
        Raw::Integer(self.target)
    }

    pub(super) const fn volume(&self) -> Raw {
        Raw::Integer(self.volume)
    }

    pub(super) const fn flow(&self) -> Raw {
        Raw::Integer(self.flow)
    }

    /// Tenths of a degree Celsius.
    pub(super) const fn temperature(&self) -> Raw {
        Raw::Integer(self.temperature)
    }

    /// After the radiators, tenths of a degree Celsius.
    pub(super) const fn cooled(&self) -> Raw {
        Raw::Integer(self.temperature - self.difference / 10)
    }

    /// Between flow and return, hundredths of a kelvin.
    pub(super) const fn drop(&self) -> Raw {
        Raw::Integer(self.difference)
    }

    /// Hundreds of watts: 1.16 kWh for a cubic metre and a kelvin.
    pub(super) const fn power(&self) -> Raw {
        Raw::Integer(self.flow * self.difference * 116 / 100 / 10_000)
    }
}

fn nth<T: Copy, const N: usize>(row: &[T; N], index: usize) -> T {
    *row.get(index % N).expect("a remainder is smaller than the length")
}

/// Digits as nibbles.
const fn bcd(mut number: u32) -> u32 {
    let mut digits = 0;
    let mut shift = 0;
    while shift < 32 {
        digits |= (number % 10) << shift;
        number /= 10;
        shift += 4;
    }
    digits
}

/// Ten meters of a town.
const KINDS: [Kind; 10] = [
    Kind::ColdWater,
    Kind::Gas,
    Kind::Heat,
    Kind::WarmWater,
    Kind::ColdWater,
    Kind::Gas,
    Kind::HeatCostAllocator,
    Kind::ColdWater,
    Kind::Heat,
    Kind::WarmWater,
];
const PROTECTIONS: [Protection; 5] =
    [Protection::Mode5, Protection::Mode7, Protection::Mode5, Protection::Mode7, Protection::None];
