//! What an environment's ruleset is made of, as it is declared: read whole from the catalog, or moved on by its changes, so
//! that an edit of one flag among thousands reads and decodes that one.

use std::{collections::HashMap, sync::Arc};

use liftgate_domain::{
    Entry, Environment, Resource, ResourceKind, RulesetBundle, RulesetChanges, Run, StoreError, Timestamp,
};
use liftgate_evaluator::{EnvironmentNames, Flag, FlagSource, FlagState, Key, RulesetSource, Segment};
use serde::de::DeserializeOwned;

/// Everything that a snapshot is compiled from. Parts are shared with the one before; what is not shared has changed.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The organization's last change when it was read.
    pub seq: u64,
    /// The environment's ruleset revision.
    pub revision: u64,
    /// When that was committed.
    pub moved_at: Timestamp,
    /// The environment's number.
    pub number: u64,
    /// Its settings.
    pub environment: Arc<Environment>,
    /// Its name for people.
    pub name: Arc<str>,
    /// The flags, in the order of their keys.
    pub flags: Vec<DeclaredFlag>,
    /// The segments, in the order of their keys.
    pub segments: Vec<Arc<Segment>>,
    /// The runs of each flag, newest first.
    pub runs: Arc<HashMap<String, Vec<Run>>>,
}

/// A flag with its state in the environment.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredFlag {
    /// What is evaluated.
    pub source: Arc<FlagSource>,
    /// The number that foreign protocols show.
    pub number: u64,
    flag_revision: u64,
    /// 0 for a flag without a state, which is disabled here.
    state_revision: u64,
}

impl DeclaredFlag {
    fn new(flag: Flag, state: FlagState, number: u64, flag_revision: u64, state_revision: u64) -> Self {
        let source = Arc::new(FlagSource { flag, state, revision: flag_revision + state_revision });
        Self { source, number, flag_revision, state_revision }
    }

    /// The flag's key.
    pub fn key(&self) -> &Key {
        &self.source.flag.key
    }
}

impl Declared {
    /// Decodes everything.
    pub fn read(bundle: RulesetBundle) -> Result<Self, StoreError> {
        let mut states: HashMap<_, (FlagState, u64)> = HashMap::with_capacity(bundle.states.len());
        for state in &bundle.states {
            states.insert(state.key.clone(), (state.decode()?, state.revision));
        }
        let flag = |resource: &Resource| {
            let (state, state_revision) = states.remove(&resource.key).unwrap_or_default();
            Ok(DeclaredFlag::new(resource.decode()?, state, resource.number, resource.revision, state_revision))
        };
        let mut flags = bundle.flags.iter().map(flag).collect::<Result<Vec<_>, StoreError>>()?;
        let segments = bundle.segments.iter().map(|segment| segment.decode().map(Arc::new));
        let mut segments = segments.collect::<Result<Vec<Arc<Segment>>, _>>()?;
        // As the catalog lists them; whatever is found by its place relies on it.
        flags.sort_by(|left, right| left.key().cmp(right.key()));
        segments.sort_by(|left, right| left.key.cmp(&right.key));
        let environment: Environment = bundle.environment.decode()?;
        let name = environment.name.clone().unwrap_or_else(|| bundle.environment.key.to_string());
        Ok(Self {
            seq: bundle.seq,
            revision: bundle.revision,
            moved_at: bundle.moved_at,
            number: bundle.environment.number,
            environment: Arc::new(environment),
            name: name.into(),
            flags,
            segments,
            runs: by_flag(bundle.runs),
        })
    }

    /// The same after these changes; `None` when they do not tell enough, and everything has to be read.
    pub fn after(&self, changes: RulesetChanges) -> Result<Option<Self>, StoreError> {
        let RulesetChanges { seq, revision, moved_at, entries, runs } = changes;
        let mut next = Self { seq, revision, moved_at, ..self.clone() };
        if let Some(runs) = runs {
            next.runs = by_flag(runs);
        }
        for entry in &entries {
            let is_told = match ResourceKind::parse(&entry.what) {
                Some(ResourceKind::Flag) => next.write_flag(entry)?,
                Some(ResourceKind::FlagState) => next.write_state(entry)?,
                Some(ResourceKind::Segment) => next.write_segment(entry)?,
                _ => false,
            };
            if !is_told {
                return Ok(None);
            }
        }
        Ok(Some(next))
    }

