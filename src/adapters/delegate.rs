//! Implementations of the trait that hand every method, the provided ones too, to something else.

use std::sync::Arc;

/// Implements [`DatabaseAdapter`] by the methods of the same names of what `to` gives. `call` is one of them with its
/// arguments, not yet called.
macro_rules! forward_database_adapter {
    (impl [$($generics:tt)*] for $type:ty, |$this:ident| $to:expr, |$call:ident| $answer:expr) => {
        const _: () = {
            use async_trait::async_trait;
            use chrono::{DateTime, Utc};
            use $crate::types::{
                Account, CleanUp, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, Session,
                UpdateAccount, UpdateSession, UpdateUser, User, UserFilter, UserPage, Verification,
            };
            use $crate::{AuthResult, adapters::{DatabaseAdapter, Transaction}};

            forward_database_adapter! {
                @methods [$($generics)*] $type, $this, $to, $call, $answer;
                create_user(user: CreateUser) -> User;
                get_user_by_id(id: &str) -> Option<User>;
                get_user_by_email(email: &str) -> Option<User>;
                get_user_by_username(username: &str) -> Option<User>;
                update_user(id: &str, update: UpdateUser) -> User;
                delete_user(id: &str) -> ();
                create_session(session: CreateSession) -> Session;
                get_session(token: &str) -> Option<Session>;
                get_user_sessions(user_id: &str) -> Vec<Session>;
                update_session_expiry(token: &str, expires_at: DateTime<Utc>) -> ();
                delete_session(token: &str) -> ();
                delete_user_sessions(user_id: &str) -> ();
                delete_expired_sessions() -> usize;
                create_account(account: CreateAccount) -> Account;
                get_account(provider: &str, id: &str) -> Option<Account>;
                get_user_accounts(user_id: &str) -> Vec<Account>;
                delete_account(id: &str) -> ();
                create_verification(v: CreateVerification) -> Verification;
                get_verification(identifier: &str, value: &str) -> Option<Verification>;
                get_verification_by_value(value: &str) -> Option<Verification>;
                delete_verification(id: &str) -> ();
                delete_expired_verifications() -> usize;
                get_session_with_user(token: &str) -> Option<(Session, User)>;
                consume_verification(identifier: &str, value: &str) -> Option<Verification>;
                get_verification_by_identifier(identifier: &str) -> Option<Verification>;
                update_session(token: &str, update: UpdateSession) -> Session;
                update_account(id: &str, update: UpdateAccount) -> Account;
                list_users(query: ListUsers) -> UserPage;
                count_users(filter: UserFilter) -> u64;
                clean_up() -> CleanUp;
                begin() -> Box<dyn Transaction>;
            }
        };
    };
    (
        @methods [$($generics:tt)*] $type:ty, $this:ident, $to:expr, $call:ident, $answer:expr;
        $($method:ident($($argument:ident: $argument_type:ty),*) -> $output:ty;)*
    ) => {
        #[async_trait]
        impl<$($generics)*> DatabaseAdapter for $type {
            $(
                async fn $method(&self $(, $argument: $argument_type)*) -> AuthResult<$output> {
                    let $this = self;
                    let $call = || $to.$method($($argument),*);
                    $answer
                }
            )*
        }
    };
}
pub(super) use forward_database_adapter;

forward_database_adapter!(impl [T: DatabaseAdapter + ?Sized] for &T, |this| (**this), |call| call().await);
forward_database_adapter!(impl [T: DatabaseAdapter + ?Sized] for Box<T>, |this| (**this), |call| call().await);
forward_database_adapter!(impl [T: DatabaseAdapter + ?Sized] for Arc<T>, |this| (**this), |call| call().await);
