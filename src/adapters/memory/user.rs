//! Users.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::account;
use super::api_key;
use super::device_code;
use super::key::Key;
use super::member;
use super::passkey;
use super::session;
use super::store::{Access, Repository, View, set};
use super::stripes::Stripes;
use super::table::{Row, UniqueIndex};
use crate::adapters::input;
use crate::adapters::user_query::{UserMatch, UserQuery};
use crate::types::{CreateUser, ListUsers, UpdateUser, User, UserFilter, UserPage};
use crate::{AuthError, AuthResult, ConflictField};

const BY_EMAIL: UniqueIndex<Arc<User>> = UniqueIndex::nth(0);
const BY_USERNAME: UniqueIndex<Arc<User>> = UniqueIndex::nth(1);

impl Row for Arc<User> {
    const UNIQUE: usize = 2;
    const IS_ORDERED: bool = true;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.id
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        let names = [&self.email, &self.username];
        names
            .into_iter()
            .map(|name| name.as_deref().map(Cow::Borrowed))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_user(&self, user: CreateUser) -> AuthResult<User> {
        let user = Arc::new(input::new_user(user, self.0.clock().now())?);
        let stripes = user.stripes();
        self.0.write(
            |_| stripes,
            Arc::clone(&user),
            |view, user| {
                if view.users().contains(&user.id) {
                    return Err(conflict(ConflictField::UserId));
                }
                check_names_are_free(view, &user)?;
                view.users().insert(user);
                Ok(())
            },
        )?;
        Ok(User::clone(&user))
    }

    pub(super) fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
        let read = |view: &mut View<'_>| view.users().with(id, |user| User::clone(user));
        Ok(self.0.read(read))
    }

    pub(super) fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> {
        Ok(self.user_by_name(&BY_EMAIL, email))
    }

    pub(super) fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> {
        Ok(self.user_by_name(&BY_USERNAME, username))
    }

    pub(super) fn list_users(&self, query: ListUsers) -> AuthResult<UserPage> {
        let Some(query) = UserQuery::new(query)? else {
            return Ok(UserPage::default());
        };
        let (created_at, id) = &query.after;
        let after = (created_at.timestamp_micros(), Key::new(id));
        let Some(snapshot) = self.0.read(|view| view.users().snapshot()) else {
            return Ok(UserPage::default());
        };
        let users = snapshot
            .after(&after, query.order)
            .filter(|user| query.filter.matches(user))
            // One more tells whether there is a next page.
            .take(query.limit + 1);
        Ok(query.page(users.map(|user| User::clone(user)).collect()))
    }

    pub(super) fn count_users(&self, filter: UserFilter) -> AuthResult<u64> {
        let Some(filter) = UserMatch::new(filter) else {
            return Ok(0);
        };
        let Some(snapshot) = self.0.read(|view| view.users().snapshot()) else {
            return Ok(0);
        };
        let users = snapshot.unordered().filter(|user| filter.matches(user));
        Ok(users.map(|_| 1).sum())
    }

    pub(super) fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User> {
        let update = input::user_update(update)?;
        if update == UpdateUser::default() {
            return self.get_user_by_id(id)?.ok_or(AuthError::UserNotFound);
        }
        let names = [&update.email, &update.username].map(|name| match name {
            Some(Some(name)) => Stripes::of(name),
            _ => Stripes::NONE,
        });
        let [email, username] = names;
        let input = (id.to_owned(), update, self.0.clock().now());
        let user = self.0.write(
            |view| view.users().stripes_of(id) | email | username,
            input,
            |view, (id, update, now)| change(view, &id, update, now),
        )?;
        Ok(User::clone(&user))
    }

    pub(super) fn get_users_by_ids(&self, ids: &[String]) -> AuthResult<Vec<User>> {
        input::check_ids(ids)?;
        Ok(self.0.read(|view| {
            let user = |id: &String| view.users().with(id, |user| User::clone(user));
            ids.iter().filter_map(user).collect()
        }))
    }

    pub(super) fn ban_user(
        &self,
        id: &str,
        reason: Option<String>,
        until: Option<DateTime<Utc>>,
    ) -> AuthResult<User> {
        let update = input::ban_update(reason, until)?;
        let now = self.0.clock().now();
        let (user, ended) = self.0.write_with_redo(
            |view| view.users().stripes_of(id),
            |view| {
                let user = change(view, id, update.clone(), now)?;
                let ended = view.sessions().remove_list(&session::BY_USER, id, None);
                Ok((user, ended))
            },
            // Not the sessions that others open until the commit.
            |(_, ended)| {
                let (id, update, tokens) = (id.to_owned(), update.clone(), session::tokens(ended));
                Box::new(move |view| {
                    change(view, &id, update.clone(), now)?;
                    session::remove(view, &tokens);
                    Ok(())
                })
            },
        )?;
        self.0.tables().sessions.sweep(ended, |_| {});
        Ok(User::clone(&user))
    }

    pub(super) fn unban_user(&self, id: &str) -> AuthResult<User> {
        self.update_user(id, UpdateUser::new().with_banned(false))
    }

    pub(super) fn delete_user(&self, id: &str) -> AuthResult<()> {
        let removed = self.0.write(
            |view| {
                let user = view.users().stripes_of(id);
                let accounts = view.accounts().stripes_of_list(&account::BY_USER, id);
                let passkeys = view.passkeys().stripes_of_list(&passkey::BY_USER, id);
                let codes = view
                    .device_codes()
                    .stripes_of_list(&device_code::BY_USER, id);
                let keys = api_key::owner_of_user(id);
                let keys = view.api_keys().stripes_of_list(&api_key::BY_OWNER, &keys);
                user | accounts | passkeys | codes | keys | member::stripes_of_user(view, id)
            },
            id.to_owned(),
            |view, id| {
                if view.users().remove(&id).is_none() {
                    return Ok(None);
                }
                let sessions = view.sessions().remove_list(&session::BY_USER, &id, None);
                let accounts = view.accounts().remove_list(&account::BY_USER, &id, None);
                member::remove_all_of_user(view, &id);
                view.two_factors().remove(&id);
                view.device_codes()
                    .remove_each(&device_code::BY_USER, &id, |_| true);
                let keys = api_key::owner_of_user(&id);
                view.api_keys()
                    .remove_each(&api_key::BY_OWNER, &keys, |_| true);
                view.passkeys()
                    .remove_each(&passkey::BY_USER, &id, |_| true);
                Ok(Some((sessions, accounts)))
            },
        )?;
        if let Some((sessions, accounts)) = removed {
            self.0.tables().sessions.sweep(sessions, |_| {});
            self.0.tables().accounts.sweep(accounts, |_| {});
        }
        Ok(())
    }

    fn user_by_name(&self, index: &UniqueIndex<Arc<User>>, name: &str) -> Option<User> {
        let name = input::lookup_name(name)?;
        self.0.read(|view| {
            let id = view.users().find_unique(index, &name)?;
            view.users().with(id.as_str(), |user| User::clone(user))
        })
    }
}

