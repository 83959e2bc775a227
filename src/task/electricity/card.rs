//! Electricity meters as people see them: a line each, and the card of one.

use super::collector::Collector;
use super::demand::Demand;
use super::known::{Known, Member};
use crate::control::{ElectricityCard, ElectricityTask, MeterCard, MeterLine};
use crate::reading::MeterId;
use crate::schedule::MeterNo;

impl Collector {
    /// All meters, as the list of meters has them.
    pub(super) fn meter_lines(&self) -> Vec<MeterLine> {
        self.meters.iter().map(line).collect()
    }

    pub(super) fn meter_card(&self, id: &str) -> Option<MeterCard> {
        self.card(self.numbered(id)?)
    }

    pub(super) fn card(&self, no: MeterNo) -> Option<MeterCard> {
        let known = self.meters.get(no.0 as usize)?;
        let state = self.schedule.state(no).unwrap_or_default();
        let task = |member: &Member| {
            let (said, progress) = (self.config.tasks.get(member.task)?, self.schedule.progress(no, member.task)?);
            let complete_until_ms = said.grid.end(progress.watermark() - 1).saturating_mul(1_000);
            Some(ElectricityTask { id: said.id.clone(), complete_until_ms, lost: progress.lost() })
        };
        Some(MeterCard {
            line: line(known),
            has_key: known.party.credential.is_some(),
            counter: known.received,
            policy: "tasks".to_owned(),
            electricity: Some(ElectricityCard {
                state: state.name().to_owned(),
                channel: known.party.channel.name.clone(),
                replaced_by: known.successor.map(|title| MeterId::SystemTitle(title).to_string()),
                pending: self.pending(no),
                clock_ahead_ms: known.offset.map(|(ahead, _)| ahead),
                detail: known.detail.clone(),
                behind: known
                    .channels
                    .iter()
                    .map(|(channel, meter)| (channel.to_string(), meter.to_string()))
                    .collect(),
                tasks: known.tasks.iter().filter_map(task).collect(),
            }),
            ..MeterCard::default()
        })
    }

    /// What is begun with a meter and not done.
    fn pending(&self, no: MeterNo) -> Option<String> {
        if self.leaving.iter().any(|(leaving, _)| *leaving == no) {
            return Some("handed over once what is under way with it has ended".to_owned());
        }
        let named = |no: MeterNo| self.meters.get(no.0 as usize).map(|known| known.id().to_string());
        self.demands_of(no).find_map(|demand| match demand {
            Demand::Final(new) => {
                let new = named(*new)?;
                Some(format!("replaced by {new} once it has told its final registers, or has not answered"))
            }
            Demand::First(old) => Some(format!("in the place of {}; its first registers are awaited", named(*old)?)),
            Demand::Scales(_) | Demand::Channel { .. } => None,
        })
    }
}

fn line(known: &Known) -> MeterLine {
    let manner = &known.party.meter.manner;
    MeterLine {
        id: known.id().to_string(),
        medium: "electricity".to_owned(),
        group: known.party.meter.group.clone(),
        security: Some(
            match manner.security {
                0 => "plain",
                control if control & 0x10 != 0 => "authenticated",
                _ => "decrypted",
            }
            .to_owned(),
        ),
        telegrams: Some(0),
        last_heard_ms: known.answered_ms,
        rssi_dbm: None,
    }
}
