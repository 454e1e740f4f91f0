//! What all adapters agree on before anything is stored: limits, normal forms, ids and tokens.

mod number;

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::types::{
    Account, CreateAccount, CreateSession, CreateUser, CreateVerification, Metadata, Session,
    UpdateAccount, UpdateSession, UpdateUser, User, Verification,
};
use crate::{AuthError, AuthResult};

/// Longest id, email, username and provider id, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 255;
/// Longest account id and verification identifier, in bytes.
const MAX_IDENTIFIER_BYTES: usize = 1024;
/// Deepest nesting of metadata, the object itself counted. `serde_json` writes deeper, but reads back at most 127.
const MAX_JSON_DEPTH: usize = 100;
/// The first moment that PostgreSQL's TIMESTAMPTZ holds, 4714-11-24 BC, in microseconds since 1970. The last one lies
/// beyond chrono's.
const MIN_TIME_MICROS: i64 = -210_866_803_200_000_000;
const TOKEN_BYTES: usize = 32;

/// Whether this can be the id of a row. A lookup of anything else answers "none" without asking the store.
pub(super) fn is_possible_id(id: &str) -> bool {
    fits(id, MAX_NAME_BYTES)
}

/// The stored form of an email address or username to look up; `None` if it cannot be stored.
pub(super) fn lookup_name(name: &str) -> Option<String> {
    name_key("", name).ok()
}

/// Text as emails and usernames are compared: without case, where a final sigma is a sigma.
pub(super) fn without_case(text: &str) -> String {
    text.to_lowercase().replace('ς', "σ")
}

#[cfg(feature = "sqlx-postgres")]
pub(super) fn is_possible_account(provider_id: &str, account_id: &str) -> bool {
    fits(provider_id, MAX_NAME_BYTES) && fits(account_id, MAX_IDENTIFIER_BYTES)
}

#[cfg(feature = "sqlx-postgres")]
pub(super) fn is_possible_identifier(identifier: &str) -> bool {
    fits(identifier, MAX_IDENTIFIER_BYTES)
}

/// Whether this can be stored as text at all, of whatever length.
pub(super) fn is_possible_text(text: &str) -> bool {
    !text.contains('\0')
}

fn fits(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes && is_possible_text(text)
}

/// Now, to the microsecond.
pub(super) fn now() -> DateTime<Utc> {
    truncate(Utc::now())
}

/// Now, in microseconds since 1970, for lookups: to work out the date, as [`now`] does, takes longer than to read the
/// clock.
pub(super) fn now_micros() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since_1970.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// When a row last changed at `previous` and changes again at `now`: later than before, whatever the clock does.
pub(super) fn next_update(previous: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    now.max(
        previous
            .checked_add_signed(TimeDelta::microseconds(1))
            .unwrap_or(previous),
    )
}

