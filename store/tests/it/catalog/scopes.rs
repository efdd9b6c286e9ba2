//! Cases: tenants apart, rulesets, credentials, and the change log.

use liftgate_domain::{
    Actor, Change, ChangeKind, Credential, Expected, Id, Mutation, Resource, ResourceKind, Scope, StoreError, Timestamp,
};
use serde_json::json;

use super::fixture::*;

pub async fn tenants_never_cross(engine: Engine) {
    engine.declare("shop", &["production", "staging"]).await;
    engine.declare("zoo", &["production"]).await;
    let zoo = Scope::project(key("zoo"));
    let zoo_production = zoo.with_environment(key("production"));
    let decided = rollout(&production(), "ramp", 1);
    let fill = change(
        production(),
        vec![
            put(ResourceKind::Flag, &shop(), "checkout"),
            put(ResourceKind::FlagState, &production(), "checkout"),
            put_body(ResourceKind::Endpoint, &shop(), "hook", endpoint("https://example.com"), Expected::Any),
            Mutation::AddCredential(credential(&production(), "ci")),
            put_rollout(&decided, None),
            Mutation::AppendDecision(decision(&decided, 1)),
            Mutation::PutRun(Box::new(run(&production(), 7, 1))),
        ],
        vec![event("rollout.started", &production(), "ramp")],
    );
    let seq = engine.catalog.apply(fill).await.unwrap().seq;
    let stranger = Scope { organization: key("other"), ..production() };
    let strange_organization = Scope { organization: key("other"), ..Scope::organization() };

    let catalog = &engine.catalog;
    for (scope, sees) in [
        (Scope::organization(), true),
        (shop(), true),
        (production(), true),
        (staging(), false),
        (zoo.clone(), false),
        (zoo_production, false),
        (stranger, false),
        (strange_organization, false),
    ] {
        let count = usize::from(sees);
        assert_eq!(catalog.credentials(&scope).await.unwrap().len(), count, "{scope}");
        assert_eq!(catalog.rollouts(&scope).await.unwrap().len(), count, "{scope}");
        assert_eq!(catalog.run(&scope, 7).await.unwrap().is_some(), sees, "{scope}");
        assert_eq!(catalog.events(&scope, 0, 10).await.unwrap().len(), count, "{scope}");
        assert_eq!(catalog.changes(&scope, seq - 1, 10).await.unwrap().len(), count, "{scope}");
        // An environment owns no endpoints.
        let owned = usize::from(sees && scope.environment.is_none());
        assert_eq!(catalog.deliveries(&scope, None, 10).await.unwrap().len(), owned, "{scope}");
        if owned == 0 {
            let delivery = catalog.deliveries(&shop(), None, 10).await.unwrap().remove(0);
            assert!(!catalog.redeliver(&scope, &delivery.id, START).await.unwrap(), "{scope}");
        }
        let own = scope == production();
        assert_eq!(catalog.rollout(&scope, &key("ramp")).await.unwrap().is_some(), own, "{scope}");
        let states = catalog.resources(ResourceKind::FlagState, &scope, None, 10).await.unwrap();
        assert_eq!(states.len(), usize::from(own), "{scope}");
        let flags = catalog.resources(ResourceKind::Flag, &scope, None, 10).await.unwrap();
        assert_eq!(flags.len(), usize::from(scope == shop()), "{scope}");
    }
    let taken = engine.try_edit(vec![Mutation::PutRun(Box::new(run(&staging(), 7, 2)))]).await;
    assert_eq!(said(taken), "run `7` exists already");
}

