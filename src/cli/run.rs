//! `dcu run`: reads the configuration and hands it to the service.

use std::path::PathBuf;

use super::{Exit, Failure, Outcome, log};
use crate::config::{Config, ConfigError};
use crate::task::Files;

/// Where the configuration is installed.
pub(super) const CONFIG: &str = "/etc/dcu/dcu.toml";

/// Run the service
///
/// Runs until it is told to stop by SIGTERM or SIGINT. Under systemd it is of Type=notify and feeds the watchdog.
/// A faulty configuration ends it with 78 and every fault on standard error.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu run                               with /etc/dcu/dcu.toml
  dcu run --config ./dcu.toml           with a file of one's own
  DCU_LOG=debug dcu run                 louder than the file says")]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, short, default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn run(args: Args) -> Outcome {
    let refuse = |error: ConfigError| Failure::new(Exit::Configuration, error);
    let (config, mut absent) = Config::load(&args.config).map_err(refuse)?;
    let files = Files::read(&config).map_err(|faults| refuse(ConfigError { file: args.config, faults }))?;
    absent.extend(Files::absent(&config));
    log::start(&config.log);
    for fault in absent {
        tracing::warn!(key = %fault.key, err = %fault.text, "configured thing is absent");
    }
    crate::task::run(config, files)?;
    Ok(Exit::Done)
}
