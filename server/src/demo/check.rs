//! What must have come out: each expectation with what was found. Pure: judges a report and touches nothing.

use super::{
    line,
    report::{Report, Story},
    world,
};

/// The readout's interval is widened by this before it must hold the truth: at 2.5 x 1.96 standard errors a sound
/// engine fails once in a million runs.
const INTERVAL_WIDENED: f64 = 2.5;

/// One thing that must be so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expectation {
    /// What.
    pub what: String,
    /// Whether it is.
    pub held: bool,
    /// What was found.
    pub found: String,
}

/// Judges everything.
pub fn check(report: &Report) -> Vec<Expectation> {
    let mut all = vec![
        ended(report, "new-checkout", "completed", "100%"),
        ended(report, "new-footer", "completed", "100%"),
        ended(report, "new-search", "rolled_back", "0%"),
        harmed(report),
        serving(report),
        stored(report),
        journal(report),
    ];
    all.extend(report.stories.iter().map(replay));
    all.extend([readout(report), webhooks(report), signatures(report), files(report)]);
    if report.kills_asked > 0 {
        all.push(kills(report));
    }
    all
}

fn expectation(what: impl Into<String>, held: bool, found: impl Into<String>) -> Expectation {
    Expectation { what: what.into(), held, found: found.into() }
}

fn ended(report: &Report, key: &str, status: &str, share: &str) -> Expectation {
    let what = format!("`{key}` ends {} at {share}", status.replace('_', " "));
    match report.stories.iter().find(|story| story.lane.key == key) {
        None => expectation(what, false, "there is no such rollout"),
        Some(Story { lane, .. }) => {
            let held = lane.status == status && lane.share == share;
            expectation(what, held, format!("{} at {}, {} treated", lane.status, lane.share, line::count(lane.treated)))
        }
    }
}

fn harmed(report: &Report) -> Expectation {
    let what = "`new-search` was taken back because of `error_rate`";
    let story = report.stories.iter().find(|story| story.lane.key == "new-search");
    let decision = story.and_then(|story| story.decisions.iter().rev().find(|decision| decision.verdict == "rollback"));
    match decision {
        None => expectation(what, false, "no decision took it back"),
        Some(decision) => {
            let metric = decision.harmed.as_deref().unwrap_or("a person's command");
            expectation(what, metric == "error_rate", format!("decision {} names {metric}", decision.seq))
        }
    }
}

fn serving(report: &Report) -> Expectation {
    let right = report.served.iter().filter(|served| served.new_checkout && served.new_footer && !served.new_search);
    let (right, all) = (right.count(), report.served.len());
    let what = "every new shopper gets the new checkout and footer and the old search";
    expectation(what, all > 0 && right == all, format!("{right} of {all} do"))
}

fn stored(report: &Report) -> Expectation {
    let expected = report.stored_before + report.totals.acknowledged;
    let held = report.stored.metrics == expected && report.stored.surplus == 0;
    let found = format!(
        "{} stored, {} acknowledged, {} stored twice",
        line::count(report.stored.metrics),
        line::count(expected),
        report.stored.surplus
    );
    expectation("every acknowledged event is stored exactly once", held, found)
}

fn journal(report: &Report) -> Expectation {
    let breaches = report.totals.breaches();
    let (least, most) = report.totals.duplicates_allowed();
    let calm = format!("{} duplicates answered, {least} to {most} allowed, none rejected", report.totals.duplicates);
    let found = if breaches.is_empty() { calm } else { breaches.join("; ") };
    expectation("every event was answered, and the answers agree with the journal", breaches.is_empty(), found)
}

fn replay(story: &Story) -> Expectation {
    let what = format!("the decisions of `{}` replay to the same bits", story.lane.key);
    let records = story.decisions.len() as u64;
    let by_evidence = story.decisions.iter().filter(|decision| decision.by_evidence).count() as u64;
    match &story.replay {
        Err(reason) => expectation(what, false, reason),
        Ok((verified, identical)) => {
            let held = *verified == records && *identical == by_evidence && by_evidence > 0;
            let found = format!("{identical} of {by_evidence} identical, {verified} of {records} records in the chain");
            expectation(what, held, found)
        }
    }
}

fn readout(report: &Report) -> Expectation {
    let what = "the experiment's readout agrees with the true lift of +10 %";
    let readout = match &report.readout {
        Ok(readout) => readout,
        Err(reason) => return expectation(what, false, reason),
    };
    match readout.lift("conversion").and_then(|lift| lift.relative) {
        None => expectation(what, false, "there is no lift of conversion"),
        Some((value, lower, upper)) => {
            let truth = world::BANNER_FACTOR - 1.0;
            let low = value - INTERVAL_WIDENED * (value - lower);
            let high = value + INTERVAL_WIDENED * (upper - value);
            let held = lower < upper && low <= truth && truth <= high;
            let found = format!("{} [{}, {}]", line::lift(value), line::lift(lower), line::lift(upper));
            expectation(what, held, found)
        }
    }
}

fn webhooks(report: &Report) -> Expectation {
    let deliveries = &report.deliveries;
    let sent = deliveries.delivered.difference(&report.delivered_before);
    let (heard, unheard): (Vec<_>, Vec<_>) = sent.partition(|id| report.heard.verified.contains(*id));
    let held =
        unheard.is_empty() && deliveries.pending == 0 && deliveries.dead == 0 && !deliveries.delivered.is_empty();
    let found = format!(
        "{} delivered in this run, {} of them heard; {} pending, {} given up",
        heard.len() + unheard.len(),
        heard.len(),
        deliveries.pending,
        deliveries.dead
    );
    expectation("every webhook arrived", held, found)
}

