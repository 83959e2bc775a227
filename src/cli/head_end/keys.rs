//! `dcu head-end keys`.

use std::path::PathBuf;

use crate::cli::{Exit, Failure, Out, Outcome};
use crate::simulate::head_end::keys::{Error, Kit, Plan};

/// Make certificates and keys to try things out
///
/// A small CA, a broker's certificate, one for each unit and one for the head-end, the keys that sign, and a
/// configuration for mosquitto. What is there already is left alone.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu head-end keys ./keys && mosquitto -c ./keys/mosquitto.conf
  dcu head-end keys ./keys --broker broker.example --dcu dcu-1 --dcu dcu-2")]
pub(super) struct Args {
    /// Where they are written
    dir: PathBuf,
    /// A name or address of the broker
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    broker: Vec<String>,
    /// The identifier of a unit, as in its configuration
    #[arg(long, value_name = "ID", default_values = ["dcu-1"])]
    dcu: Vec<String>,
    /// Valid for so many days
    #[arg(long, value_name = "N", default_value_t = 730)]
    days: u32,
    /// Take the place of what is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let Args { dir, broker, dcu: units, days, force } = args;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let made = Kit::make(&dir, &Plan { broker, units, days, force }, today);
    let (_, made) = made.map_err(|error| match error {
        Error::Exists(_) => Failure::said(Exit::Failed, format!("{error}; --force takes their place")),
        Error::Name(_) | Error::NoBroker => Failure::new(Exit::Usage, error),
        error => Failure::new(Exit::Failed, error),
    })?;
    for file in made {
        out.line(format_args!("{:<36} {}", file.path.display(), file.purpose))?;
    }
    Ok(Exit::Done)
}
