//! What the demo sent and what it was answered, counted: the side of the story that the server's counts must agree with.
//!
//! Ids are derived from shopper and event, so an id is sent first exactly once and counting needs no set. The law that
//! the counts obey stands at [`Totals::breaches`]. Does no I/O.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};

/// The counts of a journal, over all runs that it was carried through.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Distinct ids handed over for sending.
    pub events: u64,
    /// Second copies sent on purpose.
    pub repeats: u64,
    /// Distinct ids whose first copy stood in a request answered with 200, and was not rejected there.
    pub acknowledged: u64,
    /// Second copies that stood in a request answered with 200, and were not rejected there.
    pub repeats_acknowledged: u64,
    /// What the answers called accepted, added up.
    pub accepted: u64,
    /// What the answers called duplicates, added up.
    pub duplicates: u64,
    /// What the answers called rejected, added up.
    pub rejected: u64,
    /// Copies in requests that were refused for good (a 4xx).
    pub refused: u64,
    /// Copies in attempts that reached the server, perhaps, and got no 200: they may or may not have been stored, and
    /// were sent again.
    pub unanswered: u64,
    /// Copies given up on when the demo ended.
    pub abandoned: u64,
}

/// What one answered request came to.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Answered {
    /// First copies in the request that were not rejected.
    pub firsts: u64,
    /// Second copies in the request that were not rejected.
    pub repeats: u64,
    /// As answered.
    pub accepted: u64,
    /// As answered.
    pub duplicates: u64,
    /// As answered.
    pub rejected: u64,
}

impl Totals {
    /// Whether nothing is left open: every copy has had its answer.
    pub fn is_settled(&self) -> bool {
        self.abandoned == 0 && self.acknowledged == self.events && self.repeats_acknowledged == self.repeats
    }

    /// Second copies must be answered as duplicates; beyond them only as many as attempts went unanswered.
    pub fn duplicates_allowed(&self) -> (u64, u64) {
        (self.repeats_acknowledged, self.repeats_acknowledged + self.unanswered)
    }

    /// What the counts must obey and do not, one sentence each; none when all is well.
    ///
    /// Let D be the distinct acknowledged ids, R the acknowledged second copies, U the copies in unanswered attempts.
    /// 1. every copy was answered, none rejected or refused: D = events, R = repeats;
    /// 2. answers count each copy once: accepted + duplicates = D + R;
    /// 3. an id counts as new once at most, and is only then not new in its answer when an unanswered attempt had
    ///    stored it: D - U <= accepted <= D. With (2) that is R <= duplicates <= R + U; without a lost answer both are
    ///    equalities.
    pub fn breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        if self.rejected + self.refused > 0 {
            breaches.push(format!("{} events were rejected and {} refused", self.rejected, self.refused));
        }
        if !self.is_settled() {
            let open = (self.events + self.repeats).saturating_sub(self.acknowledged + self.repeats_acknowledged);
            breaches.push(format!("{open} of {} copies never had a good answer", self.events + self.repeats));
        }
        let answered = self.acknowledged + self.repeats_acknowledged;
        if self.accepted + self.duplicates != answered {
            breaches.push(format!(
                "answers add up to {} accepted + {} duplicates, but {answered} copies were acknowledged",
                self.accepted, self.duplicates
            ));
        }
        let (least, most) = self.duplicates_allowed();
        if !(least..=most).contains(&self.duplicates) {
            breaches.push(format!(
                "{} duplicates were answered, but {least} copies were sent twice and {} went unanswered",
                self.duplicates, self.unanswered
            ));
        }
        breaches
    }
}

