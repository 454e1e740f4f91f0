use dashmap::DashMap;

use super::{Store, set};
use crate::adapters::rules;
use crate::types::{CreateUser, UpdateUser, User};
use crate::{AuthError, AuthResult, ConflictField};

impl Store {
    pub(super) fn create_user(&self, user: CreateUser) -> AuthResult<User> {
        let user = rules::new_user(user, rules::now())?;
        self.sequence.write(|| {
            if self.users.contains_key(&user.id) {
                return Err(conflict(ConflictField::UserId));
            }
            check_free(
                &self.emails,
                user.email.as_ref(),
                &user.id,
                ConflictField::Email,
            )?;
            check_free(
                &self.usernames,
                user.username.as_ref(),
                &user.id,
                ConflictField::Username,
            )?;
            reindex(&self.emails, None, user.email.as_ref(), &user.id);
            reindex(&self.usernames, None, user.username.as_ref(), &user.id);
            self.users.insert(user.id.clone(), user.clone());
            Ok(user)
        })
    }

    pub(super) fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
        Ok(self.sequence.read(|| self.user(id)))
    }

    pub(super) fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> {
        Ok(self.user_by_name(&self.emails, email))
    }

    pub(super) fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> {
        Ok(self.user_by_name(&self.usernames, username))
    }

    pub(super) fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User> {
        let update = rules::user_update(update)?;
        self.sequence.write(|| {
            let old = self.user(id).ok_or(AuthError::UserNotFound)?;
            if update == UpdateUser::default() {
                return Ok(old);
            }
            let mut new = old.clone();
            apply(&mut new, update);
            check_free(&self.emails, new.email.as_ref(), id, ConflictField::Email)?;
            check_free(
                &self.usernames,
                new.username.as_ref(),
                id,
                ConflictField::Username,
            )?;
            reindex(&self.emails, old.email.as_ref(), new.email.as_ref(), id);
            reindex(
                &self.usernames,
                old.username.as_ref(),
                new.username.as_ref(),
                id,
            );
            self.users.insert(new.id.clone(), new.clone());
            Ok(new)
        })
    }

    pub(super) fn delete_user(&self, id: &str) -> AuthResult<()> {
        self.sequence.write(|| {
            if let Some((_, user)) = self.users.remove(id) {
                reindex(&self.emails, user.email.as_ref(), None, id);
                reindex(&self.usernames, user.username.as_ref(), None, id);
                self.remove_user_sessions(id);
                self.remove_user_accounts(id);
            }
        });
        Ok(())
    }

    /// Within the sequence.
    pub(super) fn user(&self, id: &str) -> Option<User> {
        self.users.get(id).map(|user| user.clone())
    }

    fn user_by_name(&self, index: &DashMap<String, String>, name: &str) -> Option<User> {
        let name = rules::lookup_name(name)?;
        self.sequence.read(|| {
            let id = index.get(&name)?;
            self.user(&id)
        })
    }
}

fn conflict(field: ConflictField) -> AuthError {
    AuthError::Conflict { field }
}

/// Checks that nobody but this user has the name.
fn check_free(
    index: &DashMap<String, String>,
    name: Option<&String>,
    id: &str,
    field: ConflictField,
) -> AuthResult<()> {
    match name.and_then(|name| index.get(name)) {
        Some(holder) if *holder != id => Err(conflict(field)),
        _ => Ok(()),
    }
}

fn reindex(index: &DashMap<String, String>, old: Option<&String>, new: Option<&String>, id: &str) {
    if old == new {
        return;
    }
    if let Some(old) = old {
        index.remove(old);
    }
    if let Some(new) = new {
        index.insert(new.clone(), id.to_owned());
    }
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
    user.updated_at = rules::next_update(user.updated_at, rules::now());
}
