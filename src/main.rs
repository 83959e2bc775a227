//! The one binary: `dcu run` is the service, the rest is diagnostics.

use std::process::ExitCode;

fn main() -> ExitCode {
    dcu::cli::main()
}
