//! What an attempt was answered, and what follows from it. Pure.

use liftgate_domain::{Target, Timestamp};

/// The most bytes of an answer that are read and kept.
pub(crate) const ANSWER_BYTES_MAX: usize = 20_000;

/// What Slack says when it took a message, and only then.
const SLACK_OK: &str = "ok";

/// What came back, or why nothing did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The status code; `None` when there was no answer.
    pub(crate) status: Option<u16>,
    /// The `Retry-After` of a 429 or 503, in seconds from now.
    pub(crate) retry_after_s: Option<u64>,
    /// The body or the error, at most [`ANSWER_BYTES_MAX`] bytes.
    pub(crate) text: String,
}

/// What an answer means.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// It arrived.
    Delivered,
    /// It did not; try again on the schedule, but not before this many seconds.
    Failed {
        /// From `Retry-After`.
        retry_after_s: Option<u64>,
    },
    /// The receiver wants no more (410): give up and disable the endpoint.
    Gone,
}

impl Answer {
    /// An attempt that got no answer.
    pub(crate) fn none(error: &str) -> Self {
        Self { text: storable(error.as_bytes()), ..Self::default() }
    }

    /// What it means to this target. Redirects are failures: following one would leave the checked address.
    pub(crate) fn meaning(&self, target: Target) -> Meaning {
        match (self.status, target) {
            (Some(200..=299), Target::Standard) => Meaning::Delivered,
            (Some(200), Target::Slack) if self.text == SLACK_OK => Meaning::Delivered,
            (Some(410), _) => Meaning::Gone,
            (Some(429 | 503), _) => Meaning::Failed { retry_after_s: self.retry_after_s },
            _ => Meaning::Failed { retry_after_s: None },
        }
    }
}

/// Bytes from the network as text that every catalog engine can store: valid UTF-8, without NUL, at most
/// [`ANSWER_BYTES_MAX`] bytes.
pub(crate) fn storable(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}");
    text.truncate(text.floor_char_boundary(ANSWER_BYTES_MAX));
    text
}

/// Reads `Retry-After`: whole seconds, or an HTTP date (RFC 9110, section 10.2.3). `None` for anything else.
pub(crate) fn retry_after_s(header: &str, now: Timestamp) -> Option<u64> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits past the end of the type mean "very long".
        return Some(header.parse().unwrap_or(u64::MAX));
    }
    let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    u64::try_from(date.as_second() - now.as_micros().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_target_says() {
        let check = |target, status, text: &str, expected| {
            let answer = Answer { status, retry_after_s: Some(7), text: text.to_owned() };
            assert_eq!(answer.meaning(target), expected, "{target:?} {status:?} {text}");
        };
        let failed = Meaning::Failed { retry_after_s: None };
        let patient = Meaning::Failed { retry_after_s: Some(7) };
        for status in [200, 201, 202, 204, 299] {
            check(Target::Standard, Some(status), "whatever", Meaning::Delivered);
        }
        for status in [100, 301, 302, 307, 308, 400, 401, 404, 500, 502] {
            check(Target::Standard, Some(status), "ok", failed);
        }
        check(Target::Standard, None, "", failed);
        check(Target::Slack, Some(200), "ok", Meaning::Delivered);
        check(Target::Slack, Some(200), "no_service", failed);
        check(Target::Slack, Some(200), "ok\n", failed);
        check(Target::Slack, Some(201), "ok", failed);
        for target in [Target::Standard, Target::Slack] {
            check(target, Some(410), "ok", Meaning::Gone);
            check(target, Some(429), "", patient);
            check(target, Some(503), "", patient);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00.5Z".parse().unwrap();
        let check = |header, expected| assert_eq!(retry_after_s(header, now), expected, "{header}");
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(u64::MAX));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(37));
        check("Sun, 06 Nov 1994 08:48:00 GMT", None);
        check("-5", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn what_is_kept_of_an_answer_can_be_stored() {
        assert_eq!(storable(b"a\0b\xff"), "a\u{FFFD}b\u{FFFD}");
        let long = storable(&[0xff; ANSWER_BYTES_MAX]);
        assert!(long.len() <= ANSWER_BYTES_MAX && long.len() > ANSWER_BYTES_MAX - 3);
    }
}
