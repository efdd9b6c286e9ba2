//! Values as explanations show them: as they are when short, else as text that is cut, so that an attribute of a
//! megabyte does not come back once for each condition that looked at it.

use std::io::{self, Write};

use serde_json::Value;

/// The longest value, as JSON, that is shown whole.
pub(crate) const SHOWN_BYTES_MAX: usize = 256;

/// What stands for the rest.
const CUT: &str = "…";

/// A copy of `value`, or text with the beginning of its JSON form and `…` when that form is long.
pub(crate) fn brief(value: &Value) -> Value {
    let mut start = Start(Vec::new());
    match serde_json::to_writer(&mut start, value) {
        Ok(()) => value.clone(),
        Err(_) => Value::String(String::from_utf8_lossy(&start.0).trim_end_matches('\u{fffd}').to_owned() + CUT),
    }
}

/// Text, cut like a value.
pub(crate) fn brief_text(text: &str) -> String {
    match text.char_indices().nth(SHOWN_BYTES_MAX) {
        Some((end, _)) => text[..end].to_owned() + CUT,
        None => text.to_owned(),
    }
}

/// Takes the beginning and refuses the rest.
struct Start(Vec<u8>);

impl Write for Start {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SHOWN_BYTES_MAX - self.0.len();
        if room == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let taken = &bytes[..bytes.len().min(room)];
        self.0.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_values_are_shown_as_they_are_and_long_ones_cut() {
        let exact = json!("x".repeat(SHOWN_BYTES_MAX - 2));
        for whole in [json!(null), json!([1, {"a": "b"}]), exact] {
            assert_eq!(brief(&whole), whole);
        }
        let list = brief(&json!(vec!["DE"; 100_000]));
        assert!(list.as_str().unwrap().starts_with(r#"["DE","DE""#) && list.as_str().unwrap().ends_with(CUT));
        // A character that is cut in two is left out.
        let wide = brief(&json!("ü".repeat(1_000)));
        assert_eq!(wide, json!(format!("\"{}…", "ü".repeat((SHOWN_BYTES_MAX - 1) / 2))));
        assert_eq!(brief_text(&"ü".repeat(1_000)).chars().count(), SHOWN_BYTES_MAX + 1);
    }
}
