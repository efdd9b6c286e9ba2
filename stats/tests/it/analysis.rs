//! Requests: what is wrong is named by its path, what is degenerate gets a status with a reason, and no input panics.

use liftgate_stats::analysis::{Answer, FieldError, MetricAnswer, Named, Request, answer_schema, request_schema};
use liftgate_stats::{
    Comparison, ComparisonVerdict, Method, PlanMethod, Undetermined, Verdict, Warning, decision::DecisionVerdict,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn ask(request: Value) -> Result<Named, FieldError> {
    Request::from_value(request)?.analyze()
}

fn metric(request: Value) -> MetricAnswer {
    match ask(request).expect("the request can be answered").answer {
        Answer::Metric(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn only(request: Value) -> Comparison {
    metric(request).comparisons.remove(0).comparison
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let check = |text: &str, field: &str, word: &str| {
        let error = Request::from_json(text).and_then(|request| request.analyze()).expect_err(text);
        assert_eq!(error.field, field, "{text}: {error}");
        assert!(error.message.contains(word), "{text}: {error}");
    };
    check("{", ".", "not JSON");
    check("[1]", ".", "object");
    check(r#"{"analysis": "magic"}"#, "analysis", "`magic`");
    check(r#"{"analysis": 3}"#, "analysis", "`metric`");
    check(r#"{"armz": []}"#, "armz", "unknown field");
    check(r#"{"arms": []}"#, "arms", "two arms");
    check(r#"{"arms": [{"arm": "a", "n": -5}]}"#, "arms[0].n", "whole number");
    check(r#"{"arms": [{"arm": "a", "n": 2.5}]}"#, "arms[0].n", "whole number");
    check(r#"{"arms": [{"arm": "a", "n": "7"}]}"#, "arms[0].n", "whole number");
    check(r#"{"arms": [{"arm": "a", "mean": 1, "variance": 1}, {"arm": "b"}]}"#, "arms[0].n", "number of units");
    check(r#"{"arms": [{"n": 5, "mean": 1, "variance": 1}, {"arm": "b"}]}"#, "arms[0].arm", "name");
    check(r#"{"arms": [{"arm": "a", "n": 5, "variance": 1}, {"arm": "b"}]}"#, "arms[0].mean", "missing");
    check(r#"{"arms": [{"arm": "a", "n": 5, "mean": 1}, {"arm": "b"}]}"#, "arms[0].variance", "missing");
    check(
        r#"{"arms": [{"arm": "a", "n": 5, "mean": 1, "variance": -1}, {"arm": "b"}]}"#,
        "arms[0].variance",
        "below 0",
    );
    check(
        r#"{"arms": [{"arm": "a", "n": 5, "mean": 1, "sum": 5, "variance": 1}, {"arm": "b"}]}"#,
        "arms[0].sum",
        "leave one out",
    );
    check(
        r#"{"arms": [{"arm": "a", "n": 2, "sum": 10, "sum_squares": 1}, {"arm": "b"}]}"#,
        "arms[0].sum_squares",
        "smaller",
    );
    check(r#"{"arms": [{"arm": "a", "n": 5, "events": 3}, {"arm": "b"}]}"#, "arms[0].events", "proportion");
    check(
        r#"{"kind": "proportion", "arms": [{"arm": "a", "n": 5, "events": 6}, {"arm": "b"}]}"#,
        "arms[0].events",
        "6 of 5",
    );
    check(
        r#"{"kind": "proportion", "arms": [{"arm": "a", "n": 5, "mean": 1.5}, {"arm": "b"}]}"#,
        "arms[0].mean",
        "share",
    );
    check(
        r#"{"arms": [{"arm": "a", "n": 5, "mean": 1, "variance": 1}, {"arm": "a", "n": 5, "mean": 1, "variance": 1}]}"#,
        "arms[1].arm",
        "twice",
    );
    check(
        r#"{"control": "c", "arms": [{"arm": "a", "n": 5, "mean": 1, "variance": 1}, {"arm": "b", "n": 5, "mean": 1, "variance": 1}]}"#,
        "control",
        "`c`",
    );
    check(r#"{"kind": "ratio", "arms": [{"arm": "a", "n": 5, "mean": 1, "variance": 1}]}"#, "arms", "two arms");
    let arm = r#"{"arm": "a", "n": 5, "mean": 1, "variance": 1}"#;
    let other = r#"{"arm": "b", "n": 5, "mean": 1, "variance": 1}"#;
    check(&format!(r#"{{"kind": "ratio", "arms": [{arm}, {other}]}}"#), "arms[0].denominator", "needs one");
    check(&format!(r#"{{"kind": "quantile", "arms": [{arm}, {other}]}}"#), "arms[0].quantile", "neighbours");
    check(
        &format!(r#"{{"arms": [{arm}, {other}], "strata": [{{"stratum": "s", "arms": []}}]}}"#),
        "strata",
        "leave one out",
    );
    check(&format!(r#"{{"arms": [{arm}, {other}], "plan": {{"alpha": "x"}}}}"#), "plan.alpha", "f64");
    check(&format!(r#"{{"arms": [{arm}, {other}], "plan": {{"method": "guess"}}}}"#), "plan.method", "guess");
    check(
        &format!(r#"{{"arms": [{arm}, {other}], "plan": {{"margin": {{"relative": "x"}}}}}}"#),
        "plan.margin.relative",
        "f64",
    );
    let covariate = r#"{"arm": "a", "n": 5, "mean": 1, "variance": 1, "covariate": {"mean": 1, "variance": 1}}"#;
    check(&format!(r#"{{"arms": [{covariate}, {other}]}}"#), "arms[0].covariance.value_covariate", "missing");
    let impossible = r#"{"arm": "a", "n": 5, "mean": 1, "variance": 1, "covariate": {"mean": 1, "variance": 1}, "covariance": {"value_covariate": 2}}"#;
    check(&format!(r#"{{"arms": [{impossible}, {other}]}}"#), "arms[0].covariance.value_covariate", "beyond 1");
    check(
        r#"{"analysis": "srm", "arms": [{"arm": "a", "n": 1, "weight": -1}, {"arm": "b", "n": 1, "weight": 1}]}"#,
        "arms[0].weight",
        "0 or more",
    );
    check(
        r#"{"analysis": "rates", "arms": [{"arm": "a", "events": 1, "exposure": 0}, {"arm": "b", "events": 1, "exposure": 1}]}"#,
        "arms[0].exposure",
        "above 0",
    );
    check(
        r#"{"analysis": "multiplicity", "method": "holm", "tests": [{"name": "a", "p_value": 2}]}"#,
        "tests[0].p_value",
        "between 0 and 1",
    );
    check(
        r#"{"analysis": "multiplicity", "method": "e_bh", "tests": [{"name": "a", "e_value": -1}]}"#,
        "tests[0].e_value",
        "0 or more",
    );
    check(r#"{"analysis": "guardrail", "plan": {}, "strata": []}"#, "plan.margin", "missing");
    check(
        r#"{"analysis": "guardrail", "plan": {"margin": {"relative": 0.1}, "alpha": 2}, "strata": []}"#,
        "plan.alpha",
        "between 0 and 1",
    );
    check(
        r#"{"analysis": "guardrail", "plan": {"margin": {"relative": 0.1}, "detect": {"relative": 0.05}}, "strata": []}"#,
        "plan.detect",
        "beyond",
    );
    check(r#"{"analysis": "experiment", "control": "a", "arms": [], "metrics": []}"#, "control", "none of the arms");
    check(
        r#"{"analysis": "experiment", "control": "a", "arms": [{"arm": "a", "n": 1, "weight": 1}], "metrics": [{"metric": "m", "role": "guardrail", "arms": []}]}"#,
        "metrics[0].margin",
        "guardrail needs one",
    );
}

/// The robustness list by name: every case gets a status and a reason, never p = 1 or an interval (0, 0).
#[test]
fn degenerate_numbers_get_a_status_with_a_reason() {
    let means = |control: Value, treatment: Value, method: &str| {
        let arm = |name: &str, mut arm: Value| {
            arm["arm"] = json!(name);
            arm
        };
        only(json!({"arms": [arm("control", control), arm("treatment", treatment)], "plan": {"method": method}}))
    };
    let good = json!({"n": 1000, "mean": 10, "variance": 4});
    for method in ["fixed", "sequential", "bayesian"] {
        let check = |what: &str, bad: Value, verdict: ComparisonVerdict, warning: Option<Warning>| {
            let found = means(good.clone(), bad, method);
            assert_eq!(found.verdict, verdict, "{method}, {what}: {found:?}");
            assert!(warning.is_none_or(|warning| found.warnings.contains(&warning)), "{method}, {what}: {found:?}");
            assert!(
                verdict != ComparisonVerdict::Undetermined || found.p_value.is_none(),
                "{method}, {what}: {found:?}"
            );
            assert!(
                verdict != ComparisonVerdict::Undetermined || found.absolute.is_none(),
                "{method}, {what}: {found:?}"
            );
        };
        use ComparisonVerdict::{Better, Undetermined as Unjudged};
        check("empty arm", json!({"n": 0, "mean": 0, "variance": 0}), Unjudged, Some(Warning::TooFewUnits));
        check("n = 1", json!({"n": 1, "mean": 3, "variance": 0}), Unjudged, None);
        check("overflow", json!({"n": 10, "mean": 1e308, "variance": 1e308}), Unjudged, None);
        check("1e15 units", json!({"n": 1_000_000_000_000_000_u64, "mean": 10.5, "variance": 4}), Better, None);
        check(
            "one giant outlier",
            json!({"n": 1000, "mean": 1e12, "variance": 1e27}),
            ComparisonVerdict::Inconclusive,
            None,
        );
    }
    let equal = json!({"n": 1000, "mean": 10, "variance": 0});
    let found = means(equal.clone(), equal.clone(), "fixed");
    assert_eq!((found.verdict, found.p_value), (ComparisonVerdict::Inconclusive, None));
    let found = means(equal, json!({"n": 1000, "mean": 11, "variance": 0}), "sequential");
    assert_eq!(
        (found.verdict, found.p_value, found.warnings),
        (ComparisonVerdict::Undetermined, None, vec![Warning::Degenerate])
    );
}

#[test]
fn a_zero_cell_gets_a_verdict_by_every_kind_of_plan() {
    for plan in [
        json!({"method": "fixed", "margin": {"relative": 0.1}}),
        json!({"method": "sequential", "margin": {"relative": 0.1}}),
        json!({"method": "bayesian", "prior": {"beta": {"alpha": 1, "beta": 1}}}),
    ] {
        let found = only(json!({"kind": "proportion", "direction": "decrease", "plan": plan,
            "arms": [{"arm": "c", "n": 10_000, "events": 0}, {"arm": "t", "n": 10_000, "events": 300}]}));
        assert_eq!(found.verdict, ComparisonVerdict::Worse, "{found:?}");
        assert!(found.margin.is_none_or(|margin| margin.verdict == Verdict::Harm), "{found:?}");
    }
}

#[test]
fn a_sequential_plan_waits_for_its_burn_in_and_says_so() {
    let of = |n: u64, events: u64| {
        only(json!({"kind": "proportion", "plan": {"method": "sequential"},
            "arms": [{"arm": "c", "n": n, "events": events}, {"arm": "t", "n": n, "events": events}]}))
    };
    let early = of(1_000, 9);
    assert_eq!((early.verdict, early.p_value), (ComparisonVerdict::Undetermined, None));
    assert_eq!(early.warnings, [Warning::BurnIn]);
    let later = of(1_000, 10);
    assert_eq!((later.verdict, later.method), (ComparisonVerdict::Inconclusive, Method::Anytime));
    assert_eq!(of(20, 20).warnings, [Warning::BurnIn], "non-events count as well");
}

#[test]
fn margins_follow_the_size_of_a_negative_baseline() {
    // A profit of -10 a unit: 10 % worse is -11.
    let of = |treatment: f64, plan: &str| {
        only(json!({"direction": "increase", "plan": {"method": plan, "margin": {"relative": 0.1}},
            "arms": [{"arm": "c", "n": 200_000, "mean": -10.0, "variance": 4.0},
                     {"arm": "t", "n": 200_000, "mean": treatment, "variance": 4.0}]}))
        .margin
        .expect("the plan has a margin")
        .verdict
    };
    for plan in ["fixed", "sequential"] {
        assert_eq!(of(-10.0, plan), Verdict::Safe, "{plan}");
        assert_eq!(of(-10.5, plan), Verdict::Safe, "{plan}");
        assert_eq!(of(-11.5, plan), Verdict::Harm, "{plan}");
        assert_eq!(of(-9.0, plan), Verdict::Safe, "{plan}");
    }
}

#[test]
fn covariates_that_moved_are_told_and_stop_a_decision() {
    let arm = |name: &str, before: f64, mean: f64| {
        json!({"arm": name, "n": 10_000, "mean": mean, "variance": 9.0, "covariate": {"mean": before, "variance": 9.0},
            "covariance": {"value_covariate": 7.2}})
    };
    let of = |before: f64| {
        let request = json!({"analysis": "experiment", "control": "c",
            "arms": [{"arm": "c", "n": 10_000, "weight": 1}, {"arm": "t", "n": 10_000, "weight": 1}],
            "metrics": [{"metric": "m", "role": "success", "arms": [arm("c", 5.0, 5.0), arm("t", before, 5.5)]}]});
        match ask(request).expect("the request can be answered").answer {
            Answer::Experiment(answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    let fine = of(5.01);
    assert_eq!(fine.decisions[0].verdict, DecisionVerdict::Ship, "{fine:?}");
    let cuped = fine.metrics[0].comparisons[0].comparison.cuped.clone().expect("there is a covariate");
    assert!((cuped.theta[0] - 0.8).abs() < 1e-12 && (cuped.variance_reduction - 0.64).abs() < 1e-9, "{cuped:?}");
    let moved = of(5.4);
    assert_eq!(moved.decisions[0].verdict, DecisionVerdict::Undetermined, "{moved:?}");
    assert!(moved.metrics[0].comparisons[0].comparison.warnings.contains(&Warning::CovariateImbalance));
}

#[test]
fn secondary_metrics_are_corrected_together_and_their_intervals_agree() {
    let arms = |shift: f64| json!([{"arm": "c", "n": 1_000, "mean": 0.0, "variance": 1.0}, {"arm": "t", "n": 1_000, "mean": shift, "variance": 1.0}]);
    // p = .0032, .026 and .5: Holm keeps only the first.
    let metrics: Vec<Value> = [0.132, 0.0995, 0.03]
        .iter()
        .enumerate()
        .map(|(index, shift)| json!({"metric": format!("m{index}"), "role": "secondary", "arms": arms(*shift)}))
        .collect();
    let request = json!({"analysis": "experiment", "control": "c", "correction": "holm", "metrics": metrics,
        "arms": [{"arm": "c", "n": 1_000, "weight": 1}, {"arm": "t", "n": 1_000, "weight": 1}]});
    let Answer::Experiment(answer) = ask(request).expect("the request can be answered").answer else {
        panic!("another answer");
    };
    let verdicts: Vec<_> = answer.metrics.iter().map(|metric| metric.comparisons[0].comparison.verdict).collect();
    assert_eq!(verdicts, [ComparisonVerdict::Better, ComparisonVerdict::Inconclusive, ComparisonVerdict::Inconclusive]);
    for metric in &answer.metrics {
        let found = &metric.comparisons[0];
        let excludes = !found.comparison.absolute.expect("the arms vary").contains(0.0);
        assert_eq!(excludes, found.p_adjusted.expect("the arms vary") < 0.05, "{found:?}");
    }
    assert!(answer.decisions.is_empty(), "without a success metric nothing is decided");
}

#[test]
fn slices_that_differ_are_found_and_equal_ones_are_not() {
    let of = |effects: [f64; 3]| {
        let slices: Vec<Value> = effects
            .iter()
            .enumerate()
            .map(|(index, effect)| {
                json!({"slice": format!("country={index}"), "arms": [
                    {"arm": "c", "n": 5_000, "mean": 1.0, "variance": 1.0},
                    {"arm": "t", "n": 5_000, "mean": 1.0 + effect, "variance": 1.0}]})
            })
            .collect();
        match ask(json!({"analysis": "slices", "slices": slices})).expect("the request can be answered").answer {
            Answer::Slices(answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    let same = of([0.1, 0.1, 0.1]);
    assert!(same.heterogeneity[0].p_value.expect("three slices") > 0.99, "{same:?}");
    let differing = of([0.1, 0.1, -0.2]);
    // Q = sum w (d - mean)^2 with w = 2 500 and mean 0: 2 500 (.01 + .01 + .04) = 150.
    let found = &differing.heterogeneity[0];
    assert!((found.q.expect("three slices") - 150.0).abs() < 0.1 && found.df == Some(2), "{found:?}");
    let rest = &differing.slices[2].against_rest[0];
    assert!((rest.difference.expect("the arms vary") + 0.3).abs() < 1e-9 && rest.p_adjusted < Some(1e-6), "{rest:?}");
}

#[test]
fn a_guardrail_of_a_ratio_is_assessed_by_units() {
    let arm = |mean: f64| {
        json!({"n": 5_000, "mean": mean, "variance": 0.3, "denominator": {"mean": 4.0, "variance": 6.0},
            "covariance": {"value_denominator": 0.5}})
    };
    let of = |treatment: f64| {
        let request = json!({"analysis": "guardrail", "kind": "ratio", "plan": {"margin": {"relative": 0.05}, "stages": 2},
            "strata": [{"stage": 0, "treatment": arm(treatment), "control": arm(0.2)},
                       {"stage": 1, "treatment": arm(treatment), "control": arm(0.2)}]});
        match ask(request).expect("the request can be answered").answer {
            Answer::Guardrail(found) => found,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(0.3).verdict, Verdict::Harm);
    assert_ne!(of(0.2).verdict, Verdict::Harm);
    let empty = ask(json!({"analysis": "guardrail", "kind": "ratio", "plan": {"margin": {"relative": 0.05}},
        "strata": [{"treatment": {"n": 0, "mean": 0, "variance": 0, "denominator": {"mean": 0, "variance": 0}, "covariance": {"value_denominator": 0}}, "control": arm(0.2)}]}));
    let Answer::Guardrail(empty) = empty.expect("the request can be answered").answer else { panic!("another answer") };
    assert_eq!((empty.verdict, empty.reason), (Verdict::Undetermined, Some(Undetermined::EmptyArm)));
}

#[test]
fn requests_and_answers_fit_their_schemas() {
    let validator = |schema: Value| jsonschema::validator_for(&schema).expect("a schema");
    let (requests, answers) = (validator(request_schema()), validator(answer_schema()));
    let file: Value =
        serde_json::from_str(include_str!("../fixtures/references.json")).expect("the fixture is well formed");
    let cases = file["cases"].as_array().expect("cases");
    let mut checked = 0;
    for case in cases {
        // The field that names the analysis may be left out when reading; the schema wants it.
        let request = &case["request"];
        let errors: Vec<String> = requests.iter_errors(request).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{request}: {errors:?}");
        let answer = serde_json::to_value(ask(request.clone()).expect("answered")).expect("answers have a JSON form");
        let errors: Vec<String> = answers.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{answer}: {errors:?}");
        checked += 1;
    }
    assert!(checked > 400);
    assert!(!requests.is_valid(&json!({"analysis": "metric", "armz": []})));
}

fn wild_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(1e15)),
        Just(json!(1e308)),
        Just(json!(-1e308)),
        Just(json!(1e-308)),
        Just(Value::Null),
        Just(json!("x")),
        (0..1_000_u64).prop_map(|n| json!(n)),
        (0.0..1.0_f64).prop_map(|x| json!(x)),
        (-1e3..1e3_f64).prop_map(|x| json!(x)),
    ]
}

fn wild_arm(name: &'static str) -> impl Strategy<Value = Value> {
    let field = || prop::option::of(wild_number());
    let pair = move || (field(), field()).prop_map(|(mean, variance)| object([("mean", mean), ("variance", variance)]));
    (
        prop_oneof![(0..2_000_u64).prop_map(|n| json!(n)), wild_number()],
        wild_number(),
        wild_number(),
        prop::option::of(pair()),
        prop::option::of(pair()),
        prop::option::of(pair()),
        wild_number(),
        prop::option::of(wild_number()),
    )
        .prop_map(move |(n, mean, variance, denominator, covariate, before, product, events)| {
            let pairs: Value = [
                "value_denominator",
                "value_covariate",
                "value_covariate_denominator",
                "denominator_covariate",
                "denominator_covariate_denominator",
                "covariate_covariate_denominator",
            ]
            .iter()
            .map(|name| ((*name).to_owned(), product.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
            let has_pairs = denominator.is_some() || covariate.is_some();
            let (mean, variance) = if events.is_some() { (None, None) } else { (Some(mean), Some(variance)) };
            object([
                ("arm", Some(json!(name))),
                ("n", Some(n)),
                ("mean", mean),
                ("variance", variance),
                ("events", events),
                ("denominator", denominator),
                ("covariate", covariate),
                ("covariate_denominator", before),
                ("covariance", has_pairs.then_some(pairs)),
                (
                    "quantile",
                    Some(
                        json!({"value": 3, "lower": 2, "upper": 4, "lower_probability": 0.4, "upper_probability": 0.6}),
                    ),
                ),
            ])
        })
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn wild_plan() -> impl Strategy<Value = Value> {
    (
        prop_oneof![Just("fixed"), Just("sequential"), Just("bayesian")],
        prop_oneof![Just(json!(0.05)), wild_number()],
        prop_oneof![Just("fieller"), Just("delta"), Just("log_ratio")],
        prop_oneof![Just(json!(5000)), wild_number()],
        prop_oneof![
            Just(None),
            wild_number().prop_map(|x| Some(json!({"relative": x}))),
            wild_number().prop_map(|x| Some(json!({"absolute": x})))
        ],
        prop_oneof![
            Just(None),
            wild_number().prop_map(|x| Some(json!({"relative": {"mean": 0, "sd": x}}))),
            wild_number().prop_map(|x| Some(json!({"absolute": {"mean": x, "sd": 1}}))),
            wild_number().prop_map(|x| Some(json!({"beta": {"alpha": x, "beta": 1}}))),
        ],
    )
        .prop_map(|(method, alpha, lift, tuned_at, margin, prior)| {
            object([
                ("method", Some(json!(method))),
                ("alpha", Some(alpha)),
                ("lift", Some(json!(lift))),
                ("tuned_at", Some(tuned_at)),
                ("margin", margin),
                ("prior", prior),
            ])
        })
}

fn check_finite(found: &Comparison) -> Result<(), TestCaseError> {
    for estimate in [found.absolute, found.relative].into_iter().flatten() {
        prop_assert!([estimate.value, estimate.lower, estimate.upper].iter().all(|x| x.is_finite()), "{:?}", found);
        prop_assert!(estimate.lower <= estimate.upper, "{:?}", found);
    }
    let numbers = [found.difference, found.statistic, found.df, found.p_value, found.log_e];
    prop_assert!(numbers.into_iter().flatten().all(f64::is_finite), "{:?}", found);
    prop_assert!(found.p_value.is_none_or(|p| (0.0..=1.0).contains(&p)), "{:?}", found);
    let says_nothing = found.p_value.is_none() && found.bayesian.is_none();
    prop_assert!(!says_nothing || !found.warnings.is_empty(), "{:?}", found);
    if let Some(margin) = found.margin {
        prop_assert_eq!(margin.verdict == Verdict::Undetermined, margin.reason.is_some(), "{:?}", margin);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_request_panics(
        kind in prop_oneof![Just("mean"), Just("proportion"), Just("ratio"), Just("quantile")],
        plan in wild_plan(),
        control in wild_arm("control"),
        treatment in wild_arm("treatment"),
        is_stratified in any::<bool>(),
    ) {
        let strip = |mut arm: Value| {
            if kind != "quantile" {
                arm.as_object_mut().expect("an arm").remove("quantile");
            }
            arm
        };
        let arms = json!([strip(control), strip(treatment)]);
        let request = if is_stratified {
            json!({"kind": kind, "plan": plan, "strata": [{"stratum": "a", "arms": arms.clone()}, {"stratum": "b", "arms": arms}]})
        } else {
            json!({"kind": kind, "plan": plan, "arms": arms})
        };
        if let Ok(Named { answer: Answer::Metric(answer), .. }) = ask(request) {
            for found in &answer.comparisons {
                check_finite(&found.comparison)?;
            }
        }
    }

    #[test]
    fn p_is_below_alpha_exactly_when_zero_is_outside_for_every_plan(
        method in prop_oneof![Just(PlanMethod::Fixed), Just(PlanMethod::Sequential)],
        n in 60_u64..5_000,
        shift in -0.4_f64..0.4,
        correlation in -0.9_f64..0.9,
        alpha in 0.001_f64..0.3,
        before in -0.05_f64..0.05,
    ) {
        let arm = |name: &str, mean: f64, x: f64| json!({"arm": name, "n": n, "mean": mean, "variance": 1.3,
            "covariate": {"mean": x, "variance": 2.0}, "covariance": {"value_covariate": correlation * (2.6_f64).sqrt()}});
        let found = only(json!({"plan": {"method": method, "alpha": alpha},
            "arms": [arm("c", 2.0, 1.0), arm("t", 2.0 + shift, 1.0 + before)]}));
        let p = found.p_value.expect("the arms vary");
        prop_assume!((p / alpha - 1.0).abs() > 1e-7);
        for interval in [found.absolute, found.relative].into_iter().flatten() {
            prop_assert_eq!(p < alpha, !interval.contains(0.0), "{:?}", found);
        }
    }

    #[test]
    fn swapping_arms_mirrors_adjusted_effects(
        n in 60_u64..5_000, shift in -0.4_f64..0.4, correlation in -0.9_f64..0.9, before in -0.05_f64..0.05,
    ) {
        let arm = |name: &str, mean: f64, x: f64| json!({"arm": name, "n": n, "mean": mean, "variance": 1.3,
            "covariate": {"mean": x, "variance": 2.0}, "covariance": {"value_covariate": correlation * (2.6_f64).sqrt()}});
        let (a, b) = (arm("a", 2.0, 1.0), arm("b", 2.0 + shift, 1.0 + before));
        let forth = only(json!({"control": "a", "arms": [a.clone(), b.clone()]}));
        let back = only(json!({"control": "b", "arms": [a, b]}));
        let (forth, back) = (forth.absolute.expect("the arms vary"), back.absolute.expect("the arms vary"));
        prop_assert!((forth.value + back.value).abs() < 1e-12 && (forth.lower + back.upper).abs() < 1e-12);
    }
}
