//! What to read of which meter when: tasks, slots, gaps, retries. No I/O; calendar time comes in as an argument.
//!
//! A [`Grid`] says when slots end, a [`Progress`] which of them were read, a [`Task`] what is wanted of many meters, and
//! the [`Schedule`] who is asked next.

mod discipline;
mod grid;
mod kept;
mod meter;
mod number;
mod order;
mod plan;
mod progress;
mod task;

pub use discipline::{Correction, Discipline, Offset};
pub use grid::{Grid, Slot};
pub use kept::{Kept, KeptBinding, KeptLine, signature};
pub use meter::{MeterNo, MeterState};
pub use order::{End, Order, Ticket, Work};
pub use plan::{Completeness, Schedule};
pub use progress::{Progress, Tally};
pub use task::{Priority, Reach, Task, Window};
