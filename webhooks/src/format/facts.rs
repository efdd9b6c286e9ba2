//! Reads what a person wants to know out of an event's data, whichever of it is there. Never fails: wire data that has
//! another form than expected is shown as it is or left out.

use liftgate_domain::Event;
use serde_json::Value;

use super::plain_text::clean;

/// The longest value that is shown.
const VALUE_CHARS_MAX: usize = 300;

/// A view of an event's data.
#[derive(Copy, Clone)]
pub(super) struct Facts<'a>(pub(super) &'a Event);

impl Facts<'_> {
    /// A value as text, ready to show; `None` when it is absent, null or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = match self.0.data.get(name)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), readable),
            other => other.to_string(),
        };
        Some(clean(&text, VALUE_CHARS_MAX)).filter(|text| !text.trim().is_empty())
    }

    /// The first of these that is there.
    pub(super) fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A share of traffic as people write it: `25 %`. Shares are text such as `"25%"`, or numbers meaning percent.
    pub(super) fn share(&self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let number = text.trim().trim_end_matches('%').trim_end();
        Some(if number.parse::<f64>().is_ok() { format!("{number} %") } else { text })
    }

    /// What became of what: `25 % -> 50 %`, or only the new share.
    pub(super) fn difference(&self) -> Option<String> {
        let to = self.share("to")?;
        Some(match self.share("from") {
            Some(from) => format!("{from} -> {to}"),
            None => to,
        })
    }

    /// The stage as people count: `2 of 4`. Stages are numbered from 0 in data.
    pub(super) fn stage(&self) -> Option<String> {
        let stage = self.0.data.get("stage")?.as_u64()?.checked_add(1)?;
        Some(match self.0.data.get("stages").and_then(Value::as_u64) {
            Some(stages) => format!("{stage} of {stages}"),
            None => stage.to_string(),
        })
    }

    /// An effect's interval: `0.12 to 0.48`.
    pub(super) fn interval(&self) -> Option<String> {
        Some(format!("{} to {}", self.text("lower")?, self.text("upper")?))
    }

    /// Which hold and what would open it: from `hold`, or from `code` and `detail`.
    pub(super) fn hold(&self) -> Option<String> {
        let part = |name: &str| {
            let nested = self.0.data.get("hold").and_then(|hold| hold.get(name)).and_then(Value::as_str);
            nested.map(|text| clean(text, VALUE_CHARS_MAX)).or_else(|| self.text(name))
        };
        match (part("code"), part("detail")) {
            (Some(code), Some(detail)) => Some(format!("{code}, {detail}")),
            (code, detail) => code.or(detail),
        }
    }

    /// Where it happened: `shop/production`, or the organization.
    pub(super) fn place(&self) -> String {
        let scope = &self.0.scope;
        let parts: Vec<&str> =
            [&scope.project, &scope.environment].into_iter().flatten().map(|key| key.as_str()).collect();
        if parts.is_empty() { scope.organization.to_string() } else { parts.join("/") }
    }
}

/// A number with as many digits as a person reads.
fn readable(number: f64) -> String {
    let size = number.abs();
    if number.fract() == 0.0 && size < 1e15 || (1e3..1e15).contains(&size) {
        format!("{number:.0}")
    } else if (1e-3..1e3).contains(&size) {
        format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{number:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |number, expected: &str| assert_eq!(readable(number), expected);
        check(25.0, "25");
        check(0.123_456, "0.1235");
        check(2.5, "2.5");
        check(61_234.7, "61235");
        check(1.234e-7, "1.23e-7");
        check(8.9e20, "8.90e20");
        check(-0.25, "-0.25");
    }
}
