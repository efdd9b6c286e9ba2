//! Which entries of the change log concern the ruleset of an environment.

use liftgate_domain::{ChangeRecord, Entry, ResourceKind, RulesetChanges, Scope};

/// What the changes since a ruleset was read have written of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Concerned {
    pub entries: Vec<Entry>,
    /// Whether a run was written.
    pub runs: bool,
}

impl Concerned {
    /// Picks the entries in their order; `None` when they are too many, or when project or environment were written,
    /// which reaches further than flags and segments.
    pub fn pick(environment: &Scope, records: Vec<ChangeRecord>) -> Option<Self> {
        let project = environment.to_project();
        let organization = Scope { project: None, ..project.clone() };
        let mut concerned = Self::default();
        for entry in records.into_iter().flat_map(|record| record.entries) {
            let is_own = |name: Option<&str>| name == Some(entry.key.as_str());
            match ResourceKind::parse(&entry.what) {
                Some(ResourceKind::Project)
                    if entry.scope == organization && is_own(environment.project.as_ref().map(|key| key.as_str())) =>
                {
                    return None;
                }
                Some(ResourceKind::Environment)
                    if entry.scope == project && is_own(environment.environment.as_ref().map(|key| key.as_str())) =>
                {
                    return None;
                }
                Some(ResourceKind::Flag | ResourceKind::Segment) if entry.scope == project => {}
                Some(ResourceKind::FlagState) if entry.scope == *environment => {}
                None if entry.what == "run" && entry.scope == *environment => {
                    concerned.runs = true;
                    continue;
                }
                _ => continue,
            }
            if concerned.entries.len() == RulesetChanges::ENTRIES_MAX {
                return None;
            }
            concerned.entries.push(entry);
        }
        Some(concerned)
    }
}
