//! The summary: what was decided and why, what the experiment says, and whether all counts agree. Pure text.

use serde_json::Value;

use super::{
    check::Expectation,
    evidence, line,
    report::{Report, Story},
};

/// Where things are, for the last lines.
pub struct Places {
    /// The server's address, such as `http://127.0.0.1:8080`.
    pub base: String,
    /// The file with the admin's token.
    pub token_file: String,
    /// The server's log.
    pub log: String,
}

/// The whole summary in lines.
pub fn summary(report: &Report, expectations: &[Expectation], places: &Places) -> Vec<String> {
    let mut lines = vec![String::new(), "== Decisions".to_owned()];
    report.stories.iter().for_each(|story| lines.extend(decisions(story)));
    lines.extend(["".to_owned(), "== Experiment `banner-test` (the truth is +10 % conversion)".to_owned()]);
    match &report.readout {
        Ok(readout) => lines.extend(readout.show().into_iter().map(|line| format!("  {line}"))),
        Err(reason) => lines.push(format!("  no readout: {reason}")),
    }
    lines.extend(["".to_owned(), "== Events".to_owned()]);
    lines.extend(events(report));
    lines.extend(["".to_owned(), "== Webhooks".to_owned()]);
    lines.push(webhooks(report));
    lines.extend(["".to_owned(), "== Parquet".to_owned()]);
    lines.extend(parquet(&report.warehouse));
    lines.extend(["".to_owned(), "== Expectations".to_owned()]);
    lines.extend(expectations.iter().map(|expectation| {
        let mark = if expectation.held { "ok    " } else { "FAILED" };
        format!("  {mark} {}: {}", expectation.what, expectation.found)
    }));
    lines.extend([
        String::new(),
        format!("Server {}, admin token in {}, log in {}", places.base, places.token_file, places.log),
    ]);
    lines
}

/// The last word: whether all came out, else which did not.
pub fn verdict(expectations: &[Expectation]) -> String {
    let failed: Vec<&str> = expectations
        .iter()
        .filter(|expectation| !expectation.held)
        .map(|expectation| expectation.what.as_str())
        .collect();
    if failed.is_empty() {
        format!("All {} expectations met.", expectations.len())
    } else {
        format!("{} of {} expectations FAILED: {}.", failed.len(), expectations.len(), failed.join("; "))
    }
}

fn decisions(story: &Story) -> Vec<String> {
    let lane = &story.lane;
    let mut lines = vec![line::standing(lane).trim_end().to_owned()];
    lines.extend(story.decisions.iter().map(|decision| format!("  {}", evidence::show(decision, lane.started_at))));
    lines.push(match &story.replay {
        Ok((records, identical)) => {
            let decided = story.decisions.iter().filter(|decision| decision.by_evidence).count();
            format!("  replay: {records} records in an unbroken chain, {identical} of {decided} decisions identical")
        }
        Err(reason) => format!("  replay: {reason}"),
    });
    if lane.status == "rolled_back" {
        lines.push(format!("  cost: {} shoppers saw it before it was taken back", line::count(lane.treated)));
    }
    lines
}

fn events(report: &Report) -> Vec<String> {
    let totals = &report.totals;
    let mut lines = vec![
        format!(
            "  sent {} events and {} of them twice; acknowledged {} and {}",
            line::count(totals.events),
            line::count(totals.repeats),
            line::count(totals.acknowledged),
            line::count(totals.repeats_acknowledged),
        ),
        format!(
            "  answered {} accepted, {} duplicates, {} rejected; {} copies sat in attempts without an answer and were sent again",
            line::count(totals.accepted),
            line::count(totals.duplicates),
            line::count(totals.rejected),
            line::count(totals.unanswered),
        ),
        format!(
            "  stored {} distinct metric events, {} exposures, {} rows too many",
            line::count(report.stored.metrics),
            line::count(report.stored.exposures),
            report.stored.surplus,
        ),
    ];
    if report.stored_before > 0 {
        lines.push(format!(
            "  {} of the metric events come from a run that was cut short, before this journal began",
            line::count(report.stored_before)
        ));
    }
    lines
}

fn webhooks(report: &Report) -> String {
    let kinds: Vec<String> = report.heard.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!(
        "  sent {} ({} before this run), received {} requests, verified {}, forged {}: {}",
        report.deliveries.delivered.len(),
        report.delivered_before.len(),
        report.heard.requests,
        report.heard.verified.len(),
        report.heard.bad,
        if kinds.is_empty() { "none in this run".to_owned() } else { kinds.join(", ") },
    )
}

fn parquet(warehouse: &Value) -> Vec<String> {
    let number = |name: &str| line::count(warehouse[name].as_u64().unwrap_or_default());
    let glob = warehouse["glob"].as_str().unwrap_or("?");
    vec![
        format!("  {} files, {} rows, {} bytes: {glob}", number("files"), number("rows"), number("bytes")),
        format!(
            "  duckdb -c \"SELECT kind, name, variation, count(*) AS rows FROM read_parquet('{glob}', \
             hive_partitioning = true, union_by_name = true) GROUP BY ALL ORDER BY ALL\""
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::check::{check, tests::report};

    fn places() -> Places {
        Places {
            base: "http://127.0.0.1:8080".to_owned(),
            token_file: "/d/admin-token".to_owned(),
            log: "/d/log".to_owned(),
        }
    }

    #[test]
    fn tells_decisions_counts_files_and_expectations() {
        let report = report();
        let text = summary(&report, &check(&report), &places()).join("\n");
        for part in [
            "   3     5.0 s  rollback     5%  because",
            "3 records in an unbroken chain, 2 of 2 decisions identical",
            "cost: 1 204 shoppers saw it",
            "lift +9.7% [+7.7%, +11.7%]",
            "sent 100 events and 2 of them twice; acknowledged 100 and 2",
            "stored 107 distinct metric events, 300 exposures, 0 rows too many",
            "sent 3 (1 before this run), received 2 requests, verified 2, forged 0",
            "read_parquet('/d/env=*/*.parquet', hive_partitioning = true, union_by_name = true) GROUP BY ALL",
            "ok     every webhook was signed: 2 requests, 0 with a bad signature",
            "admin token in /d/admin-token",
        ] {
            assert!(text.contains(part), "`{part}` is not in\n{text}");
        }
        assert!(!text.contains("FAILED"), "{text}");
    }

    #[test]
    fn the_last_word_names_what_failed() {
        let mut report = report();
        assert_eq!(verdict(&check(&report)), "All 15 expectations met.");
        report.heard.bad = 1;
        assert_eq!(verdict(&check(&report)), "1 of 15 expectations FAILED: every webhook was signed.");
    }
}
