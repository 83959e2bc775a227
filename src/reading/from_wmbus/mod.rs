//! Telegrams of Wireless M-Bus to readings: one data record, one reading.
//!
//! Values stay as the meter sent them: integer and power of ten, or the bits of its real. OBIS codes are those of the
//! OMS tables (`obis`); a record without a code has its quantity, storage, tariff and subunit. Units without a code
//! of their own in IEC 62056-6-2 are kept, never converted.

pub(super) mod clock;
mod obis;
mod table;
mod trace;
mod unit;

use std::sync::Arc;

pub use trace::trace;
use trace::{digest, mark};
use wmbus::record::{self, DataRecord, Modifier};
use wmbus::spec::standard_device_type;
use wmbus::{SecurityMode, Telegram, Verdict, vendor, wize};

use super::{
    CivilDate, CivilTime, Function, Group, Link, Mark, Origin, Path, Quality, Quantity, RawTelegram, Reading, Received,
    Register, Security, Source, Standing, UnmarkedGas, Value, Wize, meter_id,
};

/// What a telegram says.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    pub source: Arc<Source>,
    /// Empty where the telegram could not be opened; those before the damage where it is damaged.
    pub readings: Vec<Reading>,
    /// Not `Ok`: the telegram belongs into the raw ring as well, see [`raw`].
    pub verdict: Verdict,
    /// What of it was not understood.
    pub reject: Option<wmbus::Reject>,
    /// Of the frame without what repeaters change: the same telegram has the same one, whoever heard it.
    pub digest: u64,
    /// What must rise from telegram to telegram; None without such a counter.
    pub mark: Option<Mark>,
}

impl Converted {
    /// Takes back what is not to be believed: no readings, and a verdict that says why.
    pub fn refuse(&mut self, security: Security) {
        self.readings.clear();
        self.verdict = Verdict::Unsupported;
        let source = Arc::make_mut(&mut self.source);
        source.security = security;
        source.status.clear();
    }

    /// Says of each reading that it came with less protection than the meter has shown before.
    pub fn downgrade(&mut self) {
        self.readings.iter_mut().for_each(|reading| reading.quality = reading.quality.with(Quality::DOWNGRADED));
        Arc::make_mut(&mut self.source).status.clear();
    }

    /// Takes the readings out that stood in the clear beside what did not; before [`Self::downgrade`].
    ///
    /// False: there was none.
    pub fn leave_out_clear(&mut self) -> bool {
        let readings = self.readings.len();
        self.readings.retain(|reading| !reading.quality.contains(Quality::DOWNGRADED));
        let has_left = self.readings.len() < readings;
        if has_left && self.verdict == Verdict::Ok {
            (self.verdict, self.reject) = (Verdict::Partial, Some(wmbus::Reject::InTheClear));
        }
        has_left
    }

    /// Says what the readings count beside those that come another way.
    pub fn stand(&mut self, standing: Standing) {
        Arc::make_mut(&mut self.source).standing = standing;
        self.readings.iter_mut().for_each(|reading| reading.source = Arc::clone(&self.source));
    }
}

/// The readings of a telegram that was heard by `links`, best first. What a meter marks as invalid has no value, so that
/// no bill can be made of the mark.
pub fn convert(telegram: &Telegram<'_>, received: Received, links: Vec<Link>, group: &Group) -> Converted {
    convert_by(valid, telegram, received, links, group)
}

/// As [`convert`], for whoever looks at a telegram: what is marked as invalid has the value that its field holds.
pub fn inspect(telegram: &Telegram<'_>, received: Received, group: &Group) -> Converted {
    convert_by(|record| record.held(), telegram, received, Vec::new(), group)
}

fn valid<'a>(record: &DataRecord<'a>) -> record::Value<'a> {
    if record.is_all_ones() { record::Value::None } else { record.value }
}

