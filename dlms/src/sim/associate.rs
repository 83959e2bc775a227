//! Who may speak with an emulated meter, and how an association begins and ends.

use super::server::Server;
use super::session::{Session, Stage};
use crate::Reject;
use crate::acse::{
    Aare, Aarq, ApplicationContext, AssociationResult, Diagnostic, Mechanism, Release, ReleaseKind, UserDiagnostic,
};
use crate::apdu::{InitiateRequest, InitiateResponse};
use crate::client::{Authentication, Random, Signing};
use crate::security::hls::{Exchange, equal};
use crate::security::{Ciphering, EncryptionKey, HEADROOM, SystemTitle};
use crate::spec::Conformance;

/// What one client may, and how it shows who it is.
#[derive(Debug, Clone)]
pub struct Access {
    pub client: u16,
    /// The meter's side: of ECDSA, `own` is the meter's key and `meter` the client's.
    pub authentication: Authentication,
    /// The meter's side: `own_title` is the meter's.
    pub ciphering: Option<Ciphering>,
    /// Requests are signed, and so are their answers.
    pub signing: Option<Signing>,
    /// Nothing is answered in the clear.
    pub is_protected: bool,
    /// It reads names, clock and counters, and nothing else.
    pub is_public: bool,
    pub is_pre_established: bool,
    pub conformance: Conformance,
    /// The longest APDU that the meter takes.
    pub max_receive_pdu_size: u16,
}

impl Access {
    /// The public client: 16, no authentication.
    pub const fn public() -> Self {
        Self {
            client: 16,
            authentication: Authentication::None,
            ciphering: None,
            signing: None,
            is_protected: false,
            is_public: true,
            is_pre_established: false,
            conformance: Conformance(Conformance::USUAL.0 | Conformance::GENERAL_BLOCK_TRANSFER.0),
            max_receive_pdu_size: 1024,
        }
    }

    /// A client that may do everything.
    pub fn management(client: u16, authentication: Authentication) -> Self {
        Self { client, authentication, is_public: false, ..Self::public() }
    }
}

impl Server {
    pub(super) fn associate(&mut self, client: u16, octets: &[u8]) -> Option<Vec<u8>> {
        self.sessions.remove(&client);
        let aarq = Aarq::parse(octets).ok()?;
        if self.faults.counter_restarts {
            self.sent.remove(&client);
        }
        let (result, session, response) = match self.accept(client, &aarq) {
            Ok((session, response)) => (Ok(()), session, Some(response)),
            Err(diagnostic) => (Err(diagnostic), Session::new(), None),
        };
        let (challenge, mechanism) = match &session.stage {
            Stage::Pending { meter_challenge, .. } => (Some(meter_challenge.clone()), aarq.mechanism),
            _ => (None, Mechanism::Lowest),
        };
        let title = session.ciphering.as_ref().map(|ciphering| ciphering.own_title);
        let is_protected = session.mirror.is_some();
        self.sessions.insert(client, session);
        let information = response.map(|response| {
            let mut octets = Vec::new();
            response.emit(&mut octets);
            if is_protected { self.protect(client, octets) } else { octets }
        });
        let diagnostic = match (result, &challenge) {
            (Err(diagnostic), _) => diagnostic,
            (Ok(()), Some(_)) => UserDiagnostic::AuthenticationRequired,
            (Ok(()), None) => UserDiagnostic::Null,
        };
        let aare = Aare {
            context: aarq.context,
            result: if result.is_ok() { AssociationResult::Accepted } else { AssociationResult::RejectedPermanent },
            diagnostic: Diagnostic::User(diagnostic),
            responding_ap_title: title.as_ref().map(|title| title.0.as_slice()),
            mechanism,
            responding_authentication_value: challenge.as_deref(),
            user_information: information.as_deref(),
        };
        let mut out = Vec::new();
        aare.emit(&mut out);
        if self.faults.says_version {
            if let Some(length) = out.get_mut(1).filter(|length| **length < 0x7c) {
                *length += 4;
                out.splice(2..2, [0x80, 0x02, 0x07, 0x80]);
            }
        }
        Some(out)
    }

