//! Signatures against the specification's own example, and the laws of verifying.

use liftgate_domain::entropy::SeededEntropy;
use liftgate_webhooks::signature::{Secret, SignatureError, TOLERANCE_S, sign, verify};
use proptest::prelude::*;

use crate::world::SECRET;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT_S: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

/// The published example of the official libraries (`test_sign_function`).
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> Secret {
    Secret::parse(SECRET).unwrap()
}

#[test]
fn signs_as_the_specification_does() {
    assert_eq!(sign(&[secret()], ID, AT_S, BODY), SIGNATURE);
    assert_eq!(verify(&[secret()], ID, AT_S, AT_S, SIGNATURE, BODY), Ok(()));
}

#[test]
fn any_matching_signature_among_others_is_enough() {
    let check = |header: &str, expected: bool| {
        assert_eq!(verify(&[secret()], ID, AT_S, AT_S, header, BODY).is_ok(), expected, "{header}");
    };
    let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    check(&format!("{other} {SIGNATURE}"), true);
    check(&format!("v2,{} {SIGNATURE}", &SIGNATURE[3..]), true);
    check(&SIGNATURE.replace('=', ""), true);
    check(other, false);
    check(&SIGNATURE.replace("OE=", "OA="), false);
    check(&format!("v2,{}", &SIGNATURE[3..]), false);
    check(&SIGNATURE[3..], false);
    check("v1,", false);
    check("v1,!!!", false);
    check("", false);
}

#[test]
fn attempts_far_from_the_receivers_clock_are_refused() {
    let check = |now_s: i64, expected: Result<(), SignatureError>| {
        assert_eq!(verify(&[secret()], ID, AT_S, now_s, SIGNATURE, BODY), expected, "{now_s}");
    };
    check(AT_S + TOLERANCE_S, Ok(()));
    check(AT_S - TOLERANCE_S, Ok(()));
    check(AT_S + TOLERANCE_S + 1, Err(SignatureError::TooOld { timestamp_s: AT_S }));
    check(AT_S - TOLERANCE_S - 1, Err(SignatureError::TooNew { timestamp_s: AT_S }));
    check(i64::MAX, Err(SignatureError::TooOld { timestamp_s: AT_S }));
    check(i64::MIN, Err(SignatureError::TooNew { timestamp_s: AT_S }));
}

#[test]
fn secrets_are_checked_when_read_and_never_shown() {
    let of = |bytes: usize| {
        use base64::Engine as _;
        format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(vec![7_u8; bytes]))
    };
    for (text, fits) in [
        (of(24), true),
        (of(64), true),
        (of(32).trim_end_matches('=').to_owned(), true),
        (of(23), false),
        (of(65), false),
        (of(32).replace("whsec_", ""), false),
        ("whsec_".to_owned(), false),
        ("whsec_not base64".to_owned(), false),
    ] {
        assert_eq!(Secret::parse(&text).is_ok(), fits, "{text}");
    }
    assert_eq!(format!("{:?}", secret()), "Secret(whsec_***)");
    let generated = Secret::generate(&SeededEntropy::new(1));
    assert!(Secret::parse(&generated).is_ok());
    assert_ne!(generated, Secret::generate(&SeededEntropy::new(2)));
}

proptest! {
    #[test]
    fn what_was_signed_verifies_and_nothing_else_does(
        id in "[a-z_0-9]{1,40}", at_s in 0_i64..10_000_000_000, body in prop::collection::vec(any::<u8>(), 1..200), flip: usize,
    ) {
        let header = sign(&[secret()], &id, at_s, &body);
        prop_assert_eq!(verify(&[secret()], &id, at_s, at_s, &header, &body), Ok(()));
        let mut changed = body.clone();
        changed[flip % body.len()] ^= 1;
        prop_assert_eq!(verify(&[secret()], &id, at_s, at_s, &header, &changed), Err(SignatureError::Mismatch));
        prop_assert_eq!(verify(&[secret()], &format!("{id}x"), at_s, at_s, &header, &body), Err(SignatureError::Mismatch));
        prop_assert_eq!(verify(&[secret()], &id, at_s + 1, at_s, &header, &body), Err(SignatureError::Mismatch));
    }
}