pub async fn a_ruleset_moves_with_what_it_is_made_of(engine: Engine) {
    engine.declare("shop", &["production", "staging"]).await;
    engine.declare("zoo", &["production"]).await;
    let zoo = Scope::project(key("zoo")).with_environment(key("production"));
    let revisions = async || engine.catalog.ruleset_revisions().await.unwrap();
    assert_eq!(revisions().await, [(production(), 1), (staging(), 1), (zoo.clone(), 1)]);

    // However many writes, one new revision an environment.
    let applied = engine
        .edit(vec![
            put(ResourceKind::Flag, &shop(), "a"),
            put(ResourceKind::Flag, &shop(), "b"),
            put(ResourceKind::FlagState, &production(), "a"),
        ])
        .await;
    assert_eq!(applied.rulesets, [(production(), 2), (staging(), 2)]);
    let applied = engine.edit(vec![put(ResourceKind::FlagState, &production(), "b")]).await;
    assert_eq!(applied.rulesets, [(production(), 3)]);
    let applied = engine.edit(vec![put(ResourceKind::Environment, &shop(), "staging")]).await;
    assert_eq!(applied.rulesets, [(staging(), 3)]);
    let silent = engine
        .edit(vec![
            put(ResourceKind::Metric, &shop(), "sales"),
            put(ResourceKind::Project, &Scope::organization(), "shop"),
            put_rollout(&rollout(&production(), "ramp", 1), None),
            Mutation::PutRun(Box::new(run(&production(), 2, 1))),
        ])
        .await;
    assert_eq!(silent.rulesets, []);
    assert_eq!(revisions().await, [(production(), 3), (staging(), 3), (zoo, 1)]);

    engine
        .edit(vec![
            put(ResourceKind::Segment, &shop(), "staff"),
            put(ResourceKind::FlagState, &staging(), "a"),
            archive(ResourceKind::Flag, &shop(), "b", Expected::Any),
            Mutation::PutRun(Box::new(run(&production(), 1, 1))),
            Mutation::PutRun(Box::new(run(&production(), 2, 3))),
            Mutation::PutRun(Box::new(run(&staging(), 3, 1))),
        ])
        .await;
    let bundle = engine.catalog.ruleset(&production()).await.unwrap().unwrap();
    let keys = |rows: &[Resource]| rows.iter().map(|row| row.key.to_string()).collect::<Vec<_>>();
    assert_eq!(bundle.revision, 4);
    assert_eq!(bundle.environment.key, key("production"));
    assert_eq!(keys(&bundle.flags), ["a"]);
    assert_eq!(keys(&bundle.states), ["a"]);
    assert_eq!(bundle.states[0].scope, production());
    assert_eq!(keys(&bundle.segments), ["staff"]);
    assert_eq!(bundle.runs, [run(&production(), 1, 1), run(&production(), 2, 3)]);

    assert!(engine.catalog.ruleset(&shop()).await.unwrap().is_none());
    assert!(engine.catalog.ruleset(&shop().with_environment(key("nowhere"))).await.unwrap().is_none());
    // What is archived is served no more, and nodes hear of it.
    let gone = engine.edit(vec![archive(ResourceKind::Environment, &shop(), "staging", Expected::Any)]).await;
    assert_eq!(gone.rulesets, [(staging(), 5)]);
    assert!(engine.catalog.ruleset(&staging()).await.unwrap().is_none());
    let gone = engine.edit(vec![archive(ResourceKind::Project, &Scope::organization(), "shop", Expected::Any)]).await;
    assert_eq!(gone.rulesets, [(production(), 5), (staging(), 6)]);
    assert!(engine.catalog.ruleset(&production()).await.unwrap().is_none());
}

