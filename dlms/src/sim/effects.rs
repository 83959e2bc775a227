//! What methods bring about beyond their object: pushes and new keys.

use std::collections::VecDeque;
use std::time::Instant;

use super::Effect;
use super::server::Server;
use super::session::Stage;
use crate::Data;
use crate::apdu::{Apdu, DataNotification};
use crate::cosem::KeyKind;
use crate::data::encode;
use crate::security::{AuthenticationKey, EncryptionKey, Form, SecurityControl};

impl Server {
    /// Sends the values of objects to a client that did not ask.
    pub fn push(&mut self, client: u16, objects: &[crate::apdu::CaptureObject], now: Instant) {
        self.tick(now);
        let body = encode(|out| {
            out.structure(objects.len());
            for object in objects {
                let octets = self.meter.get(&object.attribute, None);
                out.raw(&octets.unwrap_or_else(|_| Data::NullData.octets()));
            }
        });
        let Ok(body) = Data::parse_all(&body) else { return };
        let date_time = Some(self.meter.world.clock.date_time(self.meter.world.unix()));
        let apdu = Apdu::DataNotification(DataNotification { long_invoke_id: 1, date_time, body }).octets();
        self.notify(client, apdu, now);
    }

    /// Sends an APDU to a client that did not ask, protected as its association is, or would be.
    pub fn notify(&mut self, client: u16, apdu: Vec<u8>, now: Instant) {
        let access = self.accesses.iter().find(|access| access.client == client && access.is_protected);
        let keys = access.and_then(|access| access.ciphering.clone());
        let apdu = match self.sessions.get(&client).filter(|session| session.stage == Stage::Associated) {
            Some(session) if session.is_protected => self.protect(client, apdu),
            Some(_) => apdu,
            None => match keys {
                Some(keys) => {
                    let counter = self.sent.entry(client).or_default();
                    *counter += 1;
                    let control = SecurityControl::full(keys.suite);
                    keys.protect(&apdu, Form::Global, control, *counter - 1).unwrap_or(apdu)
                }
                None => apdu,
            },
        };
        let mut out = VecDeque::new();
        self.port.notify(client, &apdu, now, &mut out);
        self.transmit(out, now);
    }

    /// What methods brought about that the server does.
    pub(super) fn carry_out(&mut self, client: u16, now: Instant) {
        for effect in std::mem::take(&mut self.meter.world.effects) {
            match &effect {
                Effect::Push(objects) => self.push(client, objects, now),
                Effect::Keys(keys) => {
                    for ciphering in self.accesses.iter_mut().filter_map(|access| access.ciphering.as_mut()) {
                        for (kind, key) in keys {
                            let (key, secret) =
                                (EncryptionKey::new(key.octets()), AuthenticationKey::new(key.octets()));
                            match (kind, key, secret) {
                                (KeyKind::GlobalUnicastEncryption, Ok(key), _) => ciphering.global = key,
                                (KeyKind::GlobalBroadcastEncryption, Ok(key), _) => ciphering.broadcast = Some(key),
                                (KeyKind::Authentication, _, Ok(key)) => ciphering.authentication = key,
                                _ => {}
                            }
                        }
                    }
                }
                _ => {}
            }
            self.effects.push_back(effect);
        }
    }
}
