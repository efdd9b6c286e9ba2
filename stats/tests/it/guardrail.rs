//! The guardrail monitor against an independent computation, and its rules one by one.

use liftgate_stats::guardrail::log_evidence;
use liftgate_stats::{
    Assessment, Direction, GuardrailPlan, Margin, Moments, Outcome, PlanError, Stratum, Undetermined, Verdict, assess,
};
use serde::Deserialize;

use crate::oracle::{assert_close, number};

fn plan(margin: f64, detect: Option<f64>, stages: u32) -> GuardrailPlan {
    GuardrailPlan {
        outcome: Outcome::Binary,
        harm: Direction::Increase,
        margin: Margin::Relative(margin),
        detect: detect.map(Margin::Relative),
        alpha: 0.05,
        alpha_safe: 0.05,
        stages,
    }
}

fn counts(stage: u32, treatment: (u64, u64), control: (u64, u64)) -> Stratum {
    let arm = |(units, events)| Moments::from_counts(units, events);
    Stratum { stage, treatment: arm(treatment), control: arm(control) }
}

fn design_strata() -> [Stratum; 2] {
    [counts(0, (500, 12), (500, 5)), counts(1, (2000, 60), (2000, 41))]
}

#[test]
fn vectors_printed_in_the_design_come_out() {
    let harm = |margin, detect, stages| assess(&plan(margin, detect, stages), &design_strata()).log_e_harm;
    let later = |margin, detect| assess(&plan(margin, detect, 1), &design_strata()[1..]).log_e_harm;
    let check = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-8, "{found} {expected}");
    check(harm(0.0, None, 1), 1.830_799_910);
    check(later(0.0, None), 0.955_810_152);
    check(harm(0.0, None, 2), 1.706_792_458);
    check(harm(0.0, Some(0.5), 1), 2.481_378_407);
    check(later(0.0, Some(0.5)), 1.406_285_978);
    check(harm(0.0, Some(0.5), 2), 2.340_106_554);
    check(harm(0.05, Some(0.5), 1), 1.915_090_467);
    check(later(0.05, Some(0.5)), 1.017_089_823);
    check(harm(0.05, Some(0.5), 2), 1.788_933_723);
    check(assess(&plan(0.2, None, 2), &design_strata()).log_e_safe, -1.681_726_470);
    assert_eq!(assess(&plan(0.0, None, 2), &design_strata()).n_eff, 5000.0);
}

#[derive(Deserialize)]
struct Row {
    plan: GuardrailPlan,
    strata: Vec<RowStratum>,
    log_e_harm: String,
    log_e_safe: String,
    lower: Option<String>,
    upper: Option<String>,
}

#[derive(Deserialize)]
struct RowStratum {
    stage: u32,
    treatment: Vec<f64>,
    control: Vec<f64>,
}

#[derive(Deserialize)]
struct File {
    rows: Vec<Row>,
}

#[test]
fn evidence_and_bounds_agree_with_an_independent_computation() {
    let file: File =
        serde_json::from_str(include_str!("../fixtures/guardrail.json")).expect("the fixture is well formed");
    assert!(!file.rows.is_empty());
    for row in file.rows {
        let arm = |numbers: &[f64]| match *numbers {
            [n, events] => Moments::from_counts(n as u64, events as u64),
            [n, mean, m2] => Moments { n: n as u64, mean, m2 },
            _ => panic!("an arm has two or three numbers"),
        };
        let strata: Vec<Stratum> = row
            .strata
            .iter()
            .map(|row| Stratum { stage: row.stage, treatment: arm(&row.treatment), control: arm(&row.control) })
            .collect();
        let found = assess(&row.plan, &strata);
        assert_close(found.log_e_harm, number(&row.log_e_harm), 1e-10, "harm");
        assert_close(found.log_e_safe, number(&row.log_e_safe), 1e-10, "safe");
        for (found, expected) in [(found.lower, row.lower), (found.upper, row.upper)] {
            match expected.as_deref() {
                None => {}
                Some("none") => assert_eq!(found, None),
                Some(text) => assert_close(found.expect("the reference has a bound"), number(text), 1e-9, "bound"),
            }
        }
    }
}

