//! Laws that hold for any requests.

use liftgate_ingest::{ParsedEvent, RejectCode, Rejection};
use proptest::prelude::*;

use crate::node::{Node, metric};

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// A request of these ids; `None` is an event that a parser refused.
    Send(Vec<Option<u8>>),
    Crash,
    /// A crash that takes along what the warehouse had not made durable.
    CrashBoth,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = prop::collection::vec(prop::option::weighted(0.9, any::<u8>()), 0..30);
    let step = prop_oneof![
        6 => ids.prop_map(Step::Send),
        1 => Just(Step::Crash),
        1 => Just(Step::CrashBoth),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..12)
}

fn event(id: Option<u8>) -> ParsedEvent {
    match id {
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

async fn every_event_is_accounted_for(steps: Vec<Step>) {
    let mut node = Node::new().await;
    let mut accepted = std::collections::BTreeSet::new();
    for step in steps {
        match step {
            Step::Send(ids) => {
                let receipt = node.admit(ids.iter().copied().map(event).collect()).await;
                let new: std::collections::BTreeSet<String> =
                    ids.iter().flatten().map(u8::to_string).filter(|id| !accepted.contains(id)).collect();
                assert_eq!(receipt.accepted, new.len() as u64);
                assert_eq!(receipt.accepted + receipt.duplicates + receipt.rejected.len() as u64, ids.len() as u64);
                accepted.extend(new);
            }
            Step::Crash => node = node.crash().await,
            Step::CrashBoth => node = node.crash_and(|node| node.warehouse.crash()).await,
            Step::Restart => node = node.restart().await,
        }
        assert!(node.report.damage.is_empty());
        assert_eq!(node.report.epoch, 1);
    }
    node.settled().await;
    let accepted: Vec<String> = accepted.into_iter().collect();
    assert_eq!(node.warehouse.ids(), accepted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn accepted_duplicates_and_rejected_add_up_and_each_accepted_event_is_stored_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(every_event_is_accounted_for(steps));
    }
}
