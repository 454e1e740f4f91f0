//! New users and updates of users.

use chrono::{DateTime, Utc};

use super::metadata::normal_metadata;
use super::random::new_id;
use super::text::{MAX_NAME_BYTES, each, key, name_key, optional_text, text_update};
use super::time::normal_time;
use crate::types::{CreateUser, UpdateUser, User};
use crate::{AuthError, AuthResult};

/// The row of a new user, in normal form, with an id. If the store has a clock, as a database server does, its time replaces `now`.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field; [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_user(user: CreateUser, now: DateTime<Utc>) -> AuthResult<User> {
    let CreateUser {
        id,
        name,
        email,
        image,
        username,
        display_username,
        role,
        email_verified,
        metadata,
    } = user;
    let display_username = display_username.or_else(|| username.clone());
    Ok(User {
        id: match id {
            Some(id) => key("id", id, MAX_NAME_BYTES)?,
            None => new_id()?,
        },
        name: optional_text("name", name)?,
        email: email.map(|email| name_key("email", &email)).transpose()?,
        email_verified,
        image: optional_text("image", image)?,
        username: username
            .map(|username| name_key("username", &username))
            .transpose()?,
        display_username: optional_text("display_username", display_username)?,
        two_factor_enabled: false,
        role: optional_text("role", role)?,
        banned: false,
        ban_reason: None,
        ban_expires: None,
        metadata: normal_metadata(metadata)?,
        created_at: now,
        updated_at: now,
    })
}

/// The update in normal form, with what it implies: the spelling of a new username, and what an end of a ban clears.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field.
pub fn user_update(update: UpdateUser) -> AuthResult<UpdateUser> {
    let UpdateUser {
        name,
        email,
        email_verified,
        image,
        username,
        display_username,
        two_factor_enabled,
        role,
        banned,
        ban_reason,
        ban_expires,
        metadata,
    } = update;
    let display_username = display_username.or_else(|| username.clone().flatten().map(Some));
    let unbanned = banned == Some(false);
    let name = text_update("name", name)?;
    let email = each(email, |email| name_key("email", &email))?;
    let image = text_update("image", image)?;
    let username = each(username, |username| name_key("username", &username))?;
    let display_username = text_update("display_username", display_username)?;
    let role = text_update("role", role)?;
    let ban_reason = text_update("ban_reason", ban_reason)?;
    let ban_expires = each(ban_expires, |time| normal_time("ban_expires", time))?;
    Ok(UpdateUser {
        name,
        email,
        email_verified,
        image,
        username,
        display_username,
        two_factor_enabled,
        role,
        banned,
        ban_reason: if unbanned { Some(None) } else { ban_reason },
        ban_expires: if unbanned { Some(None) } else { ban_expires },
        metadata: metadata.map(normal_metadata).transpose()?,
    })
}

/// The most users that one call looks up.
const MAX_IDS: usize = 1000;

/// Fails if there are more ids than one call of
/// [`get_users_by_ids`](crate::adapters::DatabaseAdapter::get_users_by_ids) looks up.
///
/// # Errors
///
/// [`AuthError::Validation`] if there are more than 1,000.
pub fn check_ids(ids: &[String]) -> AuthResult<()> {
    if ids.len() <= MAX_IDS {
        return Ok(());
    }
    let message = format!("has {} ids, at most {MAX_IDS} are looked up", ids.len());
    Err(AuthError::validation("ids", message))
}

/// The update that bans a user, in normal form.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field.
pub fn ban_update(reason: Option<String>, until: Option<DateTime<Utc>>) -> AuthResult<UpdateUser> {
    user_update(UpdateUser {
        banned: Some(true),
        ban_reason: Some(reason),
        ban_expires: Some(until),
        ..UpdateUser::default()
    })
}
