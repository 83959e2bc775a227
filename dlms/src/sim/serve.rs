//! What an emulated meter answers: GET, SET and ACTION, whole, in lists and in blocks.

use super::meter::{CLOCK, CURRENT_ASSOCIATION, LOGICAL_DEVICE_NAME};
use super::server::{Server, exception, not_allowed};
use super::session::{Long, Session, Stage};
use crate::apdu::{
    ActionRequest, ActionResponse, ActionReturn, Apdu, Attribute, Block, GetRequest, GetResponse, InvokeId, Method,
    Selected, Selection, ServiceError, SetRequest, SetResponse,
};
use crate::client::REPLY_TO_HLS;
use crate::data::length;
use crate::security::HEADROOM;
use crate::spec::{ActionResult, Conformance, DataAccessResult};
use crate::{Data, Reject};

impl Server {
    /// Answers a request in the clear, all of `octets`.
    pub(super) fn serve(&mut self, client: u16, octets: &[u8]) -> Option<Vec<u8>> {
        let mut answer = match Apdu::parse(octets) {
            Ok(Apdu::GetRequest(GetRequest::WithList { .. })) if self.faults.no_lists => {
                exception(ServiceError::ServiceNotSupported)
            }
            Ok(Apdu::GetRequest(request)) => self.serve_get(client, request),
            Ok(Apdu::SetRequest(request)) => self.serve_set(client, request),
            Ok(Apdu::ActionRequest(request)) => self.serve_action(client, request),
            Ok(Apdu::ConfirmedServiceError(_) | Apdu::ExceptionResponse(_)) => return None,
            Ok(_) | Err(Reject::UnsupportedApdu(_)) => exception(ServiceError::ServiceNotSupported),
            Err(_) => exception(ServiceError::OtherReason),
        };
        if self.faults.wrong_invoke_id {
            if let Some(invoke_id) = answer.get_mut(2) {
                *invoke_id ^= 0x05;
            }
        }
        Some(answer)
    }

    fn is_associated(&self, client: u16) -> bool {
        self.sessions.get(&client).is_some_and(|session| session.stage == Stage::Associated)
    }

    fn read(&self, client: u16, selected: &Selected<'_>) -> Result<Vec<u8>, DataAccessResult> {
        let Attribute { logical_name, attribute, .. } = selected.attribute;
        let is_counter = logical_name.0.starts_with(&INVOCATION_COUNTERS);
        let is_open = is_counter || [CLOCK, LOGICAL_DEVICE_NAME, CURRENT_ASSOCIATION].contains(&logical_name);
        if self.access(client).is_none_or(|access| access.is_public) && !is_open {
            return Err(DataAccessResult::ReadWriteDenied);
        }
        if is_counter && attribute == 2 {
            let highest = self.received.values().filter_map(|counter| counter.0).max();
            return Ok(Data::DoubleLongUnsigned(highest.unwrap_or(0)).octets());
        }
        match (self.faults.no_selection, &selected.selection) {
            (Some(reason), Some(_)) => Err(reason),
            (_, Some(Selection::Range(range)))
                if self.faults.typed_ranges && !matches!(range.from_value, Data::DateTime(_)) =>
            {
                Err(DataAccessResult::TypeUnmatched)
            }
            (_, selection) => self.meter.get(&selected.attribute, selection.as_ref()),
        }
    }

    fn serve_get(&mut self, client: u16, request: GetRequest<'_>) -> Vec<u8> {
        if !self.is_associated(client) {
            return not_allowed();
        }
        let invoke_id = request.invoke_id();
        match request {
            GetRequest::Normal { selected, .. } => match self.read(client, &selected) {
                Ok(octets) => self.get_answer(client, invoke_id, &[0xc4, 1, invoke_id.0, 0], octets),
                Err(reason) => Apdu::GetResponse(GetResponse::Normal { invoke_id, result: Err(reason) }).octets(),
            },
            GetRequest::Next { block_number, .. } => self.next_block(client, invoke_id, block_number, false),
            GetRequest::WithList { list, .. } => {
                let mut octets = Vec::new();
                length::emit(list.len(), &mut octets);
                for selected in &list {
                    match self.read(client, selected) {
                        Ok(value) => {
                            octets.push(0);
                            octets.extend(value);
                        }
                        Err(reason) => octets.extend([1, reason.into()]),
                    }
                }
                self.get_answer(client, invoke_id, &[0xc4, 3, invoke_id.0], octets)
            }
        }
    }

