//! Every declared thing as a revisioned row: its kind, its owner, its key, and a body in the kind's own form.

use liftgate_evaluator::{Key, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Scope, StoreError};

/// What a resource is. The level says which scope owns it; the order is that in which a declaration is applied.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A project ([`serde_json`] body `{name?, description?}`); owned by the organization.
    Project,
    /// An environment ([`crate::Environment`]); owned by a project.
    Environment,
    /// A segment ([`liftgate_evaluator::Segment`]); owned by a project.
    Segment,
    /// A flag ([`liftgate_evaluator::Flag`]); owned by a project.
    Flag,
    /// What a flag does in one environment ([`liftgate_evaluator::FlagState`]); its key is the flag's.
    FlagState,
    /// A metric ([`crate::Metric`]); owned by a project.
    Metric,
    /// A ramp policy (the scheduler's `Policy`); owned by a project.
    Policy,
    /// An experiment ([`crate::Experiment`]); owned by an environment.
    Experiment,
    /// A webhook endpoint ([`crate::Endpoint`]); owned by a project.
    Endpoint,
}

/// The level of the scope that owns a kind.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Level {
    /// Owned by the organization.
    Organization,
    /// Owned by a project.
    Project,
    /// Owned by an environment.
    Environment,
}

impl ResourceKind {
    /// Every kind, in the order in which a declaration must be applied.
    pub const ALL: [ResourceKind; 9] = [
        Self::Project,
        Self::Environment,
        Self::Segment,
        Self::Flag,
        Self::FlagState,
        Self::Metric,
        Self::Policy,
        Self::Experiment,
        Self::Endpoint,
    ];

    /// The stored and spoken name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::FlagState => "flag_state",
            Self::Segment => "segment",
            Self::Metric => "metric",
            Self::Policy => "policy",
            Self::Experiment => "experiment",
            Self::Endpoint => "endpoint",
        }
    }

    /// The kind of that stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Which scope owns it.
    pub fn level(self) -> Level {
        match self {
            Self::Project => Level::Organization,
            Self::FlagState | Self::Experiment => Level::Environment,
            _ => Level::Project,
        }
    }

    /// Whether a change of it makes a new ruleset revision of the environments below its scope.
    pub fn moves_ruleset(self) -> bool {
        matches!(self, Self::Environment | Self::Flag | Self::FlagState | Self::Segment)
    }
}

/// A stored resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Who owns it.
    pub scope: Scope,
    /// Its name within the scope and kind.
    pub key: Key,
    /// Its number: positive, never reused, unique within its kind.
    pub number: u64,
    /// Starts at 1, plus one with every write.
    pub revision: u64,
    /// The body in the form of its kind.
    pub body: Value,
    /// Archived resources are kept but no longer served.
    #[serde(default)]
    pub archived: bool,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Resource {
    /// The body as its typed form. What was validated when written reads back; anything else is damage.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        T::deserialize(&self.body).map_err(|error| {
            StoreError::Corrupt(format!("{} `{}` of {}: {error}", self.kind.as_str(), self.key, self.scope))
        })
    }
}
