//! Laws that hold for any requests.

use std::collections::BTreeSet;

use liftgate_ingest::{ParsedEvent, QuarantineSelection, RejectCode, Rejection, ReplayTime};
use proptest::prelude::*;

use crate::node::{ENVIRONMENT, Node, early, metric};

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// A request of these ids; `None` is an event that a parser refused. Every fifth id is two days ahead.
    Send(Vec<Option<u8>>),
    /// Everything leaves quarantine for the warehouse.
    Replay,
    /// Everything in quarantine is thrown away.
    Discard,
    Crash,
    /// A crash that takes along what the warehouse had not made durable.
    CrashBoth,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = prop::collection::vec(prop::option::weighted(0.9, any::<u8>()), 0..30);
    let step = prop_oneof![
        6 => ids.prop_map(Step::Send),
        1 => Just(Step::Replay),
        1 => Just(Step::Discard),
        1 => Just(Step::Crash),
        1 => Just(Step::CrashBoth),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..12)
}

fn event(id: Option<u8>) -> ParsedEvent {
    match id {
        Some(id) if is_early(id) => early(&id.to_string()),
        Some(id) => metric(&id.to_string()),
        None => ParsedEvent::Bad(Rejection {
            index: 0,
            id: None,
            code: RejectCode::InvalidValue,
            field: None,
            detail: String::new(),
        }),
    }
}

fn is_early(id: u8) -> bool {
    id.is_multiple_of(5)
}

async fn every_event_is_accounted_for(steps: Vec<Step>) {
    let mut node = Node::new().await;
    let (mut accepted, mut held, mut discarded) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for step in steps {
        match step {
            Step::Send(ids) => {
                let receipt = node.admit(ids.iter().copied().map(event).collect()).await;
                let new: BTreeSet<u8> = ids.iter().flatten().copied().filter(|id| !accepted.contains(id)).collect();
                assert_eq!(receipt.accepted, new.len() as u64);
                let new_held: BTreeSet<u8> = new.iter().copied().filter(|id| is_early(*id)).collect();
                assert_eq!(receipt.quarantined.len(), new_held.len());
                held.extend(new_held);
                assert_eq!(receipt.accepted + receipt.duplicates + receipt.rejected.len() as u64, ids.len() as u64);
                accepted.extend(new);
            }
            Step::Replay => {
                let replay = node.ingest.replay(ENVIRONMENT, QuarantineSelection::All, ReplayTime::ReceivedAt);
                assert_eq!(replay.await.unwrap().replayed, held.len() as u64);
                held.clear();
            }
            Step::Discard => {
                let discard = node.ingest.discard(ENVIRONMENT, QuarantineSelection::All);
                assert_eq!(discard.await.unwrap().discarded, held.len() as u64);
                discarded.append(&mut held);
            }
            Step::Crash => node = node.crash().await,
            Step::CrashBoth => node = node.crash_and(|node| node.warehouse.crash()).await,
            Step::Restart => node = node.restart().await,
        }
        assert!(node.report.damage.is_empty());
        assert_eq!(node.report.epoch, 1);
        let ledger = node.ingest.ledger().get(&ENVIRONMENT).copied().unwrap_or_default();
        assert!(ledger.is_balanced(), "{ledger:?}");
        let counted = (ledger.accepted, ledger.quarantined, ledger.discarded, ledger.lost);
        assert_eq!(counted, (accepted.len() as u64, held.len() as u64, discarded.len() as u64, 0));
        assert_eq!(node.ingest.counters().quarantine_events, held.len() as u64);
    }
    node.settled().await;
    let mut stored: Vec<String> =
        accepted.iter().filter(|id| !held.contains(id) && !discarded.contains(id)).map(u8::to_string).collect();
    stored.sort();
    assert_eq!(node.warehouse.ids(), stored);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn accepted_duplicates_and_rejected_add_up_and_each_accepted_event_is_stored_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(every_event_is_accounted_for(steps));
    }
}
