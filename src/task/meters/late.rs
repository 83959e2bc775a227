//! What is decoded later: frames whose format was not known yet, and fragments without their message.

use tokio::task::block_in_place;
use tracing::{debug, warn};
use wmbus::{Form, Telegram};

use super::Meters;
use crate::clock::Now;
use crate::reading::from_wmbus::{self, Converted};
use crate::reading::{RawTelegram, Security, meter_id};
use crate::registry::Kept;

impl Meters {
    /// Blocking costs a thread, and the disk a rest, which a burst of telegrams would multiply: only where the time has
    /// come.
    pub(super) fn write_late(&mut self, now: Now) {
        if self.late.is_write_due(now.mono) {
            block_in_place(|| self.late.write());
        }
    }

    /// Reads the frames whose format has become known.
    pub(super) fn decode_due(&mut self) {
        if let Some(error) = self.late.poll_fault() {
            warn!(err = %crate::task::chain(&error), "keep what is decoded later");
        }
        while let Some(Kept { received, links, frame }) = self.late.poll_due() {
            let (form, formats) = (Some(Form::Stripped), self.late.formats());
            let Ok(telegram) = Telegram::decode_with(form, &frame, &*self.keys, formats, &mut self.scratch) else {
                continue;
            };
            let group = self.groups.of(&meter_id(&telegram.address));
            let mut converted = from_wmbus::convert(&telegram, received, links, group);
            self.stand(&mut converted, received.utc_ms, (self.clock)());
            let Converted { source, readings, .. } = converted;
            debug!(meter = %source.meter, count = readings.len(), "decode late");
            if !readings.is_empty() {
                self.selector.offer(&source, readings, (self.clock)());
            }
        }
    }

    /// Fragments without their message go the way of all that is not decoded.
    pub(super) fn give_up_fragments(&mut self, now: Now) {
        while let Some(Kept { received, links, frame: octets }) = self.late.poll_expired() {
            let telegram = Telegram::decode_as(Form::Stripped, &octets, &*self.keys, &mut self.scratch).ok();
            let meter = telegram.map(|telegram| meter_id(&telegram.address));
            meter.iter().for_each(|meter| self.registry.given_up(meter));
            self.keep_raw(
                RawTelegram { meter, received, links, reason: Security::Unsupported, octets, wize: None },
                now,
            );
        }
    }
}
