//! The keys that a line is decoded with, and keys that stand where a telegram should.

use wmbus::spec::c_field_name;
use wmbus::{Form, Key, Keys, Maker, Reject, Telegram};

use crate::registry::MeterKeys;

/// The key of the line, else the one of the file.
pub(super) struct LineKeys<'a> {
    pub(super) line: Option<Key>,
    pub(super) file: &'a MeterKeys,
}

impl Keys for LineKeys<'_> {
    fn key(&self, address: &wmbus::Address) -> Option<&Key> {
        self.line.as_ref().or_else(|| self.file.key(address))
    }

    fn is_for_all(&self, address: &wmbus::Address) -> bool {
        self.line.is_none() && self.file.is_for_all(address)
    }

    fn numbered_key(&self, address: &wmbus::Address, key_id: u8) -> Option<&Key> {
        self.line.as_ref().or_else(|| self.file.numbered_key(address, key_id))
    }

    fn network_key(&self, network: u8) -> Option<&Key> {
        self.file.network_key(network)
    }
}

/// Whether nothing proves that these octets are a telegram, and as many are a key: then nothing of them is told.
pub(super) fn may_be_key(telegram: &Telegram<'_>, octets: &[u8]) -> bool {
    let &[l_field, c_field, low, high, ..] = octets else { return false };
    let has_maker = Maker(u16::from_le_bytes([low, high])).letters().is_some();
    let is_frame = usize::from(l_field) < KEY && c_field_name(c_field) != "?" && has_maker;
    // A compact frame is read later.
    let is_read = telegram.reject.is_none_or(|reject| reject == Reject::CompactFrame);
    // All other forms have check sums.
    octets.len() == KEY && telegram.form == Form::Stripped && !(is_frame && is_read)
}

/// Octets of a key.
const KEY: usize = 16;