    /// An answer behind `head`, or its first block.
    fn get_answer(&mut self, client: u16, invoke_id: InvokeId, head: &[u8], mut octets: Vec<u8>) -> Vec<u8> {
        octets.extend_from_slice(&self.faults.trailing);
        let (is_unasked, is_endless) = (self.faults.unasked_blocks, self.faults.endless_blocks);
        let longest = self.faults.no_blocks.unwrap_or(usize::MAX);
        let Some(session) = self.sessions.get_mut(&client) else { return not_allowed() };
        let is_long = head.len() + octets.len() + HEADROOM > session.client_pdu.min(longest);
        let has_blocks = session.conformance.has(Conformance::BLOCK_TRANSFER_WITH_GET);
        let has_general = session.conformance.has(Conformance::GENERAL_BLOCK_TRANSFER);
        if (is_long && has_blocks) || is_unasked || is_endless {
            session.long = Some(Long::Answer { octets, sent: 0, number: 0 });
            return self.next_block(client, invoke_id, 0, false);
        }
        if is_long && !has_general {
            let result = Err(DataAccessResult::OtherReason);
            return Apdu::GetResponse(GetResponse::Normal { invoke_id, result }).octets();
        }
        [head, &octets].concat()
    }

    /// The block after the one that the client has.
    fn next_block(&mut self, client: u16, invoke_id: InvokeId, had: u32, is_action: bool) -> Vec<u8> {
        let is_endless = self.faults.endless_blocks;
        let failed = |result| {
            let result = Err(result);
            let apdu = GetResponse::WithDataBlock { invoke_id, is_last: true, block_number: had, result };
            Apdu::GetResponse(apdu).octets()
        };
        let Some(session) = self.sessions.get_mut(&client) else { return not_allowed() };
        let size = session.client_pdu.saturating_sub(HEADROOM + BLOCK_OVERHEAD).max(16);
        let Some(Long::Answer { octets, sent, number }) = &mut session.long else {
            return failed(DataAccessResult::NoLongGetInProgress);
        };
        // Asked for again: it was lost.
        if had != *number && had + 1 == *number {
            *number = had;
            *sent = sent.saturating_sub(size).div_ceil(size) * size;
        }
        if had != *number {
            session.long = None;
            return failed(DataAccessResult::DataBlockNumberInvalid);
        }
        let rest = octets.get(*sent..).unwrap_or_default();
        let raw = rest.get(..size).unwrap_or(rest).to_vec();
        let raw = if is_endless && raw.is_empty() { vec![0; size] } else { raw };
        *sent = (*sent + raw.len()).min(octets.len());
        *number += 1;
        let (is_last, block_number) = (*sent >= octets.len() && !is_endless, *number);
        if is_action {
            let block = Block { is_last, number: block_number, raw: &raw };
            Apdu::ActionResponse(ActionResponse::WithPblock { invoke_id, block }).octets()
        } else {
            let apdu = GetResponse::WithDataBlock { invoke_id, is_last, block_number, result: Ok(&raw) };
            Apdu::GetResponse(apdu).octets()
        }
    }

    fn write(&mut self, client: u16, attribute: &Attribute, value: Data<'_>) -> DataAccessResult {
        if self.access(client).is_none_or(|access| access.is_public) {
            return DataAccessResult::ReadWriteDenied;
        }
        self.meter.set(attribute, value)
    }

