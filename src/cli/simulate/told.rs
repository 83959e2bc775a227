//! What `dcu simulate` tells without the live view: a line every other second, and a summary.

use std::time::Duration;

use crate::simulate::report::{Electricity, ElectricityProgress, Forming, Phase, Progress, Radio, Report};
use crate::simulate::run::{Options, Wish};

/// What is simulated.
pub(super) fn title(options: &Options) -> String {
    let radio = options.radio.as_ref().map(|radio| format!(", {} meters", radio.meters));
    let electricity = options.electricity.map(|electricity| {
        let place = match (electricity.has_plc, electricity.network) {
            (_, Some(_)) => "in a network behind a modem",
            (true, None) => "behind a modem",
            (false, None) => "on sockets",
        };
        format!(", {} electricity meters {place}", electricity.meters)
    });
    let (radio, electricity) = (radio.unwrap_or_default(), electricity.unwrap_or_default());
    format!("seed {}{radio}{electricity}, faults {}", options.seed, options.faults)
}

/// One line every other second.
#[derive(Default)]
pub(super) struct Lines {
    next: Duration,
    phase: Option<Phase>,
}

impl Lines {
    pub(super) fn show(&mut self, progress: &Progress) -> Wish {
        if progress.elapsed >= self.next || self.phase != Some(progress.phase) {
            self.next = progress.elapsed + EVERY;
            self.phase = Some(progress.phase);
            eprintln!("{}", line(progress));
        }
        Wish::GoOn
    }
}

fn line(progress: &Progress) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    let forming = progress.electricity.and_then(|it| it.forming).map(forms);
    let what = match progress.phase {
        Phase::Starting => return format!("{seconds:6.1} s  starting{}", forming.unwrap_or_default()),
        Phase::Speaking => "speaking",
        Phase::Draining => "draining",
    };
    let Progress { tally, heard, delivered, backlog, meters: (meters, known), .. } = progress;
    let mut line = format!("{seconds:6.1} s  {what}: ");
    if *meters > 0 {
        line.push_str(&format!(
            "{} telegrams, readings {} sent, {heard} heard, {} stored, {delivered} delivered; {known} of {meters} meters, ",
            tally.telegrams, tally.sent, tally.stored,
        ));
    }
    if let Some(ElectricityProgress { days, arrived, meters, active, .. }) = progress.electricity {
        line.push_str(&format!(
            "day {days:.2}, {arrived} values arrived, {} stored; {active} of {meters} meters answer, ",
            tally.others_stored
        ));
    }
    line.push_str(&format!("backlog {backlog}"));
    // The service reads on, and so its backlog is not what is waited for.
    if let Some(awaited) = progress.awaited.filter(|awaited| !awaited.is_nothing()) {
        line.push_str(&format!(", awaited {awaited}"));
    }
    if progress.is_down {
        line.push_str(", broker away");
    }
    if progress.garbage > 0 {
        line.push_str(&format!(", {} of garbage, {} KiB of memory", progress.garbage, progress.rss_bytes / 1024));
    }
    if progress.kills > 0 {
        line.push_str(&format!(", {} kills", progress.kills));
    }
    line
}

/// Who has joined a network that forms, and for whom it is waited.
fn forms(Forming { joined, nodes, needed, at_the_latest }: Forming) -> String {
    let minutes = at_the_latest.as_secs().div_ceil(60);
    format!(
        ": {joined} of {nodes} nodes joined; the days of --for begin when {needed} have, in {minutes} min at the latest"
    )
}

