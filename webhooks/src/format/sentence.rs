//! One title and one plain sentence for every event type, and a true one for types not known here.

use liftgate_domain::Event;

use super::facts::Facts;
use super::plain_text::quoted;

/// What an event says to a person. Not escaped for any target.
pub(super) struct Sentence {
    /// Two or three words, such as `Rollout rolled back`.
    pub(super) title: String,
    /// One sentence with the names and the difference.
    pub(super) text: String,
}

/// Words for an event.
pub(super) fn sentence(event: &Event) -> Sentence {
    let facts = Facts(event);
    let place = facts.place();
    let name = quoted(&facts.text("name").unwrap_or_else(|| event.subject.clone()));
    let subject = quoted(&event.subject);
    // A clause that is only there when the event says so.
    let clause = |lead: &str, part: Option<String>| part.map(|part| format!("{lead}{part}")).unwrap_or_default();
    let because = clause(": ", facts.first(&["reason", "why"]));
    let difference = facts.difference();
    let reached = difference.clone().or_else(|| facts.share("share"));

    let (title, text) = match event.kind.as_str() {
        "flag.created" => ("Flag created", format!("Flag {name} was created in {place}{because}")),
        "flag.updated" => ("Flag changed", format!("Flag {name} was changed in {place}{because}")),
        "flag.archived" => ("Flag archived", format!("Flag {name} was archived in {place}{because}")),
        "flag.share_changed" => ("Share changed", format!("Flag {subject} in {place}{}", clause(": ", difference))),
        "rollout.started" => {
            ("Rollout started", format!("Rollout {subject} started in {place}{}", clause(" at ", reached)))
        }
        "rollout.advanced" => {
            let share = difference.or_else(|| facts.share("share").map(|share| format!("now {share}")));
            ("Rollout advanced", format!("Rollout {subject} advanced in {place}{}", clause(": ", share)))
        }
        "rollout.held" => {
            ("Rollout on hold", format!("Rollout {subject} is on hold in {place}{}", clause(": ", facts.hold())))
        }
        "rollout.resumed" => ("Rollout resumed", format!("Rollout {subject} was resumed in {place}{because}")),
        "rollout.paused" => ("Rollout paused", format!("Rollout {subject} was paused in {place}{because}")),
        "rollout.rolled_back" => (
            "Rollout rolled back",
            format!(
                "Rollout {subject} was rolled back in {place}{}{}{because}",
                clause(", ", difference),
                clause(", harmed metric ", facts.text("metric").map(|metric| quoted(&metric))),
            ),
        ),
        "rollout.completed" => {
            ("Rollout completed", format!("Rollout {subject} was completed in {place}{}", clause(" at ", reached)))
        }
        "rollout.cancelled" => ("Rollout cancelled", format!("Rollout {subject} was cancelled in {place}{because}")),
        "guardrail.harmed" => {
            let metric = facts.text("metric").map(|metric| quoted(&metric));
            let text = match metric {
                Some(metric) => format!("Guardrail metric {metric} is harmed by {subject} in {place}"),
                None => format!("A guardrail is harmed by {subject} in {place}"),
            };
            ("Guardrail harmed", text)
        }
        "experiment.started" => ("Experiment started", format!("Experiment {name} started in {place}")),
        "experiment.stopped" => ("Experiment stopped", format!("Experiment {name} was stopped in {place}{because}")),
        "key.created" => ("Key created", format!("Key {name} was created in {place}")),
        "key.revoked" => ("Key revoked", format!("Key {name} was revoked in {place}")),
        "endpoint.disabled" => {
            ("Webhook endpoint disabled", format!("Webhook endpoint {subject} of {place} was disabled{because}"))
        }
        kind => ("Liftgate event", format!("Event {} about {subject} happened in {place}", quoted(kind))),
    };
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    Sentence { title: title.to_owned(), text: format!("{text}{end}") }
}
