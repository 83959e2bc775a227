//! Classes 9, 11 and 22: scripts, special days, and when a script runs.

use crate::data::Encoder;
use crate::time::{Date, Time};
use crate::{Data, Obis, Reject};

/// Which script runs: attribute 2 of class 22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExecutedScript {
    pub logical_name: Obis,
    pub selector: u16,
}

/// When: an element of attribute 4 of class 22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExecutionTime {
    pub time: Time,
    pub date: Date,
}

/// A day with a tariff of its own: an element of attribute 2 of class 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpecialDay {
    pub index: u16,
    pub date: Date,
    pub day_id: u8,
}

impl TryFrom<Data<'_>> for ExecutedScript {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [logical_name, selector] = data.fields("an executed script")?;
        Ok(Self { logical_name: logical_name.obis()?, selector: selector.number()? })
    }
}

impl ExecutedScript {
    pub fn write(&self, out: &mut Encoder) {
        out.structure(2).obis(self.logical_name).put(Data::LongUnsigned(self.selector));
    }
}

impl TryFrom<Data<'_>> for ExecutionTime {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [time, date] = data.fields("an execution time")?;
        Ok(Self { time: self::time(time)?, date: self::date(date)? })
    }
}

impl ExecutionTime {
    pub fn write(&self, out: &mut Encoder) {
        let (mut time, mut date) = (Vec::new(), Vec::new());
        self.time.emit(&mut time);
        self.date.emit(&mut date);
        out.structure(2).put(Data::OctetString(&time)).put(Data::OctetString(&date));
    }
}

impl TryFrom<Data<'_>> for SpecialDay {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [index, date, day_id] = data.fields("a special day")?;
        Ok(Self { index: index.number()?, date: self::date(date)?, day_id: day_id.number()? })
    }
}

fn date(data: Data<'_>) -> Result<Date, Reject> {
    match data {
        Data::Date(date) => Ok(date),
        Data::OctetString(mut octets) if octets.len() == 5 => Date::parse(&mut octets),
        _ => Err(Reject::Mismatch("a date")),
    }
}

fn time(data: Data<'_>) -> Result<Time, Reject> {
    match data {
        Data::Time(time) => Ok(time),
        Data::OctetString(mut octets) if octets.len() == 4 => Time::parse(&mut octets),
        _ => Err(Reject::Mismatch("a time")),
    }
}
