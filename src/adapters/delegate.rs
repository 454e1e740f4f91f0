//! The list of the adapter's methods, and the implementations of [`DatabaseAdapter`] made from it:
//! they hand every method, the provided ones too, to something else.

use std::sync::Arc;

use super::DatabaseAdapter;

/// Calls a macro with its own arguments and the list of all methods behind them:
/// `name! { arguments… required { method(argument: Type) -> Answer; … } provided { … } stores { … } }`.
///
/// The list is the only one. What has to name every method is made from it: forwarding, and the tests' calls.
#[doc(hidden)]
#[macro_export]
macro_rules! with_database_adapter_methods {
    ($name:path { $($arguments:tt)* }) => {
        $name! {
            $($arguments)*
            required {
                create_user(user: $crate::CreateUser) -> $crate::User;
                get_user_by_id(id: &str) -> Option<$crate::User>;
                get_user_by_email(email: &str) -> Option<$crate::User>;
                get_user_by_username(username: &str) -> Option<$crate::User>;
                update_user(id: &str, update: $crate::UpdateUser) -> $crate::User;
                delete_user(id: &str) -> ();
                create_session(session: $crate::CreateSession) -> $crate::Session;
                get_session(token: &str) -> Option<$crate::Session>;
                get_user_sessions(user_id: &str) -> Vec<$crate::Session>;
                update_session_expiry(
                    token: &str, expires_at: $crate::chrono::DateTime<$crate::chrono::Utc>
                ) -> ();
                delete_session(token: &str) -> ();
                delete_user_sessions(user_id: &str) -> ();
                delete_expired_sessions() -> usize;
                create_account(account: $crate::CreateAccount) -> $crate::Account;
                get_account(provider: &str, id: &str) -> Option<$crate::Account>;
                get_user_accounts(user_id: &str) -> Vec<$crate::Account>;
                delete_account(id: &str) -> ();
                create_verification(v: $crate::CreateVerification) -> $crate::Verification;
                get_verification(identifier: &str, value: &str) -> Option<$crate::Verification>;
                get_verification_by_value(value: &str) -> Option<$crate::Verification>;
                delete_verification(id: &str) -> ();
                delete_expired_verifications() -> usize;
            }
            provided {
                get_session_with_user(token: &str) -> Option<($crate::Session, $crate::User)>;
                consume_verification(identifier: &str, value: &str) -> Option<$crate::Verification>;
                get_verification_by_identifier(identifier: &str) -> Option<$crate::Verification>;
                update_session(token: &str, update: $crate::UpdateSession) -> $crate::Session;
                update_account(id: &str, update: $crate::UpdateAccount) -> $crate::Account;
                list_users(query: $crate::ListUsers) -> $crate::UserPage;
                count_users(filter: $crate::UserFilter) -> u64;
                refresh_session(
                    token: &str, lifetime: std::time::Duration, update_age: std::time::Duration
                ) -> Option<($crate::Session, $crate::User)>;
                check_session(
                    token: &str, check: $crate::CheckSession
                ) -> Option<$crate::CheckedSession>;
                delete_other_sessions(user_id: &str, keep_token: &str) -> usize;
                delete_session_by_id(user_id: &str, id: &str) -> ();
                get_users_by_ids(ids: &[String]) -> Vec<$crate::User>;
                ban_user(
                    id: &str, reason: Option<String>,
                    until: Option<$crate::chrono::DateTime<$crate::chrono::Utc>>
                ) -> $crate::User;
                unban_user(id: &str) -> $crate::User;
                link_account(account: $crate::CreateAccount) -> ($crate::Account, $crate::Linked);
                get_credential_account(user_id: &str) -> Option<$crate::Account>;
                consume_verification_by_identifier(identifier: &str) -> Option<$crate::Verification>;
                delete_verifications_by_identifier(identifier: &str) -> ();
                check_code(identifier: &str, value: &str, max_attempts: u32) -> $crate::CodeCheck;
                reserve_verification(
                    identifier: &str, value: &str,
                    expires_at: $crate::chrono::DateTime<$crate::chrono::Utc>
                ) -> bool;
                clean_up() -> $crate::Removed;
                begin() -> Box<dyn $crate::Transaction>;
            }
            stores {
                organizations -> $crate::adapters::OrganizationStore;
                rate_limits -> $crate::adapters::RateLimitStore;
                signing_keys -> $crate::adapters::SigningKeyStore;
                two_factor -> $crate::adapters::TwoFactorStore;
                passkeys -> $crate::adapters::PasskeyStore;
                device_codes -> $crate::adapters::DeviceCodeStore;
                api_keys -> $crate::adapters::ApiKeyStore;
            }
        }
    };
}

