//! Cases: resources, their revisions and numbers, scopes, and changes that succeed whole or not at all.

use std::collections::BTreeSet;

use liftgate_domain::{Change, Expected, Id, Mutation, ResourceKind, Scope, StoreError, catalog::LIST_MAX};
use serde_json::json;

use super::fixture::*;

pub async fn a_put_compares_before_it_sets(engine: Engine) {
    engine.declare("shop", &[]).await;
    let write = |body, expected| vec![put_body(ResourceKind::Flag, &shop(), "checkout", body, expected)];
    let read = async || engine.catalog.resource(ResourceKind::Flag, &shop(), &key("checkout")).await.unwrap();

    assert!(read().await.is_none());
    let lost = engine.try_edit(write(json!({ "v": 0 }), Expected::Revision(1))).await;
    assert_eq!(said(lost), "flag `checkout` was changed by somebody else; read it again and retry");

    let applied = engine.edit(write(json!({ "v": 1, "ratio": 0.25 }), Expected::Absent)).await;
    let created = read().await.unwrap();
    assert_eq!((created.revision, created.number, created.archived), (1, 1, false));
    assert_eq!(created.body, json!({ "v": 1, "ratio": 0.25 }));
    assert_eq!((created.created_at, created.updated_at), (applied.at, applied.at));
    assert_eq!(applied.entries[0].revision, Some(1));
    assert_eq!(applied.entries[0].before, None);

    engine.clock.advance_ms(5);
    let again = engine.try_edit(write(json!({ "v": 2 }), Expected::Absent)).await;
    assert_eq!(said(again), "flag `checkout` exists already");
    let applied = engine.edit(write(json!({ "v": 2 }), Expected::Revision(1))).await;
    let entry = &applied.entries[0];
    assert_eq!((entry.what.as_str(), entry.key.as_str(), &entry.scope), ("flag", "checkout", &shop()));
    assert_eq!(entry.before, Some(json!({ "v": 1, "ratio": 0.25 })));
    assert_eq!(entry.after, Some(json!({ "v": 2 })));
    let edited = read().await.unwrap();
    assert_eq!((edited.revision, edited.number), (2, 1));
    assert_eq!((edited.created_at, edited.updated_at), (created.created_at, applied.at));
    assert!(edited.updated_at > created.updated_at);

    let stale = engine.try_edit(write(json!({ "v": 9 }), Expected::Revision(1))).await;
    assert!(matches!(stale, Err(StoreError::Conflict { .. })));
    engine.edit(write(json!({ "v": 3 }), Expected::Any)).await;
    assert_eq!(read().await.unwrap().revision, 3);
}

pub async fn numbers_are_never_used_twice(engine: Engine) {
    engine.declare("shop", &[]).await;
    let number = async |name: &str| {
        engine.catalog.resource(ResourceKind::Flag, &shop(), &key(name)).await.unwrap().unwrap().number
    };
    engine.edit(vec![put(ResourceKind::Flag, &shop(), "a"), put(ResourceKind::Segment, &shop(), "a")]).await;
    let archived = engine.edit(vec![archive(ResourceKind::Flag, &shop(), "a", Expected::Revision(1))]).await;
    assert_eq!(archived.entries[0].revision, Some(2));
    assert_eq!(archived.entries[0].before, Some(json!({ "name": "a" })));
    assert_eq!(archived.entries[0].after, None);

    engine.edit(vec![put(ResourceKind::Flag, &shop(), "b")]).await;
    assert_eq!((number("a").await, number("b").await), (1, 2));

    // Archived: out of the lists, still to be found, and not there for another archival.
    assert!(engine.catalog.resource(ResourceKind::Flag, &shop(), &key("a")).await.unwrap().unwrap().archived);
    let listed = engine.catalog.resources(ResourceKind::Flag, &shop(), None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["b"]);
    let twice = engine.try_edit(vec![archive(ResourceKind::Flag, &shop(), "a", Expected::Any)]).await;
    assert_eq!(said(twice), "flag `a` not found");
    let absent = engine.try_edit(vec![archive(ResourceKind::Flag, &shop(), "b", Expected::Absent)]).await;
    assert!(matches!(absent, Err(StoreError::Invalid(_))));
    let stale = engine.try_edit(vec![archive(ResourceKind::Flag, &shop(), "b", Expected::Revision(7))]).await;
    assert!(matches!(stale, Err(StoreError::Conflict { .. })));

    let revived =
        engine.edit(vec![put_body(ResourceKind::Flag, &shop(), "a", json!({ "v": 2 }), Expected::Absent)]).await;
    assert_eq!((revived.entries[0].revision, &revived.entries[0].before), (Some(3), &None));
    assert_eq!(number("a").await, 1);

    let taken =
        [engine.catalog.reserve_number("run").await.unwrap(), engine.catalog.reserve_number("run").await.unwrap()];
    assert_eq!(taken, [1, 2]);
}