    fn serve_set(&mut self, client: u16, request: SetRequest<'_>) -> Vec<u8> {
        if !self.is_associated(client) {
            return not_allowed();
        }
        let invoke_id = request.invoke_id();
        let apdu = match request {
            SetRequest::Normal { selected, value, .. } => {
                SetResponse::Normal { invoke_id, result: self.write(client, &selected.attribute, value) }
            }
            SetRequest::WithList { list, values, .. } => {
                let results = self.write_list(client, list.iter().map(|selected| selected.attribute), &values);
                SetResponse::WithList { invoke_id, results }
            }
            SetRequest::WithFirstDatablock { selected, block, .. } => {
                self.begin(
                    client,
                    Long::Set { list: vec![selected.attribute], is_list: false, octets: vec![], number: 0 },
                );
                return self.set_block(client, invoke_id, &block);
            }
            SetRequest::WithListAndFirstDatablock { list, block, .. } => {
                let list = list.iter().map(|selected| selected.attribute).collect();
                self.begin(client, Long::Set { list, is_list: true, octets: vec![], number: 0 });
                return self.set_block(client, invoke_id, &block);
            }
            SetRequest::WithDatablock { block, .. } => return self.set_block(client, invoke_id, &block),
        };
        Apdu::SetResponse(apdu).octets()
    }

    fn write_list(
        &mut self,
        client: u16,
        list: impl Iterator<Item = Attribute>,
        values: &[Data<'_>],
    ) -> Vec<DataAccessResult> {
        list.zip(values).map(|(attribute, value)| self.write(client, &attribute, *value)).collect()
    }

    fn begin(&mut self, client: u16, long: Long) {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.long = Some(long);
        }
    }

    fn set_block(&mut self, client: u16, invoke_id: InvokeId, block: &Block<'_>) -> Vec<u8> {
        let respond = |apdu| Apdu::SetResponse(apdu).octets();
        let failed = |result| {
            Apdu::SetResponse(SetResponse::LastDatablock { invoke_id, result, block_number: block.number }).octets()
        };
        let long = self.sessions.get_mut(&client).and_then(|session| session.long.take());
        let Some(Long::Set { list, is_list, mut octets, number }) = long else {
            return failed(DataAccessResult::NoLongSetInProgress);
        };
        if block.number != number + 1 || octets.len() + block.raw.len() > REQUEST_LIMIT {
            return failed(DataAccessResult::LongSetAborted);
        }
        octets.extend_from_slice(block.raw);
        let block_number = block.number;
        if !block.is_last {
            self.begin(client, Long::Set { list, is_list, octets, number: block_number });
            return respond(SetResponse::Datablock { invoke_id, block_number });
        }
        let count = if is_list { list.len() } else { 1 };
        let Some(values) = values(&octets, is_list).filter(|values| values.len() == count) else {
            return failed(DataAccessResult::TypeUnmatched);
        };
        let results = self.write_list(client, list.into_iter(), &values);
        match (is_list, results.first()) {
            (false, Some(result)) => respond(SetResponse::LastDatablock { invoke_id, result: *result, block_number }),
            _ => respond(SetResponse::LastDatablockWithList { invoke_id, results, block_number }),
        }
    }

    /// Invokes a method: the result, and what it returned, encoded.
    fn invoke(&mut self, client: u16, method: &Method, parameter: Option<Data<'_>>) -> (ActionResult, Option<Vec<u8>>) {
        if *method == REPLY_TO_HLS {
            let proof = parameter.and_then(|proof| proof.octet_string().ok()).unwrap_or_default();
            return match self.prove(client, proof) {
                Ok(proof) => (ActionResult::Success, Some(Data::OctetString(&proof).octets())),
                Err(_) => (ActionResult::ReadWriteDenied, None),
            };
        }
        if !self.is_associated(client) || self.access(client).is_none_or(|access| access.is_public) {
            return (ActionResult::ReadWriteDenied, None);
        }
        match self.meter.invoke(method, parameter) {
            Ok(value) => (ActionResult::Success, value),
            Err(reason) => (reason, None),
        }
    }