/// The row of a new user. Where the store has a clock of its own, its time replaces `now`.
pub(super) fn new_user(user: CreateUser, now: DateTime<Utc>) -> AuthResult<User> {
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

/// The update in normal form, with what it implies spelled out.
pub(super) fn user_update(update: UpdateUser) -> AuthResult<UpdateUser> {
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

/// The row of a new session, with its token.
pub(super) fn new_session(session: CreateSession, now: DateTime<Utc>) -> AuthResult<Session> {
    let CreateSession {
        user_id,
        expires_at,
        ip_address,
        user_agent,
        impersonated_by,
        active_organization_id,
    } = session;
    Ok(Session {
        id: new_id()?,
        expires_at: normal_time("expires_at", expires_at)?,
        token: new_token()?,
        ip_address: optional_text("ip_address", ip_address)?,
        user_agent: optional_text("user_agent", user_agent)?,
        user_id,
        impersonated_by: optional_text("impersonated_by", impersonated_by)?,
        active_organization_id: optional_text("active_organization_id", active_organization_id)?,
        active: true,
        created_at: now,
        updated_at: now,
    })
}

/// The update in normal form.
pub(super) fn session_update(update: UpdateSession) -> AuthResult<UpdateSession> {
    let UpdateSession {
        expires_at,
        ip_address,
        user_agent,
        impersonated_by,
        active_organization_id,
        active,
    } = update;
    Ok(UpdateSession {
        expires_at: expires_at
            .map(|time| normal_time("expires_at", time))
            .transpose()?,
        ip_address: text_update("ip_address", ip_address)?,
        user_agent: text_update("user_agent", user_agent)?,
        impersonated_by: text_update("impersonated_by", impersonated_by)?,
        active_organization_id: text_update("active_organization_id", active_organization_id)?,
        active,
    })
}

/// The row of a new account.
pub(super) fn new_account(account: CreateAccount, now: DateTime<Utc>) -> AuthResult<Account> {
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
pub(super) fn account_update(update: UpdateAccount) -> AuthResult<UpdateAccount> {
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

/// The row of a new verification.
pub(super) fn new_verification(
    verification: CreateVerification,
    now: DateTime<Utc>,
) -> AuthResult<Verification> {
    let CreateVerification {
        identifier,
        value,
        expires_at,
    } = verification;
    Ok(Verification {
        id: new_id()?,
        identifier: key("identifier", identifier, MAX_IDENTIFIER_BYTES)?,
        value: text("value", value)?,
        expires_at: normal_time("expires_at", expires_at)?,
        created_at: now,
        updated_at: now,
    })
}

fn new_id() -> AuthResult<String> {
    let mut random = [0; 10];
    fill_random(&mut random)?;
    let millis = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string())
}

fn new_token() -> AuthResult<String> {
    let mut random = [0; TOKEN_BYTES];
    fill_random(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

fn fill_random(bytes: &mut [u8]) -> AuthResult<()> {
    getrandom::fill(bytes).map_err(|error| AuthError::Unavailable {
        message: "the operating system gave no random bytes for an id or token".to_owned(),
        contention: false,
        source: Some(error.into()),
    })
}

fn text(field: &'static str, text: String) -> AuthResult<String> {
    if is_possible_text(&text) {
        Ok(text)
    } else {
        Err(AuthError::validation(field, "holds a NUL character"))
    }
}

fn key(field: &'static str, value: String, max_bytes: usize) -> AuthResult<String> {
    let value = text(field, value)?;
    if value.len() <= max_bytes {
        Ok(value)
    } else {
        let message = format!(
            "takes {} bytes, at most {max_bytes} can be stored",
            value.len()
        );
        Err(AuthError::validation(field, message))
    }
}

/// An email address or username: compared, and so stored, without case.
pub(super) fn name_key(field: &'static str, name: &str) -> AuthResult<String> {
    if name.is_empty() {
        return Err(AuthError::validation(field, "is empty"));
    }
    if name.trim() != name {
        return Err(AuthError::validation(
            field,
            "begins or ends with white space",
        ));
    }
    key(field, without_case(name), MAX_NAME_BYTES)
}

fn optional_text(field: &'static str, value: Option<String>) -> AuthResult<Option<String>> {
    value.map(|value| text(field, value)).transpose()
}

fn text_update(
    field: &'static str,
    update: Option<Option<String>>,
) -> AuthResult<Option<Option<String>>> {
    each(update, |value| text(field, value))
}

/// Checks the new value of a nullable column, if there is one.
fn each<T, U>(
    update: Option<Option<T>>,
    check: impl FnOnce(T) -> AuthResult<U>,
) -> AuthResult<Option<Option<U>>> {
    update.map(|value| value.map(check).transpose()).transpose()
}

fn normal_time(field: &'static str, time: DateTime<Utc>) -> AuthResult<DateTime<Utc>> {
    storable_time(time).ok_or_else(|| {
        let message = "is before 4714-11-24 BC, the first day that PostgreSQL can store";
        AuthError::validation(field, message)
    })
}

/// The time as it is stored, if PostgreSQL can store it.
pub(super) fn storable_time(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (time.timestamp_micros() >= MIN_TIME_MICROS).then(|| truncate(time))
}

/// To the microsecond, which is what PostgreSQL keeps; a leap second becomes part of the next.
pub(super) fn truncate(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// 2000-01-01, from which PostgreSQL counts microseconds.
const EPOCH_SECONDS: i64 = 946_684_800;
/// What PostgreSQL takes for `infinity` and `-infinity`.
const INFINITY: i64 = i64::MAX;
const MINUS_INFINITY: i64 = i64::MIN;

/// The time as PostgreSQL takes it; `infinity` for the furthest one of chrono's, as it is read.
pub(super) fn postgres_micros(time: DateTime<Utc>) -> i64 {
    let since_epoch = time
        .timestamp_micros()
        .saturating_sub(EPOCH_SECONDS * 1_000_000);
    if time == DateTime::<Utc>::MAX_UTC {
        INFINITY
    } else if storable_time(time).is_none() {
        MINUS_INFINITY
    } else {
        since_epoch
    }
}

/// The time that PostgreSQL sends as microseconds since 2000; the furthest one of chrono's where that lies beyond.
pub(super) fn time_from_postgres(micros: i64) -> DateTime<Utc> {
    let furthest = if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    DateTime::from_timestamp(EPOCH_SECONDS, 0)
        .and_then(|epoch| epoch.checked_add_signed(TimeDelta::microseconds(micros)))
        .unwrap_or(furthest)
}

/// Whether PostgreSQL stores a time of so many microseconds since 2000: from 4714-11-24 BC to the year 294276, or infinity.
pub(super) fn is_postgres_time(micros: i64) -> bool {
    matches!(micros, INFINITY | MINUS_INFINITY)
        || (MIN_TIME_MICROS - EPOCH_SECONDS * 1_000_000..9_223_371_331_200_000_000)
            .contains(&micros)
}

fn normal_metadata(mut metadata: Metadata) -> AuthResult<Metadata> {
    normal_object(&mut metadata, 1)?;
    Ok(metadata)
}

fn normal_object(object: &mut Metadata, depth: usize) -> AuthResult<()> {
    for (key, value) in object {
        if !is_possible_text(key) {
            return Err(AuthError::validation("metadata", "holds a NUL character"));
        }
        normal_json(value, depth)?;
    }
    Ok(())
}

fn normal_json(value: &mut Value, depth: usize) -> AuthResult<()> {
    let depth = match value {
        Value::Object(_) | Value::Array(_) if depth == MAX_JSON_DEPTH => {
            let message = format!("is nested deeper than {MAX_JSON_DEPTH}");
            return Err(AuthError::validation("metadata", message));
        }
        Value::Object(_) | Value::Array(_) => depth + 1,
        _ => depth,
    };
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(number) => {
            *number = number::normal_number(number)?;
            Ok(())
        }
        Value::String(string) if is_possible_text(string) => Ok(()),
        Value::String(_) => Err(AuthError::validation("metadata", "holds a NUL character")),
        Value::Array(values) => values
            .iter_mut()
            .try_for_each(|value| normal_json(value, depth)),
        Value::Object(object) => normal_object(object, depth),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{postgres_micros, time_from_postgres};

    #[test]
    fn the_furthest_times_are_infinity() {
        for micros in [i64::MAX, i64::MIN, 0, 1, -1, 9_223_371_244_800_000] {
            assert_eq!(postgres_micros(time_from_postgres(micros)), micros);
        }
        let too_early = "-5000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(postgres_micros(too_early), i64::MIN);
    }

    #[test]
    fn times_beyond_chrono_are_the_furthest() {
        assert_eq!(time_from_postgres(i64::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(time_from_postgres(i64::MIN), DateTime::<Utc>::MIN_UTC);
        // The last microsecond that PostgreSQL stores, in the year 294276.
        assert_eq!(
            time_from_postgres(9_223_371_331_199_999_999),
            DateTime::<Utc>::MAX_UTC
        );
        assert_eq!(
            time_from_postgres(1).to_rfc3339(),
            "2000-01-01T00:00:00.000001+00:00"
        );
        assert_eq!(
            time_from_postgres(-1).to_rfc3339(),
            "1999-12-31T23:59:59.999999+00:00"
        );
    }
}