pub async fn lists_are_sorted_by_bytes_and_paged(engine: Engine) {
    engine.declare("shop", &["production"]).await;
    let names = ["a", "a-b", "a.b", "a0", "a_b", "ab", "b"];
    for name in names.iter().rev() {
        engine.edit(vec![put(ResourceKind::Metric, &shop(), name)]).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = engine.catalog.resources(ResourceKind::Metric, &shop(), after.as_ref(), 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        seen.extend(page.iter().map(|row| row.key.to_string()));
    }
    assert_eq!(seen, names);
    assert!(engine.catalog.resources(ResourceKind::Metric, &shop(), None, 0).await.unwrap().is_empty());
    assert!(engine.catalog.resources(ResourceKind::Metric, &production(), None, LIST_MAX).await.unwrap().is_empty());
}

pub async fn the_owner_must_be_there(engine: Engine) {
    let flag = || put(ResourceKind::Flag, &shop(), "checkout");
    let state = || put(ResourceKind::FlagState, &production(), "checkout");
    assert_eq!(said(engine.try_edit(vec![flag()]).await), "project `shop` not found");
    engine.declare("shop", &["staging"]).await;
    assert_eq!(said(engine.try_edit(vec![state()]).await), "environment `production` not found");
    engine.edit(vec![put(ResourceKind::Environment, &shop(), "production"), flag(), state()]).await;

    engine.edit(vec![archive(ResourceKind::Environment, &shop(), "production", Expected::Any)]).await;
    assert_eq!(said(engine.try_edit(vec![state()]).await), "environment `production` not found");
    let run = Mutation::PutRun(Box::new(run(&production(), 1, 1)));
    assert_eq!(said(engine.try_edit(vec![run]).await), "environment `production` not found");
    engine.edit(vec![archive(ResourceKind::Project, &Scope::organization(), "shop", Expected::Any)]).await;
    assert_eq!(said(engine.try_edit(vec![flag()]).await), "project `shop` not found");
    let late = Mutation::AddCredential(credential(&staging(), "late"));
    assert_eq!(said(engine.try_edit(vec![late]).await), "project `shop` not found");

    let misplaced = engine.try_edit(vec![put(ResourceKind::FlagState, &shop(), "checkout")]).await;
    assert_eq!(said(misplaced), "flag state `checkout` belongs to an environment, and `default/shop` is not one");
    let elsewhere = Scope { organization: key("other"), ..Scope::organization() };
    let crossing = engine.try_edit(vec![put(ResourceKind::Project, &elsewhere, "x")]).await;
    assert_eq!(said(crossing), "a change of organization `default` cannot write in `other`");
    let unknown = engine.catalog.apply(change(elsewhere, vec![], vec![])).await;
    assert_eq!(said(unknown), "organization `other` not found");
}

pub async fn a_change_succeeds_whole_or_not_at_all(engine: Engine) {
    engine.declare("shop", &["production"]).await;
    let endpoint = put_body(ResourceKind::Endpoint, &shop(), "hook", endpoint("https://example.com"), Expected::Any);
    let before = engine.edit(vec![endpoint]).await.seq;
    let revisions = engine.catalog.ruleset_revisions().await.unwrap();

    let broken = change(
        shop(),
        vec![
            put(ResourceKind::Flag, &shop(), "checkout"),
            Mutation::AddCredential(credential(&production(), "ci")),
            put_body(ResourceKind::Flag, &shop(), "missing", json!({}), Expected::Revision(4)),
        ],
        vec![event("flag.created", &shop(), "checkout")],
    );
    let id = broken.id.clone();
    let refused = engine.catalog.apply(broken).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));

    assert!(engine.catalog.resource(ResourceKind::Flag, &shop(), &key("checkout")).await.unwrap().is_none());
    assert!(engine.catalog.credential("sha256-of-ci").await.unwrap().is_none());
    assert_eq!(engine.catalog.ruleset_revisions().await.unwrap(), revisions);
    assert!(engine.catalog.events(&shop(), 0, 10).await.unwrap().is_empty());
    assert!(engine.catalog.deliveries(&shop(), None, 10).await.unwrap().is_empty());
    assert_eq!(engine.catalog.changes(&Scope::organization(), before, 10).await.unwrap(), []);

    // The refused change left neither a gap in the sequence nor its id behind.
    let retried = Change { id, ..change(shop(), vec![put(ResourceKind::Flag, &shop(), "checkout")], vec![]) };
    assert_eq!(engine.catalog.apply(retried).await.unwrap().seq, before + 1);
}

