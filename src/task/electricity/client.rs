//! What the configuration says of a meter, as the client of `dlms` wants to be told.

use std::time::Duration;

use dlms::client::{Authentication, Client, Protection, Settings, Signing};
use dlms::link::Link;
use dlms::link::hdlc::{Address, Parameters, Primary, Timing};
use dlms::link::wrapper::Wrapper;
use dlms::security::hls::Hash;
use dlms::security::{Ciphering, SecurityControl, Suite, SystemTitle};
use dlms::spec::Conformance;

use super::KernelRandom;
use crate::config::electricity::{self, Channel, Meter, Place};
use crate::registry::Credential;

/// A client for one association. Its invocation counters are reserved when it needs them; `received` is the highest
/// one that the meter sent before.
///
/// # Errors
/// Says which secret is missing.
pub(in crate::task) fn client(
    meter: &Meter,
    channel: &Channel,
    credential: Option<&Credential>,
    own_title: Option<[u8; 8]>,
    received: Option<u32>,
) -> Result<Client, String> {
    let mut settings = settings(meter, channel.timeout, credential, own_title)?;
    let place = meter.place(channel);
    if let Some(Place::Plc(_) | Place::Udp(_)) = place {
        settings.max_receive_pdu_size = DATAGRAM;
    }
    if let Some(Place::Plc(_)) = place {
        // How long an answer may take the network knows; it ends the conversation.
        settings.timeout = IN_A_MESH;
    }
    if let Some(Place::Udp(_)) = place {
        settings.timeout /= REPEATS + 1;
        settings.repeats = REPEATS;
    }
    Ok(Client::new(settings, link(meter, channel), Box::new(KernelRandom), 0..0, received))
}

fn settings(
    meter: &Meter,
    timeout: Duration,
    credential: Option<&Credential>,
    own_title: Option<[u8; 8]>,
) -> Result<Settings, String> {
    let manner = &meter.manner;
    let password = || credential.and_then(|it| it.password.clone()).ok_or_else(|| "it has no password".to_owned());
    let suite = Suite::try_from(manner.suite).map_err(|reject| reject.to_string())?;
    if manner.has_signatures() && own_title.is_none() {
        return Err(NO_TITLE.to_owned());
    }
    let authentication = match manner.authentication {
        electricity::Authentication::None => Authentication::None,
        electricity::Authentication::Lls => Authentication::Lls(password()?),
        electricity::Authentication::Md5 => Authentication::Hash(Hash::Md5, password()?),
        electricity::Authentication::Sha1 => Authentication::Hash(Hash::Sha1, password()?),
        electricity::Authentication::Sha256 => Authentication::Hash(Hash::Sha256, password()?),
        electricity::Authentication::Gmac => Authentication::Gmac,
        electricity::Authentication::Ecdsa => {
            let Signing { own, peer } = signing(suite, credential)?;
            Authentication::Ecdsa { own, meter: peer }
        }
    };
    let ciphering = manner.is_ciphered().then(|| ciphering(meter, suite, credential, own_title)).transpose()?;
    let control = SecurityControl(manner.suite | manner.security);
    Ok(Settings {
        authentication,
        ciphering,
        protection: (manner.security != 0).then_some(Protection { control, form: manner.ciphering }),
        signing: manner.is_signed.then(|| signing(suite, credential)).transpose()?,
        timeout,
        value_limit: VALUE_LIMIT,
        conformance: Conformance::offered(manner.has_general_blocks),
        counter_restarts: manner.counter_restarts,
        system_title: own_title.map(SystemTitle),
        meter_title: Some(SystemTitle(meter.id)).filter(|_| manner.has_signatures()),
        ..Settings::default()
    })
}

/// The keys of both sides' signatures.
fn signing(suite: Suite, credential: Option<&Credential>) -> Result<Signing, String> {
    let missing = |what: &str| format!("it has no {what} for suite {}", suite as u8);
    let own = credential.and_then(|it| it.signing_key.as_deref()).filter(|key| key.suite() == suite);
    let peer = credential.and_then(|it| it.meter_public_key.as_deref()).filter(|key| key.suite() == suite);
    Ok(Signing {
        own: own.cloned().ok_or_else(|| missing("signing_key"))?,
        peer: peer.cloned().ok_or_else(|| missing("meter_public_key"))?,
    })
}

/// The keys of a meter, for both directions.
pub(super) fn ciphering(
    meter: &Meter,
    suite: Suite,
    credential: Option<&Credential>,
    own_title: Option<[u8; 8]>,
) -> Result<Ciphering, String> {
    let missing = |what: &str| format!("it has no {what}");
    let global = credential.and_then(|it| it.encryption_key.clone()).ok_or_else(|| missing("encryption_key"))?;
    let authentication =
        credential.and_then(|it| it.authentication_key.clone()).ok_or_else(|| missing("authentication_key"))?;
    let own_title = SystemTitle(own_title.ok_or(NO_TITLE)?);
    let peer_title = Some(SystemTitle(meter.id));
    Ok(Ciphering { suite, own_title, peer_title, global, broadcast: None, dedicated: None, authentication })
}

fn link(meter: &Meter, channel: &Channel) -> Box<dyn Link> {
    let manner = &meter.manner;
    let server = if manner.is_wide { Address::wide } else { Address::server };
    let addresses = Address::one(manner.client).zip(server(manner.server, manner.physical));
    match (channel.link, addresses) {
        (electricity::Link::Hdlc, Some((client, server))) => {
            let (information_transmit, information_receive) = (channel.frame_size, channel.frame_size);
            let parameters = Parameters { information_transmit, information_receive, ..Parameters::default() };
            // Request and answer take their time on a line.
            let line = match channel.place {
                Some(Place::Serial { baud, .. }) => {
                    Duration::from_secs(2 * 10 * (u64::from(channel.frame_size) + 32)) / baud.max(1)
                }
                _ => Duration::ZERO,
            };
            let timing = Timing { answer: Timing::default().answer.min(channel.timeout) + line, ..Timing::default() };
            Box::new(Primary::new(client, server, parameters, timing, APDU_LIMIT))
        }
        _ if matches!(meter.place(channel), Some(Place::Udp(_))) => {
            Box::new(Wrapper::datagrams(manner.client, manner.server))
        }
        // Addresses that HDLC has no room for do not pass the configuration.
        _ => Box::new(Wrapper::new(manner.client, manner.server)),
    }
}

const NO_TITLE: &str = "the unit has no system title";
/// Times that a datagram without an answer is sent again, within the time that an answer may take.
const REPEATS: u32 = 2;
/// Octets of an APDU that fits a packet through a mesh, which has 1280.
const DATAGRAM: u16 = 1024;
/// A request may wait for its turn; the order that it belongs to ends earlier.
const IN_A_MESH: Duration = Duration::from_secs(1_800);
/// Octets of one value: ten thousand rows of a dozen columns.
const VALUE_LIMIT: usize = 2 << 20;
/// Octets of one APDU.
const APDU_LIMIT: usize = 1 << 17;
