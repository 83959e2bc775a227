//! `dcu simulate` and `dcu simulate receiver`.

mod fleet;
mod receiver;
mod told;
mod view;

use clap::Subcommand;

use super::{Out, Outcome};

/// Run the service in a digital twin of its surroundings
///
/// Starts everything the service needs on a machine that has nothing: a fleet of gas, water and heat meters that send
/// encrypted telegrams, emulated receivers on pseudo terminals, an MQTT broker with mutual TLS, and the reference
/// head-end. The service is `dcu run` with a written configuration, as a process of its own. At the end every
/// reading that reached it is compared with what arrived at the head-end; a difference is a failure.
///
/// What is counted, in readings: sent, in telegrams that meters sent; heard, in those that reached one of the service's
/// ports intact; decoded, by the service's own count (after a kill as it last told); stored, reported as durable;
/// delivered, arrived at the head-end with the value that was meant, once; duplicates, arrived again and dropped there;
/// lost, heard or reported as durable and not delivered; in_window, heard in the open commit window of a kill and not
/// delivered, which is no loss; arrived, of all meters together, which is more than delivered where electricity meters
/// are asked for slots before the first that is expected. wire_bytes_per_reading has all octets between service and
/// broker, TLS included, by what arrived; written_bytes_per_reading what the service wrote to the disk, by stored
/// readings (none where its directory is in memory, as /tmp may be; without the 3 MiB that a new unit sets aside once
/// in its life); peak_rss_bytes is the service's, and rss_kib its memory every 30 s; garbage, telegrams that were none
/// (random octets and strangers' telegrams, told by receivers of all kinds that delimit frames), none of which may
/// arrive. With a --policy other than "all", lost means reported as durable and not delivered.
///
/// With --electricity there are meters, ciphered and with HLS by GMAC, that the service reads on a schedule: load
/// profile, daily values, clock. They are on TCP sockets; with --plc, or beside meters with radios (--gas-water),
/// behind the nodes of an emulated G3-PLC modem, and --tcp puts them on sockets there too. What is scaled is UTC, the
/// unit's and the meters' alike: a day takes --day, a quarter of an hour a 96th of it; telegrams, time-outs, back-off
/// of connections, TLS and the commit window are in real time. Every value of every slot that ended is compared with
/// the meters' own: delivered, of the values that are expected; completeness, delivered by expected; gaps, of slots
/// that ended while their meter was away (with its node, where it has one), and how many of them were filled in later;
/// lost, reported as durable and not delivered; doubled, arrived in two records; joins, of nodes into their network.
/// With both kinds of meters, the JSON object has gas_water and electricity, and beside them what is of all.
///
/// With --network the modem's nodes are those of a simulated low-voltage network: noise, phases, hidden nodes, LOADng
/// in every node. Joins, routes and messages take its airtime, and the deadlines of the service's mesh pass as fast as
/// the days: the service is the one that would stand there. "new" begins with nobody in the network, and the days, and
/// with them --for, --kills and faults, when 95 % of the nodes have joined, or after six hours of its time with those
/// that have; "formed" begins with everybody, and the days when the service has let them in, which takes seconds and no
/// airtime; what it asks meters meanwhile does. --feeder puts the nodes where a published network has its loads, the
/// first N of them: JSON with "transformer", a bus; "lines", [bus, bus, metres]; "meters", [bus, "A", "B", "C" or
/// "ABC"]. What such a network has not carried is missing and no failure. network has speed, hours of its time, nodes,
/// joined, those of them that are in it, airtime that a sniffer in the substation hears, and cpu_percent, the service's
/// share of one core while days passed (cpu_percent_unscaled: divided by the speed).
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    before_help = "\
Examples:
  dcu simulate                                   50 meters for a minute
  dcu simulate --readings 10000 --rate 2000 --json
  dcu simulate --faults broker-outage=10s,loss=5%
  dcu simulate --receivers im871a,cul,rtl_wmbus --faults receiver-outage=5s
  dcu simulate --meters 500 --rate 125 --faults garbage=300 --for 10min
  dcu simulate --kills 50                        SIGKILL at random moments
  dcu simulate --electricity 200 --faults meter-loss=10%,clock-drift=10s,dst
  dcu simulate --electricity 500 --plc           behind a G3-PLC modem
  dcu simulate --electricity 100 --plc --network=formed --day 30min --for 10min
  dcu simulate --electricity 500 --gas-water 500 --for 120s
                                                 both kinds in one unit
  dcu head-end keys keys                         with a real broker:
  mosquitto -c keys/mosquitto.conf &
  dcu simulate --broker mqtts://localhost:8883 --keys keys"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    fleet: fleet::Args,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Receiver(receiver::Args),
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Some(Verb::Receiver(args)) => receiver::run(args, out),
        None => fleet::run(args.fleet, out),
    }
}
