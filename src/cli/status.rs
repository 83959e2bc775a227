//! `dcu status`: one screen, the verdict first.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::client::{Service, unexpected};
use super::text::{ago, counted, lasting, octets, percent, printable, span, utc};
use super::{Exit, Failure, OrExit, Out, Outcome};
use crate::control::{
    BufferStat, Collection, MeshStatus, Pushes, ReceiverState, ReceiverStatus, Reply, Request, Severity, Status,
    UplinkStatus, Verdict, left,
};
use crate::reading::TimeQuality;

/// Is the unit well? One screen, the verdict first
///
/// Ends with 0 when the verdict is OK and with 7 when it is DEGRADED or FAULT; the reasons follow the verdict.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu status                             the unit one stands before
  dcu status --json | jq .verdict        for a script
  dcu status --offline ./copy-of-state   what a dead unit left")]
pub(super) struct Args {
    #[command(flatten)]
    service: Service,
    /// Read the state directory of a dead unit, or a copy of it, instead of asking
    #[arg(long, value_name = "DIR", conflicts_with_all = ["socket", "timeout"])]
    offline: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let status = match &args.offline {
        Some(state) => left::left_status(state).or_exit(Exit::NotFound)?,
        None => ask(&args.service)?,
    };
    let (verdict, reasons) = status.verdict();
    if args.json {
        out.json(&Line { verdict, reasons: &reasons, status: &status })?;
    } else {
        if args.offline.is_some() {
            out.line(format_args!(
                "as it was on {}; the service was then up for {}\n",
                utc(status.time.now_ms),
                span(status.uptime_s)
            ))?;
        }
        out.text(screen(&status, verdict, &reasons))?;
    }
    Ok(if verdict == Verdict::Ok { Exit::Done } else { Exit::Degraded })
}

fn ask(service: &Service) -> Result<Status, Failure> {
    match service.ask(Request::Status)? {
        Reply::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    verdict: Verdict,
    reasons: &'a [String],
    #[serde(flatten)]
    status: &'a Status,
}

fn screen(status: &Status, verdict: Verdict, reasons: &[String]) -> String {
    let mut screen = Screen::default();
    let Status { utility, unit, program, uptime_s, .. } = status;
    screen.line(&format!("{verdict}  {utility}/{unit}, dcu {program}, up {}", span(*uptime_s)));
    for reason in reasons {
        screen.line(&format!("  - {}", printable(reason)));
    }
    screen.line("");
    let now = status.time.now_ms;
    screen.item("time", &format!("{}, {}", utc(now), time_word(status.time.quality)));
    for (n, receiver) in status.receivers.iter().enumerate() {
        let label = if n == 0 { "receivers" } else { "" };
        let (first, second) = receiver_lines(receiver, now);
        screen.item(label, &first);
        screen.item("", &second);
    }
    let meters = &status.meters;
    let keys = match meters.without_key {
        0 => String::new(),
        count => format!(", {count} cannot be decrypted"),
    };
    let (known, hour, day) = (meters.known, meters.heard_1h, meters.heard_24h);
    screen.item("meters", &format!("{known} known, {hour} heard within 1 h, {day} within 24 h{keys}"));
    if let Some(collection) = &status.electricity {
        electricity_lines(&mut screen, collection);
    }
    for (n, network) in status.networks.iter().enumerate() {
        let label = if n == 0 { "networks" } else { "" };
        let MeshStatus { network, state, since_ms, joined, listed, alive, .. } = network;
        let (network, state, since) = (printable(network), state.name(), lasting(now, *since_ms));
        screen
            .item(label, &format!("{network}: {state} for {since}; {joined} of {listed} nodes joined, {alive} heard"));
    }
    buffer_lines(&mut screen, &status.buffer, now);
    uplink_lines(&mut screen, &status.uplink, now);
    for (n, alarm) in status.alarms.iter().enumerate() {
        let severity = if alarm.severity == Severity::Fault { "fault" } else { "warning" };
        let since = ago(now, alarm.since_ms);
        screen
            .item(if n == 0 { "alarms" } else { "" }, &format!("{severity} {} since {since}", printable(&alarm.code)));
    }
    let process = &status.process;
    let (rss, peak, written) =
        (octets(process.rss_bytes), octets(process.peak_rss_bytes), octets(process.written_bytes));
    screen.item("process", &format!("{}, {rss} of memory (peak {peak}), {written} written", process.pid));
    screen.0
}

fn receiver_lines(receiver: &ReceiverStatus, now: i64) -> (String, String) {
    let state = match receiver.state {
        ReceiverState::Absent => "absent",
        ReceiverState::Starting => "starting",
        ReceiverState::Receiving => "receiving",
        ReceiverState::Silent => "silent",
    };
    let since = lasting(now, receiver.since_ms);
    let (name, kind, source) = (&receiver.name, &receiver.kind, &receiver.source);
    let first = printable(&format!("{name} ({kind} on {source}): {state} for {since}"));
    let last = receiver.last_frame_ms.map_or_else(|| "none yet".into(), |last| format!("the last {}", ago(now, last)));
    let mut second = format!("  {}, {last}", counted(receiver.frames, "frame"));
    let named = |counts: &BTreeMap<String, u64>| {
        let each: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        printable(&each.join(", "))
    };
    // Writing to a String does not fail.
    if let Some(expected) = receiver.expected {
        let _ = write!(second, "; {expected} an hour expected");
    }
    let dropped: u64 = receiver.rejected.values().sum();
    if dropped > 0 {
        let _ = write!(second, "; {dropped} dropped ({})", named(&receiver.rejected));
    }
    if !receiver.recoveries.is_empty() {
        let _ = write!(second, "; recovery: {}", named(&receiver.recoveries));
    }
    (first, second)
}

fn electricity_lines(screen: &mut Screen, collection: &Collection) {
    let Collection { meters, new, active, silent, unreachable, refusing, refusal, all, reachable, lost, push, retired } =
        collection;
    let named = [
        (*new, "never read"),
        (*silent, "silent"),
        (*unreachable, "unreachable"),
        (*refusing, "refusing"),
        (*retired, "retired"),
    ];
    let others: String =
        named.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}")).collect();
    screen.item("collection", &format!("{}, {active} active{others}", counted(*meters, "meter")));
    if let Some(refusal) = refusal {
        screen.item("", &printable(&format!("refusing: {refusal}")));
    }
    let given_up = if *lost > 0 { format!("; {} given up", counted(*lost, "slot")) } else { String::new() };
    let (all, reachable) = (percent(*all), percent(*reachable));
    screen.item("", &format!("24 h: {all} of all, {reachable} of those reachable{given_up}"));
    if let Some(Pushes { taken, refused }) = push {
        let total: u64 = refused.values().sum();
        let reasons: Vec<_> = refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let refused = if total > 0 { format!(", {total} refused ({})", reasons.join(", ")) } else { String::new() };
        screen.item("", &format!("pushed: {taken} taken{refused}"));
    }
}

