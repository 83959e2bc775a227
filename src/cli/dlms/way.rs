//! The way to a meter, and who goes it: options of the command line, and the client made of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dlms::apdu::Attribute;
use dlms::client::{Authentication, Protection, Settings, Signing};
use dlms::cosem::class;
use dlms::link::Link;
use dlms::link::hdlc::{Address, Parameters, Primary, Timing};
use dlms::link::wrapper::Wrapper;
use dlms::security::hls::Hash;
use dlms::security::{Ciphering, Form, SecurityControl};
use dlms::spec::Conformance;
use dlms::time::DeviationSign;
use dlms::{Client, Data, Obis};

use super::choice::{Auth, Ciphers, CounterFrom, Protect, Sign};
use super::hint;
use super::keys::{Counter, Keys};
use super::name;
use super::server::Server;
use crate::cli::{Exit, Failure};
use crate::config::{Companion, host_and_port};
use crate::task::electricity::{Direct, DirectError, KernelRandom, Note, Place, Reserve, SessionError};

#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
struct Where {
    /// Over TCP in the wrapper; the port is 4059 mostly
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    wrapper: Option<String>,
    /// Over UDP in the wrapper; what is lost is asked again, twice
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    wrapper_udp: Option<String>,
    /// In HDLC frames over TCP
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    hdlc_tcp: Option<String>,
    /// In HDLC frames over a serial line, 8N1
    #[arg(long, value_name = "DEV")]
    serial: Option<PathBuf>,
}

/// Options that every verb has.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Way {
    #[command(flatten)]
    place: Where,
    /// Speed of the serial line
    #[arg(long, value_name = "N", default_value_t = 9600, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: u32,
    /// The client's address; 16 is the public client
    #[arg(long, value_name = "N", default_value_t = 16)]
    client: u16,
    /// The meter's address; over HDLC also LOGICAL/PHYSICAL device
    #[arg(long, value_name = "N", default_value = "1")]
    server: Server,
    /// Octets of the meter's HDLC address: 1, 2 or 4 [default: as few as it needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    address_octets: Option<u8>,
    /// Octets of information in an HDLC frame that are asked for [default: the meter's 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(32..=2030))]
    frame: Option<u16>,
    /// Octets of the longest answer in one piece, 64 at least [default: 65535, over HDLC and UDP 1024]
    // IEC 62056-5-3 lets a meter refuse what is too short; public servers do below 64.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(64..))]
    pdu: Option<u16>,
    /// Offer general block transfer: a meter that has it may then answer so, and some have no other
    #[arg(long)]
    general_blocks: bool,
    /// How client and meter show who they are
    #[arg(long, value_enum, default_value_t = Auth::None)]
    auth: Auth,
    /// The keys file, TOML; `dcu dlms --help` says what is in it
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// How APDUs are protected [default: full with gmac and ecdsa, else none]
    #[arg(long, value_enum)]
    protection: Option<Protect>,
    /// Which key protects, and in which form
    #[arg(long, value_enum, default_value_t = Ciphers::Global)]
    ciphering: Ciphers,
    /// Sign requests and want answers signed (general-signing): suites 1 and 2
    #[arg(long)]
    sign: bool,
    /// Where the invocation counter begins
    #[arg(long, value_enum, default_value_t = CounterFrom::Auto)]
    counter: CounterFrom,
    /// Where the meter says it, to the public client: an object of class 1
    /// [default: as the companion profile says, else 0-0:43.1.0*255]
    #[arg(long, value_name = "OBIS", value_parser = name::counter)]
    counter_object: Option<Obis>,
    /// How the meter signs the deviation of its clock: by the standard, or as in India, Saudi Arabia and Italy
    /// [default: as the companion profile says, else dlms]
    #[arg(long, value_enum)]
    deviation: Option<Sign>,
    /// The companion profile whose names objects have: one of `dcu config companion`, or a file
    #[arg(long, value_name = "NAME|FILE", value_parser = companion)]
    pub(super) companion: Option<Arc<Companion>>,
    /// How long to wait for an answer, or its next block; ten times as long while it comes
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = crate::cli::duration)]
    timeout: Duration,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

