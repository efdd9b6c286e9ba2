//! A folder for a Parquet warehouse that is opened again and again.

use std::path::{Path, PathBuf};

use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};
use tempfile::TempDir;

pub struct Stand {
    dir: TempDir,
    pub options: ParquetOptions,
}

impl Stand {
    /// An empty folder; nothing is flushed unless the test says so.
    pub fn new() -> Self {
        let options = ParquetOptions {
            flush_rows: 1_000_000,
            flush_after_ms: u64::MAX,
            buckets: 4,
            threads: 2,
            remembered_bytes: 64 << 20,
        };
        Self { dir: TempDir::new().unwrap(), options }
    }

    pub fn open(&self) -> ParquetWarehouse {
        ParquetWarehouse::open(self.path(), self.options.clone()).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Every file of the partitions, sorted.
    pub fn data_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains("env=") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}
