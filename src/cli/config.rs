//! `dcu config check|template`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::text::Table;
use super::{Exit, Failure, Out, Outcome};
use crate::config::{Companion, Config, Fault, Gravity, text_of};
use crate::task::Files;

/// Check a configuration, or print the default or a companion profile
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu config check                    the installed file
  dcu config check ./dcu.toml         every fault at once, by key and line
  dcu config template > dcu.toml      the default with its reasons
  dcu config companion idis           what is read of meters after IDIS")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report every fault of a file at once
    ///
    /// The files that it names are read too: keys, certificates, whom the unit trusts. Ends with 0 when there is no
    /// fault, with 78 when there is any. A fault marked "absent now" is of the surroundings, not of the file: the service
    /// waits until it is mended, for example for a receiver. With a disk that cannot be written to it ends with 1, and
    /// systemd starts it again.
    Check {
        /// The file
        #[arg(default_value = super::run::CONFIG)]
        file: PathBuf,
        /// The same, as `dcu run` takes it
        #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the annotated default configuration
    Template,
    /// List the companion profiles, or print one
    ///
    /// What meters of a kind have, what is read of them, how their clocks are understood, what the codes in their logs
    /// mean: `companion = "idis"` of a meter, a group or all. A copy that was changed is named by its file.
    Companion {
        /// The one to print
        name: Option<String>,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Check { file, config, json } => check(config.unwrap_or(file), json, out),
        Verb::Template => out.text(Config::TEMPLATE).map(|()| Exit::Done),
        Verb::Companion { name: None } => {
            let mut table = Table::new(&["companion", "title", ">tasks"]);
            for (name, _) in Companion::SHIPPED {
                let companion =
                    Companion::named(name, Path::new("")).map_err(|text| Failure::said(Exit::Failed, text))?;
                table.row([name.to_owned(), companion.title.clone(), companion.tasks.len().to_string()]);
            }
            out.text(table.text()).map(|()| Exit::Done)
        }
        Verb::Companion { name: Some(wanted) } => {
            let found = Companion::SHIPPED.iter().find(|(name, _)| *name == wanted);
            let missing = || Failure::said(Exit::NotFound, format!("there is no companion profile {wanted:?}"));
            let (_, text) = found.ok_or_else(missing)?;
            out.text(text).map(|()| Exit::Done)
        }
    }
}

fn check(file: PathBuf, json: bool, out: &mut Out) -> Outcome {
    let faults = match Config::load(&file) {
        Ok((config, mut faults)) => {
            let text = text_of(&file, Config::LIMIT).unwrap_or_default();
            let found = Files::read(&config).err().into_iter().flatten().chain(Files::absent(&config));
            faults.extend(found.map(|fault| Fault { line: Config::line_of(&text, &fault.key), ..fault }));
            faults
        }
        Err(error) => {
            let mut faults = error.faults;
            faults.extend(of_files(&file, &faults));
            faults
        }
    };
    let exit = if faults.is_empty() { Exit::Done } else { Exit::Configuration };
    if json {
        let faults = faults.iter().map(|fault| FaultLine {
            key: &fault.key,
            line: fault.line,
            text: &fault.text,
            gravity: if fault.gravity == Gravity::Wrong { "wrong" } else { "absent" },
        });
        out.json(&Report { file: file.display().to_string(), ok: exit == Exit::Done, faults: faults.collect() })?;
        return Ok(exit);
    }
    for fault in &faults {
        let note = if fault.gravity == Gravity::Absent { " (absent now)" } else { "" };
        out.line(format_args!("{}{note}", fault.of(&file)))?;
    }
    match faults.len() {
        0 => out.line(format_args!("{}: no faults", file.display()))?,
        1 => eprintln!("dcu: 1 fault"),
        n => eprintln!("dcu: {n} faults"),
    }
    Ok(exit)
}

/// What is wrong in the files that a configuration with faults names, as far as it can be read.
fn of_files(file: &Path, faults: &[Fault]) -> Vec<Fault> {
    const FILES: [&str; 5] =
        ["meters.keys", "electricity.keys", "electricity.peers", "uplink.trust", "uplink.signing_key"];
    let text = text_of(file, Config::LIMIT).unwrap_or_default();
    let (config, _) = Config::parse(&text, file.parent().unwrap_or(Path::new("")));
    let mut found = Files::read(&config).err().unwrap_or_default();
    // Of a file that is not named as it should be it is told already.
    found.retain(|fault| FILES.contains(&fault.key.as_str()) && faults.iter().all(|other| other.key != fault.key));
    found.into_iter().map(|fault| Fault { line: Config::line_of(&text, &fault.key), ..fault }).collect()
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    ok: bool,
    faults: Vec<FaultLine<'a>>,
}

#[derive(Serialize)]
struct FaultLine<'a> {
    key: &'a str,
    line: Option<usize>,
    text: &'a str,
    gravity: &'static str,
}
