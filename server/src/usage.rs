//! How often applications say they have looked at each flag: counters for operators, of this node since its start.

use std::{collections::BTreeMap, sync::Mutex};

use liftgate_domain::Scope;

/// Looks by environment and flag. Only flags that exist are counted, so their number bounds the memory.
#[derive(Debug, Default)]
pub struct Usage(Mutex<BTreeMap<(Scope, String), u64>>);

impl Usage {
    /// Adds looks at a flag.
    pub fn add(&self, scope: &Scope, flag: &str, count: u64) {
        let mut counts = self.0.lock().expect("no holder of this lock panics");
        let known = counts.entry((scope.clone(), flag.to_owned())).or_default();
        *known = known.saturating_add(count);
    }

    /// All counters.
    pub fn all(&self) -> Vec<((Scope, String), u64)> {
        let counts = self.0.lock().expect("no holder of this lock panics");
        counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
    }
}
