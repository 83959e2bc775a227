//! How a command ends: the one table of exit codes, and the failure that carries one.
//!
//! Scripts rely on the numbers; a number is never given a second meaning.

use std::fmt;

/// What the process tells its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// Nobody listens on the control socket, it broke off, or the service has no place for one more client now.
    Unreachable = 3,
    NotFound = 4,
    TimedOut = 5,
    NotPermitted = 6,
    /// The command worked; what it looked at is not well.
    Degraded = 7,
    /// A verification found something wrong.
    CheckFailed = 8,
    /// EX_CONFIG of sysexits.h: the unit file does not restart after it.
    Configuration = 78,
}

impl Exit {
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "wrong usage"),
        (Self::Unreachable, "service unreachable or busy"),
        (Self::NotFound, "not found"),
        (Self::TimedOut, "timed out"),
        (Self::NotPermitted, "not permitted"),
        (Self::Degraded, "degraded: the command worked, the unit is not well"),
        (Self::CheckFailed, "check failed"),
        (Self::Configuration, "configuration, or another file that is not what it must be"),
    ];

    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what it was asked, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// None when there is nobody left to tell, such as after a closed pipe.
    pub error: Option<anyhow::Error>,
}

impl Failure {
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: Some(error.into()) }
    }

    /// A failure whose whole story is one sentence.
    pub fn said(exit: Exit, message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit, error: Some(anyhow::Error::msg(message)) }
    }

    /// The reader of standard output went away, as `head` does: no failure of ours.
    pub(super) const fn closed() -> Self {
        Self { exit: Exit::Done, error: None }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// What every command returns: how it ended, or why it could not.
pub type Outcome = Result<Exit, Failure>;

/// Gives an error its exit code.
pub trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}
