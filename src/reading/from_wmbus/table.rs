//! OMS Specification Volume 2, Annex A: the OBIS codes of data records, one row a row.
//!
//! Value group A comes from the meter's device type, B from the subunit. Rows without E have the tariff there. What is
//! no row has no code: periodical values (storage numbers from 2) among them, because their period is not in the
//! number.

use wmbus::record::{Function, Modifier, Quantity};

use super::obis::SetDate;

/// One row: the record on the left, the code on the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) quantity: Quantity,
    pub(super) modifiers: &'static [Modifier<'static>],
    pub(super) function: Function,
    pub(super) c: u8,
    pub(super) d: u8,
    /// None: the tariff.
    pub(super) e: Option<u8>,
    /// What the value with storage number 1 is, where it has a code.
    pub(super) set_date: Option<SetDate>,
    pub(super) only_set_date: bool,
}

/// Electricity, value group A = 1.
pub(super) const ELECTRICITY: &[Row] = &[
    row(Quantity::Energy, 1, 8).billed(),
    row(Quantity::Energy, 1, 8).with(&[Modifier::Forward]).billed(),
    row(Quantity::Energy, 2, 8).with(&[Modifier::Backward]).billed(),
    row(Quantity::Energy, 15, 8).with(&[Modifier::AbsoluteSum]).billed(),
    row(Quantity::Energy, 16, 8).with(&[Modifier::Delta]).billed(),
    row(Quantity::Energy, 21, 8).with(&[L1]).billed(),
    row(Quantity::Energy, 41, 8).with(&[L2]).billed(),
    row(Quantity::Energy, 61, 8).with(&[L3]).billed(),
    row(Quantity::Energy, 22, 8).with(&[Modifier::Backward, L1]).billed(),
    row(Quantity::Energy, 42, 8).with(&[Modifier::Backward, L2]).billed(),
    row(Quantity::Energy, 62, 8).with(&[Modifier::Backward, L3]).billed(),
    row(Quantity::ReactiveEnergy, 3, 8).billed(),
    row(Quantity::ReactiveEnergy, 3, 8).with(&[Modifier::Forward]).billed(),
    row(Quantity::ReactiveEnergy, 4, 8).with(&[Modifier::Backward]).billed(),
    row(Quantity::ReactiveEnergy, 5, 8).with(&[Modifier::Quadrant(1)]).billed(),
    row(Quantity::ReactiveEnergy, 6, 8).with(&[Modifier::Quadrant(2)]).billed(),
    row(Quantity::ReactiveEnergy, 7, 8).with(&[Modifier::Quadrant(3)]).billed(),
    row(Quantity::ReactiveEnergy, 8, 8).with(&[Modifier::Quadrant(4)]).billed(),
    row(Quantity::ApparentEnergy, 9, 8).billed(),
    row(Quantity::ApparentEnergy, 10, 8).with(&[Modifier::Backward]).billed(),
    row(Quantity::Power, 1, 7).single(),
    row(Quantity::Power, 1, 7).with(&[Modifier::Forward]).single(),
    row(Quantity::Power, 2, 7).with(&[Modifier::Backward]).single(),
    row(Quantity::Power, 15, 7).with(&[Modifier::AbsoluteSum]).single(),
    row(Quantity::Power, 16, 7).with(&[Modifier::Delta]).single(),
    row(Quantity::Power, 21, 7).with(&[L1]).single(),
    row(Quantity::Power, 41, 7).with(&[L2]).single(),
    row(Quantity::Power, 61, 7).with(&[L3]).single(),
    row(Quantity::Power, 22, 7).with(&[Modifier::Backward, L1]).single(),
    row(Quantity::Power, 42, 7).with(&[Modifier::Backward, L2]).single(),
    row(Quantity::Power, 62, 7).with(&[Modifier::Backward, L3]).single(),
    row(Quantity::Power, 36, 7).with(&[Modifier::Delta, L1]).single(),
    row(Quantity::Power, 56, 7).with(&[Modifier::Delta, L2]).single(),
    row(Quantity::Power, 76, 7).with(&[Modifier::Delta, L3]).single(),
    row(Quantity::Power, 1, 6).of(Function::Maximum).billed(),
    row(Quantity::Power, 2, 6).of(Function::Maximum).with(&[Modifier::Backward]).billed(),
    row(Quantity::ReactivePower, 3, 7).single(),
    row(Quantity::ReactivePower, 4, 7).with(&[Modifier::Backward]).single(),
    row(Quantity::ReactivePower, 23, 7).with(&[L1]).single(),
    row(Quantity::ReactivePower, 43, 7).with(&[L2]).single(),
    row(Quantity::ReactivePower, 63, 7).with(&[L3]).single(),
    row(Quantity::ApparentPower, 9, 7).single(),
    row(Quantity::ApparentPower, 10, 7).with(&[Modifier::Backward]).single(),
    row(Quantity::Current, 11, 7).single(),
    row(Quantity::Current, 31, 7).with(&[L1]).single(),
    row(Quantity::Current, 51, 7).with(&[L2]).single(),
    row(Quantity::Current, 71, 7).with(&[L3]).single(),
    row(Quantity::Current, 91, 7).with(&[Modifier::Neutral]).single(),
    row(Quantity::Voltage, 12, 7).single(),
    row(Quantity::Voltage, 32, 7).with(&[L1]).single(),
    row(Quantity::Voltage, 52, 7).with(&[L2]).single(),
    row(Quantity::Voltage, 72, 7).with(&[L3]).single(),
    row(Quantity::Frequency, 14, 7).single(),
    row(Quantity::PhaseVoltageVoltage, 81, 7).with(&[Modifier::Phases(1, 2)]).number(1),
    row(Quantity::PhaseVoltageVoltage, 81, 7).with(&[Modifier::Phases(3, 1)]).number(2),
    row(Quantity::PhaseVoltageCurrent, 81, 7).with(&[L1]).number(4),
    row(Quantity::PhaseVoltageCurrent, 81, 7).with(&[L2]).number(15),
    row(Quantity::PhaseVoltageCurrent, 81, 7).with(&[L3]).number(26),
    row(Quantity::AveragingDuration, 0, 8).single(),
    row(Quantity::DateTime, 0, 9).number(1),
];

