//! What the manifest says, record by record.

use std::collections::BTreeMap;

use liftgate_domain::{RowKind, StoreError, Watermark};
use serde::{Deserialize, Serialize};

use super::schema::SCHEMA_VERSION;

/// Names kept a file, so that files without a wanted event are not opened; a file with more is always opened.
pub(super) const NAMES_MAX: usize = 64;

/// One change of what counts, whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Numbers rise by one a record; file names are built from them, so none is used twice.
    pub(super) number: u64,
    /// Files that count from now on.
    pub(super) added: Vec<FileEntry>,
    /// Paths that no longer count: replaced by what is added, or expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removed: Vec<String>,
    /// By environment, distinct events that went with the removed files, added to those of the records before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) expired: BTreeMap<u64, u64>,
    /// The batches whose rows the added files carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) batches: Vec<BatchRange>,
    /// How far each node had been heard when the files were written; replaces the marks of the record before.
    pub(super) marks: Watermark,
}

/// Batches `first..=last` of a node's epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BatchRange {
    pub(super) node: String,
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// A data file, and enough about its rows to leave it closed when a question needs none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Below the warehouse's folder, with `/`.
    pub(super) path: String,
    /// The schema version of its columns.
    #[serde(default = "first_version")]
    pub(super) version: u16,
    pub(super) environment: u64,
    pub(super) kind: RowKind,
    /// `YYYY-MM-DD` of the rows' `ts`, UTC.
    pub(super) day: String,
    /// The share of the units whose rows are inside; absent when any unit's can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bucket: Option<Bucket>,
    pub(super) rows: u64,
    /// Rows with unit index 0: events, but for repeated ids.
    #[serde(default)]
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The lowest and highest run; absent when no row has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runs: Option<(u64, u64)>,
    /// The distinct names in order; absent when there are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<Vec<String>>,
}

/// One of `of` equal parts of the range of unit hashes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// From 0.
    pub(super) index: u32,
    pub(super) of: u32,
}

impl Bucket {
    /// The part that a unit belongs to.
    pub(super) fn index_of(hash: u64, of: u32) -> u32 {
        ((u128::from(hash) * u128::from(of)) >> 64) as u32
    }
}

impl FileEntry {
    /// Whether a row of this run can be inside.
    pub(super) fn may_have_run(&self, run: u64) -> bool {
        self.runs.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&run))
    }

    /// Whether a row of this name can be inside.
    pub(super) fn may_have_name(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|name| wanted(name)))
    }

    /// Whether this version can read it.
    pub(super) fn is_readable(&self) -> bool {
        self.version == SCHEMA_VERSION
    }
}

/// Files had no version before there was a second one.
fn first_version() -> u16 {
    1
}

impl Record {
    /// The line that stores it: CRC-32C of the text, the text, a line feed.
    pub(super) fn to_line(&self) -> Result<String, StoreError> {
        let text = serde_json::to_string(self).map_err(|error| {
            StoreError::Invalid(format!("manifest record {} cannot be written: {error}", self.number))
        })?;
        Ok(format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes())))
    }

    /// Reads a line without its line feed; `None` when it is not one that was written whole.
    pub(super) fn from_line(line: &[u8]) -> Option<Self> {
        let (sum, text) = line.split_at_checked(8)?;
        let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
        let text = text.strip_prefix(b" ")?;
        if crc32c::crc32c(text) != sum {
            return None;
        }
        serde_json::from_slice(text).ok()
    }
}