    fn serve_action(&mut self, client: u16, request: ActionRequest<'_>) -> Vec<u8> {
        let invoke_id = request.invoke_id();
        match request {
            ActionRequest::Normal { method, parameter, .. } => {
                let answer = self.invoke(client, &method, parameter);
                self.action_answer(client, invoke_id, &[answer], false)
            }
            _ if !self.is_associated(client) => not_allowed(),
            ActionRequest::NextPblock { block_number, .. } => self.next_block(client, invoke_id, block_number, true),
            ActionRequest::WithList { methods, parameters, .. } => {
                let answers = self.invoke_list(client, &methods, &parameters);
                self.action_answer(client, invoke_id, &answers, true)
            }
            ActionRequest::WithFirstPblock { method, block, .. } => {
                self.begin(client, Long::Action { list: vec![method], is_list: false, octets: vec![], number: 0 });
                self.action_block(client, invoke_id, &block)
            }
            ActionRequest::WithListAndFirstPblock { methods, block, .. } => {
                self.begin(client, Long::Action { list: methods, is_list: true, octets: vec![], number: 0 });
                self.action_block(client, invoke_id, &block)
            }
            ActionRequest::WithPblock { block, .. } => self.action_block(client, invoke_id, &block),
        }
    }

    fn invoke_list(
        &mut self,
        client: u16,
        methods: &[Method],
        parameters: &[Data<'_>],
    ) -> Vec<(ActionResult, Option<Vec<u8>>)> {
        methods.iter().zip(parameters).map(|(method, value)| self.invoke(client, method, Some(*value))).collect()
    }

    fn action_block(&mut self, client: u16, invoke_id: InvokeId, block: &Block<'_>) -> Vec<u8> {
        let failed = |result| {
            let answer = ActionReturn { result, value: None };
            Apdu::ActionResponse(ActionResponse::Normal { invoke_id, answer }).octets()
        };
        let long = self.sessions.get_mut(&client).and_then(|session| session.long.take());
        let Some(Long::Action { list, is_list, mut octets, number }) = long else {
            return failed(ActionResult::NoLongActionInProgress);
        };
        if block.number != number + 1 || octets.len() + block.raw.len() > REQUEST_LIMIT {
            return failed(ActionResult::LongActionAborted);
        }
        octets.extend_from_slice(block.raw);
        if !block.is_last {
            self.begin(client, Long::Action { list, is_list, octets, number: block.number });
            let apdu = ActionResponse::NextPblock { invoke_id, block_number: block.number };
            return Apdu::ActionResponse(apdu).octets();
        }
        let Some(parameters) = values(&octets, is_list).filter(|parameters| parameters.len() == list.len()) else {
            return failed(ActionResult::TypeUnmatched);
        };
        let answers = self.invoke_list(client, &list, &parameters);
        self.action_answer(client, invoke_id, &answers, is_list)
    }

    fn action_answer(
        &mut self,
        client: u16,
        invoke_id: InvokeId,
        answers: &[(ActionResult, Option<Vec<u8>>)],
        is_list: bool,
    ) -> Vec<u8> {
        let mut octets = Vec::new();
        if is_list {
            length::emit(answers.len(), &mut octets);
        }
        for (result, value) in answers {
            octets.extend([(*result).into(), u8::from(value.is_some())]);
            if let Some(value) = value {
                octets.push(0);
                octets.extend_from_slice(value);
            }
        }
        let session = self.sessions.entry(client).or_insert_with(Session::new);
        let is_long = octets.len() + 3 + HEADROOM > session.client_pdu;
        if is_long && session.conformance.has(Conformance::BLOCK_TRANSFER_WITH_ACTION) {
            session.long = Some(Long::Answer { octets, sent: 0, number: 0 });
            return self.next_block(client, invoke_id, 0, true);
        }
        [&[0xc7, if is_list { 3 } else { 1 }, invoke_id.0], octets.as_slice()].concat()
    }
}

/// One value, or a list of them with its count.
fn values(octets: &[u8], is_list: bool) -> Option<Vec<Data<'_>>> {
    let mut buf = octets;
    let count = if is_list { length::parse(&mut buf).ok()? } else { 1 };
    let values = (0..count).map(|_| Data::parse(&mut buf).ok()).collect::<Option<Vec<_>>>()?;
    buf.is_empty().then_some(values)
}

/// Objects that say which invocation counter the meter has had, whatever their group E.
const INVOCATION_COUNTERS: [u8; 4] = [0, 0, 43, 1];
/// Octets around the data of a block.
const BLOCK_OVERHEAD: usize = 3 + 1 + 4 + 1 + 5;
/// Octets of one request, all its blocks together.
const REQUEST_LIMIT: usize = 1 << 20;
