//! Generates the types of `proto/` for `src/wire/v1.rs`, without protoc.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = [
        "ack",
        "batch",
        "checkpoint",
        "command",
        "event",
        "group",
        "health",
        "lane",
        "meter",
        "records",
        "signed",
        "state",
        "time",
    ]
    .map(|name| format!("dcu/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"]).map_err(io::Error::other)?;
    prost_build::Config::new().disable_comments(["."]).compile_fds(descriptors)
}
