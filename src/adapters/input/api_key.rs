//! New API keys, updates of them, and what a use of one does.

use chrono::{DateTime, Utc};

use super::random::{new_id, new_token};
use super::text::{MAX_NAME_BYTES, each, given_key, optional_text, text_update};
use super::time::{later, normal_time};
use crate::types::{ApiKey, ApiKeyUse, CreateApiKey, IssuedApiKey, UpdateApiKey};
use crate::{AuthError, AuthResult};

/// How many letters of the random part the row shows.
const START_LETTERS: usize = 6;
/// The longest interval and window.
const MAX_MILLIS: i64 = 100 * 365 * 24 * 60 * 60 * 1000;
/// How long after a use the next one of a key without counters is written down.
const LAST_REQUEST: i64 = 60 * 1_000_000;

/// The row of a new API key with the key and an id.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field; [`AuthError::Unavailable`] if the operating system gives no random
/// bytes.
pub fn new_api_key(key: CreateApiKey, now: DateTime<Utc>) -> AuthResult<IssuedApiKey> {
    let CreateApiKey {
        user_id,
        organization_id,
        name,
        prefix,
        config_id,
        refill_interval,
        refill_amount,
        rate_limit_time_window,
        rate_limit_max,
        remaining,
        expires_at,
        permissions,
        metadata,
    } = key;
    if user_id.is_some() == organization_id.is_some() {
        let message = "is not the only owner: a key belongs to a user or to an organization";
        return Err(AuthError::validation("user_id", message));
    }
    if refill_interval.is_some() != refill_amount.is_some() {
        let message = "takes refill_interval and refill_amount, or neither";
        return Err(AuthError::validation("refill_interval", message));
    }
    if rate_limit_time_window.is_some() != rate_limit_max.is_some() {
        let message = "takes rate_limit_time_window and rate_limit_max, or neither";
        return Err(AuthError::validation("rate_limit_time_window", message));
    }
    let name_of = |field, name: Option<String>| {
        name.map(|name| given_key(field, name, MAX_NAME_BYTES))
            .transpose()
    };
    let now = to_millis(now);
    let mut row = ApiKey {
        name: name_of("name", name)?,
        prefix: name_of("prefix", prefix)?,
        user_id,
        organization_id,
        refill_interval: span("refill_interval", refill_interval)?,
        refill_amount: amount("refill_amount", refill_amount, 1)?,
        rate_limit_enabled: rate_limit_max.is_some(),
        rate_limit_time_window: span("rate_limit_time_window", rate_limit_time_window)?,
        rate_limit_max: amount("rate_limit_max", rate_limit_max, 1)?,
        remaining: amount("remaining", remaining, 0)?,
        expires_at: expires_at.map(end).transpose()?,
        permissions: optional_text("permissions", permissions)?,
        metadata: optional_text("metadata", metadata)?,
        ..ApiKey::new(new_id()?, now)
    };
    if let Some(config_id) = name_of("config_id", config_id)? {
        row.config_id = config_id;
    }
    let random = new_token()?;
    row.start = random.get(..START_LETTERS).map(str::to_owned);
    let key = row.prefix.clone().unwrap_or_default() + &random;
    Ok(IssuedApiKey { key, row })
}

/// The update in normal form.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field.
pub fn api_key_update(update: UpdateApiKey) -> AuthResult<UpdateApiKey> {
    let UpdateApiKey {
        name,
        enabled,
        refill_interval,
        refill_amount,
        rate_limit_enabled,
        rate_limit_time_window,
        rate_limit_max,
        remaining,
        expires_at,
        permissions,
        metadata,
    } = update;
    let span_of =
        |field, update: Option<Option<i64>>| update.map(|value| span(field, value)).transpose();
    let amount_of = |field, update: Option<Option<i32>>, least| {
        update.map(|value| amount(field, value, least)).transpose()
    };
    Ok(UpdateApiKey {
        name: each(name, |name| given_key("name", name, MAX_NAME_BYTES))?,
        enabled,
        refill_interval: span_of("refill_interval", refill_interval)?,
        refill_amount: amount_of("refill_amount", refill_amount, 1)?,
        rate_limit_enabled,
        rate_limit_time_window: span_of("rate_limit_time_window", rate_limit_time_window)?,
        rate_limit_max: amount_of("rate_limit_max", rate_limit_max, 1)?,
        remaining: amount_of("remaining", remaining, 0)?,
        expires_at: each(expires_at, end)?,
        permissions: text_update("permissions", permissions)?,
        metadata: text_update("metadata", metadata)?,
    })
}

