//! Keys and tokens: who may call, for which scope, and with which role. Secrets are stored only as their SHA-256.

use std::fmt::Write as _;

use liftgate_evaluator::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Id, Scope};

/// What a credential opens.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A public identifier of an environment: evaluates and sends events. Stored plain.
    Client,
    /// A secret of an environment, for servers.
    Server,
    /// A named bearer token for management, with a role.
    Token,
}

/// What a named token may do; each role includes those before it.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads everything in its scope.
    Viewer,
    /// Edits flags, segments, metrics, experiments, policies.
    Editor,
    /// Starts, pauses, resumes and rolls back rollouts.
    ReleaseManager,
    /// Keys, tokens, endpoints, projects and environments.
    Admin,
}

impl Role {
    /// The role as written in configuration and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::ReleaseManager => "release-manager",
            Self::Admin => "admin",
        }
    }
}

/// A stored key or token, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Its row.
    pub id: Id,
    /// What it opens.
    pub scope: Scope,
    /// What it is.
    pub kind: CredentialKind,
    /// A name for people; for a token, the actor that changes are recorded under.
    pub name: String,
    /// For tokens: what the holder may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What a caller's key is looked up by: the key itself for client keys, else its SHA-256 in hex.
    #[serde(skip_serializing, default)]
    pub lookup: String,
    /// The first characters, so that people can tell keys apart; the whole of a client key.
    pub display: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; a revoked key opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What a secret is stored and looked up by: its SHA-256 in lower-case hex.
pub fn lookup_of_secret(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
