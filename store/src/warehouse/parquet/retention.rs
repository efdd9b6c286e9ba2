//! What expires: whole days, file by file.

use std::collections::BTreeSet;
use std::sync::Arc;

use liftgate_domain::Timestamp;

use super::data_file::DataFile;
use super::layout;
use super::snapshot::Snapshot;

/// The files of an environment whose days end no later than `before`. Rows in the tail stay until they are in files.
pub(super) fn expired(snapshot: &Snapshot, environment: u64, before: Timestamp) -> Vec<Arc<DataFile>> {
    let first_kept = layout::day_text(layout::day_number(before.as_micros()));
    let is_expired = |file: &&Arc<DataFile>| file.entry.environment == environment && file.entry.day < first_kept;
    snapshot.files.iter().filter(is_expired).cloned().collect()
}

/// The same snapshot without some of its files.
pub(super) fn without(snapshot: &Snapshot, files: &[Arc<DataFile>]) -> Snapshot {
    let removed: BTreeSet<&str> = files.iter().map(|file| file.entry.path.as_str()).collect();
    let mut rest = snapshot.clone();
    rest.files.retain(|file| !removed.contains(file.entry.path.as_str()));
    rest
}
