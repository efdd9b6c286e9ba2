//! The catalog port on its engines.
//!
//! | module | what it is |
//! |---|---|
//! | [`MemoryCatalog`] | plain maps behind a mutex: the oracle that the engines are compared with |
//! | [`SqlCatalog`] | one set of statements for SQLite and PostgreSQL (feature `sql`) |
//! | `admit`, `compare`, `touched`, `entry`, `outbox` | the pure rules of a change that both follow |
//!
//! ```
//! use std::sync::Arc;
//! use liftgate_domain::{Catalog, ManualClock, ResourceKind, Scope, Timestamp};
//! use liftgate_store::catalog::MemoryCatalog;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let catalog = MemoryCatalog::new(Arc::new(ManualClock::at(Timestamp(0))));
//! assert!(catalog.resources(ResourceKind::Project, &Scope::organization(), None, 10).await?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admit;
mod compare;
mod entry;
mod memory;
mod outbox;
mod ruleset_changes;
#[cfg(feature = "sql")]
mod sql;
mod touched;

pub use memory::MemoryCatalog;
#[cfg(feature = "sql")]
pub use sql::SqlCatalog;
