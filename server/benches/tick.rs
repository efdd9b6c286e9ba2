//! How long a tick of 100 due rollouts takes on the embedded stores: SQLite and Parquet, 100 000 exposures.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use liftgate::{
    app::App,
    config::{Config, Effective},
    entropy::OsEntropy,
    serve,
};
use liftgate_domain::{
    Actor, Change, ChangeKind, Clock, EventRow, Expected, Id, Key, ManualClock, Mutation, ResourceKind, RowKind, Scope,
    SealedBatch, SystemClock,
};
use liftgate_evaluator::{Condition, ramp_arm, share_bucket};
use liftgate_scheduler::{StartRollout, command};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ROLLOUTS: usize = 100;
const UNITS: usize = 1_000;

fn main() {
    divan::main();
}

struct Bench {
    runtime: Runtime,
    app: App,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime = Runtime::new().expect("a runtime can be made");
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    // A second opening in one process finds the provider there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let app = runtime.block_on(fill(dir.path(), clock.clone()));
    Bench { runtime, app, clock, _dir: dir }
});

async fn fill(dir: &Path, clock: Arc<ManualClock>) -> App {
    let flags = [("data_dir".to_owned(), dir.display().to_string())];
    let effective = Effective::gather(None, |_| None, &flags).expect("the settings are good");
    let config = Config::from_effective(&effective).expect("the settings are good");
    let (app, _) = serve::compose(config, clock.clone(), Arc::new(OsEntropy)).await.expect("an empty folder opens");
    let organization = Scope::organization();
    let project = Scope::project(key("shop"));
    let environment = project.with_environment(key("production"));
    put(&app, ResourceKind::Project, &organization, "shop", json!({})).await;
    put(&app, ResourceKind::Environment, &project, "production", json!({"lateness": "1s", "hash_key": "k"})).await;
    let metric = json!({"kind": "proportion", "event": "error", "window": "1h", "direction": "decrease"});
    put(&app, ResourceKind::Metric, &project, "errors", metric).await;
    let policy = json!({
        "stages": [{"share": "50%", "bake": "1h", "min_exposed": 1000}, {"share": "100%", "bake": "1h"}],
        "guardrails": {"alpha": 0.05, "metrics": [{"metric": "errors", "harm": "increase", "margin": "10%"}]},
    });
    put(&app, ResourceKind::Policy, &project, "careful", policy).await;
    let mut rows = Vec::new();
    for number in 0..ROLLOUTS {
        let flag = format!("flag-{number}");
        let body = json!({"key": flag, "kind": "boolean", "off_variation": "off",
            "variations": [{"key": "on", "value": true}, {"key": "off", "value": false}]});
        put(&app, ResourceKind::Flag, &project, &flag, body).await;
        let start = StartRollout {
            scope: environment.clone(),
            key: key(&flag),
            flag: key(&flag),
            policy: key("careful"),
            treatment: "on".to_owned(),
            control: "off".to_owned(),
            when: Condition::All(Vec::new()),
            rule: None,
        };
        let (rollout, _) =
            command::start(&*app.catalog, &OsEntropy, start, Actor::System, None).await.expect("it starts");
        let run = app.catalog.run(&environment, rollout.run).await.expect("the catalog answers").expect("it has a run");
        rows.extend((0..UNITS).map(|unit| exposure(&run, unit, &*clock)));
    }
    let batch = SealedBatch { node: Arc::from("bench"), epoch: 1, sequence: 1, received_through: clock.now(), rows };
    app.warehouse.append(Arc::new(batch)).await.expect("the batch is taken");
    app.warehouse.flush().await.expect("the tail becomes files");
    app
}

fn key(text: &str) -> Key {
    text.parse().expect("a valid key")
}

async fn put(app: &App, kind: ResourceKind, scope: &Scope, name: &str, body: Value) {
    let change = Change {
        id: Id::new(app.clock.now(), &OsEntropy),
        scope: scope.clone(),
        actor: Actor::System,
        reason: None,
        kind: ChangeKind::Edit,
        mutations: vec![Mutation::PutResource {
            kind,
            scope: scope.clone(),
            key: key(name),
            body,
            expected: Expected::Absent,
        }],
        events: Vec::new(),
    };
    app.catalog.apply(change).await.expect("the change applies");
}

fn exposure(run: &liftgate_domain::Run, unit: usize, clock: &dyn Clock) -> EventRow {
    let unit_id = format!("user-{unit}");
    let bucket = share_bucket(&run.history.salt, &unit_id);
    let arm = ramp_arm(bucket, run.history.stages[0].share).arm();
    EventRow {
        event_id: format!("x-{}-{unit}", run.number()),
        environment: run.environment,
        kind: RowKind::Exposure,
        ts: clock.now(),
        ts_client: clock.now(),
        received_at: clock.now(),
        unit_index: 0,
        unit_type: "user".to_owned(),
        unit_hash: EventRow::unit_hash_of(run.environment, "user", &unit_id),
        unit_id,
        name: run.flag.to_string(),
        variation: Some(if arm == Some("treatment") { "on" } else { "off" }.to_owned()),
        run: Some(run.number()),
        stage: Some(0),
        arm: arm.map(str::to_owned),
        bucket: Some(bucket),
        value: None,
        properties: None,
        source: "bench".to_owned(),
        revision: 1,
    }
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn tick_of_100_rollouts(bencher: divan::Bencher<'_, '_>) {
    bencher.bench(|| {
        BENCH.clock.advance_ms(10_000);
        let report = BENCH.runtime.block_on(BENCH.app.scheduler.tick()).expect("the catalog answers");
        assert_eq!((report.looked, report.failed), (ROLLOUTS as u64, 0), "every rollout is due and can be looked at");
    });
}