pub async fn credentials_are_found_by_lookup_and_revoked(engine: Engine) {
    engine.declare("shop", &["production", "staging"]).await;
    let older = Credential { created_at: Timestamp(1), ..credential(&staging(), "older") };
    let newer = credential(&production(), "newer");
    let applied =
        engine.edit(vec![Mutation::AddCredential(newer.clone()), Mutation::AddCredential(older.clone())]).await;
    assert!(!serde_json::to_string(&applied.entries).unwrap().contains("sha256-of"), "the lookup is in no log");
    assert_eq!((applied.entries[0].what.as_str(), applied.entries[0].key.as_str()), ("credential", newer.id.as_str()));

    assert_eq!(engine.catalog.credential("sha256-of-newer").await.unwrap(), Some(newer.clone()));
    assert_eq!(engine.catalog.credential("nobody").await.unwrap(), None);
    assert_eq!(engine.catalog.credentials(&shop()).await.unwrap(), [older.clone(), newer.clone()]);
    assert_eq!(engine.catalog.credentials(&production()).await.unwrap(), std::slice::from_ref(&newer));

    let same_lookup = Credential { id: Id::from_stored("x"), name: "copy".to_owned(), ..newer.clone() };
    let same_id = Credential { lookup: "y".to_owned(), name: "twin".to_owned(), ..newer.clone() };
    for (credential, name) in [(same_lookup, "copy"), (same_id, "twin")] {
        let refused = engine.try_edit(vec![Mutation::AddCredential(credential)]).await;
        assert_eq!(said(refused), format!("credential `{name}` exists already"));
    }

    let revoke = |scope: Scope| vec![Mutation::RevokeCredential { scope, id: newer.id.clone() }];
    for elsewhere in [shop(), staging()] {
        let refused = engine.try_edit(revoke(elsewhere)).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }
    let applied = engine.edit(revoke(production())).await;
    let revoked = engine.catalog.credential("sha256-of-newer").await.unwrap().unwrap();
    assert_eq!(revoked, Credential { revoked_at: Some(applied.at), ..newer.clone() });
    assert_eq!(said(engine.try_edit(revoke(production())).await), "credential `credential-newer` not found");
}

pub async fn the_log_keeps_order_and_hides_secrets(engine: Engine) {
    engine.declare("shop", &["production"]).await;
    let hook = |url| put_body(ResourceKind::Endpoint, &shop(), "hook", endpoint(url), Expected::Any);
    let made = engine.catalog.apply(change(shop(), vec![hook("https://one.example")], vec![])).await.unwrap();
    let step = Change {
        actor: Actor::Scheduler,
        reason: None,
        kind: ChangeKind::RolloutStep,
        ..change(production(), vec![hook("https://two.example")], vec![])
    };
    let moved = engine.catalog.apply(step.clone()).await.unwrap();

    let log = engine.catalog.changes(&shop(), 0, 10).await.unwrap();
    assert_eq!(log.iter().map(|record| record.seq).collect::<Vec<_>>(), [made.seq, moved.seq]);
    assert_eq!(log[1].id, step.id);
    assert_eq!((&log[1].actor, &log[1].reason, log[1].kind), (&Actor::Scheduler, &None, ChangeKind::RolloutStep));
    assert_eq!((&log[1].scope, log[1].at, &log[1].entries), (&production(), moved.at, &moved.entries));
    assert_eq!(log[0].actor, Actor::Token("ada".to_owned()));
    assert_eq!(log[0].reason.as_deref(), Some("because"));

    let masked = json!({ "url": "https://one.example", "secrets": ["whsec_***"] });
    assert_eq!((&log[0].entries[0].before, &log[0].entries[0].after), (&None, &Some(masked.clone())));
    assert_eq!(log[1].entries[0].before, Some(masked));
    // The row itself keeps what signing needs.
    let row = engine.catalog.resource(ResourceKind::Endpoint, &shop(), &key("hook")).await.unwrap().unwrap();
    assert_eq!(row.body, endpoint("https://two.example"));

    assert_eq!(engine.catalog.changes(&shop(), made.seq, 10).await.unwrap().len(), 1);
    assert_eq!(engine.catalog.changes(&shop(), 0, 1).await.unwrap().len(), 1);
    assert_eq!(engine.catalog.changes(&production(), 0, 10).await.unwrap().len(), 1);
    assert!(engine.catalog.changes(&shop(), u64::MAX, 10).await.unwrap().is_empty());
}
