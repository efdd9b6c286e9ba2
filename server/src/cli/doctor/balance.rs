//! Whether the books of events add up: what the nodes accepted, against what the warehouse has.

use liftgate_domain::EventCounts;
use liftgate_ingest::EnvironmentLedger;
use serde::{Deserialize, Serialize};

/// What one node answers about an environment.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeBooks {
    /// The node's id.
    pub node: String,
    /// Its books.
    pub ledger: EnvironmentLedger,
    /// What the warehouse has, of all nodes.
    pub warehouse: EventCounts,
    /// What retention has taken out; absent where it does not count.
    pub expired: Option<u64>,
    /// Whether nothing happened meanwhile.
    pub quiet: bool,
}

/// The books of an environment, over all nodes that were asked.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Balance {
    /// Accepted by the nodes.
    pub accepted: u64,
    /// Distinct events in the warehouse.
    pub stored: u64,
    /// Accepted by more than one node, or by two lives of one; stored, and counted once.
    pub repeated: u64,
    /// Taken out of the warehouse by retention.
    pub expired: Option<u64>,
    /// On disk, on their way to the warehouse.
    pub pending: u64,
    /// Set aside.
    pub quarantined: u64,
    /// Thrown away on request.
    pub discarded: u64,
    /// Unreadable on a node's disk.
    pub lost: u64,
    /// Everything that does not add up, in words; empty when all does.
    pub faults: Vec<String>,
}

impl Balance {
    /// Draws the balance. The warehouse's side is taken from the node that answered last.
    pub fn of(nodes: &[NodeBooks]) -> Self {
        let sum = |of: fn(&EnvironmentLedger) -> u64| nodes.iter().map(|books| of(&books.ledger)).sum::<u64>();
        let mut faults = Vec::new();
        let Some(last) = nodes.last() else { return Self::default() };
        let EventCounts { exposures, metrics, surplus } = last.warehouse;
        let stored = exposures + metrics;
        let handed = sum(|it| it.stored);
        let expected = stored + last.expired.unwrap_or(0);
        let repeated = handed.saturating_sub(expected).min(surplus);
        let missing = handed.saturating_sub(expected) - repeated;
        if missing > 0 && last.expired.is_none() {
            faults.push(format!(
                "{missing} are not in the warehouse (any more), which does not count what retention took"
            ));
        } else if missing > 0 {
            faults.push(format!("{missing} were handed to the warehouse and are not there"));
        }
        if expected > handed {
            let more = expected - handed;
            faults.push(format!(
                "the warehouse has {more} that no node asked here has handed over; name the others with `--node`"
            ));
        }
        for books in nodes.iter().filter(|books| !books.ledger.is_balanced()) {
            faults.push(format!("the books of node {} do not add up by themselves", books.node));
        }
        let lost = sum(|it| it.lost);
        if lost > 0 {
            faults.push(format!(
                "{lost} became unreadable on a node's disk; `log/damaged` there has what was moved aside"
            ));
        }
        if nodes.iter().any(|books| !books.quiet) && !faults.is_empty() {
            faults.push("events arrived while the books were read; ask again when it is quieter".to_owned());
        }
        Self {
            accepted: sum(|it| it.accepted),
            stored,
            repeated,
            expired: last.expired,
            pending: sum(|it| it.pending),
            quarantined: sum(|it| it.quarantined),
            discarded: sum(|it| it.discarded),
            lost,
            faults,
        }
    }

    /// Whether everything accepted is accounted for.
    pub fn adds_up(&self) -> bool {
        self.faults.is_empty()
    }

    /// The balance as a sentence.
    pub fn sentence(&self, environment: &str) -> String {
        let parts = [
            (self.stored, "stored"),
            (self.repeated, "repeated between nodes"),
            (self.expired.unwrap_or(0), "expired"),
            (self.pending, "pending"),
            (self.quarantined, "quarantined"),
            (self.discarded, "discarded"),
            (self.lost, "lost"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .enumerate()
            .filter(|(index, (count, _))| *index == 0 || *count > 0)
            .map(|(_, (count, name))| format!("{count} {name}"))
            .collect();
        let sum = format!("{environment}: {} accepted = {}", self.accepted, parts.join(" + "));
        if self.adds_up() {
            format!("{sum}: it adds up")
        } else {
            format!("{sum}: IT DOES NOT ADD UP: {}", self.faults.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ledger: EnvironmentLedger, stored: u64, surplus: u64, expired: Option<u64>) -> NodeBooks {
        let warehouse = EventCounts { exposures: stored / 2, metrics: stored - stored / 2, surplus };
        NodeBooks { node: "n".to_owned(), ledger, warehouse, expired, quiet: true }
    }

    fn ledger(stored: u64) -> EnvironmentLedger {
        EnvironmentLedger {
            accepted: stored + 6,
            stored,
            pending: 1,
            quarantined: 2,
            discarded: 3,
            ..Default::default()
        }
    }

    #[test]
    fn what_is_accounted_for_adds_up() {
        let balance = Balance::of(&[node(ledger(100), 100, 0, Some(0))]);
        assert!(balance.adds_up(), "{balance:?}");
        let said = balance.sentence("shop/production");
        assert_eq!(
            said,
            "shop/production: 106 accepted = 100 stored + 1 pending + 2 quarantined + 3 discarded: it adds up"
        );
        assert!(Balance::of(&[node(ledger(100), 60, 0, Some(40))]).adds_up(), "retention took 40");
    }

    #[test]
    fn nodes_that_took_the_same_event_are_told_apart_from_loss() {
        let nodes = [node(ledger(60), 90, 10, None), node(ledger(40), 90, 10, None)];
        let balance = Balance::of(&nodes);
        assert!(balance.adds_up(), "{balance:?}");
        assert_eq!((balance.accepted, balance.stored, balance.repeated), (112, 90, 10));
        let nodes = [node(ledger(60), 89, 10, None), node(ledger(40), 89, 10, None)];
        assert!(Balance::of(&nodes).faults[0].contains("1 are not in the warehouse"));
    }

    #[test]
    fn every_fault_is_said() {
        let missing = Balance::of(&[node(ledger(100), 99, 0, Some(0))]);
        assert!(missing.sentence("e").contains("DOES NOT ADD UP: 1 were handed"), "{missing:?}");
        assert!(Balance::of(&[node(ledger(100), 101, 0, Some(0))]).faults[0].contains("--node"));
        let lost = EnvironmentLedger { accepted: 101, stored: 100, lost: 1, ..Default::default() };
        assert!(Balance::of(&[node(lost, 100, 0, Some(0))]).faults[0].contains("unreadable"));
        let odd = EnvironmentLedger { accepted: 101, stored: 100, ..Default::default() };
        assert!(Balance::of(&[node(odd, 100, 0, Some(0))]).faults[0].contains("by themselves"));
    }
}
