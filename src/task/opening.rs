//! What the last run left behind, opened; what is damaged is set aside, told and an alarm, and the unit goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;
use tracing::{error, info, warn};
use wmbus::Address;

use super::chain;
use super::meters::Files;
use crate::clock::Now;
use crate::config;
use crate::control::{Alarm, MeshState, MeshStatus, Severity};
use crate::journal::{Audit, Commands, Counters, JournalError};
use crate::reading::{Event, EventKind, MeterId, meter_id};
use crate::registry::{Admission, Late, MeterKeys, Registry, TwoWay};
use crate::store::{self, Body, Lane, Start, Store};

/// Says how the store opened; an alarm where it had to be replaced.
pub(super) fn of_store(opening: &store::Opening, now: Now) -> Vec<Alarm> {
    let store::Opening { epoch, start, unsealed } = opening;
    match start {
        Start::New => info!(%epoch, "new store"),
        Start::Continued => info!(%epoch, unsealed, "store goes on"),
        Start::NewEpoch { previous, reason, quarantine, salvaged } => {
            error!(%epoch, ?previous, %reason, ?quarantine, salvaged, "a new epoch begins");
            let text = match quarantine {
                Some(path) => format!(
                    "the store was replaced at the start ({reason}): {salvaged} records were salvaged, the old one is in {}",
                    path.display()
                ),
                None => format!("a new epoch began at the start ({reason}): {salvaged} records are still there"),
            };
            return vec![alarm("store-replaced", now, text)];
        }
    }
    Vec::new()
}

/// The audit chain. On a full disk readings are forwarded without one, which is told.
pub(super) fn audit(
    state_dir: &Path,
    store: &Store,
    now: Now,
    alarms: &mut Vec<Alarm>,
) -> Result<Option<Audit>, JournalError> {
    let (audit, aside) = match block_in_place(|| Audit::open_or_set_aside(&state_dir.join("audit"), now.utc_ms)) {
        Err(error) if error.is_full() => {
            let detail = format!("no audit is kept until the next start: {}", chain(&error));
            error!(err = %chain(&error), "no audit is kept");
            tell(store, now, "audit.missing", detail.clone());
            alarms.push(alarm("audit-missing", now, detail));
            return Ok(None);
        }
        opened => opened?,
    };
    if let Some(aside) = aside {
        let detail = format!("the audit chain was damaged: a new one begins, the old one is in {}", aside.display());
        error!(path = %aside.display(), "audit chain damaged: a new one begins");
        tell(store, now, "audit.damaged", detail.clone());
        alarms.push(alarm("audit-damaged", now, detail));
    }
    Ok(Some(audit))
}

/// The command journal; None: what was carried out is not known, and a signed order begins it anew.
pub(super) fn commands(path: &Path, store: &Store, now: Now, alarms: &mut Vec<Alarm>) -> Option<Commands> {
    match block_in_place(|| Commands::open(path)) {
        Ok(commands) => Some(commands),
        Err(error) => {
            let why = chain(&error);
            error!(err = %why, "open the command journal");
            let detail = format!("commands of the head-end that change something are rejected: {why}");
            tell(store, now, "commands.lost", detail.clone());
            alarms.push(alarm("commands-lost", now, detail));
            None
        }
    }
}

/// What the last run left of its meters; where it is damaged it begins anew, and that is told.
pub(super) fn meters(
    files: &Files,
    keys: &Arc<MeterKeys>,
    limit: usize,
    store: &Store,
    now: Now,
    alarms: &mut Vec<Alarm>,
) -> Known {
    let mut lost = |path: &Path, why: &str, meaning: &str, code: &str| {
        let detail = format!("{}: {why}: {meaning}", path.display());
        error!(err = why, path = %path.display(), "what was known of the meters is lost");
        tell(store, now, code, detail.clone());
        alarms.push(alarm("meters-lost", now, detail));
    };
    let read = |path: &Path| match block_in_place(|| std::fs::read(path)) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let mut registry = Registry::new(limit).naming(Arc::clone(keys));
    let restored = read(&files.meters)
        .and_then(|left| left.map_or(Ok(()), |left| registry.restore(&left).map_err(|error| chain(&error))));
    if let Err(why) = restored {
        lost(&files.meters, &why, "a meter that fell silent before is not missed", "wmbus.meters_lost");
    }
    let admission = read(&files.counters).and_then(|left| {
        left.map_or(Ok(Admission::fresh(limit)), |left| Admission::parse(limit, &left).map_err(|error| chain(&error)))
    });
    let mut admission = admission.unwrap_or_else(|why| {
        let meaning = "telegrams from before can be replayed until a meter is heard";
        lost(&files.counters, &why, meaning, "wmbus.counters_lost");
        Admission::fresh(limit)
    });
    match block_in_place(|| store.marks(Admission::CHANGES)) {
        Ok(changes) => {
            for (name, value) in changes {
                if !admission.restore(&name, &value) {
                    error!(name = %name.escape_ascii(), "a counter of a meter cannot be read");
                }
            }
        }
        Err(error) => error!(err = %chain(&error), "counters of the last minutes cannot be read"),
    }
    Known { registry, admission }
}