impl Way {
    pub(super) fn sign(&self) -> DeviationSign {
        match self.deviation {
            Some(Sign::Dlms) => DeviationSign::Dlms,
            Some(Sign::Inverted) => DeviationSign::Inverted,
            None => self.companion.as_ref().and_then(|it| it.deviation()).unwrap_or(DeviationSign::Dlms),
        }
    }

    /// What an object means, as the companion profile says.
    pub(super) fn meaning(&self, class: u16, name: Obis) -> Option<&str> {
        self.companion.as_ref()?.meaning(Some(class), crate::reading::Obis(name.0))
    }

    fn counter_object(&self) -> Obis {
        let companion = || Some(Obis(self.companion.as_ref()?.counter()?.0));
        self.counter_object.or_else(companion).unwrap_or(Obis::new(0, 0, 43, 1, 0, 255))
    }

    /// Opens the link and the association.
    pub(super) fn open(&self) -> Result<Meter, Failure> {
        let mut keys = self.keys.as_deref().map(Keys::load).transpose()?.unwrap_or_default();
        let counter = keys.counter.take();
        let settings = self.settings(keys)?;
        let uses_counters = settings.protection.is_some() || matches!(settings.authentication, Authentication::Gmac);
        let mut counter = counter.filter(|_| uses_counters);
        if let Some(counter) = &mut counter {
            self.ask_counter(counter)?;
        }
        let reserver = Reserver { counter, failed: None };
        let reserver = Arc::new(Mutex::new(reserver));
        let reserve: Reserve = Box::new({
            let reserver = Arc::clone(&reserver);
            move || reserver.lock().ok()?.reserve()
        });
        let client = Client::new(settings, self.link(self.client)?, Box::new(KernelRandom), 0..0, None);
        let opened = Direct::open(&self.place(), client, reserve);
        let (direct, _) = opened.map_err(|error| {
            let left = if let DirectError::Session { left, .. } = &error { Some(*left) } else { None };
            reserver.lock().ok().and_then(|mut reserver| reserver.close(left)).unwrap_or_else(|| hint::unopened(error))
        })?;
        Ok(Meter { direct, is_hanging: false, reserver })
    }

    /// Where the counter is to begin by the meter, as the public client is told: nobody has proven it, so that it lowers
    /// nothing, and what the file says is raised by so much at most.
    fn ask_counter(&self, counter: &mut Counter) -> Result<(), Failure> {
        if self.counter == CounterFrom::File || self.counter == CounterFrom::Auto && counter.is_said() {
            return Ok(());
        }
        match self.public_counter() {
            Ok(last) => counter.raise(last).map_err(|text| Failure::said(Exit::NotPermitted, text)),
            Err(failure) if self.counter == CounterFrom::Meter => Err(failure),
            Err(failure) => {
                let why = failure.error.map_or_else(String::new, |error| format!(": {error:#}"));
                eprintln!("dcu: the meter does not tell its invocation counter, 1 is used{why}");
                Ok(())
            }
        }
    }

    /// The highest counter that the meter has had of the client.
    fn public_counter(&self) -> Result<u32, Failure> {
        let settings = Settings { authentication: Authentication::None, ..self.common() };
        let client = Client::new(settings, self.link(PUBLIC_CLIENT)?, Box::new(KernelRandom), 0..0, None);
        let (mut direct, _) = Direct::open(&self.place(), client, Box::new(|| None)).map_err(hint::unopened)?;
        let read = direct.get(Attribute::new(class::DATA, self.counter_object(), 2), None);
        let _ = direct.release_within(GOODBYE);
        let octets = read.map_err(|error| hint::told(error, None))?;
        let number = Data::parse_all(&octets).and_then(|data| data.number());
        number.map_err(|_| Failure::said(Exit::Failed, format!("{} holds no counter", self.counter_object())))
    }

