//! Harm of an `act: hold` guardrail stays in force until the metric is currently safe. What is latched stands at the
//! end of the hold's detail, where people read it and the next decision finds it.

use liftgate_domain::{Hold, Key};

const MARK: &str = "; harm is latched on ";

/// The metrics latched in a hold, in order; none without a hold.
pub(crate) fn latched(hold: Option<&Hold>) -> Vec<Key> {
    let Some((_, list)) = hold.and_then(|hold| hold.detail.rsplit_once(MARK)) else { return Vec::new() };
    list.split('`').skip(1).step_by(2).filter_map(|name| Key::new(name).ok()).collect()
}

/// The hold with these metrics latched in it.
pub(crate) fn with_latch(mut hold: Hold, metrics: &[Key]) -> Hold {
    if !metrics.is_empty() {
        let names: Vec<String> = metrics.iter().map(|metric| format!("`{metric}`")).collect();
        hold.detail = format!("{}{MARK}{}", hold.detail, names.join(", "));
    }
    hold
}

#[cfg(test)]
mod tests {
    use super::*;
    use liftgate_domain::HoldCode;

    #[test]
    fn finds_what_it_wrote() {
        let hold = |detail: &str| Hold { code: HoldCode::SignalBad, detail: detail.to_owned() };
        let metrics: Vec<Key> = vec!["errors".parse().unwrap(), "page_ms.p95".parse().unwrap()];
        assert_eq!(latched(Some(&with_latch(hold("no `data` arrives"), &metrics))), metrics);
        assert_eq!(latched(Some(&with_latch(hold("no `data` arrives"), &[]))), Vec::<Key>::new());
        assert_eq!(latched(None), Vec::<Key>::new());
    }
}