fn signatures(report: &Report) -> Expectation {
    let found = format!("{} requests, {} with a bad signature", report.heard.requests, report.heard.bad);
    expectation("every webhook was signed", report.heard.bad == 0, found)
}

fn files(report: &Report) -> Expectation {
    let files = report.warehouse["files"].as_u64().unwrap_or_default();
    let rows = report.warehouse["rows"].as_u64().unwrap_or_default();
    expectation(
        "events stand in Parquet files",
        files > 0 && rows > 0,
        format!("{files} files, {} rows", line::count(rows)),
    )
}

fn kills(report: &Report) -> Expectation {
    let (kills, starts) = (report.standing.kills, report.standing.starts);
    let held = kills == report.kills_asked && starts > kills;
    expectation(
        format!("the server was killed {} times and came back", report.kills_asked),
        held,
        format!("killed {kills} times, started {starts} times"),
    )
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo::{
        child::Standing,
        evidence::DecisionLine,
        journal::Totals,
        reading::{Lane, tests::rollout},
        readout::{Readout, tests::answer},
        receiver::Heard,
        report::{Deliveries, Stored},
        world::Served,
    };

    fn decision(seq: u64, verdict: &str, harmed: Option<&str>) -> DecisionLine {
        DecisionLine {
            seq,
            at: "2026-03-01T10:00:05Z".parse().unwrap(),
            verdict: verdict.to_owned(),
            share: "5%".to_owned(),
            harmed: harmed.map(str::to_owned),
            by_evidence: verdict != "start",
            because: "because".to_owned(),
        }
    }

    fn story(key: &str, status: &str, stage: u64, verdict: &str, harmed: Option<&str>) -> Story {
        let lane = Lane { key: key.to_owned(), ..Lane::of_rollout(&rollout(status, stage)).unwrap() };
        let decisions = vec![decision(1, "start", None), decision(2, "advance", None), decision(3, verdict, harmed)];
        Story { lane, decisions, replay: Ok((3, 2)) }
    }

    /// A report of a run in which everything came out.
    pub fn report() -> Report {
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<std::collections::BTreeSet<_>>();
        Report {
            stories: vec![
                story("new-checkout", "completed", 2, "complete", None),
                story("new-footer", "completed", 2, "complete", None),
                story("new-search", "rolled_back", 1, "rollback", Some("error_rate")),
            ],
            readout: Readout::read(&answer(0.097)),
            totals: Totals {
                events: 100,
                repeats: 2,
                acknowledged: 100,
                repeats_acknowledged: 2,
                accepted: 99,
                duplicates: 3,
                unanswered: 40,
                ..Totals::default()
            },
            stored_before: 7,
            stored: Stored { exposures: 300, metrics: 107, surplus: 0 },
            deliveries: Deliveries { delivered: ids(&["a", "b", "c"]), pending: 0, dead: 0 },
            delivered_before: ids(&["a"]),
            heard: Heard { requests: 2, verified: ids(&["b", "c"]), ..Heard::default() },
            served: vec![Served { new_checkout: true, new_footer: true, ..Served::default() }; 3],
            warehouse: json!({"files": 4, "rows": 400, "bytes": 9_000, "glob": "/d/env=*/*.parquet"}),
            standing: Standing { starts: 3, kills: 2, failure: None },
            kills_asked: 2,
        }
    }

    fn failed(report: &Report) -> Vec<String> {
        check(report).into_iter().filter(|expectation| !expectation.held).map(|expectation| expectation.what).collect()
    }

    #[test]
    fn a_good_run_meets_every_expectation() {
        assert_eq!(failed(&report()), Vec::<String>::new());
        assert_eq!(check(&report()).len(), 15);
    }

    #[test]
    fn whatever_goes_wrong_is_named() {
        type Spoil = fn(&mut Report);
        let cases: [(&str, Spoil); 17] = [
            ("ends completed", |report| report.stories[0].lane.status = "running".to_owned()),
            ("ends completed", |report| report.stories[1].lane.share = "50%".to_owned()),
            ("ends rolled back", |report| report.stories[2].lane.status = "cancelled".to_owned()),
            ("taken back because", |report| report.stories[2].decisions[2].harmed = Some("page_ms".to_owned())),
            ("every new shopper", |report| report.served[1].new_search = true),
            ("every new shopper", |report| report.served.clear()),
            ("stored exactly once", |report| report.stored.metrics -= 1),
            ("stored exactly once", |report| report.stored.surplus = 1),
            ("answers agree", |report| report.totals.rejected = 1),
            ("replay to the same bits", |report| report.stories[0].replay = Ok((3, 1))),
            ("replay to the same bits", |report| report.stories[0].replay = Err("record 2 differs".to_owned())),
            ("true lift", |report| report.readout = Readout::read(&answer(0.0))),
            ("every webhook arrived", |report| drop(report.heard.verified.pop_last())),
            ("every webhook arrived", |report| report.deliveries.pending = 1),
            ("was signed", |report| report.heard.bad = 1),
            ("Parquet", |report| report.warehouse = json!({"files": 0, "rows": 0})),
            ("killed 2 times", |report| report.standing.kills = 1),
        ];
        for (name, spoil) in cases {
            let mut report = report();
            spoil(&mut report);
            let failed = failed(&report);
            assert!(failed.len() == 1 && failed[0].contains(name), "{name}: {failed:?}");
        }
    }
}
