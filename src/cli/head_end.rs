//! `dcu head-end keys|watch|verify|resend|order|topology`: the reference head-end.

mod broker;
mod keys;
mod order;
mod resend;
mod topology;
mod verify;
mod watch;

use clap::Subcommand;

use super::{Out, Outcome};

/// The reference head-end: receive, acknowledge, verify
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Keys(keys::Args),
    Watch(watch::Args),
    Verify(verify::Args),
    Resend(resend::Args),
    Order(order::Args),
    Topology(topology::Args),
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Keys(args) => keys::run(args, out),
        Verb::Watch(args) => watch::run(args, out),
        Verb::Verify(args) => verify::run(&args, out),
        Verb::Resend(args) => resend::run(args, out),
        Verb::Order(args) => order::run(args, out),
        Verb::Topology(args) => topology::run(args, out),
    }
}