/// Implements [`DatabaseAdapter`](crate::DatabaseAdapter) by handing every method to another adapter, the provided ones
/// too: a wrapper written by hand that leaves out `get_session_with_user` costs a second round trip, and nothing says so.
///
/// The arguments are the type with the generics of the `impl`, what `this` hands its calls to, and what a method does.
/// `call` is the other adapter's method with its arguments, not yet called, and `method` its name, which may be left out.
/// The block runs in an `async fn`:
///
/// ```
/// use std::time::Instant;
///
/// use better_auth::{DatabaseAdapter, forward_database_adapter};
///
/// /// Says how long each call took.
/// struct Timed<A> {
///     inner: A,
/// }
///
/// forward_database_adapter! {
///     impl [A: DatabaseAdapter] for Timed<A>, |this| this.inner, |call, method| {
///         let started = Instant::now();
///         let answer = call().await;
///         println!("{method}: {:?}", started.elapsed());
///         answer
///     }
/// }
/// ```
///
/// A wrapper of `SqlxAdapter` alone compiles some seconds faster if it hands its calls to a trait object, as in
/// `|this| (&this.inner as &dyn DatabaseAdapter)`: otherwise the compiler proves for each method anew that all that the
/// adapter holds may be sent to another thread.
#[macro_export]
macro_rules! forward_database_adapter {
    (impl [$($generics:tt)*] for $type:ty, |$this:ident| $to:expr, |$call:ident| $answer:expr) => {
        $crate::forward_database_adapter!(impl [$($generics)*] for $type, |$this| $to, |$call, _method| $answer);
    };
    (impl [$($generics:tt)*] for $type:ty, |$this:ident| $to:expr, |$call:ident, $name:ident| $answer:expr) => {
        $crate::with_database_adapter_methods! {
            $crate::forward_database_adapter { @impl [$($generics)*] $type, |$this| $to, |$call, $name| $answer; }
        }
        $crate::with_store_methods! {
            $crate::forward_database_adapter { @store [$($generics)*] $type, |$this| $to, |$call, $name| $answer; }
        }
    };
    (
        @impl [$($generics:tt)*] $type:ty, |$this:ident| $to:expr, |$call:ident, $name:ident| $answer:expr;
        required { $($required:tt)* }
        provided { $($provided:tt)* }
        stores { $($store:ident -> $store_trait:path;)* }
    ) => {
        $crate::forward_database_adapter! {
            @methods [$($generics)*] $type, |$this| $to, |$call, $name| $answer;
            [$($store -> $store_trait;)*] $($required)* $($provided)*
        }
    };
    (
        @methods [$($generics:tt)*] $type:ty, |$this:ident| $to:expr, |$call:ident, $name:ident| $answer:expr;
        [$($store:ident -> $store_trait:path;)*]
        $($method:ident($($argument:ident: $argument_type:ty),*) -> $output:ty;)*
    ) => {
        const _: () = {
            #[allow(unused_imports, reason = "the target may have inherent methods of the same names")]
            use $crate::DatabaseAdapter as _;

            #[deny(clippy::missing_trait_methods)]
            #[$crate::async_trait]
            impl<$($generics)*> $crate::DatabaseAdapter for $type {
                $(
                    async fn $method(&self $(, $argument: $argument_type)*) -> $crate::AuthResult<$output> {
                        let $this = self;
                        let $name = stringify!($method);
                        let $call = || $to.$method($($argument),*);
                        $answer
                    }
                )*

                $(
                    fn $store(&self) -> $crate::AuthResult<&dyn $store_trait> {
                        let $this = self;
                        $to.$store()?;
                        Ok(self)
                    }
                )*
            }
        };
    };
    (
        @store [$($generics:tt)*] $type:ty, |$this:ident| $to:expr, |$call:ident, $name:ident| $answer:expr;
        $store:ident -> $store_trait:path {
            $($method:ident($($argument:ident: $argument_type:ty),*) -> $output:ty;)*
        }
    ) => {
        const _: () = {
            #[allow(unused_imports, reason = "the target may have inherent methods of the same names")]
            use $crate::DatabaseAdapter as _;

            #[deny(clippy::missing_trait_methods)]
            #[$crate::async_trait]
            impl<$($generics)*> $store_trait for $type {
                $(
                    async fn $method(&self $(, $argument: $argument_type)*) -> $crate::AuthResult<$output> {
                        let $this = self;
                        let store = $to.$store()?;
                        let $name = stringify!($method);
                        let $call = || store.$method($($argument),*);
                        $answer
                    }
                )*
            }
        };
    };
}
pub(super) use forward_database_adapter;

forward_database_adapter!(impl [T: DatabaseAdapter + ?Sized] for &T, |this| (**this), |call| call().await);
forward_database_adapter!(impl [T: DatabaseAdapter + ?Sized] for Box<T>, |this| (**this), |call| call().await);
forward_database_adapter!(impl [T: DatabaseAdapter + ?Sized] for Arc<T>, |this| (**this), |call| call().await);
