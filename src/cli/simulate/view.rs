//! The live view of a simulation: rates, meters, backlog, the latest readings. `q` ends it.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};

use crate::simulate::report::{ElectricityProgress, Phase, Progress};
use crate::simulate::run::Wish;

/// The terminal, taken over until this is dropped.
pub(super) struct View {
    terminal: DefaultTerminal,
    seed: u64,
    /// Readings a second, sent and delivered, the oldest first.
    rates: VecDeque<(u64, u64)>,
    /// Elapsed time, readings sent and delivered, when the last rate was taken.
    last: (Duration, u64, u64),
}

impl View {
    pub(super) fn open(seed: u64) -> anyhow::Result<Self> {
        let terminal = ratatui::try_init().context("take over the terminal")?;
        Ok(Self { terminal, seed, rates: VecDeque::new(), last: (Duration::ZERO, 0, 0) })
    }

    pub(super) fn show(&mut self, progress: &Progress) -> Wish {
        self.note(progress);
        let (rates, seed) = (&self.rates, self.seed);
        // A terminal that cannot be drawn on is no reason to end the run.
        let _ = self.terminal.draw(|frame| {
            let [head, flow, state, sent, delivered, last] = Layout::vertical([
                Constraint::Length(1),
                Constraint::Length(7 + u16::from(progress.electricity.is_some())),
                Constraint::Length(3),
                Constraint::Length(5),
                Constraint::Length(5),
                Constraint::Min(3),
            ])
            .areas(frame.area());
            frame.render_widget(title(progress, seed), head);
            frame.render_widget(Paragraph::new(flows(progress)).block(Block::bordered().title(" readings ")), flow);
            let share = if progress.heard == 0 { 0.0 } else { progress.delivered as f64 / progress.heard as f64 };
            let gauge = Gauge::default()
                .block(Block::bordered().title(" at the head-end "))
                .gauge_style(Style::new().fg(Color::Green))
                .ratio(share.clamp(0.0, 1.0))
                .label(format!("{} of {} heard", progress.delivered, progress.heard));
            frame.render_widget(gauge, state);
            let columns = usize::from(sent.width.saturating_sub(2));
            let newest = rates.iter().skip(rates.len().saturating_sub(columns));
            let (ups, downs): (Vec<_>, Vec<_>) = newest.copied().unzip();
            for (area, row, name, color) in
                [(sent, ups, "sent", Color::Yellow), (delivered, downs, "delivered", Color::Green)]
            {
                let title = format!(" {name}: {}/s ", row.last().copied().unwrap_or(0));
                let spark = Sparkline::default().data(&row).style(Style::new().fg(color));
                frame.render_widget(spark.block(Block::bordered().title(title)), area);
            }
            let lines: Vec<_> = progress.last.iter().rev().map(|line| Line::raw(line.as_str())).collect();
            frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" latest readings ")), last);
        });
        if is_end_asked() { Wish::End } else { Wish::GoOn }
    }

    fn note(&mut self, progress: &Progress) {
        let (elapsed, sent, delivered) = self.last;
        let passed = progress.elapsed.saturating_sub(elapsed).as_secs_f64();
        if passed >= 1.0 {
            let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / passed).round() as u64;
            self.rates.push_back((rate(progress.tally.sent, sent), rate(progress.delivered, delivered)));
            self.last = (progress.elapsed, progress.tally.sent, progress.delivered);
        }
        if self.rates.len() > MOST_RATES {
            self.rates.pop_front();
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn title(progress: &Progress, seed: u64) -> Line<'static> {
    let phase = match progress.phase {
        Phase::Starting => "starting".yellow(),
        Phase::Speaking => "the meters speak".green(),
        Phase::Draining => "waiting for the last readings".cyan(),
    };
    let mut spans = vec![
        "dcu simulate ".bold(),
        Span::raw(format!("{:>6.1} s  ", progress.elapsed.as_secs_f64())),
        phase,
        Span::raw(format!("  seed {seed}  ")),
    ];
    if progress.is_down {
        spans.push("the broker is away  ".red());
    } else if !progress.is_connected && progress.phase != Phase::Starting {
        spans.push("not connected  ".yellow());
    }
    spans.push("q ends".dim());
    Line::from(spans)
}

fn flows(progress: &Progress) -> Vec<Line<'static>> {
    let Progress { tally, meters: (meters, known), usage, .. } = progress;
    let row = |name: &'static str, figure: u64, rest: String| {
        Line::from(vec![Span::raw(format!("{name:<10}")), Span::raw(format!("{figure:>10}  ")).bold(), rest.into()])
    };
    let written = usage.written_bytes.map_or_else(|| "-".to_owned(), |octets| format!("{} KiB", octets >> 10));
    let mut rows = vec![
        row(
            "sent",
            tally.sent,
            format!("in {} telegrams, {} lost or damaged on the way", tally.telegrams, tally.faulty),
        ),
        row("decoded", progress.decoded, format!("{known} of {meters} meters have arrived at the head-end")),
        row(
            "stored",
            tally.stored,
            format!("backlog {}, {} batches acknowledged", progress.backlog, progress.acknowledged),
        ),
        row("delivered", progress.delivered, format!("{} KiB on the wire", progress.wire_bytes >> 10)),
        row("memory", usage.peak_rss_bytes >> 10, format!("KiB at most, {written} written, {} kills", progress.kills)),
    ];
    if let Some(ElectricityProgress { days, arrived, meters, active, .. }) = progress.electricity {
        let rest = format!("values of {days:.2} days; {active} of {meters} electricity meters answer");
        rows.push(row("read", arrived, rest));
    }
    rows
}

/// Whether `q` or Ctrl-C was pressed since the last look.
fn is_end_asked() -> bool {
    let mut is_asked = false;
    while event::poll(Duration::ZERO).unwrap_or(false) {
        let Ok(Event::Key(key)) = event::read() else { continue };
        let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        is_asked |= key.kind == KeyEventKind::Press
            && (is_interrupt || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc));
    }
    is_asked
}

const MOST_RATES: usize = 1_000;
