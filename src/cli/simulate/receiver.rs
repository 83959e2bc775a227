//! `dcu simulate receiver`.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use wmbus::receiver::Mode;
use wmbus::sim::{self, EmulatorKind};

use crate::cli::{Exit, Failure, OrExit, Out, Outcome};
use crate::simulate::faults::Faults;
use crate::simulate::receiver::play::{Plan, Told, play};
use crate::simulate::receiver::program::{self, Air};
use crate::simulate::receiver::{Options, State};

/// Emulate a receiver alone, on a pseudo terminal
///
/// A kind that is a program, rtl_wmbus or rtl_433, prints what it hears. Of any other the service opens the printed
/// port like that of a USB stick, of the same kind. The port outlives the service; the
/// command ends with SIGINT or SIGTERM. Frames go on the air once somebody listens. Nobody hears what is sent while
/// the port is closed.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu simulate receiver --link /tmp/stick             a name that stays
  dcu simulate receiver --frames telegrams.txt        hears the lines of a file
  rtl_sdr ... | rtl_wmbus | dcu simulate receiver --frames -")]
pub(super) struct Args {
    /// Kind of receiver
    #[arg(long, value_name = "KIND", default_value = "im871a", value_parser = kind)]
    kind: &'static EmulatorKind,
    /// Symbolic link to the port
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// Frames to hear, one a line in hexadecimal digits without their CRCs; - for standard input
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
    /// Socket over which a fleet lets a program hear its frames
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["frames", "link"], hide = true)]
    air: Option<PathBuf>,
    /// Frames in a second
    #[arg(long, value_name = "N", default_value_t = 1.0, requires = "frames")]
    rate: f64,
    /// Link mode in which the frames are sent
    #[arg(long, value_name = "MODE", default_value = "t1", value_parser = mode)]
    sent: Mode,
    /// What goes wrong: loss=SHARE,corrupt=SHARE
    #[arg(long, value_name = "FAULTS", default_value = "")]
    faults: Faults,
    /// What the faults are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Never answer the host
    #[arg(long)]
    mute: bool,
    /// Print the tally at the end as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let pace = Duration::try_from_secs_f64(args.rate.recip());
    let pace = pace.map_err(|_| Failure::said(Exit::Usage, "--rate: must be more than 0"))?;
    let Faults { loss_ppm, corrupt_ppm, .. } = args.faults;
    if args.faults != (Faults { loss_ppm, corrupt_ppm, ..Faults::default() }) {
        return Err(Failure::said(Exit::Usage, "--faults: only loss and corrupt happen to a receiver"));
    }
    let frames: Option<Box<dyn Read + Send>> = match args.frames {
        Some(path) if path.as_os_str() == "-" => Some(Box::new(io::stdin())),
        Some(path) => {
            let file = File::open(&path).with_context(|| format!("open {}", path.display()));
            Some(Box::new(file.or_exit(Exit::NotFound)?))
        }
        None => None,
    };
    if args.kind.is_program {
        let air = match (args.air, frames) {
            (Some(socket), _) => Air::Socket(socket),
            (None, Some(lines)) => Air::Frames { lines, pace },
            (None, None) => return Err(Failure::said(Exit::Usage, "--frames: a program has to hear something")),
        };
        // Whoever reads it may go at any time.
        let _ = program::print(args.kind, air, io::stdout());
        return Ok(Exit::Done);
    }
    let options = Options {
        kind: args.kind,
        link: args.link,
        sent: args.sent,
        faults: sim::Faults { corrupt_ppm, mute: args.mute, ..sim::Faults::default() },
        seed: args.seed,
        ..Options::default()
    };
    let is_json = args.json;
    let tally = play(Plan { options, frames, pace, loss_ppm }, |told| {
        // Whoever read the lines may have gone; the receiver stays.
        let _ = if is_json { Ok(()) } else { out.line(line(&told)).and_then(|()| out.flush()) };
    })?;
    if is_json {
        out.json(&tally)?;
    } else {
        out.line(format_args!(
            "{} frames: {} heard, {} damaged, {} unheard",
            tally.sent, tally.intact, tally.damaged, tally.unheard
        ))?;
    }
    Ok(Exit::Done)
}

fn line(told: &Told) -> String {
    match told {
        Told::Port(path) => format!("port {}", path.display()),
        Told::State(State::Unplugged) => "unplugged".into(),
        Told::State(State::Closed) => "port closed".into(),
        Told::State(State::Open(None)) => "port open, not listening".into(),
        Told::State(State::Open(Some(mode))) => format!("listening to {mode}"),
        Told::Ended(tally) => format!("no more frames after {}", tally.sent),
    }
}

pub(super) fn kind(name: &str) -> Result<&'static EmulatorKind, String> {
    EmulatorKind::named(name).ok_or_else(|| {
        let names: Vec<_> = sim::RECEIVERS.iter().map(|kind| kind.name).collect();
        format!("known are {}", names.join(", "))
    })
}

fn mode(name: &str) -> Result<Mode, String> {
    Mode::named(name).ok_or_else(|| {
        let names: Vec<_> = Mode::ALL.iter().map(|mode| mode.name()).collect();
        format!("known are {}", names.join(", "))
    })
}
