//! The one binary: `dcu run` is the service, the rest is diagnostics.
fn main() {}