    fn accept(&mut self, client: u16, aarq: &Aarq<'_>) -> Result<(Session, InitiateResponse), UserDiagnostic> {
        let access = self.access(client).ok_or(UserDiagnostic::NoReasonGiven)?.clone();
        let mut session = Session { ciphering: access.ciphering.clone(), ..Session::new() };
        let title = aarq.calling_ap_title.map(SystemTitle::try_from).transpose();
        let title = title.map_err(|_| UserDiagnostic::CallingApTitleNotRecognized)?;
        if let Some(ciphering) = &mut session.ciphering {
            ciphering.peer_title = title.or(ciphering.peer_title);
        }
        let mut information = aarq.user_information.to_vec();
        let is_ciphered = aarq.context == ApplicationContext::LogicalNameCiphered;
        if is_ciphered {
            self.sessions.insert(client, session);
            let opened = self.open(client, &mut information);
            session = self.sessions.remove(&client).ok_or(UserDiagnostic::NoReasonGiven)?;
            opened.map_err(|_| UserDiagnostic::AuthenticationFailure)?;
        } else if access.is_protected {
            return Err(UserDiagnostic::ApplicationContextNameNotSupported);
        }
        session.is_protected = is_ciphered;
        let request = InitiateRequest::parse(&information).map_err(|_| UserDiagnostic::NoReasonGiven)?;
        if let (Some(key), Some(ciphering)) = (request.dedicated_key, &mut session.ciphering) {
            let key = EncryptionKey::new(key).map_err(|_| UserDiagnostic::NoReasonGiven)?;
            ciphering.dedicated = Some(key);
        }
        if aarq.mechanism != access.authentication.mechanism() {
            return Err(UserDiagnostic::AuthenticationMechanismNameNotRecognised);
        }
        let value = aarq.calling_authentication_value.unwrap_or_default();
        session.stage = match &access.authentication {
            Authentication::None => Stage::Associated,
            Authentication::Lls(password) if equal(password.octets(), value) => Stage::Associated,
            Authentication::Lls(_) => return Err(UserDiagnostic::AuthenticationFailure),
            _ => {
                let mut challenge = vec![0; 16];
                self.random.fill(&mut challenge);
                Stage::Pending { client_challenge: value.to_vec(), meter_challenge: challenge }
            }
        };
        session.conformance = access.conformance.common(request.conformance);
        if self.faults.no_blocks.is_some() {
            session.conformance = session.conformance.without(Conformance::BLOCKS_OF_ANSWERS);
        }
        session.client_pdu = match usize::from(request.max_receive_pdu_size) {
            0 => usize::from(u16::MAX),
            size => size.max(HEADROOM * 2),
        };
        let response = InitiateResponse {
            quality_of_service: None,
            conformance: session.conformance,
            max_receive_pdu_size: access.max_receive_pdu_size,
        };
        Ok((session, response))
    }

    pub(super) fn release(&mut self, client: u16) -> Option<Vec<u8>> {
        self.sessions.remove(&client);
        if self.faults.mute_release {
            return None;
        }
        let mut out = Vec::new();
        Release { kind: ReleaseKind::Response, reason: Some(0), user_information: None }.emit(&mut out);
        if self.faults.short_release {
            out.pop();
        }
        Some(out)
    }

    /// The client's proof, and ours for it.
    pub(super) fn prove(&mut self, client: u16, proof: &[u8]) -> Result<Vec<u8>, Reject> {
        let access = self.access(client).ok_or(Reject::NoKey)?.clone();
        let counter = self.sent.entry(client).or_default();
        let session = self.sessions.get_mut(&client).ok_or(Reject::NoKey)?;
        let Stage::Pending { client_challenge, meter_challenge } = &session.stage else {
            return Err(Reject::OutOfSequence);
        };
        let titles = session.ciphering.as_ref().map(|ciphering| (ciphering.own_title, ciphering.peer_title));
        let (own, peer) = (titles.map(|titles| titles.0), titles.and_then(|titles| titles.1));
        let theirs = Exchange { prover: peer, verifier: own, received: meter_challenge, sent: client_challenge };
        let ours = Exchange { prover: own, verifier: peer, received: client_challenge, sent: meter_challenge };
        let answer = match (&access.authentication, &session.ciphering) {
            (Authentication::Hash(hash, secret), _) => {
                equal(&theirs.digest(*hash, secret), proof).then(|| ours.digest(*hash, secret))
            }
            (Authentication::Ecdsa { own, meter }, _) => theirs.verify(meter, proof).ok().map(|()| ours.sign(own)),
            (Authentication::Gmac, Some(ciphering)) => match theirs.verify_gmac(ciphering, proof) {
                Ok(_) => {
                    *counter += 1;
                    Some(ours.gmac(ciphering, *counter - 1)?)
                }
                Err(_) => None,
            },
            _ => None,
        };
        match answer {
            Some(answer) => {
                session.stage = Stage::Associated;
                Ok(answer)
            }
            None => {
                session.stage = Stage::Idle;
                Err(Reject::BadTag)
            }
        }
    }
}
