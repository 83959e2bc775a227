//! What goes wrong on purpose: `loss=5%,corrupt=1%,broker-outage=10s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::config::{duration, size};

/// The faults of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Telegrams a second that are none, beside those of the fleet.
    pub garbage: u32,
    /// Telegrams that the receiver never hears, per million.
    pub loss_ppm: u32,
    /// Telegrams of which an octet is altered on the serial line, per million.
    pub corrupt_ppm: u32,
    /// Once in the run, the broker is away that long.
    pub broker_outage: Option<Duration>,
    /// Once in the run, one of the receivers is away that long.
    pub receiver_outage: Option<Duration>,
    /// Every connection is cut after that many octets towards the broker.
    pub cut_after: Option<u64>,
    /// What passes between the service and the broker arrives that much later.
    pub delay: Duration,
    /// Electricity meters that are away for a quarter of the run, per million.
    pub meter_loss_ppm: u32,
    /// The clocks of electricity meters go wrong by up to so much a day.
    pub clock_drift: Option<Duration>,
    /// Electricity meters see the next change-over of summer time, half of them with an inverted deviation.
    pub dst: bool,
    /// Messages that get lost on the power line once the network has formed, per million.
    pub plc_loss_ppm: u32,
    /// Once in the run, a modem loses its power for a moment, with all that it knew.
    pub modem_reset: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "unknown fault {0:?}: known are loss, corrupt, broker-outage, receiver-outage, cut-after, delay and garbage; of \
         electricity meters meter-loss, clock-drift and dst, behind a modem plc-loss and modem-reset"
    )]
    Unknown(String),
    #[error("{0}: {1:?} is not a share such as 5% or 0.05")]
    Share(&'static str, String),
    #[error("garbage: {0:?} is not a number of telegrams a second, at most 100000")]
    Rate(String),
    #[error("{0}: {1}")]
    Value(&'static str, String),
}

impl Faults {
    /// The first fault that only telegrams or their receivers have.
    pub fn of_radio(&self) -> Option<&'static str> {
        [
            (self.garbage > 0, "garbage"),
            (self.loss_ppm > 0, "loss"),
            (self.corrupt_ppm > 0, "corrupt"),
            (self.receiver_outage.is_some(), "receiver-outage"),
        ]
        .into_iter()
        .find_map(|(is_set, name)| is_set.then_some(name))
    }

    /// The first fault that only electricity meters have.
    pub fn of_electricity(&self) -> Option<&'static str> {
        [(self.meter_loss_ppm > 0, "meter-loss"), (self.clock_drift.is_some(), "clock-drift"), (self.dst, "dst")]
            .into_iter()
            .find_map(|(is_set, name)| is_set.then_some(name))
            .or(self.of_modem())
    }

    /// The first fault that only a modem has.
    pub fn of_modem(&self) -> Option<&'static str> {
        [(self.plc_loss_ppm > 0, "plc-loss"), (self.modem_reset, "modem-reset")]
            .into_iter()
            .find_map(|(is_set, name)| is_set.then_some(name))
    }

    /// Zero without outages.
    pub fn longest_outage(&self) -> Duration {
        self.broker_outage.max(self.receiver_outage).unwrap_or_default()
    }
}

impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut faults = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            match name {
                "loss" => faults.loss_ppm = share("loss", value)?,
                "corrupt" => faults.corrupt_ppm = share("corrupt", value)?,
                "broker-outage" => faults.broker_outage = Some(said("broker-outage", duration(value))?),
                "receiver-outage" => faults.receiver_outage = Some(said("receiver-outage", duration(value))?),
                "cut-after" => faults.cut_after = Some(said("cut-after", size(value))?),
                "delay" => faults.delay = said("delay", duration(value))?,
                "garbage" => faults.garbage = rate(value)?,
                "meter-loss" => faults.meter_loss_ppm = share("meter-loss", value)?,
                "clock-drift" => faults.clock_drift = Some(said("clock-drift", duration(value))?),
                "plc-loss" => faults.plc_loss_ppm = share("plc-loss", value)?,
                "modem-reset" if value.is_empty() => faults.modem_reset = true,
                "dst" if value.is_empty() => faults.dst = true,
                _ => return Err(Error::Unknown(name.to_owned())),
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        let shares = [
            ("loss", self.loss_ppm),
            ("corrupt", self.corrupt_ppm),
            ("meter-loss", self.meter_loss_ppm),
            ("plc-loss", self.plc_loss_ppm),
        ];
        for (name, ppm) in shares {
            if ppm > 0 {
                items.push(format!("{name}={}%", f64::from(ppm) / 10_000.0));
            }
        }
        items.extend(self.broker_outage.map(|outage| format!("broker-outage={outage:?}")));
        items.extend(self.receiver_outage.map(|outage| format!("receiver-outage={outage:?}")));
        items.extend(self.cut_after.map(|octets| format!("cut-after={octets}B")));
        if !self.delay.is_zero() {
            items.push(format!("delay={:?}", self.delay));
        }
        if self.garbage > 0 {
            items.push(format!("garbage={}", self.garbage));
        }
        items.extend(self.clock_drift.map(|drift| format!("clock-drift={drift:?}")));
        let flags = [(self.dst, "dst"), (self.modem_reset, "modem-reset")];
        items.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_owned()));
        f.write_str(&if items.is_empty() { "none".to_owned() } else { items.join(",") })
    }
}

fn said<T>(name: &'static str, value: Result<T, String>) -> Result<T, Error> {
    value.map_err(|text| Error::Value(name, text))
}

fn rate(text: &str) -> Result<u32, Error> {
    text.parse().ok().filter(|rate| *rate <= 100_000).ok_or_else(|| Error::Rate(text.to_owned()))
}

fn share(name: &'static str, text: &str) -> Result<u32, Error> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|number| number / 100.0),
        None => text.parse(),
    };
    let share = number.ok().filter(|share| (0.0..=1.0).contains(share));
    share.map(|share| (share * 1e6).round() as u32).ok_or_else(|| Error::Share(name, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Faults, Error>) {
        assert_eq!(text.parse(), expected);
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        let none = Faults::default();
        check("", Ok(none));
        check("loss=5%", Ok(Faults { loss_ppm: 50_000, ..none }));
        check("loss=0.05, corrupt=1%", Ok(Faults { loss_ppm: 50_000, corrupt_ppm: 10_000, ..none }));
        check("broker-outage=10s", Ok(Faults { broker_outage: Some(Duration::from_secs(10)), ..none }));
        check(
            "delay=250ms,cut-after=4kB",
            Ok(Faults { delay: Duration::from_millis(250), cut_after: Some(4_000), ..none }),
        );
        check("loss=105%", Err(Error::Share("loss", "105%".into())));
        check("loss", Err(Error::Share("loss", String::new())));
        check("garbage=300", Ok(Faults { garbage: 300, ..none }));
        check("garbage=-1", Err(Error::Rate("-1".into())));
        check("rain=1", Err(Error::Unknown("rain".into())));
        for text in ["broker-outage=soon", "delay=1fortnight", "cut-after=-1", "delay=5"] {
            assert!(matches!(text.parse::<Faults>(), Err(Error::Value(..))), "{text}");
        }
        let text = "loss=5%,corrupt=0.25%,broker-outage=10s,receiver-outage=5s,cut-after=4000B,delay=250ms,garbage=300";
        assert_eq!(text.parse::<Faults>().unwrap().to_string(), text);
        let text = "meter-loss=10%,plc-loss=1%,clock-drift=10s,dst,modem-reset";
        assert_eq!(text.parse::<Faults>().unwrap().to_string(), text);
        check("dst=1", Err(Error::Unknown("dst".into())));
        assert_eq!(none.to_string(), "none");
    }
}
