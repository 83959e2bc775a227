//! `dcu meter channel`: gas, water and heat meters behind an electricity meter, and their keys and valves.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use dlms::security::encipher_mbus_key;

use crate::cli::client::{Asking, unexpected};
use crate::cli::node::text_of_owner;
use crate::cli::text::{Table, printable};
use crate::cli::{Exit, Failure, Out, Outcome};
use crate::control::{ChannelAsk, ChannelCard, MbusKey, Reply, Request};
use crate::reading::MeterId;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "dcu meter channel [OPTIONS] <METER> <CHANNEL> [WHAT]",
    subcommand_value_name = "WHAT",
    subcommand_help_heading = "What",
    after_help = KEYS,
    mut_args = |arg| { let is_option = !arg.is_positional(); arg.global(is_option) }
)]
pub(super) struct Channel {
    /// The electricity meter
    meter: String,
    /// Its M-Bus channel, 1 to 4
    channel: u8,
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    what: Option<What>,
}

const KEYS: &str = "\
The file of set-key is TOML, for its owner alone (chmod 0600), a table a meter:
  [ELS-70012345-33-03]
  key             the new one, 32 hex digits: the electricity meter gets it
  enciphered_key  the same under the meter's own default key (one block of
                  AES-128): the meter gets it
  default_key     or that key itself; without both the meter has the key already";

/// What is done.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum What {
    /// Read who is there, its key's status and its valve [without any]
    Show,
    /// Take a meter onto the channel
    Install {
        /// Only this one, such as ELS-70012345-33-03 [default: whichever is found]
        #[arg(long, value_name = "METER", value_parser = mbus)]
        behind: Option<String>,
        /// Its primary address on the wire, 1 to 250 [default: the electricity meter chooses]
        #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
        address: u8,
    },
    /// Let the channel's meter go
    Deinstall,
    /// Have the meter behind it read now
    Capture,
    /// Clear the alarm bits
    ResetAlarm,
    /// Give the meter behind it the electricity meter's time
    SynchronizeClock,
    /// Give both meters a new key for what they say to each other
    SetKey {
        /// The file of keys, or - for standard input
        file: PathBuf,
        /// Whose key, where the file has more than one
        #[arg(long, value_name = "METER", value_parser = mbus)]
        behind: Option<String>,
    },
    /// Close the valve, or open the breaker
    Disconnect,
    /// Enable opening by hand, or open, as the control mode has it
    ///
    /// A gas valve is never opened from afar this way.
    Connect,
}

pub(super) fn run(args: Channel, out: &mut Out) -> Outcome {
    let ask = args.what.map_or(Ok(ChannelAsk::Show), What::ask)?;
    let [meter] = args.asking.ids([&args.meter])?;
    let request = Request::Channel { meter, channel: args.channel, ask };
    let card = match args.asking.service.ask_patiently(request)? {
        Reply::Channel(card) => card,
        other => return Err(unexpected(&other)),
    };
    match args.asking.json {
        true => out.json(&card)?,
        false => out.text(print(&card))?,
    }
    Ok(Exit::Done)
}

impl What {
    /// In the words of the service; keys are read from their file.
    pub(in crate::cli) fn ask(self) -> Result<ChannelAsk, Failure> {
        Ok(match self {
            Self::Show => ChannelAsk::Show,
            Self::Install { behind, address } => ChannelAsk::Install { behind, address },
            Self::Deinstall => ChannelAsk::Deinstall,
            Self::Capture => ChannelAsk::Capture,
            Self::ResetAlarm => ChannelAsk::ResetAlarm,
            Self::SynchronizeClock => ChannelAsk::SynchronizeClock,
            Self::SetKey { file, behind } => ChannelAsk::SetKey(key_of(&file, behind.as_deref())?),
            Self::Disconnect => ChannelAsk::Disconnect,
            Self::Connect => ChannelAsk::Connect { directly: false },
        })
    }
}

/// The key of a meter, from a file that its owner alone can read.
fn key_of(file: &Path, behind: Option<&str>) -> Result<MbusKey, Failure> {
    key(&text_of_owner(file)?, behind)
        .map_err(|fault| Failure::said(Exit::Configuration, format!("{}: {fault}", file.display())))
}