/// `updated_at` of a key that changes at `now`: later than before, to the millisecond.
#[must_use]
pub fn next_api_key_update(previous: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    to_millis(now).max(later(previous, 1000))
}

/// Whether uses of a key are counted: it has a quota or a rate limit.
pub(in crate::adapters) fn is_counted(row: &ApiKey) -> bool {
    row.remaining.is_some() || rate_limit(row).is_some()
}

/// The window in milliseconds, and how many uses it has room for.
fn rate_limit(row: &ApiKey) -> Option<(i64, i32)> {
    let limit = row.rate_limit_time_window.zip(row.rate_limit_max);
    limit.filter(|_| row.rate_limit_enabled)
}

/// What a use of a key at `now` answers. The row is changed if something is to be written.
#[must_use]
pub fn use_api_key(row: &mut ApiKey, now: DateTime<Utc>) -> ApiKeyUse {
    if !row.enabled {
        return ApiKeyUse::Disabled;
    }
    if row.expires_at.is_some_and(|end| end <= now) {
        return ApiKeyUse::Expired;
    }
    let millis_later = |time: DateTime<Utc>, millis: i64| later(time, millis.saturating_mul(1000));
    let written = to_millis(now);
    if !is_counted(row) {
        let is_due = |last| later(last, LAST_REQUEST) <= now;
        if row.last_request.is_none_or(is_due) {
            row.last_request = Some(written);
        }
        return ApiKeyUse::Accepted(row.clone());
    }
    let mut window = None;
    if let Some((length, max)) = rate_limit(row) {
        let end = row
            .rate_limit_window_started_at
            .map(|start| millis_later(start, length));
        let running = end.filter(|end| *end > now);
        let count = running.map_or(0, |_| row.request_count);
        if let Some(end) = running
            && count >= max
        {
            let left = end.signed_duration_since(now).to_std();
            return ApiKeyUse::RateLimited {
                retry_after: left.unwrap_or_default(),
            };
        }
        window = Some((running.is_some(), count));
    }
    let refilled = (row.refill_interval.zip(row.refill_amount)).filter(|(interval, _)| {
        let last = row.last_refill_at.unwrap_or(row.created_at);
        row.remaining.is_some() && millis_later(last, *interval) <= now
    });
    let left = refilled.map(|(_, amount)| amount).or(row.remaining);
    if left.is_some_and(|left| left <= 0) {
        return ApiKeyUse::UsedUp;
    }
    if refilled.is_some() {
        row.last_refill_at = Some(written);
    }
    row.remaining = left.map(|left| left - 1);
    if let Some((is_running, count)) = window {
        row.request_count = count.saturating_add(1);
        if !is_running {
            row.rate_limit_window_started_at = Some(written);
        }
    }
    row.last_request = Some(written);
    ApiKeyUse::Accepted(row.clone())
}

fn end(time: DateTime<Utc>) -> AuthResult<DateTime<Utc>> {
    normal_time("expires_at", time).map(to_millis)
}

fn to_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

fn span(field: &'static str, millis: Option<i64>) -> AuthResult<Option<i64>> {
    match millis {
        Some(millis) if millis < 1 => Err(AuthError::validation(field, "is not positive")),
        Some(millis) if millis > MAX_MILLIS => {
            Err(AuthError::validation(field, "is longer than 100 years"))
        }
        millis => Ok(millis),
    }
}

fn amount(field: &'static str, amount: Option<i32>, least: i32) -> AuthResult<Option<i32>> {
    match amount {
        Some(amount) if amount < least => Err(AuthError::validation(
            field,
            format!("is less than {least}"),
        )),
        amount => Ok(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, span};

    #[test]
    fn spans_and_amounts_have_limits() {
        let century = 3_153_600_000_000;
        for millis in [None, Some(1), Some(century)] {
            assert_eq!(span("span", millis).unwrap(), millis);
        }
        for millis in [i64::MIN, -1, 0, century + 1, i64::MAX] {
            assert!(span("span", Some(millis)).is_err(), "{millis}");
        }
        for least in [0, 1] {
            assert_eq!(amount("amount", Some(least), least).unwrap(), Some(least));
            assert!(amount("amount", Some(least - 1), least).is_err());
        }
    }
}
