//! The catalog port's conformance suite: every case on memory (the oracle), SQLite and PostgreSQL; then what only
//! databases can get wrong, and random sequences of operations that must have the same answers everywhere.

#![allow(clippy::unwrap_used, reason = "the whole module is tests")]

mod deliveries;
#[cfg(feature = "sql")]
mod differential;
mod edits;
#[cfg(feature = "sql")]
mod engines;
mod fixture;
#[cfg(feature = "sql")]
mod postgres;
mod rollouts;
mod scopes;

/// One module an engine, one test a case.
macro_rules! conformance {
    ($($folder:ident::$case:ident,)*) => {
        mod memory {
            use super::fixture::{Engine, block_on};
            $(#[test]
            fn $case() {
                block_on(super::$folder::$case(Engine::memory()));
            })*
        }

        #[cfg(feature = "sql")]
        mod on_sqlite {
            use super::fixture::{Engine, block_on};
            $(#[test]
            fn $case() {
                block_on(async { super::$folder::$case(Engine::sqlite().await).await });
            })*
        }

        #[cfg(feature = "sql")]
        mod on_postgres {
            use super::fixture::{Engine, block_on};
            $(#[test]
            fn $case() {
                block_on(async { super::$folder::$case(Engine::postgres().await).await });
            })*
        }
    };
}

conformance! {
    edits::a_put_compares_before_it_sets,
    edits::numbers_are_never_used_twice,
    edits::lists_are_sorted_by_bytes_and_paged,
    edits::the_owner_must_be_there,
    edits::a_change_succeeds_whole_or_not_at_all,
    edits::a_change_is_applied_once,
    edits::eight_appliers_leave_no_gap,
    scopes::tenants_never_cross,
    scopes::a_ruleset_moves_with_what_it_is_made_of,
    scopes::credentials_are_found_by_lookup_and_revoked,
    scopes::the_log_keeps_order_and_hides_secrets,
    rollouts::a_rollout_compares_versions,
    rollouts::due_rollouts_are_looked_at,
    rollouts::decisions_form_one_chain,
    deliveries::events_reach_the_endpoints_that_want_them,
    deliveries::event_pages_never_tear_a_change,
    deliveries::a_claim_is_a_lease_with_a_fence,
    deliveries::two_claimers_never_get_the_same_delivery,
}
