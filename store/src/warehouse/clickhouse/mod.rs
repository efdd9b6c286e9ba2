//! The warehouse of a cluster: rows in ClickHouse, questions as SQL.
//!
//! ```text
//! events      every row, sorted by environment, kind, name and unit; a month of the sender's time is a partition
//! batches     which sealed batches are stored, by node, epoch and sequence
//! marks       how far each node's evidence reaches
//! expired     how many events retention has taken out, by environment, day and node
//! migrations  which steps have made these tables
//! ```
//!
//! A batch is one insert under a name that a retry repeats; the server remembers names. Nothing relies on that alone:
//! every question looks for identities with several rows and takes the one received first.
//!
//! | module | what it is |
//! |---|---|
//! | `options`, `connection`, `failure` | how the server is reached, bounds on calls, errors with the next step |
//! | `layout`, `migrate`, `version` | tables on one server or a cluster, and how they come about |
//! | `record`, `chunk` | a row as it is stored, a batch as inserts |
//! | `ledger`, `attempts`, `breaker`, `health` | bookkeeping without input or output |
//! | `question`, `statement`, `relation`, `repeats` | a question in numbers, SQL with parameters, each event once |
//! | `population`, `values`, `readout` | the statements of a question, and its answer |
//! | `expiry` | what retention takes out, counted |
//! | `warehouse` | the port |

mod attempts;
mod breaker;
mod chunk;
mod connection;
mod expiry;
mod failure;
mod health;
mod layout;
mod ledger;
mod migrate;
mod options;
mod population;
mod question;
mod readout;
mod record;
mod relation;
mod repeats;
mod statement;
mod values;
mod version;
mod warehouse;

pub use breaker::BreakerState;
pub use health::ClickHouseHealth;
pub use options::ClickHouseOptions;
pub use warehouse::ClickHouseWarehouse;