#[test]
fn verdicts_follow_the_bounds() {
    let check = |strata: &[Stratum], margin: f64, expected: Verdict| {
        let found = assess(&plan(margin, None, 2), strata);
        assert_eq!(found.verdict, expected, "{found:?}");
        let beyond = found.lower.is_some_and(|lower| lower > margin);
        let within = found.upper.is_some_and(|upper| upper < margin);
        assert_eq!(beyond, expected == Verdict::Harm, "{found:?}");
        assert_eq!(within && !beyond, expected == Verdict::Safe, "{found:?}");
    };
    check(&[counts(0, (5000, 250), (5000, 250))], 0.0, Verdict::Undecided);
    check(&[counts(0, (5000, 400), (5000, 250))], 0.1, Verdict::Harm);
    check(&[counts(0, (50_000, 2500), (50_000, 2500))], 0.2, Verdict::Safe);
}

#[test]
fn harm_that_begins_late_is_not_masked_by_earlier_calm() {
    let calm = counts(0, (100_000, 5000), (100_000, 5000));
    let harmed = counts(1, (4_000, 300), (4_000, 200));
    let found = assess(&plan(0.0, None, 2), &[calm, harmed]);
    let pooled = assess(&plan(0.0, None, 1), &[calm, harmed]);
    assert_eq!((found.verdict, pooled.verdict), (Verdict::Harm, Verdict::Undecided), "{found:?} {pooled:?}");
}

#[test]
fn the_first_events_count_before_any_z_exists() {
    let found = assess(&plan(0.0, None, 3), &[counts(0, (40, 14), (40, 0))]);
    assert_eq!(found.verdict, Verdict::Harm, "{found:?}");
    assert_eq!(found.effect, None);
    let found = assess(&plan(0.0, None, 3), &[counts(0, (40, 0), (40, 14))]);
    assert_eq!(found.verdict, Verdict::Safe, "{found:?}");
}

#[test]
fn strata_may_come_in_any_order_and_in_pieces() {
    let whole = [counts(0, (500, 12), (500, 5)), counts(3, (2000, 60), (2000, 41))];
    let pieces = [
        counts(3, (1500, 50), (900, 11)),
        counts(0, (200, 2), (100, 4)),
        counts(3, (500, 10), (1100, 30)),
        counts(0, (300, 10), (400, 1)),
    ];
    let plan = plan(0.05, Some(0.5), 5);
    let (whole, pieces) = (assess(&plan, &whole), assess(&plan, &pieces));
    assert_close(pieces.log_e_harm, whole.log_e_harm, 1e-12, "harm");
    assert_close(pieces.log_e_safe, whole.log_e_safe, 1e-12, "safe");
    assert_eq!((pieces.n_eff, pieces.effect), (whole.n_eff, whole.effect));
}

