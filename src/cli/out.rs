//! The one door to standard output. Results go through it, everything else goes to standard error.
//!
//! A closed pipe ends the command quietly: `dcu meter list | head` is not a failure.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::exit::Failure;

/// Where results are printed.
pub struct Out {
    to: Box<dyn Write + Send>,
    is_terminal: bool,
}

impl Out {
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self { to: Box::new(BufWriter::new(stdout)), is_terminal }
    }

    /// Prints to any writer, which is taken as no terminal.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self { to: Box::new(writer), is_terminal: false }
    }

    /// Whether a person looks at it: decides on colour and redrawing, never on content.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Appends `text` as it is.
    pub fn text(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        check(write!(self.to, "{text}"))
    }

    /// Prints one line.
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        check(writeln!(self.to, "{line}"))
    }

    /// Prints one JSON object on one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value)?;
        self.line(line)
    }

    /// Streams call it after each item; the end of the program calls it once.
    pub fn flush(&mut self) -> Result<(), Failure> {
        check(self.to.flush())
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").field("is_terminal", &self.is_terminal).finish_non_exhaustive()
    }
}

fn check(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::closed(),
        _ => Failure::from(anyhow::Error::new(error).context("write to standard output")),
    })
}