fn convert_by(
    value_of: impl for<'a> Fn(&DataRecord<'a>) -> record::Value<'a>,
    telegram: &Telegram<'_>,
    received: Received,
    links: Vec<Link>,
    group: &Group,
) -> Converted {
    let (mut verdict, mut reject) = (telegram.verdict, telegram.reject);
    let to_meter = telegram.is_to_meter();
    let mut slots = Vec::new();
    let mut records: Vec<DataRecord<'_>> = Vec::new();
    if !to_meter {
        for record in telegram.records() {
            match record {
                Ok(record) => records.push(record),
                Err(error) => {
                    reject = reject.or(Some(error));
                    if verdict == Verdict::Ok {
                        verdict = Verdict::Partial;
                    }
                }
            }
        }
    }
    record::expand_profiles(&mut records, &mut slots);
    let source = Arc::new(Source {
        meter: meter_id(&telegram.address),
        origin: Origin::Spontaneous,
        path: Path::Direct,
        standing: Standing::Sole,
        meter_time: clock::meter_time(telegram, &records, group.clock.as_ref()),
        received,
        status: telegram.status().map(|status| status.0).into_iter().collect(),
        links,
        // The bit says that there was one; how many there were, nobody tells.
        hops: telegram.is_repeated().then_some(1),
        security: security(telegram),
        access_number: telegram.access_number().map(u32::from),
        evidence: group.evidence.then(|| telegram.stripped()),
    });
    let device_type = standard_device_type(telegram.address.manufacturer, telegram.address.device_type);
    let readings = records
        .iter()
        .filter(|record| record.data_field != record::DataField::Readout)
        .flat_map(|record| {
            let value = named(record).unwrap_or_else(|| value(value_of(record), record.vib.exponent));
            let mut own = reading(record, value, &source, device_type, group.unmarked_gas);
            if telegram.is_in_the_clear(record) {
                own.quality = own.quality.with(Quality::DOWNGRADED);
            }
            with_fields(own, record, &telegram.address)
        })
        .collect();
    let (digest, mark) = (digest(telegram), mark(telegram));
    Converted { source, readings, verdict, reject, digest, mark }
}

/// The telegram as it came: for the raw ring where its verdict is not `Ok`, and of a Wize device for the head-end.
pub fn raw(telegram: &Telegram<'_>, converted: &Converted) -> RawTelegram {
    let Source { meter, received, links, security, .. } = &*converted.source;
    // Opened, and then a record was not understood.
    let is_unread = security.strength().is_some() && telegram.wize.is_none();
    let reason = if is_unread { Security::Unsupported } else { *security };
    RawTelegram {
        meter: Some(*meter),
        received: *received,
        links: links.clone(),
        reason,
        octets: telegram.stripped(),
        wize: wize(telegram),
    }
}

fn wize(telegram: &Telegram<'_>) -> Option<Wize> {
    let wize::Header { network, counter, application, key, trailer, .. } = telegram.wize?;
    let timestamp = match trailer {
        wize::Trailer::Exchange { timestamp, .. } => timestamp,
        wize::Trailer::Pong { .. } => 0,
    };
    Some(Wize {
        network,
        counter,
        application,
        key,
        is_authenticated: telegram.security.authenticated && telegram.verdict != Verdict::BadMac,
        timestamp,
        payload: telegram.application.to_vec(),
        is_open: telegram.verdict == Verdict::Ok,
    })
}

/// One record as a reading.
fn reading(
    record: &DataRecord<'_>,
    value: Value,
    source: &Arc<Source>,
    device_type: u8,
    unmarked_gas: UnmarkedGas,
) -> Reading {
    let is_read = !record.is_unread();
    let obis = obis::obis(record, device_type, unmarked_gas).filter(|_| is_read);
    Reading {
        source: Arc::clone(source),
        register: Register {
            obis,
            quantity: Quantity::Borrowed(record.vib.quantity.name()),
            unit: unit::unit(if is_read { record.vib.unit } else { record::Unit::None }, obis),
            function: match record.function {
                record::Function::Instantaneous => Function::Instantaneous,
                record::Function::Maximum => Function::Maximum,
                record::Function::Minimum => Function::Minimum,
                record::Function::Error => Function::Error,
            },
            storage: record.storage_number,
            tariff: record.tariff,
            subunit: record.subunit,
            modifier: modifier(record),
        },
        value,
        interval: None,
        quality: quality(record),
    }
}

/// The reading of a manufacturer's own record by its meaning; beside it where it has several.
fn with_fields(own: Reading, record: &DataRecord<'_>, address: &wmbus::Address) -> impl Iterator<Item = Reading> {
    let fields = match record.value {
        record::Value::Integer(_) | record::Value::Invalid => vendor::fields(address, record),
        _ => &[],
    };
    let is_whole = fields.iter().any(vendor::Field::is_whole);
    let template = (!fields.is_empty()).then(|| {
        // What is no value of type B may be one of a maker's own.
        let quality = own.quality.without(Quality::INVALID);
        Reading { quality, ..own.clone() }
    });
    let meanings = template.into_iter().flat_map(move |template| {
        fields.iter().filter_map(move |field| {
            let (value, quality) = match field.of(record)? {
                vendor::Meaning::Number(mantissa) => {
                    (Value::Decimal { mantissa, scaler: field.exponent }, template.quality)
                }
                vendor::Meaning::Octets(octets) => (Value::Octets(octets.into()), template.quality),
                vendor::Meaning::Date(Some(date)) => (Value::Date(civil_date(date)), template.quality),
                vendor::Meaning::Date(None) | vendor::Meaning::None => {
                    (Value::None, template.quality.with(Quality::INVALID))
                }
            };
            let register = Register {
                obis: None,
                quantity: Quantity::Borrowed(field.name),
                unit: unit::unit(field.unit, None),
                modifier: Arc::default(),
                ..template.register.clone()
            };
            Some(Reading { register, value, quality, ..template.clone() })
        })
    });
    Some(own).filter(|_| !is_whole).into_iter().chain(meanings)
}