/// What waits to be decoded, and the formats learned so far: worth a warning, never a reason not to start.
pub(super) fn late(path: &Path, keys: &MeterKeys, admission: &Admission, window: Duration, now: Now) -> Late {
    let worth = |sender: &Address| admission.worth(&meter_id(sender), keys);
    match block_in_place(|| Late::open(path, keys, worth, window, now.mono)) {
        Ok((late, None)) => late,
        Ok((late, Some(aside))) => {
            warn!(path = %aside.display(), "learned formats damaged: what is whole in them is used");
            late
        }
        Err(error) => {
            warn!(err = %chain(&error), "learned formats will not survive a restart");
            Late::fresh()
        }
    }
}

/// What is said to meters. A damaged journal is an alarm, and nothing is said then: what was sent is not known.
pub(super) fn two_way(
    state_dir: &Path,
    own: Option<MeterId>,
    now: Now,
    alarms: &mut Vec<Alarm>,
) -> (Option<Address>, Result<TwoWay, String>) {
    let Some(MeterId::MBus { manufacturer, identification, version, device_type }) = own else {
        let why = "the unit has no address of its own: `unit.address` gives it one, and then it may speak to meters";
        return (None, Err(why.to_owned()));
    };
    let own = Address { manufacturer: manufacturer.0, identification, version, device_type };
    let two_way = block_in_place(|| TwoWay::open(state_dir, own, now)).map_err(|error| {
        let why = format!("{}: move the file away to begin anew", chain(&error));
        error!(err = why, "no meter is told anything");
        alarms.push(alarm("orders-lost", now, why.clone()));
        why
    });
    (Some(own), two_way)
}

/// Invocation counters that were reserved. Of a damaged file what is found is raised, never lowered.
pub(super) fn invocation_counters(
    state_dir: &Path,
    store: &Store,
    now: Now,
    alarms: &mut Vec<Alarm>,
) -> Result<Counters, JournalError> {
    let path = state_dir.join("invocation-counters");
    match block_in_place(|| Counters::open(&path, COUNTERS_BLOCK)) {
        Err(error @ JournalError::Damaged { .. }) => {
            let detail = format!(
                "{}: what is left of it was raised; a meter of which nothing is left refuses until its counter is read",
                chain(&error)
            );
            error!(err = %chain(&error), "invocation counters damaged");
            tell(store, now, "electricity.counters_damaged", detail.clone());
            alarms.push(alarm("counters-damaged", now, detail));
            block_in_place(|| Counters::salvage(&path, COUNTERS_BLOCK))
        }
        opened => opened,
    }
}

/// The meters of the last run.
pub(super) struct Known {
    pub(super) registry: Registry,
    pub(super) admission: Admission,
}

/// A record for lane P1.
fn tell(store: &Store, now: Now, code: &str, detail: String) {
    let kind = EventKind::Unit { code: code.to_owned(), detail };
    let event = Body::Event(Event { received: now.received(), meter: None, kind });
    if let Err(error) = block_in_place(|| store.append(vec![(Lane::Security, event)], None)) {
        warn!(err = %error, "record event");
    }
}

/// A network whose keys and counters are not known for sure does not run: one that begins anew would lock its nodes out.
pub(super) fn no_network(said: &config::Plc, error: &JournalError, now: Now) -> (Alarm, MeshStatus) {
    let (name, why) = (&said.name, super::chain(error));
    error!(network = name, err = %why, "open network");
    let advice = "restore the file, or move it away to begin a new network";
    let status = MeshStatus {
        network: name.clone(),
        source: said.source.to_string(),
        state: MeshState::Failed,
        since_ms: now.utc_ms,
        error: Some(format!("{why}; {advice}")),
        band: said.band.name().to_owned(),
        pan_id: format!("{:04x}", said.pan_id),
        rekey: "settled".to_owned(),
        ..MeshStatus::default()
    };
    (alarm("network-lost", now, format!("network {name} does not run: {why}; {advice}")), status)
}

fn alarm(code: &str, now: Now, text: String) -> Alarm {
    Alarm { code: code.to_owned(), severity: Severity::Fault, since_ms: now.utc_ms, text }
}

/// Reserved at once for each meter: with more of them flash is spared, with less a restart costs fewer of 2^32.
const COUNTERS_BLOCK: u64 = 4_096;