fn key(text: &str, behind: Option<&str>) -> Result<MbusKey, String> {
    // The parser's own message shows the line, which may be a secret.
    let tables: toml::Table = text.parse().map_err(|_| "not TOML".to_owned())?;
    let mut meters = tables.iter().map(|(name, table)| mbus(name).map(|id| (id, table)));
    let found = match behind {
        Some(wanted) => meters.find(|meter| meter.as_ref().is_ok_and(|(id, _)| id == wanted)),
        None if tables.len() > 1 => return Err("has more than one meter: --behind says which".to_owned()),
        None => meters.next(),
    };
    let (id, table) = found.ok_or_else(|| format!("has no table of {}", behind.unwrap_or("a meter")))??;
    let table = table.as_table().ok_or_else(|| format!("{id}: not a table"))?;
    if let Some(other) = table.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("{id}.{other}: unknown key: {} are known", KNOWN.join(", ")));
    }
    let octets = |name: &str| {
        let read = |value: &toml::Value| {
            let mut octets = [0; 16];
            hex::decode_to_slice(value.as_str()?, &mut octets).ok().map(|()| octets)
        };
        let wrong = || format!("{id}.{name}: a key has 32 hex digits");
        table.get(name).map(|value| read(value).ok_or_else(wrong)).transpose()
    };
    let key = octets("key")?.ok_or_else(|| format!("{id}.key: is missing"))?;
    let enciphered = match (octets("enciphered_key")?, octets("default_key")?) {
        (Some(_), Some(_)) => return Err(format!("{id}.default_key: has no use beside `enciphered_key`")),
        (Some(enciphered), None) => Some(enciphered),
        (None, default) => default.map(|default| encipher_mbus_key(&default, &key)),
    };
    Ok(MbusKey { behind: id, key: hex::encode(key), enciphered: enciphered.map(hex::encode) })
}

/// The full identity of an M-Bus meter, as it is printed.
fn mbus(text: &str) -> Result<String, String> {
    match text.parse() {
        Ok(id @ MeterId::MBus { .. }) => Ok(id.to_string()),
        _ => Err(format!("{text:?} is not an M-Bus meter such as ELS-70012345-33-03")),
    }
}

/// A channel, for people.
pub(in crate::cli) fn print(card: &ChannelCard) -> String {
    let mut items = Table::new(&["", ""]);
    let mut row = |name: &str, text: String| items.row([name.to_owned(), text]);
    row("behind", card.behind.as_deref().map_or_else(|| "nobody".to_owned(), printable));
    row("address", card.primary_address.to_string());
    if let Some(key) = &card.key {
        row("key", printable(key));
    }
    if let Some(alarm) = card.alarm {
        row("alarm", format!("0x{alarm:02x}"));
    }
    if let Some(valve) = &card.valve {
        let moved = if valve.is_connected { "open" } else { "closed" };
        row("valve", format!("{}, control mode {}, {moved}", printable(&valve.state), valve.control_mode));
    }
    format!("{}  channel {}\n\n{}", printable(&card.meter), card.channel, items.text())
}

const KNOWN: [&str; 3] = ["key", "enciphered_key", "default_key"];

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ELS-70012345-33-03";

    #[test]
    fn a_file_has_the_key_for_both_meters_and_no_fault_shows_it() {
        let (key, default) = ("55".repeat(16), "44".repeat(16));
        let text = format!("[els-70012345-33-03]\nkey = \"{key}\"\ndefault_key = \"{default}\"\n");
        let found = super::key(&text, None).unwrap();
        let enciphered = hex::encode(encipher_mbus_key(&[0x44; 16], &[0x55; 16]));
        assert_eq!((found.behind.as_str(), &found.key, &found.enciphered), (ID, &key, &Some(enciphered.clone())));
        let given = format!("[{ID}]\nkey = \"{key}\"\nenciphered_key = \"{enciphered}\"\n");
        assert_eq!(super::key(&given, Some(ID)).unwrap(), found);
        assert_eq!(super::key(&format!("[{ID}]\nkey = \"{key}\"\n"), None).unwrap().enciphered, None);
        let two = format!("{text}[ELS-70012346-33-03]\nkey = \"{default}\"\n");
        assert_eq!(super::key(&two, Some("ELS-70012346-33-03")).unwrap().key, default);
        let bad = [
            two,
            format!("[{ID}]\nkey = \"{}\"\n", "5g".repeat(16)),
            format!("[{ID}]\nenciphered_key = \"{key}\"\n"),
            format!("{given}default_key = \"{default}\"\n"),
            format!("[{ID}]\nkee = \"{key}\"\n"),
            format!("[4d4d4d0000bc614e]\nkey = \"{key}\"\n"),
            format!("[{ID}]\nkey = \"{key}\n"),
            String::new(),
        ];
        for text in bad {
            let fault = super::key(&text, None).unwrap_err();
            assert!(!fault.contains("555555") && !fault.contains("5g5g"), "{fault}");
        }
        assert!(!format!("{found:?}").contains("5555"));
    }
}