    fn place(&self) -> Place {
        match &self.place {
            Where { wrapper_udp: Some(address), .. } => Place::Udp(address.clone()),
            Where { serial: Some(path), .. } => Place::Serial { path: path.clone(), baud: self.baud },
            Where { wrapper: Some(address), .. } | Where { hdlc_tcp: Some(address), .. } => Place::Tcp(address.clone()),
            Where { .. } => Place::Tcp(String::new()),
        }
    }

    fn is_hdlc(&self) -> bool {
        self.place.wrapper.is_none() && !self.is_udp()
    }

    fn is_udp(&self) -> bool {
        self.place.wrapper_udp.is_some()
    }

    fn link(&self, client: u16) -> Result<Box<dyn Link>, Failure> {
        if !self.is_hdlc() {
            let number = u16::try_from(self.server.number).ok().filter(|_| self.server.physical.is_none());
            let server = number.ok_or_else(|| usage("--server: in the wrapper a meter has one number up to 65535"))?;
            let new = if self.is_udp() { Wrapper::datagrams } else { Wrapper::new };
            return Ok(Box::new(new(client, server)));
        }
        let client = Address::one(client).ok_or_else(|| usage("--client: over HDLC it is 127 at most"))?;
        let server = self.server.address(self.address_octets).map_err(usage)?;
        let wanted = self.frame.map_or_else(Parameters::default, |octets| Parameters {
            information_transmit: octets,
            information_receive: octets,
            ..Parameters::default()
        });
        let timing = Timing { answer: self.timeout / (TRIES + 1), repeats: TRIES, ..Timing::default() };
        Ok(Box::new(Primary::new(client, server, wanted, timing, VALUE_LIMIT)))
    }

    fn settings(&self, keys: Keys) -> Result<Settings, Failure> {
        let needs = |name: &str| {
            let file = self.keys.as_ref().map_or("--keys FILE".into(), |path| path.display().to_string());
            Failure::said(Exit::Configuration, format!("{file}: this needs {name}"))
        };
        let secret = |keys: &Keys| keys.password.clone().ok_or_else(|| needs("password"));
        let protection = match self.protection.unwrap_or(match self.auth {
            Auth::Gmac | Auth::Ecdsa => Protect::Full,
            _ => Protect::None,
        }) {
            Protect::None => None,
            Protect::Authenticated => Some(SecurityControl::AUTHENTICATION),
            Protect::Encrypted => Some(SecurityControl::ENCRYPTION),
            Protect::Full => Some(SecurityControl::AUTHENTICATION | SecurityControl::ENCRYPTION),
        };
        let signing = |keys: &Keys| {
            let own = keys.signing_key.clone().ok_or_else(|| needs("signing_key"))?;
            let peer = keys.meter_public_key.clone().ok_or_else(|| needs("meter_public_key"))?;
            Ok::<_, Failure>(Signing { own, peer })
        };
        let authentication = match self.auth {
            Auth::None => Authentication::None,
            Auth::Lls => Authentication::Lls(secret(&keys)?),
            Auth::Md5 => Authentication::Hash(Hash::Md5, secret(&keys)?),
            Auth::Sha1 => Authentication::Hash(Hash::Sha1, secret(&keys)?),
            Auth::Sha256 => Authentication::Hash(Hash::Sha256, secret(&keys)?),
            Auth::Gmac => Authentication::Gmac,
            Auth::Ecdsa => signing(&keys).map(|Signing { own, peer }| Authentication::Ecdsa { own, meter: peer })?,
        };
        let ciphering = match (protection, self.auth) {
            (None, auth) if auth != Auth::Gmac => None,
            _ => Some(Ciphering {
                suite: keys.suite,
                own_title: keys.system_title.ok_or_else(|| needs("system_title"))?,
                peer_title: keys.meter_system_title,
                global: keys.encryption_key.clone().ok_or_else(|| needs("encryption_key"))?,
                broadcast: None,
                dedicated: None,
                authentication: keys.authentication_key.clone().ok_or_else(|| needs("authentication_key"))?,
            }),
        };
        if (self.auth == Auth::Ecdsa || self.sign) && keys.system_title.is_none() {
            return Err(needs("system_title"));
        }
        if protection.is_none() && self.ciphering != Ciphers::Global {
            return Err(usage(
                "--ciphering says how APDUs are protected, and they are not: --protection full, or another --auth",
            ));
        }
        let form = match self.ciphering {
            Ciphers::Global => Form::Global,
            Ciphers::Dedicated => Form::Dedicated,
            Ciphers::GeneralGlobal => Form::GeneralGlobal,
            Ciphers::GeneralDedicated => Form::GeneralDedicated,
        };
        let protection = protection.map(|bits| Protection { control: SecurityControl(bits | keys.suite as u8), form });
        Ok(Settings {
            authentication,
            ciphering,
            protection,
            signing: self.sign.then(|| signing(&keys)).transpose()?,
            system_title: keys.system_title,
            meter_title: keys.meter_system_title,
            ..self.common()
        })
    }

