//! A chat channel hears of a change once: of the rollout's step, not also of the share and the guardrail behind it.

use liftgate_domain::{Catalog, Delivery, Endpoint, Event, StoreError, Target};

/// Types that are details of a rollout's step when both come of the same change.
const DETAILS: [&str; 2] = ["flag.share_changed", "guardrail.harmed"];

const STEP_PREFIX: &str = "rollout.";

/// The most events of a change that are looked through.
const EVENTS_MAX: usize = 100;

/// The type of the event of the same change that tells this endpoint more; `None` when this one is to be sent.
pub(crate) async fn told_by(
    catalog: &dyn Catalog,
    delivery: &Delivery,
    endpoint: &Endpoint,
) -> Result<Option<String>, StoreError> {
    let event = &delivery.event;
    if endpoint.target != Target::Slack || !DETAILS.contains(&event.kind.as_str()) {
        return Ok(None);
    }
    let after = event.change_seq.saturating_sub(1);
    let siblings = catalog.events(&event.scope, after, EVENTS_MAX).await?;
    Ok(siblings
        .into_iter()
        .find(|sibling| tells_more(sibling, event) && endpoint.wants(sibling))
        .map(|event| event.kind))
}

fn tells_more(sibling: &Event, detail: &Event) -> bool {
    sibling.change_seq == detail.change_seq && sibling.scope == detail.scope && sibling.kind.starts_with(STEP_PREFIX)
}
