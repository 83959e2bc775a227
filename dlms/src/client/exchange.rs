//! How requests go out and answers come in: protection, blocks, repeats.

use std::time::Instant;

use super::response::Step;
use super::{Cause, Client, Event, Failure, Service, State};
use crate::Reject;
use crate::acse;
use crate::apdu::{Apdu, BlockControl, GeneralBlockTransfer, InvokeId, tag};
use crate::block_transfer::{BlockReceiver, BlockSender, Progress};
use crate::gateway::{Direction, GatewayAddress};
use crate::security::{GeneralSigning, HEADROOM, SystemTitle, is_ciphered};
use crate::spec::{Conformance, DataAccessResult};

impl Client {
    /// Sends the next request that waits.
    pub(super) fn ask(&mut self, now: Instant) {
        while self.state == State::Associated && self.current.is_none() {
            let Some(job) = self.waiting.pop_front() else { return };
            self.current = Some(job);
            (self.repeats_left, self.restarts_left) = (self.settings.repeats, self.settings.repeats);
            self.count();
            self.begin(now);
        }
    }

    fn count(&mut self) {
        self.invoke_id = InvokeId::new((self.invoke_id & 0x0f) + 1).0;
    }

    fn begin(&mut self, now: Instant) {
        let (limit, invoke_id) = (self.limit(), self.invoke_id);
        let Some(job) = &mut self.current else { return };
        let has_blocks = self.association.conformance.has(match job.service {
            Service::Get | Service::GetList => Conformance::BLOCK_TRANSFER_WITH_GET,
            Service::Set | Service::SetList => Conformance::BLOCK_TRANSFER_WITH_SET,
            Service::Action | Service::ActionList => Conformance::BLOCK_TRANSFER_WITH_ACTION,
        });
        let request = job.request(invoke_id, limit, has_blocks);
        self.send_request(request, now);
    }

    fn send_request(&mut self, request: Vec<u8>, now: Instant) {
        match self.send(request, now) {
            Ok(()) => self.deadline = Some(now + self.settings.timeout),
            Err(Cause::Rejected(reject)) => self.finish(Err(Cause::Unsendable(reject)), now),
            Err(cause) => self.finish(Err(cause), now),
        }
    }

    /// Octets of a request in the clear that the meter takes whole.
    fn limit(&self) -> usize {
        let most = match self.association.max_receive_pdu_size {
            0 => usize::from(u16::MAX),
            size => usize::from(size),
        };
        let around = if self.settings.protection.is_some() { HEADROOM } else { 0 }
            + if self.settings.signing.is_some() { SIGNING_HEADROOM } else { 0 };
        most.saturating_sub(around).max(MIN_APDU)
    }

    /// Protects an APDU and sends it, in blocks where it is long and the meter takes blocks.
    pub(super) fn send(&mut self, apdu: Vec<u8>, now: Instant) -> Result<(), Cause> {
        let octets = match (self.settings.protection, &self.settings.ciphering) {
            (None, _) => apdu,
            (Some(_), None) => return Err(Reject::NoKey.into()),
            (Some(protection), Some(ciphering)) => {
                let counter = self.sent.take().ok_or(Cause::CountersExhausted)?;
                ciphering.protect(&apdu, protection.form, protection.control, counter)?
            }
        };
        let octets = self.sign(octets);
        (self.blocks_in, self.blocks_out) = (None, None);
        let most = self.limit() + HEADROOM + if self.settings.signing.is_some() { SIGNING_HEADROOM } else { 0 };
        if octets.len() <= most {
            self.transmit(&octets, now);
            return Ok(());
        }
        if !self.has(Conformance::GENERAL_BLOCK_TRANSFER) {
            return Err(Reject::TooLong("request").into());
        }
        self.blocks_out = Some(BlockSender::new(octets, self.limit())?);
        self.transmit_blocks(now);
        Ok(())
    }

    /// Signs what is sent, where that was agreed.
    fn sign(&mut self, octets: Vec<u8>) -> Vec<u8> {
        let Some(signing) = &self.settings.signing else { return octets };
        self.transaction_id += 1;
        let transaction_id = self.transaction_id.to_be_bytes();
        let (own, meter) = (self.own_title(), self.association.meter_title);
        let title = |title: &Option<SystemTitle>| title.map_or(Vec::new(), |title| title.0.to_vec());
        let (own, meter) = (title(&own), title(&meter));
        let mut out = Vec::with_capacity(octets.len() + SIGNING_HEADROOM);
        GeneralSigning::new(&transaction_id, &own, &meter, &octets).emit_signed(&signing.own, &mut out);
        out
    }

    /// What was signed, where the signature is the meter's and the answer one to what was asked last.
    fn verified(&self, octets: &[u8]) -> Result<Vec<u8>, Reject> {
        let signing = self.settings.signing.as_ref().ok_or(Reject::NoKey)?;
        let signed = GeneralSigning::parse(octets)?;
        signed.verify(&signing.peer)?;
        let is_answer = signed.transaction_id == self.transaction_id.to_be_bytes();
        let is_meter = self.association.meter_title.is_none_or(|title| signed.originator_system_title == title.0);
        if is_answer && is_meter { Ok(signed.content.to_vec()) } else { Err(Reject::Replayed) }
    }

