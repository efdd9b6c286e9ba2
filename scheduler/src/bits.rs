//! A float as its bits, 16 hex digits: in records nothing is rounded, and NaN and infinity have a form.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A float that is compared and written by its bits.
#[derive(Copy, Clone, Debug)]
pub struct Bits(pub f64);

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0.to_bits()))
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_canonical =
            text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let bits = u64::from_str_radix(&text, 16).ok().filter(|_| is_canonical);
        let bits =
            bits.ok_or_else(|| de::Error::custom(format!("`{text}` is not a float as 16 lower-case hex digits")))?;
        Ok(Self(f64::from_bits(bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_bit() {
        for value in [0.0, -0.0, 0.1, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN, f64::from_bits(1)] {
            let text = serde_json::to_string(&Bits(value)).unwrap();
            assert_eq!(serde_json::from_str::<Bits>(&text).unwrap(), Bits(value), "{text}");
        }
        assert_eq!(serde_json::to_string(&Bits(1.0)).unwrap(), r#""3ff0000000000000""#);
        for bad in [r#""""#, r#""3FF0000000000000""#, r#""3ff""#, r#""+ff0000000000000""#, "1.0"] {
            assert!(serde_json::from_str::<Bits>(bad).is_err(), "{bad}");
        }
    }
}
