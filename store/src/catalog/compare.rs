//! The compare of the compare-and-set: from what is expected and what is there to what the write will be.

use liftgate_domain::{Expected, StoreError};

/// What is there now.
#[derive(Copy, Clone, Debug)]
pub(super) struct Present {
    /// Its revision.
    pub revision: u64,
    /// Whether it is archived.
    pub archived: bool,
}

/// What a write does to a resource.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Write {
    /// There was none: it gets a number and revision 1.
    Created,
    /// A live one gets a new body.
    Edited,
    /// An archived one comes back under its old number.
    Revived,
    /// A live one is archived.
    Archived,
}

/// Judges a put of `what`.
pub(super) fn put(what: &str, expected: Expected, present: Option<Present>) -> Result<Write, StoreError> {
    let write = match present {
        None => Write::Created,
        Some(Present { archived: true, .. }) => Write::Revived,
        Some(Present { archived: false, .. }) => Write::Edited,
    };
    match expected {
        Expected::Absent if write == Write::Edited => Err(StoreError::Exists { what: what.to_owned() }),
        Expected::Revision(revision) if present.is_none_or(|row| row.revision != revision) => {
            Err(StoreError::Conflict { what: what.to_owned() })
        }
        _ => Ok(write),
    }
}

/// Judges an archival of `what`; what is archived already is not there.
pub(super) fn archive(what: &str, expected: Expected, present: Option<Present>) -> Result<Write, StoreError> {
    let Some(Present { revision, archived: false }) = present else {
        return Err(StoreError::NotFound { what: what.to_owned() });
    };
    match expected {
        Expected::Revision(wanted) if wanted != revision => Err(StoreError::Conflict { what: what.to_owned() }),
        _ => Ok(Write::Archived),
    }
}

/// Judges a decision record that follows the rollout's record `last` (0 before the first).
pub(super) fn append(rollout: &str, seq: u64, last: u64) -> Result<(), StoreError> {
    if seq <= last {
        return Err(StoreError::Conflict { what: format!("decision `{seq}` of rollout `{rollout}`") });
    }
    if seq > last + 1 {
        return Err(StoreError::Invalid(format!(
            "decision `{seq}` of rollout `{rollout}` would leave a gap after `{last}`"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Option<Present> = Some(Present { revision: 3, archived: false });
    const ARCHIVED: Option<Present> = Some(Present { revision: 3, archived: true });

    #[test]
    fn a_put_compares_before_it_sets() {
        let spoken = |expected, present| match put("flag `x`", expected, present) {
            Ok(write) => format!("{write:?}"),
            Err(error) => error.to_string(),
        };
        let conflict = "flag `x` was changed by somebody else; read it again and retry";
        for (expected, present, said) in [
            (Expected::Any, None, "Created"),
            (Expected::Any, LIVE, "Edited"),
            (Expected::Any, ARCHIVED, "Revived"),
            (Expected::Absent, None, "Created"),
            (Expected::Absent, LIVE, "flag `x` exists already"),
            (Expected::Absent, ARCHIVED, "Revived"),
            (Expected::Revision(3), None, conflict),
            (Expected::Revision(3), LIVE, "Edited"),
            (Expected::Revision(2), LIVE, conflict),
            (Expected::Revision(3), ARCHIVED, "Revived"),
        ] {
            assert_eq!(spoken(expected, present), said, "{expected:?} {present:?}");
        }
    }

    #[test]
    fn only_what_is_live_is_archived() {
        assert_eq!(archive("flag `x`", Expected::Any, LIVE).unwrap(), Write::Archived);
        assert_eq!(archive("flag `x`", Expected::Revision(3), LIVE).unwrap(), Write::Archived);
        assert!(matches!(archive("flag `x`", Expected::Revision(2), LIVE), Err(StoreError::Conflict { .. })));
        for absent in [None, ARCHIVED] {
            assert!(matches!(archive("flag `x`", Expected::Any, absent), Err(StoreError::NotFound { .. })));
        }
    }

    #[test]
    fn decisions_follow_each_other() {
        assert!(append("r", 1, 0).is_ok() && append("r", 8, 7).is_ok());
        assert!(matches!(append("r", 7, 7), Err(StoreError::Conflict { .. })));
        assert!(matches!(append("r", 9, 7), Err(StoreError::Invalid(_))));
    }
}
