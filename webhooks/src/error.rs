//! What can go wrong with the dispatcher itself. What goes wrong with one delivery is its outcome, not an error.

use liftgate_domain::StoreError;
use thiserror::Error;

/// An error of the dispatcher.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot work: change it and start again.
    #[error("webhook setting {0}")]
    Config(String),
    /// The HTTP client could not be built, for example for want of a TLS provider or of trusted roots.
    #[error("the webhook client cannot be built")]
    Client(#[source] reqwest::Error),
    /// The catalog did not answer; what was claimed is claimed again when its lease ends.
    #[error(transparent)]
    Store(#[from] StoreError),
}
