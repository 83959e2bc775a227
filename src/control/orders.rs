//! Commands to meters as people see them.

use serde::{Deserialize, Serialize};

use crate::reading::meter_id;
use crate::registry::Order;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub order: u64,
    /// `KAM-12345678-1b-16`
    pub meter: String,
    /// `close-valve` and so on.
    pub action: String,
    /// queued, sent, delivered, succeeded, confirmed, failed, expired, indeterminate, cancelled
    pub state: String,
    /// What the state does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    pub given_ms: i64,
    pub expires_ms: i64,
    pub changed_ms: i64,
}

impl OrderLine {
    pub fn of(order: &Order) -> Self {
        Self {
            order: order.id,
            meter: meter_id(&order.meter).to_string(),
            action: order.action.name().to_owned(),
            state: order.state.name().to_owned(),
            detail: order.state.detail(),
            given_ms: order.given_ms,
            expires_ms: order.expires_ms,
            changed_ms: order.changed_ms,
        }
    }
}
