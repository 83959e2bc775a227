//! What is wrong with a configuration: every fault, by key, with its line.

use std::fmt;
use std::path::{Path, PathBuf};

/// Whether the service may start in spite of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// The file must be mended.
    Wrong,
    /// Something outside the file is not there now, such as an unplugged receiver. The service starts and waits for it.
    Absent,
}

/// One fault of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub gravity: Gravity,
    /// From 1; None where nothing in the file stands for it.
    pub line: Option<usize>,
    /// `wmbus[1].port`; empty where the file as a whole is meant.
    pub key: String,
    pub text: String,
}

/// All faults of one file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub file: PathBuf,
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    /// One line a fault: `dcu.toml:12: wmbus[1].port: "/dev/ttyUSB9" does not exist`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", fault.of(&self.file))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Fault {
    /// The fault with the name of its file, as it is printed.
    pub fn of(&self, file: &Path) -> String {
        let mut text = file.display().to_string();
        if let Some(line) = self.line {
            text.push_str(&format!(":{line}"));
        }
        if !self.key.is_empty() {
            text.push_str(&format!(": {}", self.key));
        }
        text.push_str(&format!(": {}", self.text));
        text
    }
}

/// The text, and of each row of as many hexadecimal digits as a key has, wherever it stands, the first ones.
pub(super) fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, row) = rest.split_at(at);
        let (row, behind) = row.split_at(row.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(row.len()));
        out.push_str(before);
        match row.get(..TOLD) {
            Some(told) if row.len() >= KEY => out.extend([told, "…"]),
            _ => out.push_str(row),
        }
        rest = behind;
    }
    out + rest
}

/// Digits of a key, and those of it that tell which one it is.
const KEY: usize = 32;
const TOLD: usize = 4;

/// A fault before its place is known.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) gravity: Gravity,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn wrong(text: impl Into<String>) -> Self {
        Self { gravity: Gravity::Wrong, text: text.into() }
    }

    pub(super) fn absent(text: impl Into<String>) -> Self {
        Self { gravity: Gravity::Absent, text: text.into() }
    }
}

/// Faults as they are found, by octet offset.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(usize, String, Problem)>);

impl Faults {
    pub(super) fn push(&mut self, offset: usize, key: String, problem: Problem) {
        self.0.push((offset, key, problem));
    }

    /// In the order of the file; `text` is the file's.
    pub(super) fn finish(mut self, text: &str) -> Vec<Fault> {
        self.0.sort_by_key(|(offset, ..)| *offset);
        let faults = self.0.into_iter().map(|(offset, key, Problem { gravity, text: said })| {
            let line = (offset > 0).then(|| 1 + text.bytes().take(offset).filter(|octet| *octet == b'\n').count());
            Fault { gravity, line, key: redacted(&key), text: redacted(&said) }
        });
        faults.collect()
    }
}
