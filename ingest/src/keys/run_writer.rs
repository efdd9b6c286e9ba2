//! Writes a run from keys that come in ascending order: to a temporary name, synced, then renamed, so that a crash leaves
//! the whole run or none. The filter grows in memory, because it stays there; the keys pass through.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use liftgate_domain::failpoint;

use super::Key;
use super::filter::Filter;
use super::run::{Footer, PAGE_KEYS, Page, Run, RunName};
use crate::{Error, folder};

/// The extension added while a run is being written.
pub(crate) const UNFINISHED: &str = "tmp";
const BUFFER_BYTES: usize = 256 << 10;

/// A run being written. Dropped unfinished, its file is removed.
pub(crate) struct RunWriter {
    name: RunName,
    path: PathBuf,
    tmp: PathBuf,
    /// Gone once finished.
    out: Option<BufWriter<File>>,
    filter: Filter,
    fences: Vec<u64>,
    /// The page being filled.
    page: Vec<Key>,
    last: Option<Key>,
    count: u64,
}

impl RunWriter {
    /// Begins a run of at most `keys_max` keys.
    pub(crate) fn create(path: PathBuf, name: RunName, keys_max: u64) -> Result<Self, Error> {
        let tmp = path.with_added_extension(UNFINISHED);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&tmp)
            .map_err(|error| Error::disk(&tmp, &error))?;
        Ok(Self {
            name,
            path,
            tmp,
            out: Some(BufWriter::with_capacity(BUFFER_BYTES, file)),
            filter: Filter::for_keys(keys_max),
            fences: Vec::with_capacity(usize::try_from(keys_max.div_ceil(PAGE_KEYS as u64)).unwrap_or(0)),
            page: Vec::with_capacity(PAGE_KEYS),
            last: None,
            count: 0,
        })
    }

    /// Adds a key that is not smaller than the one before; an equal one is left out. Whether it filled a page.
    pub(crate) fn push(&mut self, key: Key) -> Result<bool, Error> {
        debug_assert!(self.last <= Some(key), "keys are pushed in ascending order");
        if self.last == Some(key) {
            return Ok(false);
        }
        self.last = Some(key);
        self.count += 1;
        self.filter.insert(key);
        self.page.push(key);
        if self.page.len() < PAGE_KEYS {
            return Ok(false);
        }
        self.end_page()?;
        Ok(true)
    }

    /// Makes the run durable under its name and opens it.
    pub(crate) fn finish(mut self) -> Result<Run, Error> {
        if !self.page.is_empty() {
            self.end_page()?;
        }
        let file = self.write_index().map_err(|error| Error::disk(&self.path, &error))?;
        failpoint::hit("ingest.keys_written");
        fs::rename(&self.tmp, &self.path).map_err(|error| Error::disk(&self.path, &error))?;
        failpoint::hit("ingest.keys_renamed");
        if let Some(dir) = self.path.parent() {
            folder::sync_dir(dir)?;
        }
        failpoint::hit("ingest.keys_synced");
        let (filter, mut fences) =
            (std::mem::replace(&mut self.filter, Filter::for_keys(0)), std::mem::take(&mut self.fences));
        fences.shrink_to_fit();
        Ok(Run {
            name: self.name,
            path: self.path.clone(),
            count: self.count,
            filter,
            fences,
            file,
            damaged: AtomicBool::new(false),
        })
    }

    fn end_page(&mut self) -> Result<(), Error> {
        let page = Page::encode(self.fences.len() as u64, &self.page);
        self.fences.push((self.page[0] >> 64) as u64);
        self.page.clear();
        self.out().and_then(|out| out.write_all(page.as_bytes())).map_err(|error| Error::disk(&self.path, &error))
    }

    fn write_index(&mut self) -> io::Result<File> {
        let mut out = self.out.take().ok_or_else(ended)?;
        let mut crc = 0;
        for block in self.filter.encoded() {
            crc = crc32c::crc32c_append(crc, &block);
            out.write_all(&block)?;
        }
        for fence in &self.fences {
            crc = crc32c::crc32c_append(crc, &fence.to_le_bytes());
            out.write_all(&fence.to_le_bytes())?;
        }
        let footer = Footer {
            day: self.name.day,
            count: self.count,
            pages: self.fences.len() as u64,
            blocks: self.filter.block_count(),
            crc,
        };
        out.write_all(&footer.encode())?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file)
    }

    fn out(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.out.as_mut().ok_or_else(ended)
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        // After the rename there is none of this name; after a failure the next start removes what could not be.
        let _ = fs::remove_file(&self.tmp);
    }
}

fn ended() -> io::Error {
    io::Error::other("the file of event ids is written already")
}
