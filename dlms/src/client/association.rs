//! How an association begins and ends: AARQ and AARE, the proofs of HLS, RLRQ.

use std::time::Instant;

use super::{Association, Authentication, Cause, Client, Event, State, association_failed};
use crate::acse::{
    Aare, Aarq, ApplicationContext, AssociationResult, Diagnostic, Release, ReleaseKind, UserDiagnostic,
};
use crate::apdu::{
    ActionRequest, ActionResponse, Apdu, ConfirmedServiceError, InitiateRequest, InitiateResponse, InvokeId, Method,
};
use crate::security::hls::{Exchange, equal};
use crate::security::{EncryptionKey, Form, ReceivedCounter, SystemTitle, is_ciphered};
use crate::spec::{ActionResult, Conformance};
use crate::{Data, Obis, Reject};

impl Client {
    /// The link is open.
    pub(super) fn opened(&mut self, now: Instant) {
        (self.blocks_in, self.blocks_out) = (None, None);
        self.received_dedicated = ReceivedCounter::default();
        if self.settings.is_pre_established {
            return self.associated();
        }
        (self.repeats_left, self.invoke_id) = (self.settings.repeats, InvokeId::new(0).0);
        if let Err(cause) = self.prepare().and_then(|()| self.request(now)) {
            self.give_up(cause, now);
        }
    }

    /// What is the same in each AARQ of this association: whichever of them the meter answers, the answer is good.
    fn prepare(&mut self) -> Result<(), Cause> {
        self.meter_challenge.clear();
        self.own_challenge = vec![0; CHALLENGE];
        self.random.fill(&mut self.own_challenge);
        // Some meters take letters only; a challenge is a string of characters.
        self.own_challenge.iter_mut().for_each(|octet| *octet = b'0' + *octet % 64);
        let is_dedicated =
            self.settings.protection.is_some_and(|it| matches!(it.form, Form::Dedicated | Form::GeneralDedicated));
        let mut dedicated = zeroize::Zeroizing::new(Vec::new());
        if let (true, Some(ciphering)) = (is_dedicated, &mut self.settings.ciphering) {
            dedicated.resize(ciphering.suite.key_length(), 0);
            self.random.fill(&mut dedicated);
            ciphering.dedicated = Some(EncryptionKey::new(&dedicated)?);
        }
        self.initiate = self.initiate_request(is_dedicated.then_some(&dedicated));
        Ok(())
    }

    fn initiate_request(&self, dedicated_key: Option<&[u8]>) -> zeroize::Zeroizing<Vec<u8>> {
        let mut initiate = zeroize::Zeroizing::new(Vec::new());
        InitiateRequest {
            dedicated_key,
            is_response_allowed: true,
            quality_of_service: None,
            conformance: self.settings.conformance,
            max_receive_pdu_size: self.settings.max_receive_pdu_size,
        }
        .emit(&mut initiate);
        initiate
    }

    /// Sends AARQ, for the first time or again.
    pub(super) fn request(&mut self, now: Instant) -> Result<(), Cause> {
        self.state = State::Requesting;
        self.deadline = Some(now + self.settings.timeout);
        let mechanism = self.settings.authentication.mechanism();
        let user_information = self.protect_initiate(&self.initiate.clone())?;
        let value = match &self.settings.authentication {
            Authentication::None => None,
            Authentication::Lls(password) => Some(password.octets()),
            _ => Some(self.own_challenge.as_slice()),
        };
        let title = self.own_title();
        let has_title = self.settings.protection.is_some() || mechanism.is_hls();
        let aarq = Aarq {
            context: match self.settings.protection {
                Some(_) => ApplicationContext::LogicalNameCiphered,
                None => ApplicationContext::LogicalName,
            },
            calling_ap_title: title.as_ref().filter(|_| has_title).map(|title| title.0.as_slice()),
            calling_ae_qualifier: None,
            calling_ae_invocation_id: self.settings.user,
            mechanism,
            calling_authentication_value: value,
            user_information: &user_information,
        };
        let mut out = Vec::new();
        aarq.emit(&mut out);
        self.transmit(&out, now);
        Ok(())
    }

    /// With the global key, whatever key follows.
    fn protect_initiate(&mut self, initiate: &[u8]) -> Result<Vec<u8>, Cause> {
        let (Some(protection), Some(ciphering)) = (self.settings.protection, &self.settings.ciphering) else {
            return Ok(initiate.to_vec());
        };
        let counter = self.sent.take().ok_or(Cause::CountersExhausted)?;
        Ok(ciphering.protect(initiate, Form::Global, protection.control, counter)?)
    }