/// Heat cost allocators, value group A = 4.
pub(super) const HEAT_COST: &[Row] = &[
    row(Quantity::HcaUnits, 1, 0).at_set_date(2),
    row(Quantity::FlowTemperature, 5, 0).single(),
    row(Quantity::ReturnTemperature, 6, 0).single(),
    row(Quantity::ExternalTemperature, 7, 0).single(),
    row(Quantity::Date, 0, 1).number(10).only_at_set_date(),
    row(Quantity::DateTime, 0, 1).number(10).only_at_set_date(),
];

/// Cooling and heat, value groups A = 5 and 6.
pub(super) const THERMAL: &[Row] = &[
    row(Quantity::Energy, 1, 0).at_set_date(2),
    row(Quantity::Volume, 2, 0).at_set_date(2),
    row(Quantity::Mass, 3, 0).at_set_date(2),
    row(Quantity::Power, 8, 0).single(),
    row(Quantity::Power, 8, 4).of(Function::Minimum).single(),
    row(Quantity::Power, 8, 5).of(Function::Maximum).single(),
    row(Quantity::VolumeFlow, 9, 0).single(),
    row(Quantity::VolumeFlow, 9, 4).of(Function::Minimum).single(),
    row(Quantity::VolumeFlow, 9, 5).of(Function::Maximum).single(),
    row(Quantity::FlowTemperature, 10, 0).single(),
    row(Quantity::FlowTemperature, 10, 4).of(Function::Minimum).single(),
    row(Quantity::FlowTemperature, 10, 5).of(Function::Maximum).single(),
    row(Quantity::ReturnTemperature, 11, 0).single(),
    row(Quantity::ReturnTemperature, 11, 4).of(Function::Minimum).single(),
    row(Quantity::ReturnTemperature, 11, 5).of(Function::Maximum).single(),
    row(Quantity::TemperatureDifference, 12, 0).single(),
    row(Quantity::TemperatureDifference, 12, 4).of(Function::Minimum).single(),
    row(Quantity::TemperatureDifference, 12, 5).of(Function::Maximum).single(),
    row(Quantity::Pressure, 13, 0).single(),
    row(Quantity::Date, 0, 1).number(10).only_at_set_date(),
    row(Quantity::DateTime, 0, 1).number(10).only_at_set_date(),
];

