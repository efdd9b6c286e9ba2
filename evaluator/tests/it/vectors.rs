//! Buckets that are fixed for ever. If one of these fails, the code is wrong, not the number. The numbers come from
//! another implementation: the reference C library, through the Python package `xxhash`.

use liftgate_evaluator::{bucket, share_bucket, split_bucket};

#[test]
fn buckets_never_change() {
    let long_unit = "x".repeat(300);
    let rows: [(&str, &str, u32, u32, u32); 10] = [
        ("", "", 76678, 48380, 56441),
        ("", "user-1", 91230, 12628, 52933),
        ("checkout", "", 17289, 87246, 93608),
        ("checkout", "user-1", 67051, 76995, 28957),
        ("checkout", "user-2", 93556, 49446, 78917),
        ("checkout2", "user-1", 40841, 28287, 50212),
        ("01HZX3K9QW", "7f3c1a52-9d0e-4c55-8b1e-2f6a0d9b7c31", 78841, 20579, 86249),
        ("salt", "用户123", 4515, 43413, 8313),
        ("salt", "a\0b", 15623, 12020, 37633),
        ("salt", &long_unit, 76963, 1205, 21738),
    ];
    for (salt, unit, plain, share, split) in rows {
        let found = (bucket(salt, unit), share_bucket(salt, unit), split_bucket(salt, unit));
        assert_eq!(found, (plain, share, split), "{salt:?} {unit:?}");
    }
}