    fn write_flag(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        match (self.place(&entry.key), &entry.after) {
            (Ok(place), _) if !follows(entry, self.flags[place].flag_revision) => return Ok(false),
            (Ok(place), Some(_)) => {
                let DeclaredFlag { source, number, state_revision, .. } = &self.flags[place];
                let revision = entry.revision.unwrap_or_default();
                let state = source.state.clone();
                self.flags[place] = DeclaredFlag::new(decode(entry)?, state, *number, revision, *state_revision);
            }
            (Ok(place), None) => drop(self.flags.remove(place)),
            // A new one has a number, and one that comes back a state, that stand elsewhere.
            (Err(_), Some(_)) => return Ok(false),
            (Err(_), None) => {}
        }
        Ok(true)
    }

    fn write_state(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        // The state of an archived flag is kept, but not served.
        let Ok(place) = self.place(&entry.key) else { return Ok(true) };
        let DeclaredFlag { source, number, flag_revision, state_revision } = &self.flags[place];
        // One that comes back goes on counting where nobody knows.
        if *state_revision > 0 && !follows(entry, *state_revision) {
            return Ok(false);
        }
        let (state, revision) = match entry.after {
            Some(_) => (decode(entry)?, entry.revision.unwrap_or_default()),
            None => Default::default(),
        };
        self.flags[place] = DeclaredFlag::new(source.flag.clone(), state, *number, *flag_revision, revision);
        Ok(true)
    }

    fn write_segment(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        let place = self.segments.binary_search_by(|segment| segment.key.as_str().cmp(&entry.key));
        match (place, &entry.after) {
            (Ok(place), Some(_)) => self.segments[place] = Arc::new(decode(entry)?),
            (Ok(place), None) => drop(self.segments.remove(place)),
            (Err(place), Some(_)) => self.segments.insert(place, Arc::new(decode(entry)?)),
            (Err(_), None) => {}
        }
        Ok(true)
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.flags.binary_search_by(|flag| flag.key().as_str().cmp(key))
    }

    /// A flag by its key.
    pub fn flag(&self, key: &str) -> Option<&DeclaredFlag> {
        self.flags.get(self.place(key).ok()?)
    }

    /// What is compiled.
    pub fn source(&self) -> RulesetSource {
        RulesetSource {
            revision: self.revision,
            flags: self.flags.iter().map(|flag| flag.source.clone()).collect(),
            segments: self.segments.clone(),
            unit_types: self.environment.unit_types.clone(),
            environment: EnvironmentNames { hash_key: self.environment.hash_key.clone(), name: self.name.to_string() },
        }
    }

    /// For each flag its place in an earlier state, if it is the same there; nowhere if the segments are not.
    pub fn unchanged_since(&self, before: &Self) -> Vec<Option<usize>> {
        let is_shared = |(left, right): (&Arc<Segment>, &Arc<Segment>)| Arc::ptr_eq(left, right);
        if self.segments.len() != before.segments.len() || !self.segments.iter().zip(&before.segments).all(is_shared) {
            return vec![None; self.flags.len()];
        }
        let mut old = before.flags.iter().enumerate().peekable();
        let place = |flag: &DeclaredFlag| {
            while old.next_if(|(_, old)| old.key() < flag.key()).is_some() {}
            old.peek().filter(|(_, old)| Arc::ptr_eq(&old.source, &flag.source)).map(|(place, _)| *place)
        };
        self.flags.iter().map(place).collect()
    }
}

fn by_flag(runs: Vec<Run>) -> Arc<HashMap<String, Vec<Run>>> {
    let mut by_flag: HashMap<String, Vec<Run>> = HashMap::new();
    for run in runs.into_iter().rev() {
        by_flag.entry(run.flag.to_string()).or_default().push(run);
    }
    Arc::new(by_flag)
}

/// Whether nothing was written between.
fn follows(entry: &Entry, revision: u64) -> bool {
    entry.revision == Some(revision + 1)
}

fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<T, StoreError> {
    T::deserialize(entry.after.as_ref().unwrap_or(&serde_json::Value::Null)).map_err(|error| {
        StoreError::Corrupt(format!("{} `{}` of {} in the change log: {error}", entry.what, entry.key, entry.scope))
    })
}

#[cfg(test)]
mod tests;
