//! New accounts and updates of accounts.

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{MAX_IDENTIFIER_BYTES, MAX_NAME_BYTES, each, key, optional_text, text_update};
use super::time::normal_time;
use crate::AuthResult;
use crate::types::{Account, CreateAccount, UpdateAccount};

/// The row of a new account, in normal form, with an id.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field; [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_account(account: CreateAccount, now: DateTime<Utc>) -> AuthResult<Account> {
    let CreateAccount {
        user_id,
        provider_id,
        account_id,
        access_token,
        refresh_token,
        id_token,
        access_token_expires_at,
        refresh_token_expires_at,
        scope,
        password,
    } = account;
    Ok(Account {
        id: new_id()?,
        account_id: key("account_id", account_id, MAX_IDENTIFIER_BYTES)?,
        provider_id: key("provider_id", provider_id, MAX_NAME_BYTES)?,
        user_id,
        access_token: optional_text("access_token", access_token)?,
        refresh_token: optional_text("refresh_token", refresh_token)?,
        id_token: optional_text("id_token", id_token)?,
        access_token_expires_at: access_token_expires_at
            .map(|time| normal_time("access_token_expires_at", time))
            .transpose()?,
        refresh_token_expires_at: refresh_token_expires_at
            .map(|time| normal_time("refresh_token_expires_at", time))
            .transpose()?,
        scope: optional_text("scope", scope)?,
        password: optional_text("password", password)?,
        created_at: now,
        updated_at: now,
    })
}

/// The update in normal form.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field.
pub fn account_update(update: UpdateAccount) -> AuthResult<UpdateAccount> {
    let UpdateAccount {
        access_token,
        refresh_token,
        id_token,
        access_token_expires_at,
        refresh_token_expires_at,
        scope,
        password,
    } = update;
    Ok(UpdateAccount {
        access_token: text_update("access_token", access_token)?,
        refresh_token: text_update("refresh_token", refresh_token)?,
        id_token: text_update("id_token", id_token)?,
        access_token_expires_at: each(access_token_expires_at, |time| {
            normal_time("access_token_expires_at", time)
        })?,
        refresh_token_expires_at: each(refresh_token_expires_at, |time| {
            normal_time("refresh_token_expires_at", time)
        })?,
        scope: text_update("scope", scope)?,
        password: text_update("password", password)?,
    })
}

/// What [`link_account`](crate::adapters::DatabaseAdapter::link_account) changes of an account that is linked already:
/// what is given, but never the password. It takes the row that [`new_account`] makes.
#[must_use]
pub fn link_update(account: Account) -> UpdateAccount {
    UpdateAccount {
        access_token: account.access_token.map(Some),
        refresh_token: account.refresh_token.map(Some),
        id_token: account.id_token.map(Some),
        access_token_expires_at: account.access_token_expires_at.map(Some),
        refresh_token_expires_at: account.refresh_token_expires_at.map(Some),
        scope: account.scope.map(Some),
        password: None,
    }
}
