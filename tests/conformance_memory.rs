//! The memory adapter keeps every promise; an adapter without the provided methods can keep all that are asked of it.

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{
    Account, AuthResult, CreateAccount, CreateSession, CreateUser, CreateVerification, Session,
    UpdateUser, User, Verification, async_trait,
};
use chrono::{DateTime, Utc};

better_auth::conformance_tests!(MemoryDatabaseAdapter::new(), groups: all);

/// An adapter that has what is required and nothing else.
struct RequiredOnly(MemoryDatabaseAdapter);

macro_rules! required_methods {
    ($($method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        #[async_trait]
        impl DatabaseAdapter for RequiredOnly {
            $(
                async fn $method(&self $(, $argument: $type)*) -> AuthResult<$output> {
                    self.0.$method($($argument),*).await
                }
            )*
        }
    };
}

required_methods! {
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
}

mod required_only {
    use super::{MemoryDatabaseAdapter, RequiredOnly};

    better_auth::conformance_tests!(RequiredOnly(MemoryDatabaseAdapter::new()));
}
