//! What all adapters agree on before anything is stored: limits, normal forms, ids and tokens.

mod account;
mod attempts;
mod digest;
mod metadata;
mod number;
mod random;
mod session;
mod text;
mod time;
mod user;
mod verification;

pub(super) use account::{account_update, new_account, refreshed_account};
pub(super) use attempts::{Attempts, USED_UP};
#[cfg(feature = "sqlx-postgres")]
pub(super) use digest::DIGEST_PREFIX;
pub(super) use digest::digest;
pub(super) use session::{Refresh, new_session, session_update};
pub(super) use text::{
    MAX_NAME_BYTES, is_possible_id, is_possible_text, lookup_name, without_case,
};
#[cfg(feature = "sqlx-postgres")]
pub(super) use text::{is_possible_account, is_possible_identifier, name_key};
pub(super) use time::{
    is_postgres_time, next_update, now, now_micros, postgres_micros, storable_time,
    time_from_postgres, truncate,
};
pub(super) use user::{ban, check_ids, new_user, user_update};
pub(super) use verification::{new_verification, reserved_verification};
