//! Generates the types of `proto/` for `src/wire/v1.rs`, without protoc; says when the program was built.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rustc-env=DCU_BUILD_TIME={}", build_time());
    let files = [
        "ack",
        "batch",
        "checkpoint",
        "command",
        "event",
        "group",
        "handover",
        "health",
        "lane",
        "meter",
        "records",
        "signed",
        "state",
        "time",
        "topology",
    ]
    .map(|name| format!("dcu/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"]).map_err(io::Error::other)?;
    prost_build::Config::new()
        .disable_comments(["."])
        // Keys are printed nowhere: `wire::v1` says what may be.
        .skip_debug([".dcu.v1.NodeKey"])
        .type_attribute(".dcu.v1.Shape", "#[derive(Eq, Hash)]")
        .compile_fds(descriptors)
}

/// Seconds since 1970 UTC: no clock of a running unit can be before it.
fn build_time() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    #[expect(clippy::disallowed_methods, reason = "the build's own time is what is asked for")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    given.unwrap_or(now)
}
