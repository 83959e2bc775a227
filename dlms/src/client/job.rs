//! One request and what is known of its answer so far.

use bytes::BufMut;

use super::{Cause, RequestId, Target};
use crate::apdu::{Attribute, Method, Selected, tag};
use crate::data::length;
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, Reject};

/// What is asked. Values are encoded already.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: RequestId,
    pub(super) target: Target,
    pub(super) service: Service,
    /// What is named: attributes or methods.
    head: Vec<u8>,
    /// What is written, or the parameters.
    payload: Vec<u8>,
    /// Octets of the payload that were sent in blocks.
    sent: usize,
    /// The block sent last, or asked for last.
    pub(super) block: u32,
    /// Blocks of the answer.
    pub(super) assembled: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Get,
    GetList,
    Set,
    SetList,
    Action,
    ActionList,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The value of an attribute, encoded: `Data::parse_all` reads it.
    Value(Vec<u8>),
    Values(Vec<Result<Vec<u8>, DataAccessResult>>),
    /// An attribute was written.
    Done,
    /// For each attribute of a list.
    Results(Vec<DataAccessResult>),
    /// What a method returned, encoded.
    Returned(Option<Vec<u8>>),
    ReturnedList(Vec<(ActionResult, Option<Vec<u8>>)>),
}

impl Job {
    fn new(id: RequestId, target: Target, service: Service, head: Vec<u8>, payload: Vec<u8>) -> Self {
        Self { id, target, service, head, payload, sent: 0, block: 0, assembled: Vec::new() }
    }

    pub(super) fn get(id: RequestId, selected: &Selected<'_>) -> Self {
        let mut head = Vec::new();
        selected.emit(&mut head);
        Self::new(id, Target::Get(selected.attribute), Service::Get, head, Vec::new())
    }

    pub(super) fn get_list(id: RequestId, list: &[Selected<'_>]) -> Self {
        let mut head = Vec::new();
        length::emit(list.len(), &mut head);
        list.iter().for_each(|selected| selected.emit(&mut head));
        Self::new(id, Target::List(list.len()), Service::GetList, head, Vec::new())
    }

    pub(super) fn set(id: RequestId, attribute: Attribute, value: Data<'_>) -> Self {
        let mut head = Vec::new();
        Selected::all(attribute).emit(&mut head);
        Self::new(id, Target::Set(attribute), Service::Set, head, value.octets())
    }

    pub(super) fn set_list(id: RequestId, list: &[(Attribute, Data<'_>)]) -> Self {
        let (mut head, mut payload) = (Vec::new(), Vec::new());
        length::emit(list.len(), &mut head);
        length::emit(list.len(), &mut payload);
        for (attribute, value) in list {
            Selected::all(*attribute).emit(&mut head);
            value.emit(&mut payload);
        }
        Self::new(id, Target::List(list.len()), Service::SetList, head, payload)
    }

    pub(super) fn action(id: RequestId, method: Method, parameter: Option<Data<'_>>) -> Self {
        let mut head = Vec::new();
        method.emit(&mut head);
        let payload = parameter.map_or(Vec::new(), |parameter| parameter.octets());
        Self::new(id, Target::Action(method), Service::Action, head, payload)
    }

    pub(super) fn action_list(id: RequestId, list: &[(Method, Data<'_>)]) -> Self {
        let (mut head, mut payload) = (Vec::new(), Vec::new());
        length::emit(list.len(), &mut head);
        length::emit(list.len(), &mut payload);
        for (method, parameter) in list {
            method.emit(&mut head);
            parameter.emit(&mut payload);
        }
        Self::new(id, Target::List(list.len()), Service::ActionList, head, payload)
    }

    /// It may be asked again without being done twice.
    pub(super) const fn is_repeatable(&self) -> bool {
        matches!(self.service, Service::Get | Service::GetList)
    }

    /// From the beginning again.
    pub(super) fn restart(&mut self) {
        (self.sent, self.block) = (0, 0);
        self.assembled = Vec::new();
    }

    /// The request, or its first block where it is longer than `limit` and is allowed to have blocks.
    pub(super) fn request(&mut self, invoke_id: u8, limit: usize, has_blocks: bool) -> Vec<u8> {
        let (tag, normal, first, _) = self.service.numbers();
        let optional = self.service == Service::Action;
        let whole = 3 + self.head.len() + usize::from(optional) + self.payload.len();
        let mut out = Vec::with_capacity(whole.min(limit.max(64)));
        if whole <= limit || !has_blocks || self.payload.is_empty() {
            out.extend_from_slice(&[tag, normal, invoke_id]);
            out.extend_from_slice(&self.head);
            if optional {
                out.push(u8::from(!self.payload.is_empty()));
            }
            out.extend_from_slice(&self.payload);
            self.sent = self.payload.len();
            return out;
        }
        out.extend_from_slice(&[tag, first, invoke_id]);
        out.extend_from_slice(&self.head);
        self.next_block(limit, &mut out);
        out
    }

    /// A block after the first.
    pub(super) fn following(&mut self, invoke_id: u8, limit: usize) -> Vec<u8> {
        let (tag, _, _, next) = self.service.numbers();
        let mut out = vec![tag, next, invoke_id];
        self.next_block(limit, &mut out);
        out
    }

    /// There is more of the payload to be sent.
    pub(super) fn has_more(&self) -> bool {
        self.sent < self.payload.len()
    }

    /// The request for the next block of the answer.
    pub(super) fn next(&mut self, invoke_id: u8) -> Vec<u8> {
        let (tag, ..) = self.service.numbers();
        let mut out = vec![tag, 2, invoke_id];
        out.put_u32(self.block);
        out
    }

    fn next_block(&mut self, limit: usize, out: &mut Vec<u8>) {
        let room = limit.saturating_sub(out.len() + BLOCK_OVERHEAD).max(1);
        let rest = self.payload.get(self.sent..).unwrap_or_default();
        let raw = rest.get(..room).unwrap_or(rest);
        self.sent += raw.len();
        self.block += 1;
        out.push(u8::from(self.sent == self.payload.len()));
        out.put_u32(self.block);
        length::emit_octets(raw, out);
    }

    /// Takes a block of the answer in; true where it was the last.
    pub(super) fn assemble(&mut self, number: u32, raw: &[u8], is_last: bool, limit: usize) -> Result<bool, Cause> {
        if number != self.block + 1 {
            return Err(Reject::OutOfSequence.into());
        }
        if raw.is_empty() && !is_last {
            return Err(Reject::Length("block").into());
        }
        if self.assembled.len() + raw.len() > limit {
            return Err(Reject::TooLong("block transfer").into());
        }
        self.block = number;
        self.assembled.extend_from_slice(raw);
        Ok(is_last)
    }
}

impl Service {
    /// Tag, and the choices of the whole request, of its first block, and of those that follow.
    const fn numbers(self) -> (u8, u8, u8, u8) {
        match self {
            Self::Get => (tag::GET_REQUEST, 1, 1, 1),
            Self::GetList => (tag::GET_REQUEST, 3, 3, 3),
            Self::Set => (tag::SET_REQUEST, 1, 2, 3),
            Self::SetList => (tag::SET_REQUEST, 4, 5, 3),
            Self::Action => (tag::ACTION_REQUEST, 1, 4, 6),
            Self::ActionList => (tag::ACTION_REQUEST, 3, 5, 6),
        }
    }
}

/// Last block, number, length at its widest.
const BLOCK_OVERHEAD: usize = 1 + 4 + 5;
