//! Who is calling: an environment by its key, or a named token with a role. Every handler takes one as an argument.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use liftgate_domain::{Actor, Credential, CredentialKind, Role, Scope, Timestamp, credential::lookup_of_secret};

use crate::{
    app::{App, Parts as Composition},
    problem::ApiError,
    rulesets::Snapshot,
};

/// How long another node may go on accepting a key that was revoked here, in milliseconds.
const CACHE_MS: i64 = 2_000;
/// The most keys remembered; beyond it the memory starts anew, so that guesses cannot fill it.
const CACHED_MAX: usize = 10_000;
/// The longest key that is looked at.
const KEY_BYTES_MAX: usize = 512;

/// Credentials that were looked up lately, by lookup: the plain text of client keys, which are public, and the SHA-256
/// of everything else.
#[derive(Default)]
pub struct CredentialCache(RwLock<Cached>);

#[derive(Default)]
struct Cached {
    by_lookup: HashMap<String, (Arc<Credential>, Timestamp)>,
    /// How often everything was forgotten.
    cleared: u64,
}

impl CredentialCache {
    /// Forgets everything: after keys changed.
    pub fn clear(&self) {
        let mut cached = self.0.write().expect("no holder of this lock panics");
        cached.by_lookup.clear();
        cached.cleared += 1;
    }

    fn get(&self, lookup: &str, now: Timestamp) -> Option<Arc<Credential>> {
        let cached = self.0.read().expect("no holder of this lock panics");
        cached.by_lookup.get(lookup).filter(|(_, until)| *until > now).map(|(credential, _)| credential.clone())
    }

    fn cleared(&self) -> u64 {
        self.0.read().expect("no holder of this lock panics").cleared
    }

    /// Remembers what was read, unless everything was forgotten since: it may have been read before a key was revoked.
    fn put(&self, lookup: String, credential: &Arc<Credential>, now: Timestamp, cleared: u64) {
        let mut cached = self.0.write().expect("no holder of this lock panics");
        if cached.cleared != cleared {
            return;
        }
        if cached.by_lookup.len() >= CACHED_MAX {
            cached.by_lookup.clear();
        }
        cached.by_lookup.insert(lookup, (credential.clone(), now.plus_millis(CACHE_MS)));
    }
}

/// The credential of a presented key. Client keys are public and found by their plain text; secrets are looked up by their
/// SHA-256, so the comparison tells nothing of the secret itself.
async fn find(app: &Composition, presented: &str) -> Result<Option<Arc<Credential>>, ApiError> {
    if presented.is_empty() || presented.len() > KEY_BYTES_MAX {
        return Ok(None);
    }
    let now = app.clock.now();
    // A plain lookup opens client keys only: knowing a stored hash must open nothing, cached or not.
    let is_client = |found: &Credential| found.kind == CredentialKind::Client;
    if let Some(credential) = app.credentials.get(presented, now).filter(|found| is_client(found)) {
        return Ok(Some(credential));
    }
    let lookup = lookup_of_secret(presented);
    if let Some(credential) = app.credentials.get(&lookup, now).filter(|found| !is_client(found)) {
        return Ok(Some(credential));
    }
    for (lookup, opens_clients) in [(presented.to_owned(), true), (lookup, false)] {
        let cleared = app.credentials.cleared();
        if let Some(credential) = app.catalog.credential(&lookup).await?
            && credential.revoked_at.is_none()
            && is_client(&credential) == opens_clients
        {
            let credential = Arc::new(credential);
            app.credentials.put(lookup, &credential, now, cleared);
            return Ok(Some(credential));
        }
    }
    Ok(None)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A caller with the key of an environment.
pub struct EnvironmentCaller {
    /// The environment as it is now.
    pub snapshot: Arc<Snapshot>,
    /// Whether the key is a secret of a server, and no public identifier.
    pub is_server: bool,
}

impl EnvironmentCaller {
    /// The environment that a key opens.
    pub async fn with_key(app: &Composition, key: &str) -> Result<Self, ApiError> {
        let credential =
            find(app, key).await?.filter(|credential| credential.kind != CredentialKind::Token).ok_or_else(|| {
                ApiError::new(StatusCode::UNAUTHORIZED, "key_unknown", "this environment key is not known or revoked")
                    .next("list the keys with `GET /manage/v1/projects/{project}/environments/{environment}/keys`")
            })?;
        let snapshot = app.rulesets.get(&credential.scope).ok_or_else(environment_gone)?;
        Ok(Self { snapshot, is_server: credential.kind == CredentialKind::Server })
    }
}

/// The answer to a key whose environment is archived.
pub fn environment_gone() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "environment_gone", "the environment of this key does not exist")
}

