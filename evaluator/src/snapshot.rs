//! The ruleset that an application uses: any number of threads read it without waiting while another takes its place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::{Error, Ruleset};

/// A ruleset that stays the same while it is held, whatever is swapped in: cheap, for a few evaluations in a row.
/// `Arc::clone` makes it one to keep.
pub type Loaded = Guard<Arc<Ruleset>>;

/// A cell with the current ruleset.
///
/// ```
/// use liftgate_evaluator::{Ruleset, Snapshot};
///
/// let flags = Snapshot::new(Ruleset::parse(r#"{"revision": 1}"#)?);
/// let before = flags.load();
/// flags.swap(Ruleset::parse(r#"{"revision": 2}"#)?);
/// assert_eq!((before.revision(), flags.load().revision()), (1, 2));
/// # Ok::<(), liftgate_evaluator::Error>(())
/// ```
#[derive(Debug)]
pub struct Snapshot {
    current: ArcSwap<Ruleset>,
    written: Mutex<Written>,
}

/// What the current ruleset is made of.
#[derive(Debug)]
struct Written {
    /// Without forced variations.
    ruleset: Arc<Ruleset>,
    /// Variations by flag.
    forced: BTreeMap<String, String>,
}

impl Snapshot {
    /// A cell with this ruleset.
    pub fn new(ruleset: Ruleset) -> Self {
        let ruleset = Arc::new(ruleset);
        let written = Written { ruleset: Arc::clone(&ruleset), forced: BTreeMap::new() };
        Self { current: ArcSwap::new(ruleset), written: Mutex::new(written) }
    }

    /// The current ruleset. All answers from one call come from one revision.
    pub fn load(&self) -> Loaded {
        self.current.load()
    }

    /// Puts `ruleset` in the place of the current one; the one before comes back. Forced variations stay forced, save
    /// those that the new ruleset does not have.
    pub fn swap(&self, ruleset: Ruleset) -> Arc<Ruleset> {
        let mut written = self.written();
        written.ruleset = Arc::new(ruleset);
        self.current.swap(written.with_forced())
    }

    /// Makes a flag serve one variation to everybody until it is released: for tests of both sides of a flag. See
    /// [`Ruleset::force`]. Copies the ruleset, so it is nothing for the running application.
    pub fn force(&self, flag: &str, variation: &str) -> Result<(), Error> {
        let mut written = self.written();
        // Refused before anything is kept.
        Ruleset::clone(&written.ruleset).force(flag, variation)?;
        written.forced.insert(flag.to_owned(), variation.to_owned());
        self.current.store(written.with_forced());
        Ok(())
    }

    /// Lets a flag serve what it is set to again.
    pub fn release(&self, flag: &str) {
        let mut written = self.written();
        if written.forced.remove(flag).is_some() {
            self.current.store(written.with_forced());
        }
    }

    /// Lets all flags serve what they are set to again.
    pub fn release_all(&self) {
        let mut written = self.written();
        written.forced.clear();
        self.current.store(written.with_forced());
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        // Nothing is left half done by a holder that panics.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn with_forced(&self) -> Arc<Ruleset> {
        if self.forced.is_empty() {
            return Arc::clone(&self.ruleset);
        }
        let mut ruleset = Ruleset::clone(&self.ruleset);
        for (flag, variation) in &self.forced {
            // One that this ruleset does not have waits for a ruleset that does.
            let _ = ruleset.force(flag, variation);
        }
        Arc::new(ruleset)
    }
}
