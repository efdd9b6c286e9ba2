//! Whether an event's id is the sender's, or made from the event's content.

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// Where ids come from.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// From the file; the server refuses events without one.
    Given,
    /// From the file, or else from the content: the same event gets the same id in every import, whatever the order of
    /// its fields and the form of the file.
    FromContent,
}

impl Identity {
    /// The event as it is sent. What is no JSON object stays as it is, for the server to refuse by name.
    pub fn of(self, event: &[u8]) -> Option<Vec<u8>> {
        if self == Self::Given {
            return None;
        }
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(event) else { return None };
        if fields.get("id").is_some_and(|id| !id.is_null()) {
            return None;
        }
        fields.remove("id");
        // Fields are in order of their names, so equal events have equal text.
        let content = serde_json::to_vec(&fields).ok()?;
        fields.insert("id".to_owned(), format!("c-{:032x}", xxh3_128(&content)).into());
        serde_json::to_vec(&fields).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(event: &str) -> Option<String> {
        let event: Value = serde_json::from_slice(&Identity::FromContent.of(event.as_bytes())?).unwrap();
        event["id"].as_str().map(str::to_owned)
    }

    #[test]
    fn equal_events_get_equal_ids_and_others_do_not() {
        let first = id(r#"{"event": "buy", "unit": {"id": "u1"}}"#).unwrap();
        assert_eq!(id(r#"{"unit":{"id":"u1"},"event":"buy"}"#).as_ref(), Some(&first));
        assert_eq!(id(r#"{"id":null,"unit":{"id":"u1"},"event":"buy"}"#).as_ref(), Some(&first));
        assert_ne!(id(r#"{"unit":{"id":"u2"},"event":"buy"}"#).as_ref(), Some(&first));
        assert_eq!(first.len(), 34);
    }

    #[test]
    fn a_given_id_and_what_is_no_event_stay_as_they_are() {
        assert_eq!(id(r#"{"id": "mine", "event": "buy"}"#), None);
        assert_eq!(id("not json"), None);
        assert_eq!(Identity::Given.of(b"{}"), None);
    }
}