/// The meter that an identification of eight octets (07 79) names: its address as in a long header.
fn named(record: &DataRecord<'_>) -> Option<Value> {
    let is_address = record.vib.quantity == record::Quantity::Identification
        && record.data_field == record::DataField::Integer64
        && record.vib.modifiers.is_empty();
    let mut octets = record.octets.strip_prefix(record.header()).filter(|_| is_address)?;
    let address = wmbus::Address::parse_long(&mut octets).ok()?;
    Some(Value::Text(meter_id(&address).to_string().into()))
}

fn value(value: record::Value<'_>, scaler: i8) -> Value {
    match value {
        record::Value::Integer(mantissa) => Value::Decimal { mantissa, scaler },
        record::Value::Float32(bits) => Value::Float32 { bits, scaler },
        record::Value::Date(date) => Value::Date(civil_date(date)),
        record::Value::DateTime(time) => Value::DateTime(civil_time(&time)),
        record::Value::Time(time) => Value::Text(time.to_string().into()),
        record::Value::Text(text) => Value::Text(text.to_string().into()),
        record::Value::Binary(octets) => Value::Octets(octets.into()),
        record::Value::None | record::Value::Invalid => Value::None,
    }
}

fn quality(record: &DataRecord<'_>) -> Quality {
    let quality = match record.function {
        record::Function::Error => Quality::ERROR_STATE,
        _ => Quality::GOOD,
    };
    let is_invalid = match record.value {
        record::Value::DateTime(time) => time.invalid,
        record::Value::None | record::Value::Invalid => true,
        _ => record.is_unread() || record.is_all_ones(),
    };
    let is_marked = is_invalid || record.vib.modifiers.iter().any(|modifier| matches!(modifier, Modifier::Error(_)));
    if is_marked { quality.with(Quality::INVALID) } else { quality }
}

/// What the quantity's own octets add to its name, then the orthogonal VIFEs.
fn modifier(record: &DataRecord<'_>) -> Arc<str> {
    use std::fmt::Write;

    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match record.vib.own() {
        Some(record::Own::PlainText(words)) => write!(text, "{words}"),
        Some(record::Own::Manufacturer(vifes)) => write!(text, "{}", Modifier::Manufacturer(vifes)),
        Some(record::Own::Reserved { table, code }) => write!(text, "vif_{table:02x}_{code:02x}"),
        None => Ok(()),
    };
    for modifier in record.vib.modifiers.iter() {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{modifier}");
    }
    if text.is_empty() { Arc::default() } else { text.into() }
}

fn civil_date(date: record::Date) -> CivilDate {
    CivilDate { year: date.year, month: date.month, day: date.day }
}

fn civil_time(time: &record::DateTime) -> CivilTime {
    CivilTime { date: civil_date(time.date), hour: time.hour, minute: time.minute, second: time.second }
}

/// How a telegram is protected, or why it is not to be believed.
pub fn security(telegram: &Telegram<'_>) -> Security {
    match Security::from(telegram.verdict) {
        Security::Plain if telegram.security.authenticated => Security::Authenticated,
        Security::Plain if is_encrypted(telegram) && !telegram.security.came_open => Security::Decrypted,
        other => other,
    }
}

/// What a verdict says of a protection that is not known: `Plain` where nothing is wrong.
impl From<Verdict> for Security {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok | Verdict::Partial => Self::Plain,
            Verdict::NoKey => Self::NoKey,
            Verdict::WrongKey => Self::WrongKey,
            Verdict::BadMac => Self::BadMac,
            Verdict::Truncated => Self::Truncated,
            Verdict::BadCrc => Self::BadCrc,
            Verdict::Unsupported => Self::Unsupported,
        }
    }
}

fn is_encrypted(telegram: &Telegram<'_>) -> bool {
    match telegram.security.mode {
        SecurityMode::None => false,
        // Modes 5 and 7 say how many blocks are encrypted, which may be none.
        SecurityMode::AesCbcIv | SecurityMode::AesCbcNoIv => {
            telegram.tpl.and_then(|tpl| tpl.header).is_none_or(|header| header.configuration.blocks() > 0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
