//! Which ClickHouse is too old.

use liftgate_domain::StoreError;

/// The first version whose inserts into several tables and joins behave as this warehouse relies on.
const OLDEST: (u32, u32) = (25, 3);

/// Refuses a server that is too old or does not say how old it is.
pub(super) fn check(version: &str) -> Result<(), StoreError> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(year)), Some(Ok(month))) = (numbers.next(), numbers.next()) else {
        return Err(StoreError::Invalid(format!(
            "`{version}` is not the version of a ClickHouse server; check its URL"
        )));
    };
    if (year, month) < OLDEST {
        return Err(StoreError::Invalid(format!(
            "ClickHouse {version} is too old; upgrade the server to {}.{} or newer",
            OLDEST.0, OLDEST.1
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_told_what_to_become() {
        for good in ["25.3.1.1", "26.9.2.1", "25.10", "30.1.1.1-lts"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for (bad, says) in [("25.2.9.1", "upgrade the server to 25.3"), ("18.16.1", "too old"), ("", "not the version")]
        {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
