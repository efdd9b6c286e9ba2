//! The entity tag of a bulk answer: a hash of its bytes, so that it changes whenever anything that a caller sees does.

use axum::http::HeaderValue;
use xxhash_rust::xxh3::xxh3_128;

/// The strong tag of a body.
pub fn of(body: &[u8]) -> HeaderValue {
    let tag = format!("\"{:032x}\"", xxh3_128(body));
    HeaderValue::try_from(tag).expect("hex in quotes is a valid header")
}

/// Whether `If-None-Match` names the tag (RFC 9110, 13.1.2): a list, compared weakly, or `*`. A bare tag counts too,
/// because the protocol's own examples have no quotes.
pub fn is_known(if_none_match: &[HeaderValue], tag: &HeaderValue) -> bool {
    let tag = bare(tag.as_bytes());
    if_none_match
        .iter()
        // None of our tags has a comma, so that one inside another's tag separates nothing that could be ours.
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|seen| seen.trim_ascii() == b"*" || bare(seen.trim_ascii()) == tag)
}

fn bare(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_as_http_says() {
        let tag = of(b"body");
        let text = tag.to_str().unwrap().to_owned();
        let hex = text.trim_matches('"').to_owned();
        for (seen, expected) in [
            (text.clone(), true),
            (format!("W/{text}"), true),
            (format!("\"other\", W/\"x,y\" ,{text}"), true),
            (" * ".to_owned(), true),
            (hex.clone(), true),
            ("\"other\"".to_owned(), false),
            (String::new(), false),
            (format!("\"{}\"", &hex[1..]), false),
        ] {
            assert_eq!(is_known(&[HeaderValue::from_str(&seen).unwrap()], &tag), expected, "{seen}");
        }
        assert!(!is_known(&[], &tag));
        assert_ne!(of(b"another"), tag);
    }
}
