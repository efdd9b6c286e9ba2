//! Gatekeeper: the first eight hexadecimal digits of the md5 of `id:key`, modulo 100.

const STEPS: u32 = 100;

/// The bucket of a unit, 0 to 99. It is in at a rollout of `r` percent when the bucket is below `r`.
pub fn bucket(id: &str, flag_key: &str) -> u32 {
    super::md5_word([id, ":", flag_key]) % STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_never_change() {
        // Computed with Python's hashlib: int(md5(f"{id}:{key}").hexdigest()[:8], 16) % 100.
        let rows = [
            ("user-1", "checkout", 12),
            ("user-2", "checkout", 89),
            ("user-1", "checkout2", 19),
            ("", "", 79),
            ("用户123", "kasse", 86),
            ("7f3c1a52-9d0e-4c55-8b1e-2f6a0d9b7c31", "new-checkout", 1),
            ("user-12", "dark-mode", 51),
        ];
        for (id, key, expected) in rows {
            assert_eq!(bucket(id, key), expected, "{id}:{key}");
        }
    }
}
