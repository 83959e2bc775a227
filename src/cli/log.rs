//! The log: lines on standard error, for a person or for the journal.

use std::io::{self, IsTerminal};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;

/// Starts the log of this process. `DCU_LOG` is stronger than the file; what is started twice stays as it was.
pub(super) fn start(log: &Log) {
    let filter = match std::env::var("DCU_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::builder().parse_lossy(text),
        _ => EnvFilter::builder().parse_lossy(&log.level),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // The journal writes the time itself, and a target is too much for its lines.
    let lines = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => lines.without_time().with_target(false).boxed(),
        None => lines.boxed(),
    };
    // Only a second start in one process fails, and then the first one stands.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}
