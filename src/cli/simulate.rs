//! `dcu simulate`.

mod receiver;

use clap::Subcommand;

use super::{Out, Outcome};

/// Emulate what is around the service
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Receiver(receiver::Args),
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Receiver(args) => receiver::run(args, out),
    }
}
