//! Device codes.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::store::{Access, Repository, View, lost_to_another};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use crate::adapters::input;
use crate::types::{CreateDeviceCode, DeviceCode, DeviceCodeStatus, DevicePoll, IssuedDeviceCode};
use crate::{AuthError, AuthResult};

const BY_USER_CODE: UniqueIndex<IssuedDeviceCode> = UniqueIndex::nth(0);
/// The codes that a user has approved.
pub(super) const BY_USER: ListIndex<IssuedDeviceCode> = ListIndex::nth(0);

/// Found by the code of the device itself: nobody reads memory as a table or a backup.
impl Row for IssuedDeviceCode {
    const UNIQUE: usize = 1;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.device_code
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    fn owner(&self) -> &str {
        &self.device_code
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        iter::once(Some(Cow::Borrowed(self.row.user_code.as_str())))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.row.user_id.as_deref().map(Cow::Borrowed).into_iter()
    }
}

impl<A: Access> Repository<A> {
    /// The store, which has its table from the start.
    pub(super) fn device_codes(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn create_device_code(
        &self,
        code: CreateDeviceCode,
    ) -> AuthResult<IssuedDeviceCode> {
        let mut issued = input::new_device_code(code, self.0.clock().now())?;
        loop {
            let stripes = issued.stripes();
            let created = self.0.write(
                |_| stripes,
                issued.clone(),
                |view, issued| {
                    let user_code = &issued.row.user_code;
                    let holder = view.device_codes().find_unique(&BY_USER_CODE, user_code);
                    if holder.is_some() {
                        return Ok(false);
                    }
                    view.device_codes().insert(issued);
                    Ok(true)
                },
            )?;
            if created {
                return Ok(issued);
            }
            issued.row.user_code = input::new_user_code()?;
        }
    }

    pub(super) fn get_device_code(&self, user_code: &str) -> AuthResult<Option<DeviceCode>> {
        let Some(code) = input::user_code(user_code) else {
            return Ok(None);
        };
        let now = self.0.clock().now();
        Ok(self.0.read(|view| {
            let key = view.device_codes().find_unique(&BY_USER_CODE, &code)?;
            let found = view
                .device_codes()
                .with(key.as_str(), |issued| issued.row.clone());
            found.filter(|row| row.expires_at > now)
        }))
    }

    pub(super) fn approve(&self, user_code: &str, user_id: &str) -> AuthResult<bool> {
        self.answer(user_code, Some(user_id))
    }

    pub(super) fn deny(&self, user_code: &str) -> AuthResult<bool> {
        self.answer(user_code, None)
    }

    /// Approves a code for a user, or denies it.
    fn answer(&self, user_code: &str, user_id: Option<&str>) -> AuthResult<bool> {
        let Some(code) = input::user_code(user_code) else {
            return Ok(false);
        };
        let user_id = user_id.map(str::to_owned);
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |view| {
                let key = view.device_codes().find_unique(&BY_USER_CODE, &code);
                let row = key.map(|key| view.device_codes().stripes_of(key.as_str()));
                let user = user_id.as_deref().map(Stripes::of);
                Stripes::of(&code) | row.unwrap_or_default() | user.unwrap_or_default()
            },
            |view| settle(view, &code, user_id.as_ref(), now),
            // Another caller may have answered until the commit.
            |answered| {
                let (was_answered, code, user_id) = (*answered, code.clone(), user_id.clone());
                Box::new(move |view| {
                    if was_answered && !settle(view, &code, user_id.as_ref(), now)? {
                        return Err(lost_to_another("code of a user"));
                    }
                    Ok(())
                })
            },
        )
    }

    pub(super) fn poll(
        &self,
        device_code: &str,
        client_id: Option<&str>,
    ) -> AuthResult<DevicePoll> {
        let client_id = client_id.map(str::to_owned);
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |view| view.device_codes().stripes_of(device_code),
            |view| Ok(answer_poll(view, device_code, client_id.as_ref(), now)),
            // Another poll may have used the code up until the commit. One that waits must not use up what was approved
            // meanwhile.
            |poll| {
                let was_approved = matches!(poll, DevicePoll::Approved { .. });
                if !was_approved && !matches!(poll, DevicePoll::Pending | DevicePoll::SlowDown) {
                    return Box::new(|_| Ok(()));
                }
                let (code, client_id) = (device_code.to_owned(), client_id.clone());
                Box::new(move |view| {
                    let is_pending =
                        |issued: &IssuedDeviceCode| issued.row.status == DeviceCodeStatus::Pending;
                    let is_pending = view.device_codes().rely(&code, is_pending);
                    if is_pending == Some(!was_approved) {
                        answer_poll(view, &code, client_id.as_ref(), now);
                    } else if was_approved {
                        return Err(lost_to_another("code of a device"));
                    }
                    Ok(())
                })
            },
        )
    }

    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method takes one lifetime of views"
    )]
    pub(super) fn delete_expired_device_codes(&self) -> AuthResult<usize> {
        self.delete_dead(
            |view| view.device_codes(),
            |issued, now_micros| issued.row.expires_at.timestamp_micros() <= now_micros,
        )
    }
}

/// Whether the code is answered by this call.
fn settle(
    view: &mut View<'_>,
    code: &str,
    user_id: Option<&String>,
    now: DateTime<Utc>,
) -> AuthResult<bool> {
    let found = view.device_codes().rely_unique(&BY_USER_CODE, code);
    let is_open = |issued: &IssuedDeviceCode| {
        issued.row.status == DeviceCodeStatus::Pending && issued.row.expires_at > now
    };
    let Some(mut issued) = found.filter(is_open) else {
        return Ok(false);
    };
    if let Some(user_id) = user_id {
        let user = view.users().rely(user_id, |_| ());
        user.ok_or(AuthError::UserNotFound)?;
    }
    issued.row.status = match user_id {
        Some(_) => DeviceCodeStatus::Approved,
        None => DeviceCodeStatus::Denied,
    };
    issued.row.user_id = user_id.cloned();
    issued.row.updated_at = input::next_update(issued.row.updated_at, now);
    // It is in the user's list now.
    view.device_codes().remove(&issued.device_code);
    view.device_codes().insert(issued);
    Ok(true)
}

fn answer_poll(
    view: &mut View<'_>,
    device_code: &str,
    client_id: Option<&String>,
    now: DateTime<Utc>,
) -> DevicePoll {
    let Some(issued) = view
        .device_codes()
        .rely(device_code, IssuedDeviceCode::clone)
    else {
        return DevicePoll::NotFound;
    };
    let row = issued.row;
    if row.client_id.as_ref() != client_id {
        return DevicePoll::NotFound;
    }
    if row.expires_at <= now {
        return DevicePoll::Expired;
    }
    match (row.status, row.user_id) {
        (DeviceCodeStatus::Pending, _) => {}
        (DeviceCodeStatus::Approved, Some(user_id)) => {
            view.device_codes().remove(device_code);
            let scope = row.scope;
            return DevicePoll::Approved { user_id, scope };
        }
        _ => return DevicePoll::Denied,
    }
    let too_soon = input::is_too_soon(row.last_polled_at, row.polling_interval, now);
    view.device_codes().update(device_code, |issued| {
        let row = &mut issued.row;
        row.last_polled_at = Some(now);
        row.updated_at = input::next_update(row.updated_at, now);
        if too_soon {
            row.polling_interval = input::slowed_down(row.polling_interval);
        }
    });
    if too_soon {
        DevicePoll::SlowDown
    } else {
        DevicePoll::Pending
    }
}
