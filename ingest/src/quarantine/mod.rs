//! Events that are well-formed and not believed: durable and deduplicated like any other, but kept here until somebody
//! replays or discards them. The newest are in the log alone; files take over what the log lets go of.

pub(crate) mod entry;
mod file;
mod held;
mod page;
mod room;
mod settle;

pub use entry::{QuarantineId, QuarantineReason};
pub use page::{QUARANTINE_PAGE_MAX, QuarantineFilter, QuarantinePage, QuarantinedEvent};
pub use settle::{Discarded, QuarantineSelection, ReplayTime, Replayed};

pub(crate) use entry::{Doubt, Entry};
pub(crate) use file::Records;
pub(crate) use held::Held;
pub(crate) use room::{Charge, Room};
pub(crate) use settle::Desk;
