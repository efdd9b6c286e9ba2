//! What the open segment is written to: a file, or in tests something that fails on purpose.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// An append-only file.
pub(crate) trait Medium: Send {
    /// Appends all of `bytes`; on failure any part of them may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything appended so far survive a crash of the machine.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes, durably; appending goes on from there.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Opens an existing file for appending at its end.
pub(crate) type Opener = Arc<dyn Fn(&Path) -> io::Result<Box<dyn Medium>> + Send + Sync>;

/// The real medium.
pub(crate) fn open_file(path: &Path) -> io::Result<Box<dyn Medium>> {
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::End(0))?;
    Ok(Box::new(file))
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length))?;
        self.sync_all()
    }
}
