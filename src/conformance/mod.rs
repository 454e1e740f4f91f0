//! What every adapter has to pass: one case per promise of
//! [`DatabaseAdapter`].
//!
//! The author of an adapter turns on the `conformance` feature in `[dev-dependencies]` and writes, in a file under
//! `tests/`, what makes a fresh, empty adapter. Each case becomes a test of its own:
//!
//! ```
//! use better_auth::adapters::MemoryDatabaseAdapter;
//!
//! better_auth::conformance_tests!(MemoryDatabaseAdapter::new());
//! ```
//!
//! These are the cases of the required methods, and of those provided ones that have a default that works. The cases of
//! the other provided methods come in groups. An adapter that has a group's methods names the group, and then has to
//! pass all of it; of what is not named nothing is run, and nothing claimed:
//!
//! ```
//! use better_auth::adapters::MemoryDatabaseAdapter;
//!
//! better_auth::conformance_tests!(
//!     MemoryDatabaseAdapter::new(),
//!     groups: [one_time_tokens, transactions],
//! );
//! ```
//!
//! | group | methods |
//! |---|---|
//! | `session_updates` | [`update_session`](DatabaseAdapter::update_session) |
//! | `account_updates` | [`update_account`](DatabaseAdapter::update_account) |
//! | `one_time_tokens` | [`consume_verification`](DatabaseAdapter::consume_verification) |
//! | `identifiers` | [`get_verification_by_identifier`](DatabaseAdapter::get_verification_by_identifier) |
//! | `user_lists` | [`list_users`](DatabaseAdapter::list_users), [`count_users`](DatabaseAdapter::count_users) |
//! | `transactions` | [`begin`](DatabaseAdapter::begin), with [`consume_verification`](DatabaseAdapter::consume_verification), and [`transaction`](crate::transaction()) on top |
//!
//! `groups: all` stands for every group, also for those that a later version of this crate adds. A group that does not
//! exist does not compile:
//!
//! ```compile_fail
//! use better_auth::adapters::MemoryDatabaseAdapter;
//!
//! better_auth::conformance_tests!(MemoryDatabaseAdapter::new(), groups: [one_time_passwords]);
//! ```
//!
//! The expression may `.await`. Where tests need an attribute of their own that hands them something, name both:
//!
//! ```
//! # #[cfg(feature = "sqlx-postgres")]
//! # mod tests {
//! use better_auth::adapters::SqlxAdapter;
//! use sqlx::PgPool;
//!
//! better_auth::conformance_tests!(
//!     #[sqlx::test(migrator = "better_auth::MIGRATOR")]
//!     (pool: PgPool) => SqlxAdapter::from_pool(pool),
//!     groups: all,
//! );
//! # }
//! ```
//!
//! An adapter that stores digests of session tokens may show `sha256:` and 64 hexadecimal digits in place of the token
//! in [`get_user_sessions`](DatabaseAdapter::get_user_sessions). An adapter with a pool needs five connections at most.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use crate::adapters::DatabaseAdapter;
use support::{
    account_of, an_hour_ago, assert_error, assert_listed, at_once, code, digests, expired_code,
    in_an_hour, in_time, new_session, new_user, poll,
};

pub mod account;
pub mod account_updates;
pub mod general;
pub mod identifiers;
pub mod one_time_tokens;
pub mod session;
pub mod session_updates;
mod support;
pub mod transaction_helper;
pub mod transaction_races;
pub mod transaction_views;
pub mod transactions;
pub mod user;
pub mod user_filters;
pub mod user_lists;
pub mod user_searches;
pub mod verification;

/// What a case is given: in an `Arc`, so that it can be shared among tasks.
pub type Adapter = Arc<dyn DatabaseAdapter>;

/// Makes one test of each case; see the [module](crate::conformance).
#[macro_export]
macro_rules! conformance_tests {
    (
        #[$($attribute:tt)*] ($($argument:ident: $type:ty),* $(,)?) => $adapter:expr
        $(, groups: $groups:tt)? $(,)?
    ) => {
        $crate::__each_conformance_case! {
            attribute [[$($attribute)*] [$($argument: $type),*] [$adapter]] $($groups)?
        }
    };
    ($adapter:expr $(, groups: $groups:tt)? $(,)?) => {
        $crate::__each_conformance_case! { plain [$adapter] $($groups)? }
    };
}

