//! Places where a test may stop the process, or look on: a name at every boundary of steps that must survive a crash.
//!
//! In debug builds, `LIFTGATE_FAILPOINT=name` aborts the process the first time that [`hit`] is called with that name,
//! and `name:3` the third time; the variable is read once. A test in the same process may run something at a point with
//! [`on`]. While neither is armed a point costs one atomic load. In release builds [`hit`] is empty.
//!
//! Names are `<crate>.<point>`, where the point is what has just been done, or `before_<step>`:
//!
//! | crate | names |
//! |---|---|
//! | ingest | all of `ingest::FAILPOINTS`: `ingest.written`, `ingest.synced`, `ingest.sealed`, `ingest.appended` ... |
//! | store | `store.*`: from a Parquet file to its manifest record; `clickhouse.*`: from insert to mark |
//! | scheduler, webhooks, server | none yet |

#[cfg(debug_assertions)]
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// The environment variable that arms one point of a process.
pub const VARIABLE: &str = "LIFTGATE_FAILPOINT";

/// What a test does at a point.
pub type Callback = Box<dyn Fn() + Send + Sync>;

/// Ends what [`on`] began.
#[must_use = "the callback ends when this is dropped"]
pub struct Guard {
    #[cfg(debug_assertions)]
    name: &'static str,
    #[cfg(debug_assertions)]
    number: usize,
}

#[cfg(debug_assertions)]
type Callbacks = BTreeMap<(&'static str, usize), Arc<Callback>>;

#[cfg(debug_assertions)]
static CALLBACKS: Mutex<Callbacks> = Mutex::new(BTreeMap::new());
#[cfg(debug_assertions)]
static CALLBACK_COUNT: AtomicUsize = AtomicUsize::new(0);

/// A point has been reached.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_name: &'static str) {}

/// A point has been reached.
#[cfg(debug_assertions)]
pub fn hit(name: &'static str) {
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().and_then(|text| parse(&text)));
    if let Some((armed_name, left)) = armed
        && armed_name == name
        && left.fetch_sub(1, Ordering::AcqRel) == 1
    {
        std::process::abort();
    }
    if CALLBACK_COUNT.load(Ordering::Acquire) > 0 {
        call_back(name);
    }
}

/// From now on `callback` runs on every thread that reaches the point, until the guard is dropped. In release builds it
/// never does.
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "points are only there in debug builds"))]
pub fn on(name: &'static str, callback: Callback) -> Guard {
    #[cfg(debug_assertions)]
    {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).insert((name, number), Arc::new(callback));
        CALLBACK_COUNT.fetch_add(1, Ordering::AcqRel);
        Guard { name, number }
    }
    #[cfg(not(debug_assertions))]
    Guard {}
}

#[cfg(debug_assertions)]
impl Drop for Guard {
    fn drop(&mut self) {
        CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&(self.name, self.number));
        CALLBACK_COUNT.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs the callbacks without the lock, so that one may wait for a thread that passes a point too.
#[cfg(debug_assertions)]
fn call_back(name: &'static str) {
    let callbacks: Vec<Arc<Callback>> = {
        let all = CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner);
        all.range((name, 0)..=(name, usize::MAX)).map(|(_, callback)| Arc::clone(callback)).collect()
    };
    for callback in callbacks {
        callback();
    }
}

/// `name` or `name:n`, n from 1.
#[cfg(debug_assertions)]
fn parse(text: &str) -> Option<(String, AtomicU64)> {
    let (name, count) = match text.rsplit_once(':') {
        Some((name, count)) => (name, count.parse().ok().filter(|&count| count > 0)?),
        None => (text, 1),
    };
    Some((name.to_owned(), AtomicU64::new(count)))
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_armed_by_name_and_count() {
        let check = |text: &str, expected: Option<(&str, u64)>| {
            let parsed = parse(text).map(|(name, count)| (name, count.into_inner()));
            assert_eq!(parsed, expected.map(|(name, count)| (name.to_owned(), count)), "{text}");
        };
        check("ingest.synced", Some(("ingest.synced", 1)));
        check("ingest.synced:3", Some(("ingest.synced", 3)));
        check("ingest.synced:0", None);
        check("ingest.synced:x", None);
    }

    #[test]
    fn a_callback_runs_at_its_point_until_its_guard_is_dropped() {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let guard = on("domain.test", Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)));
        hit("domain.test");
        hit("domain.another");
        hit("domain.test");
        drop(guard);
        hit("domain.test");
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
