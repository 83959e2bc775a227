//! The meters: each an emulated server of its own behind a TCP socket, with HLS by GMAC and everything ciphered.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use dlms::client::Authentication;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey};
use dlms::sim::{Access, Model, Port, Server};
use dlms::time::DeviationSign;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wmbus::sim::random::Random;

use super::{Start, Street};
use crate::reading::MeterId;
use crate::simulate::faults::Faults;
use crate::simulate::fleet::fork;
use crate::simulate::run::{Electricity, Error, Options};
use crate::simulate::scene::More;

/// One meter as it is commissioned.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) model: Model,
    sign: DeviationSign,
    drift_ppm: i32,
    encryption_key: [u8; 16],
    authentication_key: [u8; 16],
    /// The supply is away, as parts of the run.
    away: Option<Range<f64>>,
    seed: u64,
}

/// Meters that answer.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) meters: Vec<Meter>,
    place: Place,
}

/// Where the meters are reached.
#[derive(Debug)]
enum Place {
    Sockets(Vec<SocketAddr>),
    Nodes(Street),
}

impl Meter {
    fn new(number: usize, begin: i64, faults: &Faults, seed: u64) -> Self {
        let mut random = fork(seed, number as u64);
        let serial = 1_000_000 + number as u32;
        let mut model = Model::electricity(serial).expect("its control mode is one of the standard");
        model.begin = begin;
        // Either way, up to so much a day.
        let drift = faults.clock_drift.map_or(0.0, |drift| drift.as_secs_f64() / DAY * 1e6) as u64;
        let drift_ppm = random.below(2 * drift + 1) as i64 - drift as i64;
        let is_away = random.below(1_000_000) < u64::from(faults.meter_loss_ppm);
        // In the middle of the run; a quarter of it.
        let from = 0.2 + random.below(1_000) as f64 / 1_000.0 * 0.3;
        Self {
            model,
            // By the standard and the other way, half and half.
            sign: if faults.dst && number % 2 == 1 { DeviationSign::Inverted } else { DeviationSign::Dlms },
            drift_ppm: i32::try_from(drift_ppm).unwrap_or(0),
            encryption_key: key(&mut random),
            authentication_key: key(&mut random),
            away: is_away.then_some(from..from + 0.25),
            seed: random.next_u64(),
        }
    }

    /// Its system title in hex.
    pub(super) fn id(&self) -> MeterId {
        MeterId::SystemTitle(self.model.system_title().0)
    }

    /// When its supply is away, as parts of the run.
    pub(super) fn away(&self) -> Option<&Range<f64>> {
        self.away.as_ref()
    }

    fn server(&self, start: Start) -> Server {
        let ciphering = Ciphering {
            suite: self.model.suite,
            own_title: self.model.system_title(),
            peer_title: None,
            global: EncryptionKey::new(&self.encryption_key).expect("sixteen octets are a key"),
            broadcast: None,
            dedicated: None,
            authentication: AuthenticationKey::new(&self.authentication_key).expect("sixteen octets are a key"),
        };
        let access = Access {
            ciphering: Some(ciphering),
            is_protected: true,
            ..Access::management(CLIENT, Authentication::Gmac)
        };
        let unix = start.pace.start_ms.div_euclid(1_000);
        let mut server = Server::new(self.model.build(), Port::wrapper(1), vec![access], unix, self.seed);
        server.speed = start.pace.speed;
        let clock = &mut server.meter.world.clock;
        clock.sign = self.sign;
        clock.drift_ppm = self.drift_ppm;
        clock.misset(0, start.pace.start_ms);
        // Its time begins now.
        server.handle_timeout(start.at);
        server
    }
}

impl Fleet {
    /// The meters that are asked for, whose time begins at `start`, on sockets, or behind a modem at `modem`. They answer
    /// on and on, but where they are away.
    pub(super) async fn open(
        options: &Options,
        electricity: &Electricity,
        start: Start,
        modem: Option<&Path>,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let begin = start.pace.start_ms.div_euclid(1_000) - HISTORY;
        let new = |number| Meter::new(number, begin, &options.faults, options.seed);
        let meters: Vec<_> = (0..electricity.meters).map(new).collect();
        let served = meters.iter().map(|meter| {
            let at = |part: f64| start.at + options.limit.mul_f64(part);
            (meter.server(start), meter.away.as_ref().map(|away| at(away.start)..at(away.end)))
        });
        let place = match modem {
            Some(link) => Place::Nodes(Street::open(served.collect(), options, (electricity.network, start), link)?),
            None => Place::Sockets(Self::listen(served, stop).await.map_err(Error::Meters)?),
        };
        Ok(Self { meters, place })
    }

