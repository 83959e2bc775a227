//! `dcu dlms get|set|action|profile`: a meter without the service.

mod choice;
mod hint;
mod keys;
mod name;
mod profile;
mod server;
mod typed;
mod value;
mod way;

use clap::Subcommand;
use dlms::Data;
use dlms::apdu::Attribute;
use dlms::cosem::ScalerUnit;
use serde::Serialize;

use self::name::Name;
use self::profile::{Bound, Wanted};
use self::typed::Typed;
use self::value::{Node, Scaled};
use self::way::{Meter, Way};
use super::{Exit, Failure, Out, Outcome};

/// Read a DLMS/COSEM meter directly, without the service
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu dlms get --wrapper 192.0.2.7:4059 8:0-0:1.0.0*255:2
                                        the clock, as the public client
  dcu dlms get --hdlc-tcp 192.0.2.7:4059 --client 1 --auth lls \\
      --keys meter.toml 3:1-0:1.8.0*255:2
                                        a register, with scaler and unit
  dcu dlms profile --wrapper 192.0.2.7:4059 --client 1 --auth gmac \\
      --keys meter.toml 1-0:99.1.0*255 --from 2026-06-01T00:00:00Z \\
      --to 2026-06-02T00:00:00Z --json
                                        a day of the load profile
  dcu dlms action --serial /dev/ttyUSB0 --client 1 --auth gmac \\
      --keys meter.toml 70:0-0:96.3.10*255:1
                                        disconnect", after_help = KEYS)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const KEYS: &str = "\
The keys file is TOML, for its owner alone (chmod 0600):
  system_title        the client's: 16 hex digits, or 8 letters
  password            of lls, md5, sha1 and sha256; octets in hex behind 0x
  authentication_key  32 hex digits; 64 in suite 2
  encryption_key      32 hex digits; 64 in suite 2
  invocation_counter  the next one that may be used [what the meter tells the
                      public client, 16, in --counter-object; else 1]
  security_suite      0, 1 or 2 [by the length of encryption_key]
  signing_key         of ecdsa and --sign: the client's private key, in hex
  meter_public_key    of ecdsa and --sign: the meter's public key, in hex
  meter_system_title  where the meter does not say it: 16 hex digits
