//! `dcu task list|show`.

use clap::Subcommand;

use super::client::{Asking, unexpected};
use super::text::{Table, ago, counted, percent, utc};
use super::{Exit, Out, Outcome};
use crate::control::{Reply, Request, Share, TaskCard, TaskLine, TaskObject};

/// What is read of electricity meters, and how much of it came
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu task list                 all tasks, and what came within 24 hours
  dcu task show load-profile    one task, day by day and meter by meter")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All tasks, one a line
    List(Asking),
    /// One task, day by day and meter by meter
    ///
    /// A slot counts when its row was read, or when the meter has none for it. Days are of UTC. Reachable are the meters
    /// that answered when they were asked last.
    Show {
        /// The id of a task
        id: String,
        #[command(flatten)]
        asking: Asking,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::List(asking) => {
            let tasks = match asking.service.ask(Request::Tasks)? {
                Reply::Tasks { tasks } => tasks,
                other => return Err(unexpected(&other)),
            };
            if asking.json {
                tasks.iter().try_for_each(|task| out.json(task))?;
            } else {
                out.text(list(&tasks))?;
            }
        }
        Verb::Show { id, asking } => {
            let card = match asking.service.ask(Request::Task { id })? {
                Reply::Task(card) => card,
                other => return Err(unexpected(&other)),
            };
            if asking.json {
                out.json(&card)?;
            } else {
                out.text(show(&card, asking.service.unit_now()))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn list(tasks: &[TaskLine]) -> String {
    let mut table = Table::new(&["task", "what", "period", "priority", ">meters", ">all", ">reachable"]);
    for TaskLine { id, what, period, priority, meters, all, reachable } in tasks {
        let (id, what, period, priority) = (id.clone(), what.clone(), period.clone(), priority.clone());
        table.row([id, what, period, priority, meters.to_string(), percent(*all), percent(*reachable)]);
    }
    table.text()
}

pub(super) fn show(card: &TaskCard, now: i64) -> String {
    let TaskLine { id, what, period, priority, meters, .. } = &card.line;
    let mut text = format!("{id}: {what} every {period}, priority {priority}, {}\n\n", counted(*meters, "meter"));
    for object in &card.objects {
        let TaskObject { class, obis, meaning } = object;
        text += &format!("reads {class}:{obis}{}\n", meaning.as_ref().map_or(String::new(), |it| format!("  {it}")));
    }
    text += if card.objects.is_empty() { "" } else { "\n" };
    let mut days = Table::new(&["day", ">expected", ">there", ">all", ">reachable"]);
    for day in card.days.iter().filter(|day| day.all.expected > 0) {
        let Share { expected, settled } = day.all;
        let shares = [percent(day.all), percent(day.reachable)];
        days.row([day.day.clone(), expected.to_string(), settled.to_string()].into_iter().chain(shares));
    }
    text += &days.text();
    text.push('\n');
    let mut each = Table::new(&["meter", "state", "complete until", ">missing", ">lost", "answered"]);
    for meter in &card.each {
        let answered = meter.answered_ms.map_or_else(|| "never".to_owned(), |then| ago(now, then));
        let (missing, lost) = (meter.missing.to_string(), meter.lost.to_string());
        let until = utc(meter.complete_until_ms).trim_end_matches(":00 UTC").to_owned();
        each.row([meter.id.clone(), meter.state.clone(), until, missing, lost, answered]);
    }
    text += &each.text();
    for meter in &card.each {
        if let Some(detail) = &meter.detail {
            text += &format!("{}: {}\n", meter.id, super::text::printable(detail));
        }
    }
    text
}