/// The list of the cases, and what becomes of each.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_conformance_case {
    ($kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            general {
                ids_are_uuids_of_version_7
                tokens_are_random
                times_are_kept_to_the_microsecond
                times_may_be_the_furthest
                updated_at_moves_forward
                times_before_postgresql_are_refused
                nul_characters_are_refused
                impossible_lookups_answer_none
                impossible_deletes_do_nothing
                impossible_updates_find_nothing
                text_is_data
                text_may_be_megabytes
                secrets_do_not_show
                dropped_futures_leave_nothing_behind
                clean_up_removes_what_is_dead
                everything_at_once_stays_whole
            }
            user {
                create_returns_what_every_get_returns
                create_keeps_every_field
                create_accepts_an_id
                create_names_the_conflict
                create_prefers_the_id_then_the_email
                many_users_may_have_no_names
                emails_compare_without_case
                usernames_compare_without_case
                a_username_keeps_its_spelling
                keys_have_a_longest_length
                metadata_comes_back
                metadata_may_be_nested_to_the_limit
                metadata_numbers_come_back
                update_sets_every_column
                update_can_set_null
                an_empty_update_changes_nothing
                update_of_an_unknown_user_fails
                update_keeps_its_own_names
                update_names_the_conflict
                a_refused_update_changes_nothing
                given_up_names_are_free
                unbanning_clears_the_ban
                delete_takes_sessions_and_accounts
                delete_succeeds_twice
                one_of_many_gets_the_email
                names_swapped_at_once_stay_unique
            }
            session {
                create_returns_what_every_get_returns
                create_needs_the_user
                create_keeps_every_field
                only_live_sessions_are_found
                list_is_newest_first_and_complete
                list_leaves_out_dead_sessions
                expiry_moves
                a_dead_session_is_never_revived
                unknown_sessions_cannot_be_extended
                delete_ends_one_session
                delete_ends_all_sessions_of_one_user
                expired_sessions_are_removed
                no_session_survives_its_user
                session_with_user
                what_a_list_shows_can_be_deleted
                a_digest_opens_nothing
            }
            account {
                create_returns_what_every_get_returns
                create_keeps_every_field
                create_needs_the_user
                an_account_is_linked_once
                the_conflict_wins_over_the_missing_user
                keys_have_a_longest_length
                list_is_newest_first_and_complete
                delete_unlinks
            }
            verification {
                create_returns_what_every_get_returns
                only_live_verifications_are_found
                the_newest_is_found
                an_identifier_holds_several_values
                identifiers_have_a_longest_length
                values_may_be_megabytes
                delete_removes_one
                expired_verifications_are_removed
            }
        }
    };
    ($kind:ident $with:tt all) => {
        $crate::__each_conformance_case! {
            $kind $with [session_updates, account_updates, one_time_tokens, identifiers, user_lists, transactions]
        }
    };
    ($kind:ident $with:tt [$($group:ident),* $(,)?]) => {
        $crate::__each_conformance_case! { $kind $with }
        $( $crate::__each_conformance_case! { @group $group $kind $with } )*
    };
    (@group session_updates $kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            session_updates {
                update_sets_every_column
                update_needs_a_live_session
                update_may_end_in_the_past
                ended_sessions_are_removed
                unknown_sessions_cannot_be_updated
                impossible_input_is_refused
                a_digest_changes_nothing
            }
        }
    };
    (@group account_updates $kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            account_updates {
                update_sets_every_column
                update_of_an_unknown_account_fails
                impossible_input_is_refused
                update_changes_one_account
            }
        }
    };
    (@group one_time_tokens $kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            one_time_tokens {
                consume_takes_all_of_the_pair
                consume_refuses_the_expired
                one_of_many_consumes
                consume_takes_the_pair_as_it_is_spelled
                a_used_pair_can_be_issued_again
            }
        }
    };
    (@group identifiers $kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            identifiers {
                newest_of_an_identifier
                the_next_newest_is_found
                impossible_identifiers_find_nothing
            }
        }
    };
    (@group user_lists $kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            user_lists {
                an_empty_store_has_an_empty_page
                pages_are_complete_and_in_order
                the_default_is_the_newest_hundred
                lists_show_what_is_stored
                pages_are_stable_while_users_come_and_go
                limits_are_checked
                cursors_are_checked
                cursors_are_safe_in_urls
                filtered_pages_are_complete
                users_created_at_once_are_all_listed
            }
            user_filters {
                roles_and_flags_are_told_apart
                times_bound_the_list
                extreme_times_do_not_fail
                filters_combine
                any_filter_is_kept
            }
            user_searches {
                searches_look_into_one_column
                only_names_match_with_case
                search_values_are_literal
                an_empty_search_finds_who_has_the_column
                impossible_values_find_nobody
                prefixes_may_end_in_any_character
                names_may_be_megabytes
                long_names_are_told_apart
                long_roles_are_told_apart
            }
        }
    };
    (@group transactions $kind:ident $with:tt) => {
        $crate::__each_conformance_case! { $kind $with;
            transactions {
                a_commit_makes_all_visible
                a_rollback_leaves_nothing
                a_drop_leaves_nothing
                an_empty_transaction_ends_well
                a_transaction_may_be_dropped_in_any_state
                dropped_transactions_use_nothing_up
                an_error_aborts
                an_aborted_transaction_can_be_rolled_back
                begin_inside_is_unsupported
                conflicts_inside_name_the_field
                a_dropped_call_aborts
                hundreds_of_rows_are_committed_together
            }
            transaction_views {
                own_changes_are_seen_inside
                lists_mix_old_and_new_rows
                names_given_up_inside_are_free_inside
                a_user_deleted_inside_is_gone_inside
                readers_outside_do_not_wait
                the_adapter_reads_meanwhile
                time_goes_on_inside
                dead_sessions_stay_dead_inside
                updated_at_moves_forward_inside
                dead_rows_are_removed_at_commit
                one_time_tokens_are_used_up_at_commit
            }
            transaction_races {
                one_of_two_gets_the_name
                one_of_inside_and_outside_gets_the_email
                one_of_two_changes_to_the_email
                one_of_two_gets_the_account
                an_undone_transaction_gives_its_names_back
                a_name_given_up_is_free_at_commit
                one_of_many_uses_the_token
                one_of_two_uses_the_token
                nothing_outlives_its_user
                changes_of_different_columns_are_both_kept
                opposite_orders_come_to_an_end
                a_commit_takes_only_what_was_seen
                an_empty_update_holds_nothing
            }
            transaction_helper {
                it_commits_on_ok
                it_rolls_back_on_err
                a_swallowed_error_undoes_all
                a_dropped_call_undoes_all
                it_runs_in_a_task_on_what_it_borrows
                one_of_many_signs_up
                writers_of_one_user_all_get_through
            }
        }
    };
    ($kind:ident $with:tt; $($module:ident { $($case:ident)* })*) => {
        $(
            mod $module {
                #[allow(unused_imports)]
                use super::*;

                $( $crate::__each_conformance_case! { @$kind $with $module $case } )*
            }
        )*
    };
    (@plain [$adapter:expr] $module:ident $case:ident) => {
        #[test]
        fn $case() {
            $crate::conformance::run(async {
                $crate::conformance::$module::$case(::std::sync::Arc::new($adapter)).await;
            });
        }
    };
    (@attribute [[$($attribute:tt)*] [$($argument:ident: $type:ty),*] [$adapter:expr]] $module:ident $case:ident) => {
        #[$($attribute)*]
        async fn $case($($argument: $type),*) {
            $crate::conformance::$module::$case(::std::sync::Arc::new($adapter)).await;
        }
    };
    (@group $unknown:ident $kind:ident $with:tt) => {
        ::std::compile_error!(::std::concat!(
            "there is no conformance group `",
            ::std::stringify!($unknown),
            "`: name some of session_updates, account_updates, one_time_tokens, identifiers, user_lists and \
             transactions, or write `groups: all`",
        ));
    };
    ($kind:ident $with:tt $groups:tt) => {
        ::std::compile_error!("groups are named as in `groups: [one_time_tokens, transactions]`, or `groups: all`");
    };
}