    /// AARE came.
    pub(super) fn answered_association(&mut self, octets: &[u8], now: Instant) -> Result<(), Reject> {
        // Of several AARQs the last one that reached the meter counts: its challenge is the one to be proven.
        let is_late = self.state == State::Proving && self.repeats_left < self.settings.repeats;
        if self.state != State::Requesting && !is_late {
            return Err(Reject::OutOfSequence);
        }
        match self.accept(octets, now) {
            Ok(()) => Ok(()),
            // A datagram that came twice.
            Err(Cause::Rejected(reject @ Reject::Replayed)) if self.settings.repeats > 0 => Err(reject),
            Err(cause) => {
                self.give_up(cause, now);
                Ok(())
            }
        }
    }

    fn accept(&mut self, octets: &[u8], now: Instant) -> Result<(), Cause> {
        let aare = Aare::parse(octets)?;
        if aare.result != AssociationResult::Accepted {
            // Beside "no reason given" there may be one: the service's own, which stands in the clear.
            let service = match aare.user_information.map(Apdu::parse) {
                Some(Ok(Apdu::ConfirmedServiceError(error))) => Some(Cause::Service(error)),
                _ => None,
            };
            let is_telling =
                !matches!(aare.diagnostic, Diagnostic::User(UserDiagnostic::Null | UserDiagnostic::NoReasonGiven));
            let refused = Cause::Refused(aare.result, aare.diagnostic);
            return Err(service.filter(|_| !is_telling).unwrap_or(refused));
        }
        if let Some(title) = aare.responding_ap_title.filter(|title| !title.is_empty()) {
            self.association.meter_title = Some(SystemTitle::try_from(title)?);
        }
        if let Some(ciphering) = &mut self.settings.ciphering {
            ciphering.peer_title = self.association.meter_title;
        }
        let mut information = aare.user_information.ok_or(Reject::Truncated)?.to_vec();
        let is_protected = information.first().is_some_and(|tag| is_ciphered(*tag));
        if is_protected {
            self.open_first(&mut information)?;
        }
        if let Ok(Apdu::ConfirmedServiceError(ConfirmedServiceError { service, kind, value })) =
            Apdu::parse(&information)
        {
            return Err(Cause::Service(ConfirmedServiceError { service, kind, value }));
        }
        if self.settings.protection.is_some() && !is_protected {
            return Err(Reject::NotProtected.into());
        }
        let response = InitiateResponse::parse(&information)?;
        self.association.conformance = response.conformance.common(self.settings.conformance);
        self.association.max_receive_pdu_size = response.max_receive_pdu_size;
        if !self.settings.authentication.mechanism().is_hls() {
            self.associated();
            return Ok(());
        }
        let challenge = aare.responding_authentication_value.ok_or(Reject::Truncated)?;
        // A meter that sends our challenge back would have us prove what it then sends us.
        if challenge == self.own_challenge || challenge.is_empty() {
            return Err(Cause::NotProven);
        }
        if self.state == State::Proving {
            if self.meter_challenge == challenge {
                return Ok(());
            }
            self.invoke_id = InvokeId::new((self.invoke_id & 0x0f) + 1).0;
        }
        self.meter_challenge = challenge.to_vec();
        self.prove(now)
    }

    /// The first protected APDU of an association: here a meter may start its counter anew.
    fn open_first(&mut self, octets: &mut Vec<u8>) -> Result<(), Cause> {
        let Some(ciphering) = &self.settings.ciphering else { return Err(Reject::NoKey.into()) };
        let opened = ciphering.open(octets)?;
        if self.settings.protection.is_some_and(|wanted| !opened.control.covers(wanted.control)) {
            return Err(Reject::NotProtected.into());
        }
        let received = opened.invocation_counter;
        match (self.received.accept(received), self.received.0) {
            (Err(_), Some(highest)) if self.settings.counter_restarts => {
                self.received = ReceivedCounter(Some(received));
                self.events.push_back(Event::CounterRestarted { highest, received });
                Ok(())
            }
            (result, _) => Ok(result?),
        }
    }

    /// The third pass: our proof goes to the meter.
    fn prove(&mut self, now: Instant) -> Result<(), Cause> {
        let exchange = Exchange {
            prover: self.own_title(),
            verifier: self.association.meter_title,
            received: &self.meter_challenge,
            sent: &self.own_challenge,
        };
        let proof = match (&self.settings.authentication, &self.settings.ciphering) {
            (Authentication::Hash(hash, secret), _) => exchange.digest(*hash, secret),
            (Authentication::Ecdsa { own, .. }, _) => exchange.sign(own),
            (Authentication::Gmac, Some(ciphering)) => {
                exchange.gmac(ciphering, self.sent.take().ok_or(Cause::CountersExhausted)?)?
            }
            _ => return Err(Reject::NoKey.into()),
        };
        self.state = State::Proving;
        self.deadline = Some(now + self.settings.timeout);
        let parameter = Some(Data::OctetString(&proof));
        let request = ActionRequest::Normal { invoke_id: InvokeId(self.invoke_id), method: REPLY_TO_HLS, parameter };
        self.send(Apdu::ActionRequest(request).octets(), now)
    }