No invocation counter is used twice: before any of them is sent, the file itself
says the first one behind a block of 256, durably; at the end it says the first
one that was not used. So the file and its directory have to be writable, and a
copy of the file must not be used beside it.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read attributes
    ///
    /// Of a register scaler and unit are read, too, and the value is shown in it. Octet strings are shown in hex, and as
    /// text, OBIS code or date and time where they can be such. With --json an object for each attribute: class, obis,
    /// attribute, type, value, and where they apply text, time, deviation, clock_status, utc, scaler, unit, scaled; or
    /// error. An attribute that is not read does not keep the others from it; the exit code is that of the first.
    #[command(
        override_usage = "dcu dlms get [OPTIONS] <--wrapper|--wrapper-udp|--hdlc-tcp|--serial>\n      <CLASS:OBIS:ATTRIBUTE>..."
    )]
    Get {
        /// What is read: CLASS:OBIS:ATTRIBUTE, such as 3:1-0:1.8.0*255:2
        #[arg(value_name = "CLASS:OBIS:ATTRIBUTE", required = true, value_parser = Name::parse)]
        attributes: Vec<Name>,
        #[command(flatten)]
        way: Way,
    },
    /// Write an attribute
    #[command(after_help = typed::FORMS, override_usage = "dcu dlms set [OPTIONS] <--wrapper|--wrapper-udp|--hdlc-tcp|--serial>\n      <CLASS:OBIS:ATTRIBUTE> <VALUE>")]
    Set {
        /// What is written: CLASS:OBIS:ATTRIBUTE
        #[arg(value_name = "CLASS:OBIS:ATTRIBUTE", value_parser = Name::parse)]
        attribute: Name,
        /// The value: TYPE=TEXT
        #[arg(value_name = "VALUE")]
        value: String,
        #[command(flatten)]
        way: Way,
    },
    /// Invoke a method
    ///
    /// What it returns is printed.
    #[command(after_help = typed::FORMS, override_usage = "dcu dlms action [OPTIONS] <--wrapper|--wrapper-udp|--hdlc-tcp|--serial>\n      <CLASS:OBIS:METHOD> [VALUE]")]
    Action {
        /// What is invoked: CLASS:OBIS:METHOD
        #[arg(value_name = "CLASS:OBIS:METHOD", value_parser = Name::parse)]
        method: Name,
        /// The parameter: TYPE=TEXT, or none
        #[arg(value_name = "VALUE", default_value = "integer=0")]
        parameter: String,
        #[command(flatten)]
        way: Way,
    },
    /// Read rows of a profile
    ///
    /// Columns are named by the capture objects, with scaler and unit; what the meter left out because it did not
    /// change is put back. A time with Z or an offset is a moment, one without is the meter's own time; both ends are
    /// included. Where the meter does not select rows, all are read and the wanted ones shown. With --json an object
    /// for each row: profile, row, time, deviation, clock_status, utc, values.
    #[command(
        override_usage = "dcu dlms profile [OPTIONS] <--wrapper|--wrapper-udp|--hdlc-tcp|--serial>\n      <OBIS>"
    )]
    Profile {
        /// The profile's OBIS code, such as 1-0:99.1.0*255, or with --companion the id of a task, such as load-profile
        #[arg(value_name = "OBIS")]
        profile: String,
        /// Rows from this time on
        #[arg(long, value_name = "TIME", value_parser = Bound::parse)]
        from: Option<Bound>,
        /// Rows up to this time
        #[arg(long, value_name = "TIME", value_parser = Bound::parse)]
        to: Option<Bound>,
        /// Rows by their numbers, from 1; A- is up to the last
        #[arg(long, value_name = "A-B", value_parser = profile::entries, conflicts_with_all = ["from", "to"])]
        entries: Option<(u32, u32)>,
        #[command(flatten)]
        way: Way,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let typed = |text: &str, way: &Way| Typed::parse(text, way.sign()).map_err(|text| Failure::said(Exit::Usage, text));
    match args.verb {
        Verb::Get { attributes, way } => with(&way, |meter| get(meter, &attributes, &way, out)),
        Verb::Set { attribute, value, way } => {
            let value = typed(&value, &way)?;
            with(&way, |meter| set(meter, attribute.attribute(), &value, &way, out))
        }
        Verb::Action { method, parameter, way } => {
            let parameter = typed(&parameter, &way)?;
            with(&way, |meter| action(meter, method, &parameter, &way, out))
        }
        Verb::Profile { profile, from, to, entries, way } => {
            let wanted = match (entries, from, to) {
                (Some((first, last)), ..) => Wanted::Entries(first, last),
                (None, None, None) => Wanted::All,
                (None, Some(from), Some(to)) if from.is_after(to) => {
                    return Err(Failure::said(Exit::Usage, "--from is after --to"));
                }
                (None, from, to) => Wanted::Range(from, to),
            };
            let profile = name::profile_of(&profile, way.companion.as_deref());
            let profile = profile.map_err(|text| Failure::said(Exit::Usage, text))?;
            with(&way, |meter| profile::run(meter, profile, wanted, &way, out))
        }
    }
}

/// Opens an association, and ends it whatever came of it.
fn with(way: &Way, work: impl FnOnce(&mut Meter) -> Outcome) -> Outcome {
    let mut meter = way.open()?;
    let outcome = work(&mut meter);
    match meter.release() {
        // Without counters nothing else could go well.
        Some(failure) => Err(failure),
        None => outcome,
    }
}

fn get(meter: &mut Meter, attributes: &[Name], way: &Way, out: &mut Out) -> Outcome {
    let mut first = None;
    for attribute in attributes.iter().map(|name| name.attribute()) {
        let read = meter.get(attribute).and_then(|octets| {
            let scaler_unit = meter.scaler_unit(attribute);
            show(attribute, &octets, scaler_unit, way, out)
        });
        if let Err(failure) = read {
            let failure = failed(failure, Line::of(attribute), way, out)?;
            if let (false, true, Some(error)) = (way.json, attributes.len() > 1, &failure.error) {
                eprintln!("dcu: {error:#}");
            }
            first = first.or(Some(failure));
        }
        out.flush()?;
    }
    match first {
        None => Ok(Exit::Done),
        // Told already.
        Some(failure) if attributes.len() > 1 && !way.json => Ok(failure.exit),
        Some(failure) => Err(failure),
    }
}

fn set(meter: &mut Meter, attribute: Attribute, value: &Typed, way: &Way, out: &mut Out) -> Outcome {
    let octets = value.0.as_deref().ok_or_else(|| Failure::said(Exit::Usage, "an attribute needs a value"))?;
    let data = Data::parse_all(octets)?;
    if let Err(error) = meter.direct.set(attribute, data) {
        return Err(failed(meter.told(error), Line::of(attribute), way, out)?);
    }
    match way.json {
        true => out.json(&Line { done: Some(true), ..Line::of(attribute) })?,
        false => out.line(format_args!("{}  written", title(attribute)))?,
    }
    Ok(Exit::Done)
}