pub async fn a_change_is_applied_once(engine: Engine) {
    engine.declare("shop", &[]).await;
    let first = change(shop(), vec![put(ResourceKind::Flag, &shop(), "a")], vec![]);
    engine.catalog.apply(first.clone()).await.unwrap();
    let again = Change { mutations: vec![put(ResourceKind::Flag, &shop(), "b")], ..first.clone() };
    assert_eq!(said(engine.catalog.apply(again).await), format!("change `{}` exists already", first.id));
    assert!(engine.catalog.resource(ResourceKind::Flag, &shop(), &key("b")).await.unwrap().is_none());

    let loud = Change {
        id: Id::from_stored("loud"),
        events: vec![event("flag.created", &shop(), "a"); Change::EVENTS_MAX + 1],
        ..first
    };
    assert!(matches!(engine.catalog.apply(loud).await, Err(StoreError::Invalid(_))));
}

pub async fn eight_appliers_leave_no_gap(engine: Engine) {
    const APPLIERS: u64 = 8;
    const CHANGES_EACH: u64 = 6;
    engine.declare("shop", &["production"]).await;
    let start = engine.edit(vec![]).await.seq;
    let appliers = (0..APPLIERS).map(|applier| {
        let catalog = engine.catalog.clone();
        tokio::spawn(async move {
            let mut seqs = Vec::new();
            for turn in 0..CHANGES_EACH {
                let name = format!("flag-{applier}-{turn}");
                let mutations =
                    vec![put(ResourceKind::Flag, &shop(), &name), put(ResourceKind::FlagState, &production(), &name)];
                let events = vec![event("flag.created", &shop(), &name)];
                let applied = catalog.apply(change(shop(), mutations, events)).await.unwrap();
                assert_eq!(applied.rulesets.len(), 1);
                seqs.push((applied.seq, applied.rulesets[0].1));
            }
            seqs
        })
    });
    let mut seqs = Vec::new();
    for applier in appliers.collect::<Vec<_>>() {
        seqs.extend(applier.await.unwrap());
    }
    seqs.sort();
    let count = APPLIERS * CHANGES_EACH;
    assert_eq!(seqs.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (start + 1..=start + count).collect::<Vec<_>>());
    // The ruleset's revision follows the order of commits.
    assert!(seqs.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1));
    let flags = engine.catalog.resources(ResourceKind::Flag, &shop(), None, LIST_MAX).await.unwrap();
    let numbers: BTreeSet<u64> = flags.iter().map(|flag| flag.number).collect();
    assert_eq!(numbers, (1..=count).collect());
    let log = engine.catalog.changes(&shop(), start, LIST_MAX).await.unwrap();
    assert!(log.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    assert_eq!(engine.catalog.events(&shop(), start, LIST_MAX).await.unwrap().len() as u64, count);
}