    async fn listen(
        meters: impl Iterator<Item = (Server, Option<Range<Instant>>)>,
        stop: &CancellationToken,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for (server, away) in meters {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.push(listener.local_addr()?);
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = serve(listener, server, away) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        Ok(addresses)
    }

    /// Who has to be let into a network before anything can be read.
    pub(super) const fn street(&self) -> Option<&Street> {
        match &self.place {
            Place::Sockets(_) => None,
            Place::Nodes(street) => Some(street),
        }
    }

    pub(super) const fn street_mut(&mut self) -> Option<&mut Street> {
        match &mut self.place {
            Place::Sockets(_) => None,
            Place::Nodes(street) => Some(street),
        }
    }

    /// The section of the configuration, and the keys.
    pub(super) fn configuration(&self) -> More {
        let mut section = format!(
            "[electricity]\nkeys = \"{}\"\nsystem_title = \"{}\"\nclient = {CLIENT}\nserver = 1\nauth = \"gmac\"\n\
             security = \"authenticated-encrypted\"\nclock = \"{ZONE}\"\n\n\
             [[electricity.channel]]\nname = \"modems\"\nlink = \"wrapper\"\nat_once = 32\ntimeout = \"{}\"\n",
            More::FILE,
            hex::encode(UNIT),
            // A mesh without airtime waits for one answer after the other, and its days are short.
            match &self.place {
                Place::Nodes(street) if street.has_network() => "25s",
                Place::Nodes(_) => "500ms",
                Place::Sockets(_) => "5s",
            },
        );
        if let Place::Nodes(street) = &self.place {
            let (network, port) = (Street::NETWORK, street.port());
            section +=
                &format!("plc = \"{network}\"\n\n[[plc]]\nname = \"{network}\"\nport = {port:?}\npan_id = \"781d\"\n");
        }
        let mut keys = String::new();
        for (number, meter) in self.meters.iter().enumerate() {
            let id = meter.id();
            section += &format!("\n[[electricity.meter]]\nid = \"{id}\"\nchannel = \"modems\"\n");
            section += &match &self.place {
                Place::Sockets(addresses) => {
                    addresses.get(number).map_or_else(String::new, |address| format!("tcp = \"{address}\"\n"))
                }
                Place::Nodes(_) => format!("node = \"{}\"\n", Street::node(number)),
            };
            if meter.sign == DeviationSign::Inverted {
                section += "deviation = \"inverted\"\n";
            }
            let (encryption, authentication) =
                (hex::encode(meter.encryption_key), hex::encode(meter.authentication_key));
            keys += &format!("[{id}]\nencryption_key = \"{encryption}\"\nauthentication_key = \"{authentication}\"\n");
        }
        section += "\n[[electricity.task]]\nid = \"load-profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
                    period = \"15min\"\ndelay = \"60s\"\nspread = \"2h\"\nhistory = \"1d\"\n\n\
                    [[electricity.task]]\nid = \"daily\"\nwhat = \"profile\"\nobject = \"1-0:99.2.0*255\"\n\
                    period = \"1d\"\npriority = \"billing\"\ndelay = \"60s\"\n\n\
                    [[electricity.task]]\nid = \"clock\"\nwhat = \"clock\"\nperiod = \"1d\"\n";
        More { section, keys }
    }
}

/// Answers one connection after the other. While the meter is away nobody is there.
async fn serve(listener: TcpListener, mut server: Server, away: Option<Range<Instant>>) {
    let is_away = |now: Instant| away.as_ref().is_some_and(|away| away.contains(&now));
    while let Ok((mut stream, _)) = listener.accept().await {
        if is_away(now()) {
            continue;
        }
        // Requests and answers are short and wait for each other.
        let _ = stream.set_nodelay(true);
        server.reconnect();
        let mut buffer = vec![0; 4_096];
        let leaves = away.as_ref().map(|away| away.start).filter(|start| *start > now());
        loop {
            let read = tokio::select! {
                read = timeout(PATIENCE, stream.read(&mut buffer)) => read,
                () = sleep_until(leaves.unwrap_or_else(now).into()), if leaves.is_some() => break,
            };
            let Ok(Ok(length @ 1..)) = read else { break };
            server.handle_bytes(buffer.get(..length).unwrap_or_default(), now());
            let mut is_gone = false;
            while let Some(octets) = server.poll_transmit() {
                is_gone |= stream.write_all(&octets).await.is_err();
            }
            if is_gone {
                break;
            }
        }
    }
}

fn key(random: &mut Random) -> [u8; 16] {
    let (high, low) = (random.next_u64().to_be_bytes(), random.next_u64().to_be_bytes());
    let mut key = [0; 16];
    key.iter_mut().zip(high.into_iter().chain(low)).for_each(|(place, octet)| *place = octet);
    key
}

#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// The unit's name in ciphering.
const UNIT: [u8; 8] = *b"DCU\0\0\0\0\x01";
const CLIENT: u16 = 1;
/// That of the emulated meters.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
/// Seconds; the meters' profiles began so long before.
const HISTORY: i64 = 3 * 86_400;
/// Seconds.
const DAY: f64 = 86_400.0;
/// Who says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);
