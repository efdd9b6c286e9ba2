//! The one way state changes: an edit, a step of a rollout, or a notice, in one transaction with its log entry and events.

use liftgate_evaluator::{Key, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Credential, Decision, EventDraft, Id, ResourceKind, Rollout, Run, Scope};

/// Who made a change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "name")]
pub enum Actor {
    /// The holder of a named token.
    Token(String),
    /// The scheduler, by a policy.
    Scheduler,
    /// The server itself, for example when it is first set up.
    System,
}

/// What sort of change it is.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Somebody declared or edited something.
    Edit,
    /// A rollout moved: decision, flag patch, new state.
    RolloutStep,
    /// Nothing moved, but somebody should know.
    Notice,
}

impl ChangeKind {
    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::RolloutStep => "rollout_step",
            Self::Notice => "notice",
        }
    }
}

/// What the writer expects to find: the compare of the compare-and-set.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Whatever is there, or nothing.
    Any,
    /// Nothing, or an archived row (which is revived).
    Absent,
    /// Exactly this revision.
    Revision(u64),
}

/// One write of a change. All succeed or none does.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// Creates or replaces a resource. Its scope must exist; a number is allocated on creation.
    PutResource {
        /// What it is.
        kind: ResourceKind,
        /// Who owns it.
        scope: Scope,
        /// Its name.
        key: Key,
        /// Its validated body.
        body: Value,
        /// What must be there now.
        expected: Expected,
    },
    /// Archives a resource: kept, no longer served.
    ArchiveResource {
        /// What it is.
        kind: ResourceKind,
        /// Who owns it.
        scope: Scope,
        /// Its name.
        key: Key,
        /// What must be there now; never [`Expected::Absent`].
        expected: Expected,
    },
    /// Adds a key or token.
    AddCredential(Credential),
    /// Revokes a key or token of this scope.
    RevokeCredential {
        /// The scope that owns it.
        scope: Scope,
        /// Its row.
        id: Id,
    },
    /// Inserts (`expected_version: None`) or replaces a rollout. The stored version is `rollout.version`.
    PutRollout {
        /// The new state; `version` is the one before plus one.
        rollout: Box<Rollout>,
        /// The version that must be there now.
        expected_version: Option<u64>,
    },
    /// Appends a decision record. UNIQUE(rollout, seq).
    AppendDecision(Decision),
    /// Inserts or replaces a run by its number; guarded by the rollout's or experiment's own compare.
    PutRun(Box<Run>),
}

/// A change to apply.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its row; applying the same id twice answers [`crate::StoreError::Exists`].
    pub id: Id,
    /// Where it happens: the organization and, if it has one, project and environment.
    pub scope: Scope,
    /// Who.
    pub actor: Actor,
    /// Why, in the actor's words or the policy's.
    pub reason: Option<String>,
    /// What sort.
    pub kind: ChangeKind,
    /// The writes, in order.
    pub mutations: Vec<Mutation>,
    /// What the world is to hear; at most [`Change::EVENTS_MAX`].
    pub events: Vec<EventDraft>,
}

impl Change {
    /// The most events one change may carry.
    pub const EVENTS_MAX: usize = 1_000;
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Its place in the organization's order of commits: 1, 2, 3 ... without gaps.
    pub seq: u64,
    /// When it was committed, by the catalog's clock.
    pub at: Timestamp,
    /// What it wrote, before and after.
    pub entries: Vec<Entry>,
    /// The new ruleset revision of each environment that it moved.
    pub rulesets: Vec<(Scope, u64)>,
}

/// One thing that a change wrote. Secrets never stand in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `flag_state`, `rollout`, `run`, `decision`, `credential` ...
    pub what: String,
    /// Who owns it.
    pub scope: Scope,
    /// Its key, number or id.
    pub key: String,
    /// Its revision after the write, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The body before; absent for a creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The body after; absent for an archival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// An entry of the change log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Its place in the order of commits.
    pub seq: u64,
    /// Its row.
    pub id: Id,
    /// Where.
    pub scope: Scope,
    /// Who.
    pub actor: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What sort.
    pub kind: ChangeKind,
    /// When.
    pub at: Timestamp,
    /// What, before and after.
    pub entries: Vec<Entry>,
}
