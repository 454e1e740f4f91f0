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
//!     (pool: PgPool) => SqlxAdapter::from_pool(pool)
//! );
//! # }
//! ```
//!
//! An adapter that answers [`AuthError::Unsupported`] to a provided method passes the
//! cases of that method. [`supports_every_provided_method`] tells whether there is any such method.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::AuthError;
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, Session, UpdateAccount,
    UpdateSession, User,
};

pub mod account;
pub mod general;
pub mod session;
pub mod user;
pub mod verification;

/// What a case is given: in an `Arc`, so that it can be shared among tasks.
pub type Adapter = Arc<dyn DatabaseAdapter>;

/// Makes one test of each case; see the [module](crate::conformance).
#[macro_export]
macro_rules! conformance_tests {
    (#[$($attribute:tt)*] ($($argument:ident: $type:ty),* $(,)?) => $adapter:expr) => {
        $crate::__each_conformance_case! { attribute [[$($attribute)*] [$($argument: $type),*] [$adapter]] }
    };
    ($adapter:expr) => {
        $crate::__each_conformance_case! { plain [$adapter] }
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
                update_sets_every_column
                update_needs_a_live_session
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
                update_sets_every_column
                update_of_an_unknown_account_fails
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
                consume_takes_all_of_the_pair
                consume_refuses_the_expired
                one_of_many_consumes
                newest_of_an_identifier
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

/// Fails where an adapter answers `Unsupported` to a provided method, so that its cases would pass without a look.
pub async fn supports_every_provided_method(adapter: Adapter) {
    let unsupported = [
        adapter.get_session_with_user("none").await.err(),
        adapter.consume_verification("none", "none").await.err(),
        adapter.get_verification_by_identifier("none").await.err(),
        adapter
            .update_session("none", UpdateSession::default())
            .await
            .err(),
        adapter
            .update_account("none", UpdateAccount::default())
            .await
            .err(),
    ];
    for error in unsupported.into_iter().flatten() {
        assert!(!matches!(error, AuthError::Unsupported { .. }), "{error}");
    }
}

/// Ends the case where an adapter does not have the provided method.
macro_rules! supported {
    ($answer:expr) => {
        match $answer {
            Err($crate::AuthError::Unsupported { .. }) => return,
            answer => answer,
        }
    };
}
use supported;

/// Fails unless an answer is the error of the pattern.
macro_rules! assert_error {
    ($answer:expr, $($pattern:tt)+) => {
        match $answer {
            Err($($pattern)+) => {}
            answer => panic!("{:?} instead of {}", answer, stringify!($($pattern)+)),
        }
    };
}
use assert_error;

fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

fn an_hour_ago() -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(1)
}

async fn new_user(adapter: &Adapter) -> User {
    adapter.create_user(CreateUser::new()).await.unwrap()
}

async fn new_session(adapter: &Adapter, user: &User) -> Session {
    let session = CreateSession::new(&user.id, in_an_hour());
    adapter.create_session(session).await.unwrap()
}

fn account_of(user: &User, account_id: &str) -> CreateAccount {
    CreateAccount::new(&user.id, "github", account_id)
}

fn code(identifier: &str, value: &str) -> CreateVerification {
    CreateVerification::new(identifier, value, in_an_hour())
}

/// Runs so many calls at once and returns their answers.
async fn at_once<T, F>(count: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|index| tokio::spawn(call(index))).collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
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
            ("general", include_str!("general.rs")),
            ("session", include_str!("session.rs")),
            ("user", include_str!("user.rs")),
            ("verification", include_str!("verification.rs")),
        ];
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
}
