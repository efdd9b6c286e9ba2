//! Cases: rollouts and their decision records.

use liftgate_domain::{Decision, Id, Mutation, Rollout, RolloutStatus, Scope, StoreError};

use super::fixture::*;

pub async fn a_rollout_compares_versions(engine: Engine) {
    engine.declare("shop", &["production", "staging"]).await;
    let first = rollout(&production(), "ramp", 1);
    let applied = engine.edit(vec![put_rollout(&first, None)]).await;
    assert_eq!(applied.entries[0].revision, Some(1));
    assert_eq!(engine.catalog.rollout(&production(), &key("ramp")).await.unwrap(), Some(first.clone()));
    assert_eq!(said(engine.try_edit(vec![put_rollout(&first, None)]).await), "rollout `ramp` exists already");
    let twin = Rollout { key: key("twin"), ..first.clone() };
    assert_eq!(said(engine.try_edit(vec![put_rollout(&twin, None)]).await), "rollout `twin` exists already");

    let second = Rollout { version: 2, stage: 1, status: RolloutStatus::Paused, ..first.clone() };
    let applied = engine.edit(vec![put_rollout(&second, Some(1))]).await;
    assert_eq!(applied.entries[0].before, Some(serde_json::to_value(&first).unwrap()));
    assert_eq!(applied.entries[0].after, Some(serde_json::to_value(&second).unwrap()));
    assert_eq!(engine.catalog.rollout(&production(), &key("ramp")).await.unwrap(), Some(second.clone()));

    let lost = engine.try_edit(vec![put_rollout(&second, Some(1))]).await;
    assert_eq!(said(lost), "rollout `ramp` was changed by somebody else; read it again and retry");
    let other_row = Rollout { id: Id::from_stored("x"), version: 3, ..second.clone() };
    assert!(matches!(engine.try_edit(vec![put_rollout(&other_row, Some(2))]).await, Err(StoreError::Conflict { .. })));
    let absent = rollout(&staging(), "ramp", 2);
    assert!(matches!(engine.try_edit(vec![put_rollout(&absent, Some(1))]).await, Err(StoreError::Conflict { .. })));
    let jump = Rollout { version: 7, ..second };
    assert!(matches!(engine.try_edit(vec![put_rollout(&jump, Some(2))]).await, Err(StoreError::Invalid(_))));
}

pub async fn due_rollouts_are_looked_at(engine: Engine) {
    engine.declare("shop", &["production", "staging"]).await;
    let at = |ms: i64| Some(START.plus_millis(ms));
    let rows = [
        Rollout { next_due_at: at(30), ..rollout(&production(), "late", 1) },
        Rollout { next_due_at: at(10), ..rollout(&production(), "early", 1) },
        Rollout { next_due_at: at(10), ..rollout(&staging(), "a", 1) },
        Rollout { next_due_at: at(20), status: RolloutStatus::Paused, ..rollout(&production(), "paused", 1) },
        Rollout { next_due_at: at(0), status: RolloutStatus::Completed, ..rollout(&production(), "done", 1) },
        Rollout { next_due_at: None, ..rollout(&production(), "asleep", 1) },
    ];
    engine.edit(rows.iter().map(|row| put_rollout(row, None)).collect()).await;
    let due = async |ms: i64, limit: usize| {
        let rows = engine.catalog.due_rollouts(START.plus_millis(ms), limit).await.unwrap();
        rows.iter().map(|row| row.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(due(9, 10).await, Vec::<String>::new());
    assert_eq!(due(10, 10).await, ["early", "a"]);
    assert_eq!(due(100, 10).await, ["early", "a", "paused", "late"]);
    assert_eq!(due(100, 2).await, ["early", "a"]);
    let all = engine.catalog.rollouts(&Scope::organization()).await.unwrap();
    let order: Vec<&str> = all.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(order, ["asleep", "done", "early", "late", "paused", "a"]);

    let seen = Rollout {
        next_due_at: at(500),
        last_looked_at: at(10),
        baked_ms: 77,
        baked_until: START.plus_millis(9),
        treated_units: 12,
        stage: 9,
        ..rows[1].clone()
    };
    assert!(engine.catalog.looked_at(&seen).await.unwrap());
    let stored = engine.catalog.rollout(&production(), &key("early")).await.unwrap().unwrap();
    assert_eq!(stored, Rollout { stage: 0, ..seen.clone() }, "only the look is taken");
    assert_eq!(due(100, 10).await, ["a", "paused", "late"]);

    let stepped = Rollout { version: 2, next_due_at: at(600), ..stored };
    engine.edit(vec![put_rollout(&stepped, Some(1))]).await;
    assert!(!engine.catalog.looked_at(&seen).await.unwrap(), "an older look is refused");
    assert_eq!(engine.catalog.rollout(&production(), &key("early")).await.unwrap(), Some(stepped));
    assert!(!engine.catalog.looked_at(&rollout(&production(), "nobody", 1)).await.unwrap());
}

pub async fn decisions_form_one_chain(engine: Engine) {
    engine.declare("shop", &["production"]).await;
    let ramp = rollout(&production(), "ramp", 1);
    let append = |record: Decision| vec![Mutation::AppendDecision(record)];
    assert_eq!(said(engine.try_edit(append(decision(&ramp, 1))).await), format!("rollout `{}` not found", ramp.id));

    engine.edit(vec![put_rollout(&ramp, None), Mutation::AppendDecision(decision(&ramp, 1))]).await;
    for seq in 2..=12 {
        let applied = engine.edit(append(decision(&ramp, seq))).await;
        assert_eq!((applied.entries[0].what.as_str(), applied.entries[0].revision), ("decision", Some(seq)));
    }
    let twice = engine.try_edit(append(decision(&ramp, 12))).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })));
    assert!(matches!(engine.try_edit(append(decision(&ramp, 14))).await, Err(StoreError::Invalid(_))));

    let chain = engine.catalog.decisions(&ramp.id, 0, 100).await.unwrap();
    assert_eq!(chain, (1..=12).map(|seq| decision(&ramp, seq)).collect::<Vec<_>>(), "not one character moves");
    let page = engine.catalog.decisions(&ramp.id, 9, 2).await.unwrap();
    assert_eq!(page.iter().map(|record| record.seq).collect::<Vec<_>>(), [10, 11]);
    assert!(engine.catalog.decisions(&Id::from_stored("x"), 0, 10).await.unwrap().is_empty());

    // Of writers that race for one place in the chain, one gets it.
    let racers: Vec<_> = (0..6)
        .map(|_| {
            let (catalog, record) = (engine.catalog.clone(), decision(&ramp, 13));
            tokio::spawn(async move { catalog.apply(change(production(), append(record), vec![])).await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        won += u32::from(racer.await.unwrap());
    }
    assert_eq!(won, 1);
}
