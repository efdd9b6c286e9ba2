//! What was refused: told to people line by line up to a bound, and kept in a file when asked for.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::cli::Error;

/// How many refusals are told one by one.
const TOLD_MAX: u64 = 20;

/// One refused event.
#[derive(Debug)]
pub struct Refusal {
    /// Its line or row, from 1.
    pub line: u64,
    /// The stable reason.
    pub code: String,
    /// The field at fault.
    pub field: Option<String>,
    /// What is wrong, in words.
    pub detail: String,
    /// The event as it was sent; empty when it never was.
    pub event: Vec<u8>,
}

/// Collects refusals.
pub struct Refusals {
    count: u64,
    kept: Option<(String, BufWriter<File>)>,
}

impl Refusals {
    /// Opens the file that keeps them.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let kept = path.map(|path| {
            let name = path.display().to_string();
            let file = File::create(path).map_err(|source| Error::File { path: name.clone(), source })?;
            Ok::<_, Error>((name, BufWriter::new(file)))
        });
        Ok(Self { count: 0, kept: kept.transpose()? })
    }

    /// Tells and keeps one.
    pub fn add(&mut self, file: &str, refusal: &Refusal) -> Result<(), Error> {
        self.count += 1;
        let Refusal { line, code, field, detail, event } = refusal;
        if self.count <= TOLD_MAX {
            eprintln!("{file}:{line}: {code}: {detail}");
        }
        let Some((name, kept)) = &mut self.kept else { return Ok(()) };
        let event: Value =
            serde_json::from_slice(event).unwrap_or_else(|_| String::from_utf8_lossy(event).into_owned().into());
        let entry = json!({"file": file, "line": line, "code": code, "field": field, "detail": detail, "event": event});
        writeln!(kept, "{entry}").map_err(|source| Error::File { path: name.clone(), source })
    }

    /// Tells how many there were beyond those told.
    pub fn finish(self) -> Result<(), Error> {
        if self.count > TOLD_MAX {
            eprintln!("... and {} more were rejected", self.count - TOLD_MAX);
        }
        if let Some((name, mut kept)) = self.kept {
            kept.flush().map_err(|source| Error::File { path: name, source })?;
        }
        Ok(())
    }
}