/// Runs a case on a runtime of its own, with several threads.
#[doc(hidden)]
pub fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime starts")
        .block_on(case);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_listed() {
        // A listed case that does not exist does not compile; one that exists has to be listed.
        let list = include_str!("mod.rs");
        let (_, list) = list
            .split_once("macro_rules! __each_conformance_case")
            .unwrap();
        let modules = [
            ("account", include_str!("account.rs")),
            ("account_updates", include_str!("account_updates.rs")),
            ("general", include_str!("general.rs")),
            ("identifiers", include_str!("identifiers.rs")),
            ("one_time_tokens", include_str!("one_time_tokens.rs")),
            ("session", include_str!("session.rs")),
            ("session_updates", include_str!("session_updates.rs")),
            ("transaction_helper", include_str!("transaction_helper.rs")),
            ("transaction_races", include_str!("transaction_races.rs")),
            ("transaction_views", include_str!("transaction_views.rs")),
            ("transactions", include_str!("transactions.rs")),
            ("user", include_str!("user.rs")),
            ("user_filters", include_str!("user_filters.rs")),
            ("user_lists", include_str!("user_lists.rs")),
            ("user_searches", include_str!("user_searches.rs")),
            ("verification", include_str!("verification.rs")),
        ];
        assert_eq!(
            include_str!("mod.rs").matches("\npub mod ").count(),
            modules.len()
        );
        for (module, source) in modules {
            // Cases of several modules have the same name.
            let (_, cases) = list.split_once(&format!(" {module} {{\n")).unwrap();
            let (cases, _) = cases.split_once('}').unwrap();
            let listed: Vec<&str> = cases.split_whitespace().collect();
            let written: Vec<&str> = source
                .split("pub async fn ")
                .skip(1)
                .filter_map(|case| Some(case.split_once('(')?.0))
                .collect();
            assert_eq!(listed, written, "in {module}");
        }
    }

    #[test]
    fn all_is_every_group() {
        let list = include_str!("mod.rs");
        let (_, all) = list.split_once("$with:tt all) => {").unwrap();
        let (_, all) = all.split_once("$with [").unwrap();
        let (all, _) = all.split_once(']').unwrap();
        let groups: Vec<&str> = list
            .split("(@group ")
            .filter_map(|arm| Some(arm.split_once(" $kind:ident $with:tt) => {")?.0))
            .filter(|group| group.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            .collect();
        assert_eq!(all.split(", ").collect::<Vec<_>>(), groups);
    }
}
