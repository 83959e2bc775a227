//! EN 13757-3:2018, tables 15 and 16: orthogonal VIFEs, and those after FC.

use crate::record::Unit;
use crate::record::modifier::{Effect, Modifier};

type Row = (u8, u8, Effect, Modifier<'static>);

/// A code of the first table, bit 7 ignored. FC and FF have more to them and are not asked here.
pub(in crate::record) fn first(code: u8) -> (Effect, Modifier<'static>) {
    let code = code & 0x7f;
    lookup(&FIRST, code).unwrap_or((Effect::Nothing, Modifier::Reserved { second: false, code }))
}

/// A code after FC, bit 7 ignored.
pub(in crate::record) fn second(code: u8) -> (Effect, Modifier<'static>) {
    let code = code & 0x7f;
    lookup(&SECOND, code).unwrap_or((Effect::Nothing, Modifier::Reserved { second: true, code }))
}

/// The effect of what [`first`] says.
#[inline]
pub(in crate::record) fn first_effect(code: u8) -> Effect {
    FIRST_EFFECTS.get(usize::from(code & 0x7f)).copied().unwrap_or(Effect::Nothing)
}

/// The effect of what [`second`] says.
#[inline]
pub(in crate::record) fn second_effect(code: u8) -> Effect {
    SECOND_EFFECTS.get(usize::from(code & 0x7f)).copied().unwrap_or(Effect::Nothing)
}

const fn plain(code: u8, modifier: Modifier<'static>) -> Row {
    (code, code, Effect::Nothing, modifier)
}

const fn point(code: u8, modifier: Modifier<'static>) -> Row {
    (code, code, Effect::Point, modifier)
}

const fn duration(first: u8, modifier: Modifier<'static>) -> Row {
    (first, first + 3, Effect::Duration(Unit::Second), modifier)
}

const FIRST_ROWS: &[Row] = &[
    // "No error" says nothing.
    (0x00, 0x00, Effect::Scale(0), Modifier::Error(0)),
    (0x01, 0x0f, Effect::Error, Modifier::Error(0x01)),
    plain(0x12, Modifier::Average),
    (0x13, 0x13, Effect::Octets, Modifier::InverseCompactProfile),
    plain(0x14, Modifier::RelativeDeviation),
    (0x15, 0x18, Effect::Error, Modifier::Error(0x15)),
    (0x1c, 0x1c, Effect::Error, Modifier::Error(0x1c)),
    plain(0x1d, Modifier::StandardConform),
    (0x1e, 0x1e, Effect::Octets, Modifier::CompactProfileRegister),
    (0x1f, 0x1f, Effect::Octets, Modifier::CompactProfile),
    plain(0x20, Modifier::PerSecond),
    plain(0x21, Modifier::PerMinute),
    plain(0x22, Modifier::PerHour),
    plain(0x23, Modifier::PerDay),
    plain(0x24, Modifier::PerWeek),
    plain(0x25, Modifier::PerMonth),
    plain(0x26, Modifier::PerYear),
    plain(0x27, Modifier::PerRevolution),
    plain(0x28, Modifier::PerInputPulse { channel: 0 }),
    plain(0x29, Modifier::PerInputPulse { channel: 1 }),
    plain(0x2a, Modifier::PerOutputPulse { channel: 0 }),
    plain(0x2b, Modifier::PerOutputPulse { channel: 1 }),
    plain(0x2c, Modifier::PerLitre),
    plain(0x2d, Modifier::PerCubicMetre),
    plain(0x2e, Modifier::PerKilogram),
    plain(0x2f, Modifier::PerKelvin),
    plain(0x30, Modifier::PerKilowattHour),
    plain(0x31, Modifier::PerGigajoule),
    plain(0x32, Modifier::PerKilowatt),
    plain(0x33, Modifier::PerKelvinLitre),
    plain(0x34, Modifier::PerVolt),
    plain(0x35, Modifier::PerAmpere),
    plain(0x36, Modifier::TimesSecond),
    plain(0x37, Modifier::TimesSecondPerVolt),
    plain(0x38, Modifier::TimesSecondPerAmpere),
    point(0x39, Modifier::StartTime),
    plain(0x3a, Modifier::Uncorrected),
    plain(0x3b, Modifier::Forward),
    plain(0x3c, Modifier::Backward),
    plain(0x3d, Modifier::NonMetric),
    plain(0x3e, Modifier::BaseConditions),
    plain(0x3f, Modifier::ObisDeclaration),
    plain(0x40, Modifier::Limit { upper: false }),
    (0x41, 0x41, Effect::Count, Modifier::LimitExceeds { upper: false }),
    point(0x42, Modifier::LimitExceedTime { upper: false, last: false, end: false }),
    point(0x43, Modifier::LimitExceedTime { upper: false, last: false, end: true }),
    point(0x46, Modifier::LimitExceedTime { upper: false, last: true, end: false }),
    point(0x47, Modifier::LimitExceedTime { upper: false, last: true, end: true }),
    plain(0x48, Modifier::Limit { upper: true }),
    (0x49, 0x49, Effect::Count, Modifier::LimitExceeds { upper: true }),
    point(0x4a, Modifier::LimitExceedTime { upper: true, last: false, end: false }),
    point(0x4b, Modifier::LimitExceedTime { upper: true, last: false, end: true }),
    point(0x4e, Modifier::LimitExceedTime { upper: true, last: true, end: false }),
    point(0x4f, Modifier::LimitExceedTime { upper: true, last: true, end: true }),
    duration(0x50, Modifier::LimitExceedDuration { upper: false, last: false }),
    duration(0x54, Modifier::LimitExceedDuration { upper: false, last: true }),
    duration(0x58, Modifier::LimitExceedDuration { upper: true, last: false }),
    duration(0x5c, Modifier::LimitExceedDuration { upper: true, last: true }),
    duration(0x60, Modifier::Duration { last: false }),
    duration(0x64, Modifier::Duration { last: true }),
    plain(0x68, Modifier::DuringLimitExceed { upper: false }),
    plain(0x69, Modifier::Leakage),
    point(0x6a, Modifier::OccurrenceTime { last: false, end: false }),
    point(0x6b, Modifier::OccurrenceTime { last: false, end: true }),
    plain(0x6c, Modifier::DuringLimitExceed { upper: true }),
    plain(0x6d, Modifier::Overflow),
    point(0x6e, Modifier::OccurrenceTime { last: true, end: false }),
    point(0x6f, Modifier::OccurrenceTime { last: true, end: true }),
    (0x70, 0x77, Effect::Scale(-6), Modifier::Reserved { second: false, code: 0x70 }),
    (0x78, 0x7b, Effect::Offset(-3), Modifier::Offset(-3)),
    (0x7d, 0x7d, Effect::Scale(3), Modifier::Reserved { second: false, code: 0x7d }),
    plain(0x7e, Modifier::Future),
];

const SECOND_ROWS: &[Row] = &[
    plain(0x01, Modifier::Phase(1)),
    plain(0x02, Modifier::Phase(2)),
    plain(0x03, Modifier::Phase(3)),
    plain(0x04, Modifier::Neutral),
    plain(0x05, Modifier::Phases(1, 2)),
    plain(0x06, Modifier::Phases(2, 3)),
    plain(0x07, Modifier::Phases(3, 1)),
    plain(0x08, Modifier::Quadrant(1)),
    plain(0x09, Modifier::Quadrant(2)),
    plain(0x0a, Modifier::Quadrant(3)),
    plain(0x0b, Modifier::Quadrant(4)),
    plain(0x0c, Modifier::Delta),
    plain(0x0d, Modifier::AlternateNonMetric),
    plain(0x0e, Modifier::SecondarySensor),
    plain(0x0f, Modifier::HigherResolution),
    plain(0x10, Modifier::AbsoluteSum),
    (0x11, 0x11, Effect::Unsigned, Modifier::Unsigned),
    (0x12, 0x12, Effect::Octets, Modifier::Flags),
    point(0x13, Modifier::EndTime),
    plain(0x14, Modifier::FromPartner),
    plain(0x15, Modifier::ToPartner),
];

type Index = [Option<(Effect, Modifier<'static>)>; 128];

static FIRST: Index = index(FIRST_ROWS);
static SECOND: Index = index(SECOND_ROWS);
static FIRST_EFFECTS: [Effect; 128] = effects(FIRST_ROWS);
static SECOND_EFFECTS: [Effect; 128] = effects(SECOND_ROWS);

fn lookup(index: &Index, code: u8) -> Option<(Effect, Modifier<'static>)> {
    index.get(usize::from(code)).copied().flatten()
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn index(rows: &[Row]) -> Index {
    let mut index: Index = [None; 128];
    let mut at = 0;
    while at < rows.len() {
        let (first, last, effect, modifier) = rows[at];
        let mut code = first;
        while code <= last {
            assert!(index[code as usize].is_none(), "two rows for one code");
            index[code as usize] = Some(nth(effect, modifier, code - first));
            code += 1;
        }
        at += 1;
    }
    index
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn effects(rows: &[Row]) -> [Effect; 128] {
    let meanings = index(rows);
    let mut effects = [Effect::Nothing; 128];
    let mut code = 0;
    while code < effects.len() {
        if let Some((effect, _)) = meanings[code] {
            effects[code] = effect;
        }
        code += 1;
    }
    effects
}

/// What the code `n` places after the first of its row means.
const fn nth(effect: Effect, modifier: Modifier<'static>, n: u8) -> (Effect, Modifier<'static>) {
    let step = n as i8;
    match (effect, modifier) {
        (Effect::Scale(exponent), modifier) => (Effect::Scale(exponent + step), modifier),
        (Effect::Offset(exponent), _) => (Effect::Offset(exponent + step), Modifier::Offset(exponent + step)),
        (Effect::Error, Modifier::Error(code)) => (Effect::Error, Modifier::Error(code + n)),
        (Effect::Duration(_), modifier) => (Effect::Duration(duration_unit(n)), modifier),
        (effect, modifier) => (effect, modifier),
    }
}

/// The two bits `nn` of the durations.
const fn duration_unit(nn: u8) -> Unit {
    match nn {
        0 => Unit::Second,
        1 => Unit::Minute,
        2 => Unit::Hour,
        _ => Unit::Day,
    }
}
