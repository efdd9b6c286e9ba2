//! The node's folder: its lock, its identity, and writing whole files so that a crash leaves the old or the new one.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use liftgate_domain::{Entropy, Id, Timestamp};

use crate::Error;

/// The folder and what is in it. Holds the lock as long as it lives.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates what is missing and takes the lock.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        for dir in [root.to_owned(), root.join("wal"), root.join("keys"), root.join("quarantine")] {
            fs::create_dir_all(&dir).map_err(|error| Error::disk(&dir, &error))?;
        }
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Error::disk(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => {
                sync_dir(root)?;
                Ok(Self { root: root.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(Error::Locked { dir: root.to_owned() }),
            Err(TryLockError::Error(error)) => Err(Error::disk(&path, &error)),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Files of events in quarantine that the log has let go of.
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Where damage is moved to; created when there is some.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    /// The node's id: read, or made and written.
    pub(crate) fn node_id(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<String, Error> {
        let path = self.root.join("node_id");
        if let Some(id) = read_text(&path)?.filter(|id| !id.is_empty()) {
            return Ok(id);
        }
        let id = Id::new(now, entropy).as_str().to_owned();
        write_whole(&path, id.as_bytes())?;
        Ok(id)
    }

    /// The last epoch written; 0 when there is none.
    pub(crate) fn epoch(&self) -> Result<u64, Error> {
        let text = read_text(&self.root.join("epoch"))?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn write_epoch(&self, epoch: u64) -> Result<(), Error> {
        write_whole(&self.root.join("epoch"), epoch.to_string().as_bytes())
    }
}

/// Writes a file so that a crash leaves all of it or what was there before.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let tmp = path.with_added_extension("tmp");
    let write = || {
        let mut file = File::create(&tmp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&tmp, path)
    };
    if let Err(error) = write() {
        // On a full disk the part that was written would only take up room.
        let _ = fs::remove_file(&tmp);
        return Err(Error::disk(path, &error));
    }
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and deletions in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::disk(dir, &error))
}

/// The files of `dir` with this extension, by name.
pub(crate) fn list(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let read = || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect() };
    let mut paths = read().map_err(|error| Error::disk(dir, &error))?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    Ok(paths)
}

fn read_text(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::disk(path, &error)),
    }
}
