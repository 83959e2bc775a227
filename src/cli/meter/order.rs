//! `dcu meter command|commands|cancel|install`: asked of the running service, as nobody else can send.

use std::time::Duration;

use crate::cli::client::{Asking, unexpected};
use crate::cli::text::{Table, ago, counted, printable};
use crate::cli::{Exit, Out, Outcome};
use crate::config;
use crate::control::{OrderLine, Reply, Request};
use crate::registry::Action;

#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Which meter
    meter: String,
    /// What it is told
    #[arg(value_parser = Action::ALL.map(Action::name))]
    action: String,
    /// After so long it is not sent any more
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = config::duration)]
    expires: Duration,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
pub(super) struct Commands {
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    /// Its number, as `dcu meter commands` shows it
    number: u64,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
pub(super) struct Install {
    /// Its full identity, such as KAM-12345678-1b-16: it need not have been heard
    meter: Option<String>,
    /// Do not bind it any more
    #[arg(long, requires = "meter")]
    remove: bool,
    #[command(flatten)]
    asking: Asking,
}

pub(super) fn command(args: &Command, out: &mut Out) -> Outcome {
    let [meter] = args.asking.ids([&args.meter])?;
    let (action, expires_s) = (args.action.clone(), args.expires.as_secs());
    orders(Request::Order { meter, action, expires_s }, &args.asking, out)
}

pub(super) fn commands(args: &Commands, out: &mut Out) -> Outcome {
    orders(Request::Orders, &args.asking, out)
}

pub(super) fn cancel(args: &Cancel, out: &mut Out) -> Outcome {
    orders(Request::CancelOrder { order: args.number }, &args.asking, out)
}

pub(super) fn install(args: &Install, out: &mut Out) -> Outcome {
    let request = match &args.meter {
        Some(meter) => Request::Bind { meter: meter.clone(), wanted: !args.remove },
        None => Request::ToBind,
    };
    let meters = match args.asking.service.ask(request)? {
        Reply::ToBind { meters } => meters,
        other => return Err(unexpected(&other)),
    };
    if args.asking.json {
        out.json(&meters)?;
    } else {
        meters.iter().try_for_each(|meter| out.text(printable(meter) + "\n"))?;
        eprintln!("{} to be bound", counted(meters.len() as u64, "meter"));
    }
    Ok(Exit::Done)
}

fn orders(request: Request, asking: &Asking, out: &mut Out) -> Outcome {
    let orders = match asking.service.ask(request)? {
        Reply::Orders { orders } => orders,
        other => return Err(unexpected(&other)),
    };
    if asking.json {
        orders.iter().try_for_each(|order| out.json(order))?;
        return Ok(Exit::Done);
    }
    out.text(table(&orders, asking.service.unit_now()))?;
    eprintln!("{}", counted(orders.len() as u64, "command"));
    Ok(Exit::Done)
}

fn table(orders: &[OrderLine], now: i64) -> String {
    if orders.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[">no", "meter", "command", "state", "changed"]);
    for order in orders {
        let OrderLine { meter, action, state, .. } = order;
        let changed = ago(now, order.changed_ms);
        table.row([order.order.to_string(), meter.clone(), action.clone(), state.clone(), changed]);
    }
    let mut text = table.text();
    for order in orders.iter().filter(|order| !order.detail.is_empty()) {
        text += &printable(&format!("{}: {}", order.order, order.detail));
        text.push('\n');
    }
    text
}
