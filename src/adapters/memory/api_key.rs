//! API keys.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::organization::check_organization;
use super::store::{Access, Repository, View, lost_to_another, set};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use crate::adapters::api_key_query::{ApiKeyQuery, Owner};
use crate::adapters::input;
use crate::types::{
    ApiKey, ApiKeyPage, ApiKeyUse, CreateApiKey, IssuedApiKey, ListApiKeys, UpdateApiKey,
};
use crate::{AuthError, AuthResult};

const BY_ID: UniqueIndex<IssuedApiKey> = UniqueIndex::nth(0);
/// The keys of a user or of an organization, by [`owner_of_user`] or [`owner_of_organization`].
pub(super) const BY_OWNER: ListIndex<IssuedApiKey> = ListIndex::nth(0);

/// Found by the key itself: nobody reads memory as a table or a backup.
impl Row for IssuedApiKey {
    const UNIQUE: usize = 1;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.key
    }

    fn id(&self) -> &str {
        &self.row.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    fn owner(&self) -> &str {
        &self.key
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        std::iter::once(Some(Cow::Borrowed(self.row.id.as_str())))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let user = self.row.user_id.as_deref().map(owner_of_user);
        let organization = self.row.organization_id.as_deref();
        let owner = user.or(organization.map(owner_of_organization));
        owner.map(Cow::Owned).into_iter()
    }
}

/// The list of a user's keys.
pub(super) fn owner_of_user(id: &str) -> String {
    Key::composite("user", id)
}

/// The list of an organization's keys.
pub(super) fn owner_of_organization(id: &str) -> String {
    Key::composite("organization", id)
}

