//! The path of a condition's property into the context: the part of JSONPath (RFC 9535) that names one value, which is
//! members and indices. Wildcards, slices, filters and descendants name many and find nothing here.

use serde_json::Value;

/// One step down.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Member(String),
    /// Negative ones count from the end.
    Index(i64),
}

impl Step {
    /// The name of a member.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Member(name) => Some(name),
            Self::Index(_) => None,
        }
    }

    /// The value that a step leads to.
    pub(super) fn follow<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Member(name) => value.as_object()?.get(name),
            Self::Index(index) => {
                let items = value.as_array()?;
                let from_end = usize::try_from(index.unsigned_abs()).ok()?;
                let position = if *index < 0 { items.len().checked_sub(from_end)? } else { from_end };
                items.get(position)
            }
        }
    }
}

/// The steps of `$.a['b'][0]`; `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let segment = skip_blanks(rest);
        let (step, after) = if let Some(name) = segment.strip_prefix('.') {
            parse_name(name)?
        } else {
            parse_bracket(skip_blanks(segment.strip_prefix('[')?))?
        };
        steps.push(step);
        rest = after;
    }
    Some(steps)
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

fn parse_name(text: &str) -> Option<(Step, &str)> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    text.chars().next().filter(|&c| is_first(c))?;
    let end = text.find(|c: char| !is_first(c) && !c.is_ascii_digit()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    Some((Step::Member(name.to_owned()), rest))
}

fn parse_bracket(text: &str) -> Option<(Step, &str)> {
    let (step, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => parse_quoted(text.get(1..)?, quote)?,
        _ => parse_index(text)?,
    };
    Some((step, skip_blanks(rest).strip_prefix(']')?))
}

fn parse_index(text: &str) -> Option<(Step, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-')?;
    let (digits, rest) = text.split_at(end);
    let index: i64 = digits.parse().ok()?;
    // RFC 9535 has no leading zeros and no `-0`.
    (index.to_string() == digits).then_some((Step::Index(index), rest))
}

fn parse_quoted(text: &str, quote: char) -> Option<(Step, &str)> {
    let mut is_escaped = false;
    let end = text.find(|c: char| {
        let ends = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    let (inside, rest) = (text.get(..end)?, text.get(end + 1..)?);
    Some((Step::Member(unescape(inside, quote)?), rest))
}

/// Escapes are those of JSON, but for the quotes: `\'` within `'` only, and a bare `"` is plain there.
fn unescape(text: &str, quote: char) -> Option<String> {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => match (characters.next()?, quote) {
                ('\'', '\'') => json.push('\''),
                ('\'', _) | ('"', '\'') => return None,
                (escaped, _) => json.extend(['\\', escaped]),
            },
            ('"', _) => json.push_str("\\\""),
            (plain, _) => json.push(plain),
        }
    }
    json.push('"');
    serde_json::from_str(&json).ok()
}
