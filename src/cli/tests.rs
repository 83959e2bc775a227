//! The command line as a whole: help pages and exit codes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs one command line; what it printed and how it ended.
pub(super) fn dcu(args: &[&str]) -> (Exit, String) {
    let printed = Printed::default();
    let mut out = Out::to(printed.clone());
    let exit = execute([&["dcu"], args].concat(), &mut out);
    let octets = printed.0.lock().unwrap().clone();
    (exit, String::from_utf8(octets).unwrap())
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(dcu(&["frobnicate"]), (Exit::Usage, String::new()));
    assert_eq!(dcu(&[]).0, Exit::Usage);
    assert_eq!(dcu(&["config", "check", "--frobnicate"]).0, Exit::Usage);
}

#[test]
fn a_faulty_configuration_ends_with_78() {
    assert_eq!(dcu(&["config", "check", "/nowhere/dcu.toml"]).0, Exit::Configuration);
    assert_eq!(dcu(&["run", "--config", "/nowhere/dcu.toml"]).0, Exit::Configuration);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(execute(["dcu", "config", "template"], &mut Out::to(Closed)), Exit::Done);
}