    /// The fourth pass: the meter's proof.
    pub(super) fn answered_proof(&mut self, octets: &[u8], now: Instant) -> Result<(), Reject> {
        let is_stale = match Apdu::parse(octets) {
            Ok(Apdu::ActionResponse(answer)) => answer.invoke_id().number() != self.invoke_id & 0x0f,
            _ => false,
        };
        // Of a proof that another one has followed.
        if is_stale && self.settings.repeats > 0 {
            return Err(Reject::OutOfSequence);
        }
        match self.verify(octets) {
            Ok(()) => self.associated(),
            Err(cause) => self.give_up(cause, now),
        }
        Ok(())
    }

    fn verify(&self, octets: &[u8]) -> Result<(), Cause> {
        let answer = match Apdu::parse(octets)? {
            Apdu::ActionResponse(ActionResponse::Normal { answer, .. }) => answer,
            Apdu::ExceptionResponse(exception) => return Err(Cause::Exception(exception)),
            Apdu::ConfirmedServiceError(error) => return Err(Cause::Service(error)),
            apdu => return Err(Reject::UnsupportedApdu(apdu.tag()).into()),
        };
        let proof = match (answer.result, answer.value) {
            (ActionResult::Success, Some(Ok(value))) => value.octet_string()?,
            (ActionResult::Success, _) => return Err(Cause::NotProven),
            (reason, _) => return Err(Cause::ProofRefused(reason)),
        };
        let exchange = Exchange {
            prover: self.association.meter_title,
            verifier: self.own_title(),
            received: &self.own_challenge,
            sent: &self.meter_challenge,
        };
        let is_proven = match (&self.settings.authentication, &self.settings.ciphering) {
            (Authentication::Hash(hash, secret), _) => equal(&exchange.digest(*hash, secret), proof),
            (Authentication::Ecdsa { meter, .. }, _) => exchange.verify(meter, proof).is_ok(),
            (Authentication::Gmac, Some(ciphering)) => exchange.verify_gmac(ciphering, proof).is_ok(),
            _ => false,
        };
        if is_proven { Ok(()) } else { Err(Cause::NotProven) }
    }

    fn associated(&mut self) {
        self.state = State::Associated;
        self.deadline = None;
        self.initiate = zeroize::Zeroizing::default();
        self.events.push_back(Event::Associated(self.association));
    }

    pub(super) fn give_up(&mut self, cause: Cause, now: Instant) {
        self.events.push_back(association_failed(cause));
        self.close(now);
    }

    pub(super) fn request_release(&mut self, now: Instant) {
        self.state = State::Releasing;
        let timeout = self.settings.timeout;
        self.deadline = Some(now + self.settings.release_timeout.map_or(timeout, |it| it.min(timeout)));
        // Protected associations are ended with what is protected, so that nobody else ends them.
        let initiate = self.initiate_request(None);
        let information = self.settings.protection.and_then(|_| self.protect_initiate(&initiate).ok());
        let mut out = Vec::new();
        let user_information = information.as_deref();
        Release { kind: ReleaseKind::Request, reason: Some(0), user_information }.emit(&mut out);
        self.transmit(&out, now);
    }

    /// RLRE came. What it says changes nothing: some are an octet off their length.
    pub(super) fn released(&mut self, octets: &[u8], now: Instant) -> Result<(), Reject> {
        if self.state != State::Releasing {
            return Err(Reject::OutOfSequence);
        }
        let parsed = Release::parse(octets).map(drop);
        self.is_release_answered = true;
        self.close(now);
        parsed
    }

    pub(super) fn own_title(&self) -> Option<SystemTitle> {
        self.settings.ciphering.as_ref().map(|ciphering| ciphering.own_title).or(self.settings.system_title)
    }

    pub(super) const fn has(&self, service: Conformance) -> bool {
        self.association.conformance.has(service)
    }
}

impl Default for Association {
    fn default() -> Self {
        Self { conformance: Conformance(0), max_receive_pdu_size: 0, meter_title: None }
    }
}

/// Octets of a challenge: the standard has 8 to 64.
const CHALLENGE: usize = 16;

/// Method 1 of the current association, class 15.
pub(crate) const REPLY_TO_HLS: Method = Method::new(15, Obis::new(0, 0, 40, 0, 0, 255), 1);
