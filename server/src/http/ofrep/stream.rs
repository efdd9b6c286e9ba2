//! `GET /ofrep/v1/streams/{key}`: tells browsers to ask again. Their event sources send no headers, so the path has the
//! environment's hash key, which is public; what a stream tells is only that something changed.

use axum::{
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use reqwest::Url;
use serde_json::json;

use super::refusal::Refusal;
use crate::{
    app::App,
    live::{
        self,
        sse::{self, Message, Start},
    },
    rulesets::Snapshot,
};

/// The parameter with the revision of the answer that named the stream.
const SINCE: &str = "since";

/// The stream of an environment. What changed between the client's answer and this call, or while it was away, is told at
/// once.
pub async fn updates(
    State(app): State<App>,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (snapshot, place) = live::admit(&app, &key).await?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let since = resumed.or_else(|| revision_in(query.as_deref()?, SINCE));
    // Another node may have told of a revision that this one is about to have: nobody is told to go back.
    if let Some(since) = since {
        app.rulesets.at_least(&snapshot.scope, since).await;
    }
    Ok(sse::stream(&app, &snapshot, place, since.map_or(Start::WithNews, Start::WithNewsSince), message)?)
}

/// A revision in a query, with or without the quotes of an entity tag.
pub fn revision_in(query: &str, name: &str) -> Option<u64> {
    let value = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?;
    let bare = value.strip_prefix("%22").and_then(|value| value.strip_suffix("%22"));
    bare.unwrap_or(value).parse().ok()
}

fn message(snapshot: &Snapshot) -> Message {
    let at_s = snapshot.declared.moved_at.as_micros() / 1_000_000;
    let etag = snapshot.ruleset.revision().to_string();
    Message::plain(json!({"type": "refetchEvaluation", "etag": etag, "lastModified": at_s}).to_string())
}

/// What a bulk answer says of the stream, as a member of its body. Without an origin: clients know the server under a name
/// that it cannot know.
pub fn member(hash_key: &str, revision: u64) -> Box<[u8]> {
    let path = Url::parse("http://localhost/ofrep/v1/streams").ok().and_then(|mut url| {
        url.path_segments_mut().ok()?.push(hash_key);
        Some(format!("{}?{SINCE}={revision}", url.path()))
    });
    let streams = json!([{"type": "sse", "endpoint": {"requestUri": path}}]);
    format!(",\"eventStreams\":{streams}").into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_from_a_query_and_everything_else_is_none() {
        for (query, expected) in [
            ("since=7", Some(7)),
            ("a=b&since=%227%22&since=8", Some(7)),
            ("since=", None),
            ("since=-1", None),
            ("since=%22%22", None),
            ("since=18446744073709551616", None),
            ("sincere=7", None),
            ("", None),
        ] {
            assert_eq!(revision_in(query, SINCE), expected, "{query}");
        }
    }

    #[test]
    fn a_hash_key_of_any_form_is_one_segment_of_the_path() {
        let text = String::from_utf8(member("odd key/?#", 7).into()).unwrap();
        let path = "/ofrep/v1/streams/odd%20key%2F%3F%23?since=7";
        assert_eq!(text, format!(r#","eventStreams":[{{"endpoint":{{"requestUri":"{path}"}},"type":"sse"}}]"#));
    }
}
