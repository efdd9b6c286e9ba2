//! One text for one value: JSON with sorted keys and no spaces, and its SHA-256. Hashes and bit-for-bit comparisons
//! rest on it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Canonical JSON of a value. Floats are written so that they read back to the same bits.
pub(crate) fn text<T: Serialize>(value: &T) -> String {
    let tree = serde_json::to_value(value).expect("records and policies have string keys only");
    let mut text = String::new();
    write_value(&tree, &mut text);
    text
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Value::String(key.clone()));
                write_value(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

/// SHA-256 over the pieces, one after the other, in lower-case hex.
pub(crate) fn sha256_hex(pieces: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorts_keys_at_every_depth() {
        let value = json!({"b": [{"z": 1, "a": "q\"\n"}], "a": {"d": null, "c": 0.1}});
        assert_eq!(text(&value), r#"{"a":{"c":0.1,"d":null},"b":[{"a":"q\"\n","z":1}]}"#);
    }

    #[test]
    fn hashes_as_sha256_does() {
        assert_eq!(sha256_hex(&[b"a", b"bc"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