pub(super) fn change(
    view: &mut View<'_>,
    id: &str,
    update: UpdateUser,
    now: DateTime<Utc>,
) -> AuthResult<Arc<User>> {
    let user = view.users().rely(id, |user| User::clone(user));
    let mut user = user.ok_or(AuthError::UserNotFound)?;
    apply(&mut user, update);
    user.updated_at = input::next_update(user.updated_at, now);
    let user = Arc::new(user);
    check_names_are_free(view, &user)?;
    view.users().replace(Arc::clone(&user));
    Ok(user)
}

fn conflict(field: ConflictField) -> AuthError {
    AuthError::Conflict { field }
}

/// Checks that nobody else has the user's names.
fn check_names_are_free(view: &mut View<'_>, user: &User) -> AuthResult<()> {
    for (index, name, field) in [
        (BY_EMAIL, &user.email, ConflictField::Email),
        (BY_USERNAME, &user.username, ConflictField::Username),
    ] {
        let Some(name) = name else { continue };
        let holder = view.users().find_unique(&index, name);
        if holder.is_some_and(|holder| holder.as_str() != user.id) {
            return Err(conflict(field));
        }
    }
    Ok(())
}

fn apply(user: &mut User, update: UpdateUser) {
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
    set(&mut user.name, name);
    set(&mut user.email, email);
    set(&mut user.email_verified, email_verified);
    set(&mut user.image, image);
    set(&mut user.username, username);
    set(&mut user.display_username, display_username);
    set(&mut user.two_factor_enabled, two_factor_enabled);
    set(&mut user.role, role);
    set(&mut user.banned, banned);
    set(&mut user.ban_reason, ban_reason);
    set(&mut user.ban_expires, ban_expires);
    set(&mut user.metadata, metadata);
}
