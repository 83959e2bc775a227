//! What the store says, made available to the other tasks: its latest word in a watch, its commits as a stream.
//!
//! The store calls on its own thread and must not wait: nothing here does.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};
use tracing::{debug, error, info, warn};

use crate::clock::ReadClock;
use crate::control::{CommitLine, Range};
use crate::store::{Commit, Epoch, Lane, OnReport, Report};

/// The store's latest word.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    /// The last durable sealed sequence of every lane, and its epoch.
    pub(super) sealed: BTreeMap<Lane, (Epoch, u64)>,
    pub(super) commits: u64,
    pub(super) last_commit_ms: Option<i64>,
    /// Records evicted before they were acknowledged, since the service started.
    pub(super) evicted: u64,
    /// Databases set aside since the service started.
    pub(super) quarantined: u64,
    /// Why commits do not succeed, while they do not.
    pub(super) trouble: Option<String>,
}

/// The store's callback and where its word is to be read.
pub(super) fn channel(
    clock: ReadClock,
    commits: broadcast::Sender<Arc<CommitLine>>,
) -> (OnReport, watch::Receiver<News>) {
    let (news, latest) = watch::channel(News::default());
    let on_report = move |report: Report| match report {
        Report::Committed(commit) => {
            let at_ms = clock().utc_ms;
            debug!(count = commit.count, commit = commit.number, "committed");
            if commits.receiver_count() > 0 {
                // Nobody reads any more: the stream has ended, which is no fault.
                let _ = commits.send(Arc::new(line(&commit, at_ms)));
            }
            news.send_modify(|news| {
                news.commits += 1;
                news.last_commit_ms = Some(at_ms);
            });
        }
        Report::Sealed { epoch, lane, last } => {
            news.send_modify(|news| {
                news.sealed.insert(lane, (epoch, last));
            });
        }
        Report::Trouble { reason, full } => {
            if full {
                error!(err = %reason, "disk full: readings wait in memory");
            } else {
                error!(err = %reason, "commit failed: readings wait in memory");
            }
            news.send_modify(|news| news.trouble = Some(reason));
        }
        Report::Recovered => {
            info!("commits succeed again");
            news.send_modify(|news| news.trouble = None);
        }
        Report::Replaced(opening) => {
            error!(epoch = %opening.epoch, start = ?opening.start, "database replaced while running");
            news.send_modify(|news| news.quarantined += 1);
        }
        Report::Evicted { epoch, lane, first, last, reason } => {
            warn!(%epoch, %lane, first, last, reason, "batches evicted before they were acknowledged");
            news.send_modify(|news| news.evicted += last.saturating_sub(first) + 1);
        }
    };
    (Box::new(on_report), latest)
}

fn line(commit: &Commit, at_ms: i64) -> CommitLine {
    let range = |lane: &crate::store::CommittedLane| Range {
        lane: lane.lane.name().to_owned(),
        first: lane.first,
        last: lane.last,
    };
    CommitLine { epoch: commit.epoch.to_string(), at_ms, ranges: commit.lanes.iter().map(range).collect() }
}