fn buffer_lines(screen: &mut Screen, buffer: &BufferStat, now: i64) {
    let oldest = buffer.oldest_ms.map_or(String::new(), |oldest| format!(", the oldest {}", ago(now, oldest)));
    screen.item("buffer", &format!("{} not acknowledged{oldest}", counted(buffer.backlog, "record")));
    let last = buffer.last_commit_ms.map_or(String::new(), |last| format!(", the last {}", ago(now, last)));
    let (used, limit) = (octets(buffer.octets), octets(buffer.size_limit));
    screen.item("", &format!("{used} of {limit}; {}{last}", counted(buffer.commits, "commit")));
}

fn uplink_lines(screen: &mut Screen, uplink: &UplinkStatus, now: i64) {
    if !uplink.is_configured {
        return screen.item("uplink", "none configured");
    }
    let state = if uplink.is_connected { "connected" } else { "not connected" };
    let broker = uplink.broker.as_deref().unwrap_or("the broker");
    let since = uplink.since_ms.map_or(String::new(), |since| format!(" for {}", lasting(now, since)));
    screen.item("uplink", &printable(&format!("{state} to {broker}{since}")));
    let last = match uplink.last_acknowledged_ms {
        Some(last) => format!(", the last {}", ago(now, last)),
        None => String::new(),
    };
    let (published, again, flying) = (counted(uplink.published, "batch"), uplink.republished, uplink.in_flight);
    screen.item("", &format!("{published} published, {again} again, {flying} in flight"));
    let by = uplink.acknowledge.as_deref().unwrap_or("head-end");
    screen.item("", &format!("{} acknowledged by the {}{last}", uplink.acknowledged, printable(by)));
}

fn time_word(quality: TimeQuality) -> &'static str {
    match quality {
        TimeQuality::Unsynchronised => "not synchronised",
        TimeQuality::Holdover => "held over",
        TimeQuality::Synchronised => "synchronised",
    }
}

/// Lines with a label; long ones go on under their beginning.
#[derive(Debug, Default)]
struct Screen(String);

impl Screen {
    fn item(&mut self, label: &str, text: &str) {
        let mut line = format!("{label:<11}");
        let mut is_empty = true;
        for word in text.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = format!("{:<13}", "");
            } else if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

const WIDTH: usize = 80;
