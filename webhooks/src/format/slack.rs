//! A Slack incoming webhook's body: a `text` for notifications, and blocks.
//!
//! Everything is `plain_text` and escaped, so that names can neither mention (`<!channel>`, `<@U…>`) nor mark up.
//! Source: Slack Block Kit reference (header 150, section 3 000, fields 10 of 2 000 characters).

use liftgate_domain::Event;
use serde_json::{Value, json};

use super::facts::Facts;
use super::plain_text::clean;
use super::sentence::sentence;

const HEADER_UNITS_MAX: usize = 150;
const SECTION_UNITS_MAX: usize = 3_000;
const FIELD_UNITS_MAX: usize = 2_000;
const FIELDS_MAX: usize = 10;

/// The body for an event.
pub fn slack(event: &Event) -> Vec<u8> {
    let words = sentence(event);
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&words.title, HEADER_UNITS_MAX)}),
        json!({"type": "section", "text": plain(&words.text, SECTION_UNITS_MAX)}),
    ];
    let fields = fields(event);
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    let origin = format!("{} | {} | {}", clean(&event.kind, 80), event.at, clean(&event.id, 120));
    blocks.push(json!({"type": "context", "elements": [plain(&origin, FIELD_UNITS_MAX)]}));
    let body = json!({
        "text": escape(&words.text, SECTION_UNITS_MAX),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    });
    serde_json::to_vec(&body).expect("a JSON value is JSON")
}

/// What is shown beside the sentence when the event's data has it.
fn fields(event: &Event) -> Vec<Value> {
    let facts = Facts(event);
    let fields = [
        ("Flag", facts.text("flag")),
        ("Policy", facts.text("policy")),
        ("Stage", facts.stage()),
        ("Metric", facts.text("metric")),
        ("Effect", facts.text("effect")),
        ("Interval", facts.interval()),
        ("Margin", facts.text("margin")),
        ("e-value", facts.text("e_value")),
        ("Treated units", facts.text("treated_units")),
        ("Run", facts.text("run")),
        ("By", facts.text("actor")),
        ("Role", facts.text("role")),
        ("Why", facts.text("why")),
    ];
    fields
        .into_iter()
        .filter_map(|(label, value)| Some(plain(&format!("{label}\n{}", value?), FIELD_UNITS_MAX)))
        .take(FIELDS_MAX)
        .collect()
}

fn plain(text: &str, units_max: usize) -> Value {
    json!({"type": "plain_text", "emoji": false, "text": escape(text, units_max)})
}

/// Escapes Slack's three control characters and cuts, never inside an escape, so that the result is at most
/// `units_max` UTF-16 units.
fn escape(text: &str, units_max: usize) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut units = 0;
    for c in text.chars() {
        let before = escaped.len();
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
        units += escaped[before..].encode_utf16().count();
        if units > units_max {
            escaped.truncate(before);
            break;
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_falls_inside_an_escape() {
        let check = |text: &str, units_max, expected: &str| assert_eq!(escape(text, units_max), expected, "{text}");
        check("a<b", 10, "a&lt;b");
        check("a<b", 5, "a&lt;");
        check("a<b", 4, "a");
        check("<!channel> & <@U1>", 100, "&lt;!channel&gt; &amp; &lt;@U1&gt;");
        check("😀😀", 3, "😀");
    }
}
