//! A file of events: which form it has, and its events in batches.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    batch::{BYTES_MAX, Batch},
    identity::Identity,
    parquet_rows,
};
use crate::cli::{
    Error,
    lines::{self, Line},
};

/// Bytes read from a file at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// How a file is written.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Form {
    Lines(Packing),
    Parquet,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// A file that can be read.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    name: String,
    form: Form,
    file: File,
    bytes: u64,
}

/// Counts the bytes that were read.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(into)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Collects events into batches and hands full ones on.
struct Filler<'a> {
    batch: Batch,
    batches: &'a mpsc::Sender<Batch>,
    identity: Identity,
    read: Arc<AtomicU64>,
    told: u64,
}

/// Nobody takes batches any more: the import has failed elsewhere.
struct Stopped;

impl Source {
    /// Opens a file; its name tells its form.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let form = form(path).ok_or_else(|| {
            Error::Usage(format!(
                "`{name}` has no known ending: `.ndjson`, `.jsonl` or `.json`, also with `.gz` or `.zst`, or `.parquet`"
            ))
        })?;
        let failed = |source| Error::File { path: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_owned(), name, form, file, bytes })
    }

    /// The file as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all of it into batches. Blocks while enough of them wait.
    pub fn read(self, identity: Identity, batches: &mpsc::Sender<Batch>) -> Result<(), Error> {
        let read = Arc::new(AtomicU64::new(0));
        let filler = Filler { batch: Batch::default(), batches, identity, read: read.clone(), told: 0 };
        let failed = |source| Error::File { path: self.name.clone(), source };
        match self.form {
            Form::Parquet => parquet_rows::each(self.file, &read, self.bytes, filler_sink(filler)).map_err(|error| {
                Error::File { path: self.path.display().to_string(), source: std::io::Error::other(error) }
            }),
            Form::Lines(packing) => {
                let counted = BufReader::with_capacity(BUFFER_BYTES, Counted { file: self.file, read });
                let reader: Box<dyn Read> = match packing {
                    Packing::None => Box::new(counted),
                    Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(counted)),
                    Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(counted).map_err(failed)?),
                };
                read_lines(BufReader::with_capacity(BUFFER_BYTES, reader), filler).map_err(failed)
            }
        }
    }
}

/// What Parquet's rows go into: the row's number and its event, or none once everything was read. Answers whether to go on.
fn filler_sink(mut filler: Filler<'_>) -> impl FnMut(Option<(u64, &[u8])>) -> bool {
    move |row| match row {
        Some((number, event)) => filler.add(number, event).is_ok(),
        None => filler.hand_on().is_ok(),
    }
}

fn read_lines(mut reader: impl BufRead, mut filler: Filler<'_>) -> std::io::Result<()> {
    let mut number = 0;
    while let Some(line) = lines::next(&mut reader, BYTES_MAX)? {
        number += 1;
        let outcome = match &line {
            Line::Whole(text) if text.trim_ascii().is_empty() => continue,
            Line::Whole(text) => filler.add(number, text.trim_ascii()),
            Line::TooLong => {
                filler.batch.refused.push((number, format!("the line is longer than {BYTES_MAX} bytes")));
                Ok(())
            }
        };
        if outcome.is_err() {
            return Ok(());
        }
    }
    // What fails now has failed elsewhere, and is told there.
    let _ = filler.hand_on();
    Ok(())
}

impl Filler<'_> {
    fn add(&mut self, number: u64, event: &[u8]) -> Result<(), Stopped> {
        let changed = self.identity.of(event);
        let event = changed.as_deref().unwrap_or(event);
        if self.batch.is_full_for(event.len()) {
            self.hand_on()?;
        }
        self.batch.push(number, event);
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), Stopped> {
        let mut batch = std::mem::take(&mut self.batch);
        let read = self.read.load(Ordering::Relaxed);
        batch.source_bytes = read.saturating_sub(self.told);
        self.told = read;
        if batch.is_empty() && batch.refused.is_empty() {
            return Ok(());
        }
        self.batches.blocking_send(batch).map_err(|_| Stopped)
    }
}

fn form(path: &Path) -> Option<Form> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    if name.ends_with(".parquet") {
        return Some(Form::Parquet);
    }
    let (text, packing) = match name.rsplit_once('.')? {
        (rest, "gz") => (rest.to_owned(), Packing::Gzip),
        (rest, "zst" | "zstd") => (rest.to_owned(), Packing::Zstd),
        _ => (name, Packing::None),
    };
    let known = [".ndjson", ".jsonl", ".json"].iter().any(|ending| text.ends_with(ending));
    known.then_some(Form::Lines(packing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_its_form() {
        let rows = [
            ("a.ndjson", Some(Form::Lines(Packing::None))),
            ("a.JSONL", Some(Form::Lines(Packing::None))),
            ("a.json.gz", Some(Form::Lines(Packing::Gzip))),
            ("a.b.ndjson.zst", Some(Form::Lines(Packing::Zstd))),
            ("day=1/part-0.parquet", Some(Form::Parquet)),
            ("a.csv", None),
            ("a.gz", None),
            ("events", None),
        ];
        for (name, expected) in rows {
            assert_eq!(form(Path::new(name)), expected, "{name}");
        }
    }
}
