//! A text that is compared often, such as the name of an attribute: its length and first bytes stand in one word, so
//! that most comparisons are one of two integers.

use std::cmp::Ordering;

/// How many bytes of a text its word has. Shorter texts are equal when their words are.
const HEAD_BYTES: usize = 7;

/// The length of a text (255 for longer ones) and its first bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head(u64);

impl Head {
    #[inline]
    pub(crate) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let length = u64::try_from(bytes.len()).map_or(u64::MAX, |length| length.min(0xff));
        let first = match bytes {
            [a, b, c, d, e, f, g, ..] => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, 0]),
            [a, b, c, d, rest @ ..] => u64::from(u32::from_le_bytes([*a, *b, *c, *d])) | few(rest) << u32::BITS,
            few_bytes => few(few_bytes),
        };
        Self(length << (8 * HEAD_BYTES) | first)
    }

    /// Whether a text with this head is known from it whole.
    #[inline]
    fn is_whole(self) -> bool {
        self.0 >> (8 * HEAD_BYTES) <= HEAD_BYTES as u64
    }
}

/// Up to three bytes.
#[inline]
fn few(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A text with its head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    head: Head,
    text: Box<str>,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    #[inline]
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Where it stands beside this text, whose head the caller has: by heads, then by texts.
    pub(crate) fn compare(&self, head: Head, text: &str) -> Ordering {
        self.head.cmp(&head).then_with(|| (*self.text).cmp(text))
    }

    /// Whether it is this text, whose head the caller has.
    #[inline]
    pub(crate) fn is(&self, head: Head, text: &str) -> bool {
        self.head == head && (head.is_whole() || *self.text == *text)
    }

    #[inline]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.is(other.head, &other.text)
    }
}

impl<T: Into<Box<str>>> From<T> for Name {
    fn from(text: T) -> Self {
        let text = text.into();
        Self { head: Head::of(&text), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_exactly_when_their_texts_are() {
        let mut texts = vec![String::new(), "\0".to_owned(), "a\0".to_owned(), "\u{fc}".to_owned(), "a".repeat(255)];
        for length in 1..=20 {
            for place in 0..length {
                let mut text = vec![b'a'; length];
                text[place] = b'b';
                texts.push(String::from_utf8(text).unwrap());
            }
            texts.push("a".repeat(length));
        }
        texts.extend(["a".repeat(256), "a".repeat(300), format!("{}b", "a".repeat(299))]);
        for left in &texts {
            for right in &texts {
                let same = Name::from(left.as_str()).is_same(&Name::from(right.as_str()));
                assert_eq!(same, left == right, "{left:?} {right:?}");
            }
        }
    }
}
