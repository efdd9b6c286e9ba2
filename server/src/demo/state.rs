//! What a second run must know of the first: who came last, what was sent, and the keys. Lives in the data folder.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use liftgate_domain::Entropy;
use liftgate_webhooks::signature::Secret;
use serde::{Deserialize, Serialize};

use super::{Error, journal::Totals};

const FILE: &str = "demo.json";
const TOKEN_FILE: &str = "admin-token";
const LOG_FILE: &str = "server.log";
const SERVER_FOLDER: &str = "server";
const VERSION: u32 = 1;
const TOKEN_BYTES: usize = 24;

/// The demo's own state. Saved whole, by rename, so that a crash leaves the old or the new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// No shopper with this number or a higher one has been sent yet.
    pub next_user: u64,
    /// Whether `totals` is the whole truth; false while a run is under way or when one was cut short.
    pub settled: bool,
    /// Metric events that the server had stored before the first event of `totals`.
    pub stored_before: u64,
    /// The journal's counts.
    pub totals: Totals,
    /// The environment's client key, once made.
    pub client_key: Option<String>,
    /// The signing secret of the demo's webhook endpoint.
    pub webhook_secret: String,
}

impl State {
    /// The state before the first run.
    fn new(entropy: &dyn Entropy) -> Self {
        Self {
            version: VERSION,
            next_user: 1,
            settled: true,
            stored_before: 0,
            totals: Totals::default(),
            client_key: None,
            webhook_secret: Secret::generate(entropy),
        }
    }
}

/// The data folder: the demo's files beside the server's folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there. With `fresh` what an earlier demo left in it is removed, nothing else.
    pub fn open(path: &Path, fresh: bool) -> Result<Self, Error> {
        let failed = |source| Error::Folder { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        let root = path.canonicalize().map_err(failed)?;
        let folder = Self { root };
        if fresh {
            folder.clear()?;
        }
        let server = folder.server();
        std::fs::create_dir_all(&server).map_err(|source| Error::Folder { path: server, source })?;
        Ok(folder)
    }

    /// Where the server keeps its stores.
    pub fn server(&self) -> PathBuf {
        self.root.join(SERVER_FOLDER)
    }

    /// Where the server's output goes.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG_FILE)
    }

    /// Where the admin's token stands.
    pub fn token_file(&self) -> PathBuf {
        self.root.join(TOKEN_FILE)
    }

    /// The state of the last run, or a new one.
    pub fn load(&self, entropy: &dyn Entropy) -> Result<State, Error> {
        let path = self.root.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::new(entropy)),
            Err(source) => return Err(Error::Folder { path, source }),
        };
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let state: State = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if state.version != VERSION {
            return Err(damaged(format!("it is of version {}, this demo writes {VERSION}", state.version)));
        }
        Ok(state)
    }

    /// Saves the state by writing a new file and renaming it over the old one.
    pub async fn save(&self, state: &State) -> Result<(), Error> {
        let path = self.root.join(FILE);
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec_pretty(state).expect("the state has only text keys and finite numbers");
        let written = async {
            tokio::fs::write(&new, text).await?;
            restrict(&new)?;
            tokio::fs::rename(&new, &path).await
        };
        written.await.map_err(|source| Error::Folder { path: path.clone(), source })
    }

    /// The admin's token: read from its file, or made and written there, readable by its owner alone.
    pub fn token(&self, entropy: &dyn Entropy) -> Result<String, Error> {
        let path = self.token_file();
        let failed = |source| Error::Folder { path: path.clone(), source };
        match std::fs::read_to_string(&path) {
            Ok(token) => Ok(token.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut bytes = [0_u8; TOKEN_BYTES];
                entropy.fill(&mut bytes);
                let token = bytes.iter().fold("demo-".to_owned(), |token, byte| format!("{token}{byte:02x}"));
                std::fs::write(&path, "").and_then(|()| restrict(&path)).map_err(failed)?;
                std::fs::write(&path, format!("{token}\n")).map_err(failed)?;
                Ok(token)
            }
            Err(source) => Err(failed(source)),
        }
    }

    fn clear(&self) -> Result<(), Error> {
        let gone = |result: std::io::Result<()>, path: PathBuf| match result {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::Folder { path, source }),
            _ => Ok(()),
        };
        gone(std::fs::remove_dir_all(self.server()), self.server())?;
        [FILE, TOKEN_FILE, LOG_FILE].iter().try_for_each(|name| {
            let path = self.root.join(name);
            gone(std::fs::remove_file(&path), path)
        })
    }
}

/// Secrets stand in these files: for the owner's eyes only.
fn restrict(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use liftgate_domain::entropy::SeededEntropy;

    use super::*;

    #[tokio::test]
    async fn goes_on_from_what_is_there_and_starts_over_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(5);
        let folder = Folder::open(dir.path(), false).unwrap();
        let mut state = folder.load(&entropy).unwrap();
        let token = folder.token(&entropy).unwrap();
        state.next_user = 77;
        state.client_key = Some("k".to_owned());
        folder.save(&state).await.unwrap();
        std::fs::write(dir.path().join("a-stranger.txt"), "kept").unwrap();

        let again = Folder::open(dir.path(), false).unwrap();
        assert_eq!(again.load(&entropy).unwrap(), state);
        assert_eq!(again.token(&entropy).unwrap(), token);

        let fresh = Folder::open(dir.path(), true).unwrap();
        assert_eq!(fresh.load(&entropy).unwrap().next_user, 1);
        assert_ne!(fresh.token(&entropy).unwrap(), token);
        assert!(dir.path().join("a-stranger.txt").exists(), "what the demo did not make stays");
    }

    #[test]
    fn damage_is_named_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        let message = folder.load(&SeededEntropy::new(1)).unwrap_err().to_string();
        assert!(message.contains(FILE) && message.contains("--fresh"), "{message}");
    }
}
