//! What is taken up of routes: their history from its file, and what somebody wants of them, which the store has, too. So no
//! order is lost with a file that was damaged, emptied, cut or taken away, or that could not be written when it was given.

use std::path::Path;
use std::time::Duration;

use plc::route::Standing;
use tokio::task::block_in_place;
use tracing::{error, info, warn};

use super::super::{Plc, chain};
use super::both;
use crate::clock::Now;
use crate::registry::RouteLog;
use crate::store::Done;

impl Plc {
    /// What was noted before, and what is wanted; blocks. That the file was harmed is said once.
    pub(in crate::task::plc) fn take_up_routes(&mut self, directory: &Path, now: Now) {
        let stored = self.stored_orders();
        let opened = RouteLog::open(directory, &mut self.routing.routes);
        self.routing.routes.give_up_asked(both(now));
        let aside = match opened {
            Ok((log, aside)) => {
                if log.strange() > 0 {
                    let count = log.strange();
                    warn!(network = %self.name, count, "what a newer version noted of routes is left as it is");
                }
                self.routing.log = Ok(log);
                aside
            }
            Err(error) => {
                self.not_kept("the history of routes", &error);
                self.routing.log = Err(chain(&error));
                None
            }
        };
        let is_known = stored.is_some();
        let (new, over) = stored.map_or((0, 0), |stored| self.routing.routes.take_over(stored, both(now)));
        if over > 0 {
            info!(network = %self.name, count = over, "orders that the file of routes has were taken back since");
        }
        let how = match aside {
            Some(aside) => format!("is damaged and set aside as {}", aside.display()),
            // The file may be read again one day: until then the store has all that is wanted.
            None if new == 0 || self.routing.log.is_err() => return self.mark_orders_at_start(),
            None => "was emptied, cut or taken away".to_owned(),
        };
        let counts = self.routing.counts();
        let what = match (counts.held, counts.blacklisted) {
            (0, 0) if is_known => "nothing was wanted of them".to_owned(),
            (0, 0) => "none is held any more, and nobody is blacklisted".to_owned(),
            (held, banned) => format!("what is wanted goes on, as the store has it: {held} held, {banned} blacklisted"),
        };
        error!(network = %self.name, how, what, "the history of routes is lost");
        self.tell_loss(
            "plc.routes_lost",
            format!("the file of routes {how}: the history that it had is lost; {what}"),
            now,
        );
        self.mark_orders_at_start();
    }

    /// What the store has of what is wanted, of those that have an address here: a network that began anew has none yet. None:
    /// an earlier version wrote nothing of it, or there was too much of it.
    fn stored_orders(&self) -> Option<Standing> {
        let mut stored = Standing::parse(&self.stored_mark(ORDERS)?)?;
        let server = self.coordinator.server();
        let is_ours = |node: u16| server.member_at(node).is_some();
        stored.held.retain(|node, next_hop| is_ours(*node) && is_ours(*next_hop));
        stored.blacklist.retain(|node| is_ours(*node));
        Some(stored)
    }

    /// Somebody wants something, or no more: the store is to have it soon, whatever becomes of the file.
    pub(super) fn mark_orders(&mut self) {
        let marks = vec![self.orders()];
        self.waiting.mark_now(marks);
    }

    /// Who has ordered something hears why it does not outlive the service, where neither the file nor the store takes it;
    /// blocks, for a moment where the file does not.
    pub(super) fn unkept_orders(&mut self) -> Option<String> {
        self.note_changes((self.clock)());
        let why = self.routing.keep().err()?;
        let mark = self.orders();
        let (sender, receiver) = std::sync::mpsc::channel();
        let done: Done = Box::new(move |stored| sender.send(stored.is_ok()).unwrap_or_default());
        let is_asked = !mark.1.is_empty() && self.store.try_append_marked(Vec::new(), &[mark], Some(done)).is_ok();
        let is_asked = is_asked && self.store.commit(None).is_ok();
        let is_stored = is_asked && block_in_place(|| receiver.recv_timeout(STORE_TAKES)) == Ok(true);
        (!is_stored).then_some(why)
    }

    fn mark_orders_at_start(&mut self) {
        let marks = vec![self.orders()];
        self.waiting.mark(marks);
    }

    fn orders(&self) -> (Vec<u8>, Vec<u8>) {
        let (standing, mut octets) = (self.routing.routes.standing(), Vec::new());
        if standing.octets() <= MOST {
            standing.emit(&mut octets);
        }
        (self.mark_of(ORDERS), octets)
    }
}

/// What begins the mark's name.
const ORDERS: &[u8] = b"plc-routes/";
/// Octets that a mark may have, which are three thousand routes that are held. Of more the file alone tells.
const MOST: usize = 12 << 10;
/// How long the store is waited for.
const STORE_TAKES: Duration = Duration::from_secs(2);