    fn transmit_blocks(&mut self, now: Instant) {
        let Some(sender) = &self.blocks_out else { return };
        let acknowledged = self.blocks_in.as_ref().map_or(0, BlockReceiver::last);
        let window = self.settings.window;
        let blocks: Vec<_> =
            sender.blocks(window, acknowledged).map(|block| Apdu::GeneralBlockTransfer(block).octets()).collect();
        blocks.iter().for_each(|block| self.transmit(block, now));
    }

    pub(super) fn transmit(&mut self, apdu: &[u8], now: Instant) {
        match &self.settings.gateway {
            None => self.link.send(apdu, now),
            Some(gateway) => {
                let mut out = Vec::new();
                gateway.emit(Direction::Request, &mut out);
                out.extend_from_slice(apdu);
                self.link.send(&out, now);
            }
        }
        self.patience = Some(now + PATIENCE * self.settings.timeout);
        self.link.expect_answer(true, now);
    }

    /// Takes an APDU as the link delivers it.
    pub(super) fn receive(&mut self, mut octets: Vec<u8>, now: Instant) -> Result<(), Reject> {
        if let Some(expected) = &self.settings.gateway {
            let mut buf = octets.as_slice();
            if GatewayAddress::parse(Direction::Response, &mut buf)?.is_some_and(|found| found != *expected) {
                return Err(Reject::ForeignAddress);
            }
            let header = octets.len() - buf.len();
            octets.drain(..header);
        }
        if octets.first() == Some(&tag::GENERAL_BLOCK_TRANSFER) {
            return self.receive_block(&octets, now);
        }
        self.receive_whole(octets, now)
    }

    fn receive_block(&mut self, octets: &[u8], now: Instant) -> Result<(), Reject> {
        let Apdu::GeneralBlockTransfer(block) = Apdu::parse(octets)? else { return Err(Reject::Truncated) };
        if let Some(sender) = &mut self.blocks_out {
            let acknowledged = sender.acknowledge(block.block_number_ack, block.control.window);
            // Who answers has the whole request, whatever is acknowledged.
            if block.block_data.is_empty() {
                acknowledged?;
            }
            if block.block_data.is_empty() && !sender.is_done() {
                self.transmit_blocks(now);
                return Ok(());
            }
            self.blocks_out = None;
            if block.block_data.is_empty() {
                return Ok(());
            }
        }
        let limit = self.settings.value_limit.saturating_add(HEADROOM);
        let receiver = self.blocks_in.get_or_insert_with(|| BlockReceiver::new(limit));
        match receiver.take(&block) {
            Ok(Progress::Wait) => Ok(()),
            Ok(Progress::Acknowledge) => {
                let acknowledge = GeneralBlockTransfer {
                    control: BlockControl { is_last: true, is_streaming: false, window: self.settings.window },
                    block_number: 1,
                    block_number_ack: receiver.last(),
                    block_data: &[],
                };
                self.transmit(&Apdu::GeneralBlockTransfer(acknowledge).octets(), now);
                self.deadline = Some(now + self.settings.timeout);
                Ok(())
            }
            Ok(Progress::Complete(octets)) => {
                self.blocks_in = None;
                self.receive_whole(octets, now)
            }
            Err(reject) => {
                self.blocks_in = None;
                self.finish(Err(reject.into()), now);
                Err(reject)
            }
        }
    }

    fn receive_whole(&mut self, mut octets: Vec<u8>, now: Instant) -> Result<(), Reject> {
        let first = *octets.first().ok_or(Reject::Truncated)?;
        match first {
            acse::tag::AARE => return self.answered_association(&octets, now),
            acse::tag::RLRE => return self.released(&octets, now),
            _ => {}
        }
        if first == GeneralSigning::TAG {
            octets = self.verified(&octets)?;
        } else if self.settings.signing.is_some() && self.state == State::Associated && !ERRORS.contains(&first) {
            return Err(Reject::NotProtected);
        }
        let first = *octets.first().ok_or(Reject::Truncated)?;
        if is_ciphered(first) {
            if let Err(reject) = self.open(&mut octets) {
                // A bad answer is an answer: the meter will not send another.
                self.not_taken(reject, now);
                return Err(reject);
            }
        } else if self.settings.protection.is_some() && !ERRORS.contains(&first) {
            // Anybody may have said it, but it is no answer, whose place it does not take.
            if NOTIFICATIONS.contains(&first) {
                return Err(Reject::NotProtected);
            }
            self.not_taken(Reject::NotProtected, now);
            return Err(Reject::NotProtected);
        }
        match octets.first() {
            Some(first) if NOTIFICATIONS.contains(first) => {
                self.events.push_back(Event::Notified(octets));
                Ok(())
            }
            _ if self.state == State::Proving => self.answered_proof(&octets, now),
            _ if self.state == State::Requesting => {
                // A meter that is asked for too much answers with an error instead of an AARE.
                let cause = match Apdu::parse(&octets)? {
                    Apdu::ExceptionResponse(exception) => Cause::Exception(exception),
                    Apdu::ConfirmedServiceError(error) => Cause::Service(error),
                    _ => return Err(Reject::OutOfSequence),
                };
                self.give_up(cause, now);
                Ok(())
            }
            _ => self.answer(&octets, now),
        }
    }