/// What came of it.
pub(super) fn summary(report: &Report, options: &Options) -> String {
    let total = &report.total;
    let mut text = String::new();
    if let Some(part) = &report.radio {
        let receivers = options.radio.as_ref().map_or(0, |radio| radio.receivers.len());
        text.push_str(&radio(part, receivers, total.seconds));
    }
    if let Some(part) = &report.electricity {
        text.push_str(&electricity(part, total.seconds));
    }
    if let Some(part) = report.radio.as_ref().filter(|part| part.garbage > 0) {
        let series: Vec<_> = total.rss_kib.iter().map(u64::to_string).collect();
        text.push_str(&format!(
            "garbage      {:>9} telegrams that were none; memory every 30 s, KiB: {}\n",
            part.garbage,
            series.join(" ")
        ));
    }
    if let Some(part) = report.radio.as_ref().filter(|_| total.kills > 0) {
        text.push_str(&format!("in_window    {:>9} in open commit windows\n", part.in_window));
    }
    if total.kills > 0 {
        text.push_str(&format!("kills        {:>9}\n", total.kills));
    }
    text.push_str(&format!(
        "arrived      {:>9} readings and values at the head-end, in all\n\
         duplicates   {:>9} records arrived again and were dropped\n\
         a reading    {:>9} octets between service and broker, {} written to the disk\n\
         memory       {:>9} KiB at most\n\
         seed         {:>9}\n",
        total.arrived,
        total.duplicates,
        figure(total.wire_bytes_per_reading),
        figure(total.written_bytes_per_reading),
        total.peak_rss_bytes / 1024,
        total.seed,
    ));
    text
}

fn figure(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}

fn radio(part: &Radio, receivers: usize, seconds: f64) -> String {
    let mut text = format!(
        "sent         {:>9} readings in {} telegrams of {} meters, {seconds:.1} s\n\
         heard        {:>9} intact at the service's ports\n\
         decoded      {:>9}\n\
         stored       {:>9} durable\n\
         delivered    {:>9} at the head-end\n\
         lost         {:>9}\n",
        part.sent, part.telegrams, part.meters, part.heard, part.decoded, part.stored, part.delivered, part.lost,
    );
    if receivers > 1 {
        text.push_str(&format!("copies       {:>9} telegrams from one more of {receivers} receivers\n", part.copies));
    }
    text
}

fn electricity(part: &Electricity, seconds: f64) -> String {
    let mut text = format!(
        "expected     {:>9} values of the slots of {:.2} days of {} electricity meters, {seconds:.1} s\n\
         delivered    {:>9} of them\n\
         completeness {:>9}\n\
         gaps         {:>9} values of slots while their meter was away, {} filled in\n\
         lost         {:>9}\n\
         doubled      {:>9}\n\
         stored       {:>9} records\n",
        part.expected,
        part.days,
        part.meters,
        part.delivered,
        figure(part.completeness),
        part.gaps,
        part.backfilled,
        part.lost,
        part.doubled,
        part.stored,
    );
    if let Some(joins) = part.joins {
        text.push_str(&format!("joins        {joins:>9} of nodes\n"));
    }
    if let Some(network) = &part.network {
        text.push_str(&format!(
            "network      {:>9} of {} nodes in it after {:.1} h; airtime, s: {:.0} data, {:.0} joining, {:.0} routes\n\
             processor    {:>9} % of a core {} times as fast, {} % unscaled\n",
            network.joined,
            network.nodes,
            network.hours,
            network.data_airtime_s,
            network.join_airtime_s,
            network.route_airtime_s,
            figure(network.cpu_percent),
            network.speed,
            figure(network.cpu_percent_unscaled),
        ));
    }
    text
}

/// The first of what must not be, a line each.
pub(super) fn samples(report: &Report) -> impl Iterator<Item = String> + '_ {
    let radio = report.radio.iter().flat_map(|it| [("never sent", &it.strange_samples), ("lost", &it.lost_samples)]);
    let electricity = report.electricity.iter();
    let electricity = electricity.flat_map(|it| [("never had", &it.strange_samples), ("missing", &it.missing_samples)]);
    radio.chain(electricity).flat_map(|(what, samples)| samples.iter().map(move |sample| format!("{what}: {sample}")))
}

const EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_forms_says_who_is_in_it_and_when_the_days_begin() {
        let forming = Forming { joined: 24, nodes: 55, needed: 53, at_the_latest: Duration::from_secs(301) };
        let said = ": 24 of 55 nodes joined; the days of --for begin when 53 have, in 6 min at the latest";
        assert_eq!(forms(forming), said);
    }

    #[test]
    fn what_there_is_none_of_is_a_dash() {
        assert_eq!((figure(None), figure(Some(0.5))), ("-".to_owned(), "0.5".to_owned()));
    }
}
