//! Disables an endpoint whose receiver answered 410 Gone, in the one way that state changes, with a notice.

use liftgate_domain::{
    Actor, Catalog, Change, ChangeKind, Delivery, Endpoint, Entropy, EventDraft, Expected, Id, Mutation, ResourceKind,
    StoreError,
};
use serde_json::json;

/// How often a lost compare-and-set is read and tried again.
const ATTEMPTS_MAX: usize = 3;

const REASON: &str = "the receiver answered 410 Gone";

/// Sets `disabled` on the endpoint; `false` when there is nothing to disable: it is archived or disabled already, or
/// points elsewhere since, so that the answer was not about what it is now.
pub(crate) async fn disable(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    delivery: &Delivery,
    answered: &Endpoint,
) -> Result<bool, StoreError> {
    let (scope, key) = (&delivery.scope, &delivery.endpoint_key);
    let mut attempt = 1;
    loop {
        let Some(resource) = catalog.resource(ResourceKind::Endpoint, scope, key).await? else {
            return Ok(false);
        };
        let endpoint: Endpoint = resource.decode()?;
        if resource.archived || endpoint.disabled || endpoint.url != answered.url {
            return Ok(false);
        }
        let mut body = resource.body;
        body["disabled"] = json!(true);
        let change = Change {
            id: Id::new(catalog.now().await?, entropy),
            scope: scope.clone(),
            actor: Actor::System,
            reason: Some(REASON.to_owned()),
            kind: ChangeKind::Notice,
            mutations: vec![Mutation::PutResource {
                kind: ResourceKind::Endpoint,
                scope: scope.clone(),
                key: key.clone(),
                body,
                expected: Expected::Revision(resource.revision),
            }],
            events: vec![EventDraft {
                kind: "endpoint.disabled".to_owned(),
                scope: scope.clone(),
                subject: key.to_string(),
                data: json!({"endpoint": key, "reason": REASON, "delivery": delivery.id}),
            }],
        };
        match catalog.apply(change).await {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict { .. }) if attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
