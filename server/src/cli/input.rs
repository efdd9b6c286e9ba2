//! A file of documents, or standard input, read with a bar that shows how far it is.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};

/// A line, or a document that is not one a line, may be this long.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What people call it.
pub fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Opens it; `-` is standard input, whose length nobody knows.
pub fn open(path: &Path) -> io::Result<(Box<dyn BufRead>, ProgressBar)> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), ProgressBar::hidden()));
    }
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let bar = if io::stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    Ok((Box::new(BufReader::new(bar.wrap_read(file))), bar))
}
