//! Walks the outline of a JSON document, so that each event in it is read once, straight into its own form. The outline's
//! faults are not told here: whoever meets one reads the document again in the ordinary way and gives that error.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::Error;

/// A place in a document.
pub(crate) struct JsonCursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonCursor<'a> {
    /// At the beginning of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    /// Reads one value and steps behind it; also gives its text. Stays in place when it is not a `T`.
    pub(crate) fn value<T: Deserialize<'a>>(&mut self) -> Result<(T, &'a str), Error> {
        self.peek();
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let value = values.next().unwrap_or_else(|| Err(de::Error::custom("expected a value")))?;
        let bytes = values.byte_offset();
        self.at += bytes;
        Ok((value, &rest[..bytes]))
    }

    /// Calls `read` at each element of an array, which must step behind it. `None` when there is no array, or no element
    /// where one must be.
    pub(crate) fn elements(&mut self, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list(b'[', b']', |cursor| read(cursor))
    }

    /// Calls `read` with the name of each field of an object, at its value, which `read` must step behind. `None` when
    /// there is no object, or no field where one must be.
    pub(crate) fn fields(&mut self, mut read: impl FnMut(&str, &mut Self) -> Option<()>) -> Option<()> {
        self.list(b'{', b'}', |cursor| {
            let (name, _) = cursor.value::<Text<'_>>().ok()?;
            cursor.eat(b':')?;
            read(&name.0, cursor)
        })
    }

    /// Whether only white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    fn list(&mut self, open: u8, close: u8, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.eat(open)?;
        if self.eat(close).is_some() {
            return Some(());
        }
        loop {
            read(self)?;
            if self.eat(close).is_some() {
                return Some(());
            }
            self.eat(b',')?;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

/// Text that is borrowed from the document where it has no escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Option<Vec<u64>> {
        let mut cursor = JsonCursor::new(text);
        let mut numbers = Vec::new();
        cursor.elements(|cursor| {
            numbers.push(cursor.value().ok()?.0);
            Some(())
        })?;
        cursor.is_at_end().then_some(numbers)
    }

    #[test]
    fn walks_what_is_well_formed_and_nothing_else() {
        for (text, expected) in [
            ("[]", Some(vec![])),
            (" [ 1 ,2\n, 3 ] ", Some(vec![1, 2, 3])),
            ("", None),
            ("[", None),
            ("[,]", None),
            ("[1,]", None),
            ("[1 2]", None),
            ("[1]]", None),
            ("[\"é\"]", None),
            ("{}", None),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn gives_each_field_with_its_name_and_text() {
        let mut cursor = JsonCursor::new(r#" {"a" : 1, "\u00e9":[ 2 ]} "#);
        let mut seen = Vec::new();
        let walked = cursor.fields(|name, cursor| {
            let (_, text) = cursor.value::<de::IgnoredAny>().ok()?;
            seen.push((name.to_owned(), text));
            Some(())
        });
        assert_eq!(walked, Some(()));
        assert_eq!(seen, [("a".to_owned(), "1"), ("é".to_owned(), "[ 2 ]")]);
    }
}