/// Gas, value group A = 7. Without a mark of the conditions: temperature-converted.
pub(super) const GAS: &[Row] = &[
    row(Quantity::Volume, 3, 0).with(&[Modifier::Uncorrected]).billed(),
    row(Quantity::Volume, 3, 1).billed(),
    row(Quantity::Volume, 3, 2).with(&[Modifier::BaseConditions]).billed(),
    row(Quantity::VolumeFlow, 43, 15).with(&[Modifier::Uncorrected]).single(),
    row(Quantity::VolumeFlow, 43, 16).single(),
    row(Quantity::VolumeFlow, 43, 17).with(&[Modifier::BaseConditions]).single(),
    row(Quantity::ExternalTemperature, 0, 41).with(&[Modifier::BaseConditions]).number(2),
    row(Quantity::Pressure, 0, 42).with(&[Modifier::BaseConditions]).number(2),
    row(Quantity::AveragingDuration, 0, 8).number(28),
];

/// A gas converter beside the meter.
pub(super) const GAS_CONVERTER: &[Row] = &[
    row(Quantity::Volume, 13, 0).with(&[Modifier::Uncorrected]).billed(),
    row(Quantity::Volume, 13, 2).with(&[Modifier::BaseConditions]).billed(),
    row(Quantity::ExternalTemperature, 0, 41).with(&[Modifier::BaseConditions]).number(2),
    row(Quantity::Pressure, 0, 42).with(&[Modifier::BaseConditions]).number(2),
];

/// Cold and hot water, value groups A = 8 and 9.
pub(super) const WATER: &[Row] = &[
    row(Quantity::Volume, 1, 0).at_set_date(2),
    row(Quantity::VolumeFlow, 2, 0).single(),
    row(Quantity::VolumeFlow, 2, 4).of(Function::Minimum).single(),
    row(Quantity::VolumeFlow, 2, 5).of(Function::Maximum).single(),
    row(Quantity::FlowTemperature, 3, 0).single(),
    row(Quantity::FlowTemperature, 3, 4).of(Function::Minimum).single(),
    row(Quantity::FlowTemperature, 3, 5).of(Function::Maximum).single(),
];

/// The date at transmission, in the meter's own value group A.
pub(super) const LOCAL_TIME: &[Row] = &[row(Quantity::Date, 0, 9).number(2)];

/// Objects that are not of one medium, value group A = 0.
pub(super) const ABSTRACT: &[Row] = &[
    row(Quantity::DateTime, 1, 0).number(0),
    row(Quantity::FabricationNumber, 96, 1).number(0),
    row(Quantity::Identification, 96, 1).number(255),
    row(Quantity::ErrorFlags, 97, 97).number(0),
    row(Quantity::OperatingTime, 96, 8),
    row(Quantity::RemainingBatteryLife, 96, 6).number(6),
    row(Quantity::MetrologyFirmwareVersion, 0, 2).number(0),
    row(Quantity::RfLevel, 96, 12).number(5),
    row(Quantity::RemoteControl, 96, 3).number(10),
];

const L1: Modifier<'static> = Modifier::Phase(1);
const L2: Modifier<'static> = Modifier::Phase(2);
const L3: Modifier<'static> = Modifier::Phase(3);

/// A current value: the tariff in group E.
const fn row(quantity: Quantity, c: u8, d: u8) -> Row {
    Row {
        quantity,
        modifiers: &[],
        function: Function::Instantaneous,
        c,
        d,
        e: None,
        set_date: None,
        only_set_date: false,
    }
}

impl Row {
    const fn with(mut self, modifiers: &'static [Modifier<'static>]) -> Self {
        self.modifiers = modifiers;
        self
    }

    const fn of(mut self, function: Function) -> Self {
        self.function = function;
        self
    }

    /// Not by tariff: 0 in group E.
    const fn single(self) -> Self {
        self.number(0)
    }

    /// Not by tariff: a fixed number in group E.
    const fn number(mut self, e: u8) -> Self {
        self.e = Some(e);
        self
    }

    /// Storage number 1: the last billing period, in group F.
    const fn billed(mut self) -> Self {
        self.set_date = Some(SetDate::InGroupF);
        self
    }

    /// Storage number 1: another number in group D.
    const fn at_set_date(mut self, d: u8) -> Self {
        self.set_date = Some(SetDate::InGroupD(d));
        self
    }

    /// There is no current value of it.
    const fn only_at_set_date(mut self) -> Self {
        self.set_date = Some(SetDate::InGroupD(self.d));
        self.only_set_date = true;
        self
    }
}