impl FromRequestParts<App> for EnvironmentCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let key = environment_key(&parts.headers).ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, "key_missing", "this call needs the key of an environment")
                .next("send it as `X-API-Key: KEY` or `Authorization: Bearer KEY`")
        })?;
        Self::with_key(app, key).await
    }
}

/// The key of an environment, from any header that takes one.
pub fn environment_key(headers: &HeaderMap) -> Option<&str> {
    ["x-api-key", "x-environment-key"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .or_else(|| bearer(headers))
}

/// The write key of a sender that speaks Segment's protocol: the user name of Basic authentication, whose password is
/// empty, or any header that other routes take the key in. Without one it is in the body.
pub fn write_key(headers: &HeaderMap) -> Option<String> {
    basic_user(headers).or_else(|| environment_key(headers).map(str::to_owned))
}

fn basic_user(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let user = decoded.split_once(':').map_or(decoded.as_str(), |(user, _)| user);
    (!user.is_empty()).then(|| user.to_owned())
}

/// A caller with a named token.
#[derive(Clone, Debug)]
pub struct Caller {
    name: String,
    role: Role,
    scope: Scope,
    lookup: String,
}

impl Caller {
    /// Who changes are recorded under.
    pub fn actor(&self) -> Actor {
        Actor::Token(self.name.clone())
    }

    /// The scope that the token opens.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether the token has not been revoked since; for what goes on long after it was checked.
    pub async fn is_still_welcome(&self, app: &App) -> bool {
        let stored = app.catalog.credential(&self.lookup).await;
        stored.is_ok_and(|stored| stored.is_some_and(|credential| credential.revoked_at.is_none()))
    }

    /// Refuses unless the token has `role` or more and opens `scope`.
    pub fn may(&self, role: Role, scope: &Scope) -> Result<(), ApiError> {
        if !self.scope.contains(scope) {
            // The same answer as for what does not exist, so that tenants cannot be probed.
            return Err(ApiError::not_found(format!("`{scope}`")));
        }
        if self.role < role {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "role_missing",
                format!("token `{}` has the role {}; this needs {}", self.name, self.role.as_str(), role.as_str()),
            )
            .next("use a token with that role, or ask an admin for one"));
        }
        Ok(())
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let given = bearer(&parts.headers).ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, "token_missing", "this call needs a named token")
                .next("send it as `Authorization: Bearer TOKEN`; the first one is in `admin-token` in the data folder")
        })?;
        match find(app, given).await?.as_deref() {
            Some(Credential { kind: CredentialKind::Token, name, role: Some(role), scope, .. }) => {
                Ok(Self { name: name.clone(), role: *role, scope: scope.clone(), lookup: lookup_of_secret(given) })
            }
            Some(_) => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token_needed",
                "the key of an environment does not open the management API",
            )
            .next("send a named token as `Authorization: Bearer TOKEN`")),
            None => Err(ApiError::new(StatusCode::UNAUTHORIZED, "token_unknown", "this token is not known or revoked")),
        }
    }
}

impl OptionalFromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiError> {
        if bearer(&parts.headers).is_none() {
            return Ok(None);
        }
        <Self as FromRequestParts<App>>::from_request_parts(parts, app).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_write_key_is_the_user_name_of_basic_authentication() {
        let key = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            write_key(&headers)
        };
        let basic = |text: &str| key(&format!("Basic {}", BASE64.encode(text)));
        assert_eq!(basic("env_1:").as_deref(), Some("env_1"));
        assert_eq!(basic("env_1").as_deref(), Some("env_1"), "some senders leave out the colon");
        assert_eq!(basic("ser.1:password").as_deref(), Some("ser.1"));
        assert_eq!(basic(":"), None);
        assert_eq!(key("Basic %%%"), None);
        assert_eq!(key("bearer env_2").as_deref(), Some("env_2"));
        assert_eq!(write_key(&HeaderMap::new()), None);
    }
}