    fn open(&mut self, octets: &mut Vec<u8>) -> Result<(), Reject> {
        let ciphering = self.settings.ciphering.as_ref().ok_or(Reject::NoKey)?;
        let opened = ciphering.open(octets)?;
        let wanted = self.settings.protection.ok_or(Reject::NoKey)?;
        if !opened.control.covers(wanted.control) {
            return Err(Reject::NotProtected);
        }
        let counter = if opened.is_dedicated { &mut self.received_dedicated } else { &mut self.received };
        counter.accept(opened.invocation_counter)
    }

    fn not_taken(&mut self, reject: Reject, now: Instant) {
        match self.state {
            State::Requesting | State::Proving => self.give_up(reject.into(), now),
            // What was used before may be somebody else's: the meter's own answer is still waited for.
            _ if reject != Reject::Replayed && reject != Reject::BadTag => self.finish(Err(reject.into()), now),
            _ => {}
        }
    }

    fn answer(&mut self, octets: &[u8], now: Instant) -> Result<(), Reject> {
        let (invoke_id, limit, value_limit) = (self.invoke_id, self.limit(), self.settings.value_limit);
        let Some(job) = &mut self.current else { return Err(Reject::OutOfSequence) };
        match job.answer(octets, invoke_id, value_limit) {
            Ok(Step::Finished(answer)) => self.finish(Ok(answer), now),
            Ok(Step::AskNext) => {
                self.repeats_left = self.settings.repeats;
                let request = job.next(invoke_id);
                self.send_request(request, now);
            }
            Ok(Step::SendNext) => {
                let request = job.following(invoke_id, limit);
                self.send_request(request, now);
            }
            Ok(Step::Stale) => return Err(Reject::OutOfSequence),
            // A meter that has forgotten, or gone past, the block that was asked for again.
            Err(Cause::Access(why)) if self.repeats_left < self.settings.repeats && job.block > 0 && is_lost(why) => {
                self.restart(Cause::Access(why), now);
            }
            Err(cause) => self.finish(Err(cause), now),
        }
        Ok(())
    }

    fn finish(&mut self, result: Result<super::Answer, Cause>, now: Instant) {
        let Some(job) = self.current.take() else { return };
        self.deadline = None;
        (self.blocks_in, self.blocks_out) = (None, None);
        self.link.expect_answer(false, now);
        let result = result.map_err(|cause| Failure { target: job.target, cause });
        self.events.push_back(Event::Answered { id: job.id, result });
    }

    /// Nothing came in time.
    pub(super) fn unanswered(&mut self, now: Instant) {
        let Some(job) = &mut self.current else { return };
        if self.repeats_left == 0 || !job.is_repeatable() {
            self.finish(Err(Cause::Timeout), now);
            return;
        }
        self.repeats_left -= 1;
        if job.block > 0 {
            // What came of the answer is good: only what is lost is asked for again.
            let request = job.next(self.invoke_id);
            self.send_request(request, now);
        } else if self.blocks_in.is_some() {
            self.restart(Cause::Timeout, now);
        } else {
            // The old number: whichever answer comes is an answer.
            self.begin(now);
        }
    }

    /// From the beginning, under another number: no block of the answer before belongs to this one.
    fn restart(&mut self, cause: Cause, now: Instant) {
        if self.restarts_left == 0 {
            return self.finish(Err(cause), now);
        }
        self.restarts_left -= 1;
        self.repeats_left = self.settings.repeats;
        self.count();
        if let Some(job) = &mut self.current {
            job.restart();
        }
        self.begin(now);
    }
}

/// A block of an answer cannot be had any more.
const fn is_lost(why: DataAccessResult) -> bool {
    use DataAccessResult as R;
    matches!(why, R::LongGetAborted | R::NoLongGetInProgress | R::DataBlockUnavailable | R::DataBlockNumberInvalid)
}

/// What a meter may say in the clear although it was asked ciphered.
const ERRORS: [u8; 2] = [tag::EXCEPTION_RESPONSE, tag::CONFIRMED_SERVICE_ERROR];
/// So many times as long as for its begin is waited for the end of an answer that comes slowly.
const PATIENCE: u32 = 10;
/// What a meter says unasked.
const NOTIFICATIONS: [u8; 2] = [tag::DATA_NOTIFICATION, tag::EVENT_NOTIFICATION];
/// Octets around a signed APDU at most: tag, transaction id, titles, empty fields, lengths, signature.
const SIGNING_HEADROOM: usize = 1 + 9 + 9 + 9 + 2 + 5 + 2 + 96;
/// No meter takes less.
const MIN_APDU: usize = 32;