fn action(meter: &mut Meter, name: Name, parameter: &Typed, way: &Way, out: &mut Out) -> Outcome {
    let parameter = parameter.0.as_deref().map(Data::parse_all).transpose()?;
    let line = || Line { attribute: None, method: Some(name.number), ..Line::of(name.attribute()) };
    let returned = match meter.direct.action(name.method(), parameter) {
        Ok(returned) => returned,
        Err(error) => return Err(failed(meter.told(error), line(), way, out)?),
    };
    let data = returned.as_deref().map(Data::parse_all).transpose()?;
    if way.json {
        let node = data.map(|data| Node::new(data, way.sign()));
        out.json(&Line { done: Some(true), node, ..line() })?;
    } else {
        let said = data.map_or("done".into(), |data| format!("done: {}", value::line(data, None, way.sign())));
        out.line(format_args!("{}:{}:{}  {said}", name.class_id, name.logical_name, name.number))?;
    }
    Ok(Exit::Done)
}

/// Tells a failure as JSON too, where that is wanted. A closed pipe ends it quietly.
fn failed(failure: Failure, line: Line, way: &Way, out: &mut Out) -> Result<Failure, Failure> {
    match &failure.error {
        None => return Err(failure),
        Some(error) if way.json => out.json(&Line { error: Some(format!("{error:#}")), ..line })?,
        Some(_) => {}
    }
    Ok(failure)
}

/// One attribute, or one method, as JSON.
#[derive(Debug, Serialize)]
struct Line {
    class: u16,
    obis: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
    #[serde(flatten)]
    node: Option<Node>,
    #[serde(flatten)]
    scaled: Option<Scaled>,
    /// As the companion profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Line {
    fn of(attribute: Attribute) -> Self {
        Self {
            class: attribute.class_id,
            obis: attribute.logical_name.to_string(),
            attribute: Some(attribute.attribute),
            method: None,
            done: None,
            node: None,
            scaled: None,
            meaning: None,
            error: None,
        }
    }
}

fn show(
    attribute: Attribute,
    octets: &[u8],
    scaler_unit: Option<ScalerUnit>,
    way: &Way,
    out: &mut Out,
) -> Result<(), Failure> {
    let unread = |reject| Failure::said(Exit::Failed, format!("get {attribute}: the answer is no value: {reject}"));
    let data = Data::parse_all(octets).map_err(unread)?;
    let sign = way.sign();
    if way.json {
        let (node, scaled) = (Some(Node::new(data, sign)), scaler_unit.map(|it| Scaled::new(data, it)));
        let meaning = way.meaning(attribute.class_id, attribute.logical_name).map(ToOwned::to_owned);
        return out.json(&Line { node, scaled, meaning, ..Line::of(attribute) });
    }
    let meaning = way.meaning(attribute.class_id, attribute.logical_name);
    let title = meaning.map_or_else(|| title(attribute), |meaning| format!("{}, {meaning}", title(attribute)));
    match value::elements(data, sign) {
        None => out.line(format_args!("{title}  {}", value::line(data, scaler_unit, sign))),
        Some(elements) => {
            out.line(format_args!("{title}  {}", super::text::counted(elements.len() as u64, "element")))?;
            elements.iter().try_for_each(|element| out.line(format_args!("  {element}")))
        }
    }
}

/// `3:1-0:1.8.0*255:2  register value`
fn title(attribute: Attribute) -> String {
    let Attribute { class_id, logical_name, attribute: number } = attribute;
    format!("{class_id}:{logical_name}:{number}  {}", name::said(&attribute))
}

impl Meter {
    fn get(&mut self, attribute: Attribute) -> Result<Vec<u8>, Failure> {
        self.direct.get(attribute, None).map_err(|error| self.told(error))
    }

    /// A number that is only good to have.
    fn number(&mut self, attribute: Attribute) -> Option<u32> {
        Data::parse_all(&self.extra(attribute)?).ok()?.number().ok()
    }

    /// Scaler and unit of an attribute that has some; without them the value is shown as it is.
    fn scaler_unit(&mut self, attribute: Attribute) -> Option<ScalerUnit> {
        ScalerUnit::try_from(Data::parse_all(&self.extra(name::scaler_unit_of(attribute)?)?).ok()?).ok()
    }

    /// What nobody asked for. A meter that hangs at it is not asked for more of that kind.
    fn extra(&mut self, attribute: Attribute) -> Option<Vec<u8>> {
        if self.is_hanging {
            return None;
        }
        let read = self.direct.get(attribute, None);
        self.is_hanging = matches!(&read, Err(error) if hint::is_silence(error));
        read.ok()
    }
}