#[test]
fn what_cannot_be_assessed_says_why() {
    let means = GuardrailPlan { outcome: Outcome::Mean, ..plan(0.1, None, 2) };
    let of = |treatment: Moments, control: Moments| [Stratum { stage: 0, treatment, control }];
    let arm = |n: u64, mean: f64, m2: f64| Moments { n, mean, m2 };
    let check = |plan: &GuardrailPlan, strata: &[Stratum], reason: Undetermined| {
        let Assessment { verdict, reason: found, lower, upper, .. } = assess(plan, strata);
        assert_eq!((verdict, found, lower, upper), (Verdict::Undetermined, Some(reason), None, None));
        assert!(reason.to_string().ends_with('.'));
    };
    let counted = plan(0.1, None, 2);
    check(&counted, &[], Undetermined::EmptyArm);
    check(&counted, &[counts(0, (10, 5), (0, 0))], Undetermined::EmptyArm);
    check(&counted, &[counts(0, (10, 5), (0, 0)), counts(1, (0, 0), (10, 2))], Undetermined::EmptyArm);
    check(&counted, &of(arm(10, 0.55, 0.1), arm(10, 0.5, 2.5)), Undetermined::NonFinite);
    check(&means, &of(arm(100, f64::NAN, 1.0), arm(100, 1.0, 1.0)), Undetermined::NonFinite);
    check(&means, &of(arm(100, 1e300, 1e306), arm(100, -1e308, 1e300)), Undetermined::NonFinite);
    check(&means, &of(arm(49, 1.0, 1.0), arm(100, 1.0, 1.0)), Undetermined::BurnIn);
    check(&means, &of(arm(1, 1.0, 0.0), arm(1, 1.0, 0.0)), Undetermined::BurnIn);
    check(&means, &of(arm(100, 1.0, 0.0), arm(100, 2.0, 0.0)), Undetermined::ZeroVariance);
    check(&GuardrailPlan { alpha: 0.0, ..counted }, &design_strata(), Undetermined::BadPlan);
}

#[test]
fn plans_that_cannot_be_used_say_why() {
    let good = plan(0.1, Some(0.5), 2);
    assert_eq!(good.check(), Ok(()));
    let check = |plan: GuardrailPlan, expected: PlanError| assert_eq!(plan.check(), Err(expected));
    check(GuardrailPlan { alpha: 1.0, ..good }, PlanError::Alpha(1.0));
    check(GuardrailPlan { alpha_safe: 0.0, ..good }, PlanError::Alpha(0.0));
    check(GuardrailPlan { margin: Margin::Relative(-0.1), ..good }, PlanError::Margin(-0.1));
    check(GuardrailPlan { detect: Some(Margin::Absolute(0.5)), ..good }, PlanError::MixedKinds);
    check(plan(0.1, Some(0.1), 2), PlanError::DetectWithinMargin { detect: 0.1, margin: 0.1 });
    check(plan(0.1, None, 0), PlanError::NoStages);
    let decrease = GuardrailPlan { harm: Direction::Decrease, ..plan(0.1, Some(1.0), 2) };
    check(decrease, PlanError::WholeDecrease(1.0));
}

#[test]
fn plans_and_verdicts_have_a_stable_written_form() {
    let written = r#"{"outcome":"binary","harm":"increase","margin":{"relative":0.1},"detect":{"absolute":0.2},"alpha":0.05,"alpha_safe":0.1,"stages":3}"#;
    let plan: GuardrailPlan = serde_json::from_str(written).expect("the form is known");
    assert_eq!(serde_json::to_string(&plan).expect("a plan can be written"), written);
    assert_eq!(serde_json::to_string(&Verdict::Undecided).expect("a word"), "\"undecided\"");
    let assessment = assess(&self::plan(0.0, None, 2), &design_strata());
    let json = serde_json::to_string(&assessment).expect("all numbers are finite");
    let read: Assessment = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(read.verdict, assessment.verdict);
}

#[test]
fn the_evidence_alone_is_that_of_the_whole_assessment() {
    let late = [counts(0, (500, 12), (500, 5)), counts(1, (2000, 90), (2000, 41))];
    for plan in [plan(0.05, Some(0.5), 2), GuardrailPlan { harm: Direction::Decrease, ..plan(0.0, None, 5) }] {
        for strata in [&design_strata()[..], &late, &[counts(1, (2000, 90), (2000, 41))], &[]] {
            let whole = assess(&plan, strata);
            match log_evidence(&plan, strata) {
                Ok(alone) => {
                    assert_eq!((alone.log_e_harm, alone.log_e_safe), (whole.log_e_harm, whole.log_e_safe));
                    assert_eq!(whole.reason, None);
                }
                Err(reason) => assert_eq!(whole.reason, Some(reason)),
            }
        }
    }
}
