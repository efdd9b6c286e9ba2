//! The first admin of an empty installation: a token from the configuration, or one made and left in the data folder.

use std::{fmt::Write as _, io::Write as _, os::unix::fs::OpenOptionsExt};

use liftgate_domain::{
    Actor, Catalog, Change, ChangeKind, Credential, CredentialKind, Entropy, EventDraft, Id, Mutation, Role, Scope,
    StoreError, credential::lookup_of_secret,
};
use serde_json::json;

use crate::{config::Config, serve::Error};

/// The least length of a token that somebody chose.
const TOKEN_CHARS_MIN: usize = 16;

/// Makes sure that the configured token opens the door, or that some token does.
pub async fn first_admin(config: &Config, catalog: &dyn Catalog, entropy: &dyn Entropy) -> Result<(), Error> {
    let store = |source| Error::Store { what: "the catalog", source };
    if let Some(token) = &config.admin_token {
        if token.chars().count() < TOKEN_CHARS_MIN {
            let why = format!("setting `admin_token` is shorter than {TOKEN_CHARS_MIN} characters");
            return Err(store(StoreError::Invalid(why)));
        }
        if catalog.credential(&lookup_of_secret(token)).await.map_err(store)?.is_none() {
            add(catalog, entropy, token).await.map_err(store)?;
        }
        return Ok(());
    }
    let existing = catalog.credentials(&Scope::organization()).await.map_err(store)?;
    if existing.iter().any(|it| it.kind == CredentialKind::Token && it.revoked_at.is_none()) {
        return Ok(());
    }
    let mut bytes = [0_u8; 24];
    entropy.fill(&mut bytes);
    let token = bytes.iter().fold("lgt_".to_owned(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    });
    let path = config.data_dir.join("admin-token");
    // The file first: a token that nobody can read would lock everybody out.
    std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{token}").and_then(|()| file.sync_all()))
        .map_err(|source| Error::DataDir { path: path.clone(), source })?;
    add(catalog, entropy, &token).await.map_err(store)?;
    tracing::info!(file = %path.display(), "The first admin's token was made.");
    Ok(())
}

async fn add(catalog: &dyn Catalog, entropy: &dyn Entropy, token: &str) -> Result<(), StoreError> {
    let now = catalog.now().await?;
    let scope = Scope::organization();
    let credential = Credential {
        id: Id::new(now, entropy),
        scope: scope.clone(),
        kind: CredentialKind::Token,
        name: "admin".to_owned(),
        role: Some(Role::Admin),
        lookup: lookup_of_secret(token),
        display: format!("{}...", token.chars().take(4).collect::<String>()),
        created_at: now,
        revoked_at: None,
    };
    let event = EventDraft {
        kind: "key.created".to_owned(),
        scope: scope.clone(),
        subject: credential.id.to_string(),
        data: json!({"id": credential.id, "kind": credential.kind, "name": credential.name}),
    };
    catalog
        .apply(Change {
            id: Id::new(now, entropy),
            scope,
            actor: Actor::System,
            reason: Some("the first admin of this installation".to_owned()),
            kind: ChangeKind::Edit,
            mutations: vec![Mutation::AddCredential(credential)],
            events: vec![event],
        })
        .await
        .map(drop)
}
