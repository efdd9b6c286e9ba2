//! From the events that a change carries to numbered events and the endpoints that are to hear of them.

use liftgate_domain::{Change, Endpoint, Event, EventDraft, Key, Resource, Scope, Timestamp};

/// Numbers a change's events, in their order.
pub(super) fn numbered(change: &Change, seq: u64, at: Timestamp) -> Vec<Event> {
    let number = |(index, draft): (usize, &EventDraft)| Event {
        id: format!("evt_{}_{index}", change.id),
        change_seq: seq,
        kind: draft.kind.clone(),
        scope: draft.scope.clone(),
        subject: draft.subject.clone(),
        at,
        data: draft.data.clone(),
    };
    change.events.iter().enumerate().map(number).collect()
}

/// An endpoint that is to hear of an event.
#[derive(Clone, Debug)]
pub(super) struct Recipient {
    /// The project that owns it.
    pub scope: Scope,
    /// Its key.
    pub key: Key,
    /// Its number.
    pub number: u64,
    /// Its body.
    pub endpoint: Endpoint,
}

impl Recipient {
    /// The endpoint in this resource. One whose body cannot be read is reported and left out: a damaged endpoint must
    /// not keep a rollback from being written.
    pub fn read(resource: &Resource) -> Option<Self> {
        match resource.decode::<Endpoint>() {
            Ok(endpoint) => Some(Self {
                scope: resource.scope.clone(),
                key: resource.key.clone(),
                number: resource.number,
                endpoint,
            }),
            Err(error) => {
                tracing::error!(endpoint = %resource.key, scope = %resource.scope, %error, "An endpoint cannot be read and hears nothing.");
                None
            }
        }
    }

    /// The id under which this endpoint hears of `event`, on every attempt.
    pub fn delivery_id(&self, event: &Event) -> String {
        format!("msg_{}_{}", event.id, self.number)
    }
}

/// Cuts a page of events, read one past `limit`, so that no change is torn: readers go on after a change's sequence.
/// Answers the sequence of a first change that alone has more than `limit` events; it is then to be read whole.
pub(super) fn cut_between_changes(events: &mut Vec<Event>, limit: usize) -> Option<u64> {
    let next = events.get(limit)?.change_seq;
    events.retain(|event| event.change_seq < next);
    events.is_empty().then_some(next)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_page_never_tears_a_change() {
        for (seqs, limit, kept, whole) in [
            (vec![1, 1, 2], 3, vec![1, 1, 2], None),
            (vec![1, 1, 2, 3], 3, vec![1, 1, 2], None),
            (vec![1, 1, 2, 2], 3, vec![1, 1], None),
            (vec![1, 1, 1, 1], 3, vec![], Some(1)),
            (vec![], 3, vec![], None),
        ] {
            let event = |seq: &u64| Event {
                id: String::new(),
                change_seq: *seq,
                kind: String::new(),
                scope: Scope::organization(),
                subject: String::new(),
                at: Timestamp(0),
                data: Value::Null,
            };
            let mut events: Vec<Event> = seqs.iter().map(event).collect();
            assert_eq!(cut_between_changes(&mut events, limit), whole, "{seqs:?}");
            assert_eq!(events.iter().map(|event| event.change_seq).collect::<Vec<_>>(), kept, "{seqs:?}");
        }
    }
}
