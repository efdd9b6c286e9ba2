//! A rollout at a stage with every gate open, for tests to shut one at a time.

use liftgate_domain::{
    ArmCount, Id, Key, Metric, MetricKind, NodeMark, PinnedMetric, Rollout, RolloutStatus, Scope, Span, Timestamp,
    Watermark,
};
use liftgate_evaluator::{CONTROL, TREATMENT};
use liftgate_scheduler::{Evidence, GuardrailEvidence, Outcome, Policy, decide, policy_hash};
use liftgate_stats::{Direction, Moments, Stratum};
use serde_json::{Value, json};

pub const HOUR_MS: i64 = 3_600_000;

pub fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub fn start_of_time() -> Timestamp {
    "2026-11-02T09:00:00Z".parse().unwrap()
}

pub fn policy_json() -> Value {
    json!({
        "stages": [
            {"share": "1%", "bake": "30m", "min_exposed": 500},
            {"share": "10%", "bake": "4h", "min_exposed": 2000},
            {"share": "50%", "bake": "24h", "min_exposed": 4000, "max_wait": "7d"},
            {"share": "100%", "bake": "24h"},
        ],
        "guardrails": {
            "alpha": 0.05,
            "metrics": [
                {"metric": "errors", "harm": "increase", "margin": "0%", "act": "rollback"},
                {"metric": "conversion", "harm": "decrease", "margin": "5%", "act": "hold"},
            ],
        },
    })
}

pub fn policy() -> Policy {
    serde_json::from_value(policy_json()).unwrap()
}

pub fn metric(event: &str, direction: Direction) -> Metric {
    Metric::new(MetricKind::Proportion, event, Span::from_ms(60 * 60 * 1_000), direction)
}

pub fn metrics() -> Vec<PinnedMetric> {
    [("errors", Direction::Decrease), ("conversion", Direction::Increase)]
        .map(|(name, direction)| PinnedMetric { key: key(name), revision: 1, metric: metric(name, direction) })
        .into()
}

/// Units and events of the two arms.
#[derive(Copy, Clone, Debug)]
pub struct Arms {
    pub treatment: (u64, u64),
    pub control: (u64, u64),
}

impl Arms {
    pub fn stratum(self, stage: u32) -> Stratum {
        Stratum {
            stage,
            treatment: Moments::from_counts(self.treatment.0, self.treatment.1),
            control: Moments::from_counts(self.control.0, self.control.1),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Scene {
    pub policy: Policy,
    pub rollout: Rollout,
    pub evidence: Evidence,
    pub now: Timestamp,
}

impl Scene {
    /// Stage 1 of 0 to 3, baked, fresh, 4 000 units an arm, all quiet: it advances to stage 2.
    pub fn ready() -> Self {
        let now = start_of_time().plus_millis(10 * HOUR_MS);
        let policy = policy();
        let mut watermark = Watermark::default();
        watermark.advance("a", NodeMark { epoch: 1, sequence: 9, received_at: now });
        let same = |events| vec![Arms { treatment: (4_000, events), control: (4_000, events) }.stratum(1)];
        let evidence = Evidence {
            watermark,
            as_of: Some(now),
            guardrails: vec![
                GuardrailEvidence { metric: key("errors"), strata: same(200) },
                GuardrailEvidence { metric: key("conversion"), strata: same(800) },
            ],
            arms: [CONTROL, TREATMENT]
                .map(|arm| ArmCount { slice: None, stage: 1, arm: arm.to_owned(), units: 4_000 })
                .into(),
            treated_units: 4_000,
            crossover_units: 0,
            exposures_dropped: 0,
            last_treatment_at: Some(now.plus_millis(-1_000)),
            last_control_at: Some(now.plus_millis(-2_000)),
            warehouse_error: None,
        };
        Self { rollout: rollout(&policy, now), policy, evidence, now }
    }

    pub fn decide(&self) -> Outcome {
        decide(&self.policy, &self.rollout, &self.evidence, self.now)
    }

    /// Puts a guardrail's units into the stage.
    pub fn set(&mut self, metric: &str, arms: Arms) {
        let stage = self.rollout.stage;
        self.set_strata(metric, vec![arms.stratum(stage)]);
    }

    pub fn set_strata(&mut self, metric: &str, strata: Vec<Stratum>) {
        let known = self.evidence.guardrails.iter_mut().find(|known| known.metric.as_ref() == metric);
        known.unwrap().strata = strata;
    }

    /// The first number of treated events out of 4 000, against 200, that is suspect but not harm.
    pub fn make_suspect(&mut self) {
        for events in 200..400 {
            self.set("errors", Arms { treatment: (4_000, events), control: (4_000, 200) });
            let log_e = self.decide().guardrails[0].assessment.log_e_harm;
            if log_e >= 5.0_f64.ln() {
                assert!(log_e < 20.0_f64.ln(), "one event more is no leap from suspicion to harm");
                return;
            }
        }
        panic!("no number of events is suspect");
    }

    pub fn make_harmed(&mut self) {
        self.set("errors", Arms { treatment: (4_000, 320), control: (4_000, 200) });
    }
}

fn rollout(policy: &Policy, now: Timestamp) -> Rollout {
    Rollout {
        id: Id::from_stored("019a0000-0000-7000-8000-000000000001"),
        scope: Scope::environment(key("shop"), key("production")),
        key: key("checkout"),
        flag: key("new-checkout"),
        rule: key("rollout-checkout"),
        treatment: "on".to_owned(),
        control: "off".to_owned(),
        policy: key("standard"),
        policy_hash: policy_hash(policy),
        policy_body: serde_json::to_value(policy).unwrap(),
        metrics: metrics(),
        lateness: Span::from_ms(1_000),
        attempt: 1,
        run: 7,
        status: RolloutStatus::Running,
        stage: 1,
        stage_since: now.plus_millis(-5 * HOUR_MS),
        baked_ms: 4 * 3_600_000,
        baked_until: now,
        hold: None,
        started_at: now.plus_millis(-6 * HOUR_MS),
        finished_at: None,
        treated_units: 4_000,
        decision_seq: 2,
        decision_hash: "00".repeat(32),
        recorded_at: now.plus_millis(-60_000),
        next_due_at: Some(now),
        last_looked_at: Some(now.plus_millis(-200)),
        version: 3,
    }
}
