//! The end of a run: everybody goes off, and what came of it is told.

use std::time::Duration;

use super::{COMPLETE, Stage};
use crate::control::Status;
use crate::simulate::report::{Radio, Report, Total, each, thousandth};
use crate::simulate::run::Error;
use crate::simulate::{consumer, electricity};
use crate::store::{Lane, RESERVE};

impl Stage<'_> {
    /// Everybody goes off; what came of it. `complaint` says what was not waited for.
    pub(super) async fn close(mut self, lasted: Duration, complaint: Option<String>) -> Result<Report, Error> {
        let last = self.control.status().await.ok();
        let decoded = self.figures.borrow().decoded();
        self.service.stop(STOP).await?;
        while let Ok(commit) = self.commits.try_recv() {
            self.committed(&commit)?;
        }
        let repeated = self.watcher.news().borrow().counts.repeated;
        let (account, electricity) = (&mut self.account, &mut self.electricity);
        consumer::close(self.watcher, &mut self.arrivals, |arrival| {
            consumer::arrive(account, electricity.as_mut(), arrival);
        })
        .await?;
        let window = self.options.commit_window;
        let (account, tally) = (&self.account, self.account.tally());
        let verdict = account.verdict(window, self.options.policy == COMPLETE);
        let ledger = account.ledger();
        let radio = self.radio.as_ref().map(|radio| Radio {
            meters: radio.options().meters,
            sent: tally.sent,
            heard: ledger.expected(),
            decoded: decoded.max(last.as_ref().map_or(0, |status| status.meters.readings)),
            stored: tally.stored.max(last.as_ref().map_or(0, heard)),
            delivered: ledger.matched(),
            lost: verdict.lost,
            in_window: verdict.in_window,
            strange: ledger.strange(),
            disordered: verdict.disordered,
            telegrams: tally.telegrams,
            copies: tally.copies,
            garbage: radio.garbage(),
            strange_samples: ledger.samples().to_vec(),
            lost_samples: if verdict.lost > 0 { account.strays(window) } else { Vec::new() },
        });
        let read = self.electricity.as_ref().map(electricity::Part::ledger);
        let electricity =
            self.electricity.as_ref().map(|it| it.report(tally.others_stored, verdict.others_lost, self.cpu));
        let arrived = ledger.matched() + read.map_or(0, electricity::Ledger::arrived);
        let stored = radio.as_ref().map_or(0, |it| it.stored) + electricity.as_ref().map_or(0, |it| it.stored);
        let usage = self.service.usage();
        // A unit that is new writes its reserve first, and never again.
        let reserve = if self.options.state.is_none() { RESERVE } else { 0 };
        let written =
            usage.written_bytes.and_then(|written| written.checked_sub(reserve)).filter(|written| *written > 0);
        Ok(Report {
            total: Total {
                arrived,
                duplicates: tally.duplicates + repeated,
                lost: verdict.lost + verdict.others_lost,
                strange: ledger.strange() + read.map_or(0, electricity::Ledger::strange),
                stored,
                wire_bytes_per_reading: each(self.proxy.up() + self.proxy.down(), arrived),
                written_bytes_per_reading: written.and_then(|written| each(written, stored)),
                peak_rss_bytes: usage.peak_rss_bytes,
                rss_kib: self.memory.samples,
                seconds: thousandth(lasted.as_secs_f64()),
                kills: self.kills.count(),
                seed: self.options.seed,
                timed_out: complaint.is_some(),
                complaint,
            },
            radio,
            electricity,
        })
    }
}

/// Records of what was heard, by the service's own count.
fn heard(status: &Status) -> u64 {
    let lanes = &status.buffer.lanes;
    lanes.iter().find(|stat| stat.lane == Lane::MBus.name()).map_or(0, |stat| stat.last)
}

const STOP: Duration = Duration::from_secs(15);
