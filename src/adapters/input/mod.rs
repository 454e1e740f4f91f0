//! What all adapters agree on before anything is stored, for authors of adapters: limits, normal forms, ids and tokens.
//!
//! `new_…` makes the row of a create, `…_update` brings an update into its normal form. Both check every field; what remains
//! is to store the row. Conflicts and missing users are the store's to find. [`Refresh`], [`Attempts`] and [`Take`] decide
//! what `refresh_session`, `check_code` and `take` do.
//!
//! # Limits
//!
//! Metadata can be nested 100 deep. Its numbers have at most 131,072 digits before the decimal point and 16,383 behind it,
//! and take at most 16 MiB more without their exponents, as JSONB writes them. Its keys do not begin with
//! `$serde_json::private::`, which `serde_json` would not read back. [`MAX_NAME_BYTES`] and [`MAX_IDENTIFIER_BYTES`] limit
//! keys; all other text can be megabytes long.
//!
//! ```
//! use better_auth::adapters::input;
//! use better_auth::types::{CreateUser, User};
//! use better_auth::AuthResult;
//!
//! fn create_user(rows: &mut Vec<User>, user: CreateUser) -> AuthResult<User> {
//!     let user = input::new_user(user, input::now())?;
//!     rows.push(user.clone());
//!     Ok(user)
//! }
//!
//! let mut rows = Vec::new();
//! let user = create_user(&mut rows, CreateUser::new().with_email("Ada@Example.com"))?;
//! assert_eq!(user.email.as_deref(), Some("ada@example.com"));
//! assert_eq!(user.email, input::lookup_name("ADA@example.com"));
//! assert!(create_user(&mut rows, CreateUser::new().with_name("a\0b")).is_err());
//! # Ok::<(), better_auth::AuthError>(())
//! ```

mod account;
mod api_key;
mod attempts;
mod device_code;
mod metadata;
mod number;
mod organization;
mod passkey;
mod random;
mod rate_limit;
mod session;
mod signing_key;
mod text;
mod time;
mod two_factor;
mod user;
mod verification;

pub use account::{account_update, link_update, new_account};
pub use api_key::{api_key_update, new_api_key, next_api_key_update, use_api_key};
pub use attempts::{Attempts, USED_UP};
pub use device_code::{is_too_soon, new_device_code, new_user_code, slowed_down, user_code};
pub use organization::{
    lookup_role, member_role, new_invitation, new_member, new_organization, new_organization_role,
    new_team, organization_update, role_permission, team_name,
};
pub use passkey::{
    MAX_CREDENTIAL_BYTES, is_counter_accepted, is_possible_credential, new_passkey,
    passkey_counter, passkey_name,
};
pub use random::{new_id, new_token};
pub use rate_limit::Take;
pub use session::{Refresh, new_session, session_update};
pub use signing_key::{is_rotation_due, new_signing_key};
pub use text::{
    MAX_IDENTIFIER_BYTES, MAX_NAME_BYTES, is_possible_account, is_possible_id,
    is_possible_identifier, is_possible_text, lookup_name,
};
pub use time::{next_update, now, storable_time};
pub use two_factor::{LockOut, backup_codes_text, new_two_factor, time_step};
pub use user::{ban_update, check_ids, new_user, user_update};
pub use verification::{new_verification, reserved_verification};

pub(super) use api_key::is_counted;
#[cfg(feature = "sqlx-postgres")]
pub(super) use device_code::SLOW_DOWN;
pub(super) use random::fill_random;
#[cfg(feature = "sqlx-postgres")]
pub(super) use text::name_key;
pub(super) use text::{hex, without_case};
#[cfg(feature = "sqlx-postgres")]
pub(super) use time::age_micros;
pub(super) use time::{
    is_postgres_time, now_micros, postgres_micros, time_from_postgres, truncate,
};
pub(super) use verification::new_keyed_verification;