impl<A: Access> Repository<A> {
    /// The store, which has its table from the start.
    pub(super) fn api_keys(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn create_api_key(&self, key: CreateApiKey) -> AuthResult<IssuedApiKey> {
        let issued = input::new_api_key(key, self.0.clock().now())?;
        let row = &issued.row;
        let owner = row.user_id.as_deref().or(row.organization_id.as_deref());
        let stripes = issued.stripes() | owner.map(Stripes::of).unwrap_or_default();
        self.0.write(
            |_| stripes,
            issued,
            |view, issued| {
                if let Some(user_id) = &issued.row.user_id {
                    let user = view.users().rely(user_id, |_| ());
                    user.ok_or(AuthError::UserNotFound)?;
                }
                if let Some(organization_id) = &issued.row.organization_id {
                    check_organization(view, organization_id)?;
                }
                view.api_keys().insert(issued.clone());
                Ok(issued)
            },
        )
    }

    pub(super) fn get_api_key(&self, id: &str) -> AuthResult<Option<ApiKey>> {
        Ok(self.0.read(|view| {
            let key = view.api_keys().find_unique(&BY_ID, id)?;
            view.api_keys()
                .with(key.as_str(), |issued| issued.row.clone())
        }))
    }

    pub(super) fn list_api_keys(&self, query: ListApiKeys) -> AuthResult<ApiKeyPage> {
        let Some(query) = ApiKeyQuery::new(query)? else {
            return Ok(ApiKeyPage::default());
        };
        let owner = match &query.owner {
            Owner::User(id) => owner_of_user(id),
            Owner::Organization(id) => owner_of_organization(id),
        };
        let rows = self
            .0
            .read(|view| view.api_keys().list(&BY_OWNER, &owner, |_| true));
        let (created_at, id) = &query.after;
        let is_after = |row: &ApiKey| (row.created_at, &row.id) < (*created_at, id);
        let rows = rows.into_iter().map(|issued| issued.row).filter(is_after);
        // One more tells whether there is a next page.
        Ok(query.page(rows.take(query.limit + 1).collect()))
    }

    pub(super) fn update_api_key(&self, id: &str, update: UpdateApiKey) -> AuthResult<ApiKey> {
        let update = input::api_key_update(update)?;
        if update == UpdateApiKey::default() {
            return self.get_api_key(id)?.ok_or(AuthError::ApiKeyNotFound);
        }
        self.0.write(
            |view| stripes_of(view, id),
            (id.to_owned(), update, self.0.clock().now()),
            |view, (id, update, now)| {
                let key = view.api_keys().find_unique(&BY_ID, &id);
                let key = key.ok_or(AuthError::ApiKeyNotFound)?;
                let changed = view.api_keys().update(key.as_str(), |issued| {
                    apply(&mut issued.row, update);
                    let updated_at = input::next_api_key_update(issued.row.updated_at, now);
                    issued.row.updated_at = updated_at;
                    issued.row.clone()
                });
                changed.ok_or(AuthError::ApiKeyNotFound)
            },
        )
    }

    pub(super) fn delete_api_key(&self, id: &str) -> AuthResult<()> {
        self.0.write(
            |view| stripes_of(view, id),
            id.to_owned(),
            |view, id| {
                if let Some(key) = view.api_keys().find_unique(&BY_ID, &id) {
                    view.api_keys().remove(key.as_str());
                }
                Ok(())
            },
        )
    }

    pub(super) fn use_key(&self, key: &str) -> AuthResult<ApiKeyUse> {
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |view| view.api_keys().stripe_of(key),
            |view| Ok(count(view, key, now)),
            // Others may have used it up until the commit. A refused use counts for nothing, then neither.
            |outcome| {
                let ApiKeyUse::Accepted(row) = outcome else {
                    return Box::new(|_| Ok(()));
                };
                let (key, was_counted) = (key.to_owned(), input::is_counted(row));
                Box::new(move |view| {
                    let is_counted =
                        |issued: &IssuedApiKey| input::is_counted(&issued.row) == was_counted;
                    let is_same = view.api_keys().rely(&key, is_counted) == Some(true);
                    let outcome = is_same.then(|| count(view, &key, now));
                    if was_counted && !matches!(outcome, Some(ApiKeyUse::Accepted(_))) {
                        return Err(lost_to_another("API key"));
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
    pub(super) fn delete_expired_api_keys(&self) -> AuthResult<usize> {
        self.delete_dead(
            |view| view.api_keys(),
            |issued, now_micros| {
                let end = issued.row.expires_at;
                end.is_some_and(|end| end.timestamp_micros() <= now_micros)
            },
        )
    }
}

/// Writes only what changes, so that a transaction goes on seeing what others commit.
fn count(view: &mut View<'_>, key: &str, now: DateTime<Utc>) -> ApiKeyUse {
    let Some(mut issued) = view.api_keys().rely(key, IssuedApiKey::clone) else {
        return ApiKeyUse::NotFound;
    };
    let before = issued.row.clone();
    let outcome = input::use_api_key(&mut issued.row, now);
    if issued.row != before {
        view.api_keys().update(key, |stored| *stored = issued);
    }
    outcome
}

fn stripes_of(view: &mut View<'_>, id: &str) -> Stripes {
    let key = view.api_keys().find_unique(&BY_ID, id);
    let row = key.map(|key| view.api_keys().stripes_of(key.as_str()));
    Stripes::of(id) | row.unwrap_or_default()
}

fn apply(row: &mut ApiKey, update: UpdateApiKey) {
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
    set(&mut row.name, name);
    set(&mut row.enabled, enabled);
    set(&mut row.refill_interval, refill_interval);
    set(&mut row.refill_amount, refill_amount);
    set(&mut row.rate_limit_enabled, rate_limit_enabled);
    set(&mut row.rate_limit_time_window, rate_limit_time_window);
    set(&mut row.rate_limit_max, rate_limit_max);
    set(&mut row.remaining, remaining);
    set(&mut row.expires_at, expires_at);
    set(&mut row.permissions, permissions);
    set(&mut row.metadata, metadata);
}
