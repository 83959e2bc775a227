//! Drivers: sockets, serial ports, clocks, and the tasks that join the rooms. No protocol knowledge.

pub mod backoff;
pub mod clock;
pub mod control;
pub mod mqtt;
pub mod receiver;
pub mod serial;
pub mod tls;

use crate::config::Config;

/// Why the service ended otherwise than it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("open the control socket")]
    Control(#[from] control::ControlError),
    #[error("this build has no service yet: its rooms are not joined")]
    NotJoined,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// What keeps it from starting, or ends it.
pub fn run(_config: Config) -> Result<(), ServiceError> {
    Err(ServiceError::NotJoined)
}

/// An error with everything that led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        let more = source.to_string();
        // A transparent error says what its source says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        at = source.source();
    }
    text
}
