//! Users.

use std::iter;
use std::ops::ControlFlow;

use super::table::{Row, Table};
use super::{Access, Database, Tables, set};
use crate::adapters::input;
use crate::adapters::user_query::{Position, UserMatch, UserQuery};
use crate::types::{CreateUser, ListUsers, UpdateUser, User, UserFilter, UserOrder, UserPage};
use crate::{AuthError, AuthResult, ConflictField};

const BY_EMAIL: usize = 0;
const BY_USERNAME: usize = 1;
/// One list of all users, under the empty key.
const ALL: (usize, &str) = (0, "");

impl Row for User {
    const UNIQUE: usize = 2;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn position(&self) -> Position {
        (self.created_at, self.id.clone())
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<String>> {
        [self.email.clone(), self.username.clone()].into_iter()
    }

    fn list_keys(&self) -> impl Iterator<Item = String> {
        let (_, all) = ALL;
        iter::once(all.to_owned())
    }
}

impl<A: Access> Database<A> {
    pub(super) fn create_user(&self, user: CreateUser) -> AuthResult<User> {
        let user = input::new_user(user, input::now())?;
        self.0.write(move |Tables { users, .. }| {
            if users.contains(&user.id) {
                return Err(conflict(ConflictField::UserId));
            }
            check_names_are_free(users, &user)?;
            users.put(user.clone());
            Ok(user.clone())
        })
    }

    pub(super) fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
        Ok(self.0.read(|tables| tables.users.get(id)))
    }

    pub(super) fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> {
        Ok(self.user_by_name(BY_EMAIL, email))
    }

    pub(super) fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> {
        Ok(self.user_by_name(BY_USERNAME, username))
    }

    pub(super) fn list_users(&self, query: ListUsers) -> AuthResult<UserPage> {
        let Some(query) = UserQuery::new(query)? else {
            return Ok(UserPage::default());
        };
        let newest_first = query.order == UserOrder::NewestFirst;
        let (list, key) = ALL;
        let users = self.0.read(|Tables { users, .. }| {
            let mut found = Vec::new();
            users.walk(list, key, newest_first, Some(&query.after), |user| {
                if query.filter.matches(user) {
                    found.push(user.clone());
                }
                if found.len() > query.limit {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            found
        });
        Ok(query.page(users))
    }

    pub(super) fn count_users(&self, filter: UserFilter) -> AuthResult<u64> {
        let Some(filter) = UserMatch::new(filter) else {
            return Ok(0);
        };
        let (list, key) = ALL;
        Ok(self.0.read(|Tables { users, .. }| {
            let mut count = 0;
            users.walk(list, key, true, None, |user| {
                count += u64::from(filter.matches(user));
                ControlFlow::Continue(())
            });
            count
        }))
    }

    pub(super) fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User> {
        let update = input::user_update(update)?;
        if update == UpdateUser::default() {
            return self.get_user_by_id(id)?.ok_or(AuthError::UserNotFound);
        }
        let id = id.to_owned();
        let now = input::now();
        self.0.write(move |Tables { users, .. }| {
            let mut user = users
                .rely(&id, User::clone)
                .ok_or(AuthError::UserNotFound)?;
            apply(&mut user, update.clone());
            user.updated_at = input::next_update(user.updated_at, now);
            check_names_are_free(users, &user)?;
            users.put(user.clone());
            Ok(user)
        })
    }

    pub(super) fn delete_user(&self, id: &str) -> AuthResult<()> {
        let id = id.to_owned();
        self.0.write(move |tables| {
            if tables.users.remove(&id).is_some() {
                tables.remove_user_sessions(&id);
                tables.remove_user_accounts(&id);
            }
            Ok(())
        })
    }

    fn user_by_name(&self, index: usize, name: &str) -> Option<User> {
        let name = input::lookup_name(name)?;
        self.0
            .read(|Tables { users, .. }| users.get(&users.holder(index, &name)?))
    }
}

fn conflict(field: ConflictField) -> AuthError {
    AuthError::Conflict { field }
}

/// Checks that nobody else has the user's names.
fn check_names_are_free(users: &Table<User>, user: &User) -> AuthResult<()> {
    for (index, name, field) in [
        (BY_EMAIL, &user.email, ConflictField::Email),
        (BY_USERNAME, &user.username, ConflictField::Username),
    ] {
        let holder = name.as_ref().and_then(|name| users.holder(index, name));
        if holder.is_some_and(|holder| holder != user.id) {
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