    /// What has nothing to do with who speaks.
    fn common(&self) -> Settings {
        let longest = if self.place.wrapper.is_some() { u16::MAX } else { 1024 };
        // HDLC repeats frames by itself.
        let repeats = if self.is_udp() { TRIES } else { 0 };
        Settings {
            max_receive_pdu_size: self.pdu.unwrap_or(longest),
            conformance: Conformance::offered(self.general_blocks),
            value_limit: VALUE_LIMIT,
            timeout: self.timeout / (repeats + 1),
            repeats,
            // The end of the link ends the association; not every meter answers RLRQ.
            has_release: !self.is_hdlc(),
            ..Settings::default()
        }
    }
}

/// A meter with an association.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) direct: Direct,
    /// It left something unanswered.
    pub(super) is_hanging: bool,
    reserver: Arc<Mutex<Reserver>>,
}

/// Reserves counters in the keys file, and keeps why it could not.
#[derive(Debug)]
struct Reserver {
    counter: Option<Counter>,
    failed: Option<Failure>,
}

impl Reserver {
    fn reserve(&mut self) -> Option<std::ops::Range<u32>> {
        match self.counter.as_mut()?.reserve() {
            Ok(range) => Some(range),
            Err(failure) => {
                self.failed = Some(failure);
                None
            }
        }
    }

    /// Gives back what was not used, where that is known. Says why there were no more of them, if so it was.
    fn close(&mut self, left: Option<u32>) -> Option<Failure> {
        if let (Some(counter), Some(left)) = (&mut self.counter, left) {
            // Counters that stay reserved are lost, which does no harm.
            let _ = counter.give_back(left);
        }
        self.failed.take()
    }
}

impl Meter {
    /// Why something was not done, with what came instead of an answer.
    pub(super) fn told(&mut self, error: SessionError) -> Failure {
        let mut strange = None;
        while let Some(note) = self.direct.poll_note() {
            strange = if let Note::Rejected(reject) = note { Some(reject) } else { strange };
        }
        hint::told(error, strange)
    }

    /// Ends the association, and gives back the counters that were not used. Says why there were no more of them, if
    /// so it was.
    pub(super) fn release(self) -> Option<Failure> {
        let Self { direct, reserver, .. } = self;
        // What was asked is answered: how the meter says goodbye changes nothing.
        let left = direct.release_within(GOODBYE);
        reserver.lock().ok()?.close(left)
    }
}

fn companion(text: &str) -> Result<Arc<Companion>, String> {
    Companion::named(text, Path::new(""))
}

fn usage(message: &'static str) -> Failure {
    Failure::said(Exit::Usage, message)
}

/// Octets of one value, all its blocks together.
const VALUE_LIMIT: usize = 16 << 20;
/// IEC 62056-5-3: who needs nothing to be told.
const PUBLIC_CLIENT: u16 = 16;
/// Times that an HDLC frame or a datagram without an answer is sent again.
const TRIES: u32 = 2;
/// How long a meter may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
