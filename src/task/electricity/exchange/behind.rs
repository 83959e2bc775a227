//! Meters behind an electricity meter, class 72: what stands in 0-n:24.x is theirs, and told as theirs.

use dlms::Data;
use dlms::apdu::Attribute;
use dlms::cosem::{MbusClient, class};

use super::{Job, Outcome, Trouble};
use crate::reading::from_cosem::Context;
use crate::reading::{MeterId, Obis, Path};
use crate::schedule::End;
use crate::task::electricity::Session;

/// The channel that an object is of.
pub(in crate::task::electricity) const fn channel(object: Obis) -> Option<u8> {
    match object.0 {
        [0, channel @ 1..=CHANNELS, 24, ..] => Some(channel),
        _ => None,
    }
}

impl Job {
    /// Whose readings an object's are: the meter's own, or those of one behind it, which is asked for each time.
    pub(super) async fn context_of(
        &self,
        object: Obis,
        session: &mut Session,
        outcome: &mut Outcome,
    ) -> Result<Context, Trouble> {
        let own = self.context();
        let Some(channel) = channel(object) else { return Ok(own) };
        if let Some((_, Some(meter))) = outcome.channels.iter().find(|(other, _)| *other == channel) {
            return Ok(behind_it(own, *meter));
        }
        let found = identity(channel, session).await?;
        outcome.channels.push((channel, found));
        let meter = found.ok_or_else(|| Trouble::refused(format!("nothing is installed on channel {channel}")))?;
        Ok(behind_it(own, meter))
    }

    /// Who is on each channel that there is.
    pub(super) async fn look_behind(&self, session: &mut Session, outcome: &mut Outcome) -> Result<(), Trouble> {
        for channel in 1..=CHANNELS {
            match identity(channel, session).await {
                Ok(found) => outcome.channels.push((channel, found)),
                Err(trouble) if trouble.end == End::Refused => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }
}

/// Who is on a channel; None: nobody.
pub(super) async fn identity(channel: u8, session: &mut Session) -> Result<Option<MeterId>, Trouble> {
    let mut octets = Vec::new();
    for attribute in 6..=9 {
        octets.push(session.get(Attribute::new(class::MBUS_CLIENT, client_of(channel), attribute), None).await?);
    }
    let values: Vec<_> = octets.iter().map(|octets| Data::parse_all(octets)).collect::<Result<_, _>>()?;
    let values: [Data<'_>; 4] = values.try_into().unwrap_or([Data::NullData; 4]);
    Ok(MeterId::behind(&MbusClient::new(values)?))
}

/// IEC 62056-6-1: 0-n:24.1.0, the M-Bus client of a channel.
pub(super) const fn client_of(channel: u8) -> dlms::Obis {
    dlms::Obis::new(0, channel, 24, 1, 0, 255)
}

/// What readings of a meter behind this one have in common.
pub(in crate::task::electricity) fn behind_it(own: Context, meter: MeterId) -> Context {
    Context { path: Path::Behind(own.meter), meter, ..own }
}

/// IEC 62056-6-1: M-Bus channels of an electricity meter.
pub(in crate::task::electricity) const CHANNELS: u8 = 4;