/// The counters, shared by all senders.
#[derive(Debug, Default)]
pub struct Journal {
    events: AtomicU64,
    repeats: AtomicU64,
    acknowledged: AtomicU64,
    repeats_acknowledged: AtomicU64,
    accepted: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    abandoned: AtomicU64,
    visits: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Journal {
    /// Goes on from the totals of an earlier run.
    pub fn resume(totals: Totals) -> Self {
        let journal = Self::default();
        for (counter, value) in [
            (&journal.events, totals.events),
            (&journal.repeats, totals.repeats),
            (&journal.acknowledged, totals.acknowledged),
            (&journal.repeats_acknowledged, totals.repeats_acknowledged),
            (&journal.accepted, totals.accepted),
            (&journal.duplicates, totals.duplicates),
            (&journal.rejected, totals.rejected),
            (&journal.refused, totals.refused),
            (&journal.unanswered, totals.unanswered),
            (&journal.abandoned, totals.abandoned),
        ] {
            counter.store(value, Relaxed);
        }
        journal
    }

    /// A shopper was served and acted.
    pub fn visited(&self) {
        self.visits.fetch_add(1, Relaxed);
    }

    /// A first copy was handed over.
    pub fn sent_first(&self) {
        self.events.fetch_add(1, Relaxed);
    }

    /// A second copy was handed over.
    pub fn sent_repeat(&self) {
        self.repeats.fetch_add(1, Relaxed);
    }

    /// A request was answered with 200.
    pub fn answered(&self, answered: Answered) {
        self.acknowledged.fetch_add(answered.firsts, Relaxed);
        self.repeats_acknowledged.fetch_add(answered.repeats, Relaxed);
        self.accepted.fetch_add(answered.accepted, Relaxed);
        self.duplicates.fetch_add(answered.duplicates, Relaxed);
        self.rejected.fetch_add(answered.rejected, Relaxed);
    }

    /// An attempt with that many copies got no 200 and will be repeated.
    pub fn unanswered(&self, copies: u64) {
        self.unanswered.fetch_add(copies, Relaxed);
    }

    /// A request with that many copies was refused for good.
    pub fn refused(&self, copies: u64) {
        self.refused.fetch_add(copies, Relaxed);
    }

    /// That many copies will not be sent again.
    pub fn abandoned(&self, copies: u64) {
        self.abandoned.fetch_add(copies, Relaxed);
    }

    /// Remembers the last trouble, for the view; `None` when it is over.
    pub fn trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// The last trouble, if it is not over.
    pub fn last_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shoppers served in this run.
    pub fn visits(&self) -> u64 {
        self.visits.load(Relaxed)
    }

    /// The counts now. Consistent once the senders have ended.
    pub fn totals(&self) -> Totals {
        Totals {
            events: self.events.load(Relaxed),
            repeats: self.repeats.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            repeats_acknowledged: self.repeats_acknowledged.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            refused: self.refused.load(Relaxed),
            unanswered: self.unanswered.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calm() -> Totals {
        Totals {
            events: 100,
            repeats: 3,
            acknowledged: 100,
            repeats_acknowledged: 3,
            accepted: 100,
            duplicates: 3,
            ..Totals::default()
        }
    }

    #[test]
    fn the_law_holds_for_calm_and_for_killed_runs_only() {
        let killed = Totals { accepted: 90, duplicates: 13, unanswered: 10, ..calm() };
        for (name, totals, lawful) in [
            ("nothing at all", Totals::default(), true),
            ("calm", calm(), true),
            ("ten stored by an attempt whose answer was lost", killed, true),
            ("an answer was lost, nothing had been stored", Totals { unanswered: 50, ..calm() }, true),
            ("more duplicates than lost answers explain", Totals { unanswered: 9, ..killed }, false),
            ("a second copy was taken as new", Totals { accepted: 101, duplicates: 2, ..calm() }, false),
            ("answers do not add up", Totals { accepted: 99, ..calm() }, false),
            ("one was rejected", Totals { acknowledged: 99, accepted: 99, rejected: 1, ..calm() }, false),
            ("one was refused", Totals { refused: 1, ..calm() }, false),
            ("one never came back", Totals { acknowledged: 99, accepted: 99, abandoned: 1, ..calm() }, false),
        ] {
            assert_eq!(totals.breaches().is_empty(), lawful, "{name}: {:?}", totals.breaches());
        }
    }

    #[test]
    fn counts_what_it_is_told_and_goes_on_from_before() {
        let journal = Journal::resume(calm());
        journal.sent_first();
        journal.sent_repeat();
        journal.unanswered(2);
        assert!(!journal.totals().is_settled());
        journal.answered(Answered { firsts: 1, repeats: 1, accepted: 0, duplicates: 2, rejected: 0 });
        let totals = journal.totals();
        assert!(totals.is_settled());
        assert_eq!(totals.breaches(), Vec::<String>::new());
        assert_eq!((totals.events, totals.accepted, totals.duplicates_allowed()), (101, 100, (4, 6)));
    }
}
