//! Passkeys.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::store::{Access, Repository, View, lost_to_another};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use crate::adapters::input;
use crate::types::{CreatePasskey, Passkey, PasskeyUse, User};
use crate::{AuthError, AuthResult, ConflictField};

const BY_ID: UniqueIndex<Passkey> = UniqueIndex::nth(0);
pub(super) const BY_USER: ListIndex<Passkey> = ListIndex::nth(0);

impl Row for Passkey {
    const UNIQUE: usize = 1;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.credential_id
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.user_id
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        iter::once(Some(Cow::Borrowed(self.id.as_str())))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::once(Cow::Borrowed(self.user_id.as_str()))
    }
}

impl<A: Access> Repository<A> {
    /// The store, which has its table from the start.
    pub(super) fn passkeys(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn create_passkey(&self, passkey: CreatePasskey) -> AuthResult<Passkey> {
        let passkey = input::new_passkey(passkey, self.0.clock().now())?;
        let stripes = passkey.stripes() | Stripes::of(&passkey.credential_id);
        self.0.write(
            |_| stripes,
            passkey,
            |view, passkey| {
                if view.passkeys().contains(&passkey.credential_id) {
                    return Err(AuthError::Conflict {
                        field: ConflictField::Passkey,
                    });
                }
                let user = view.users().rely(&passkey.user_id, |_| ());
                user.ok_or(AuthError::UserNotFound)?;
                view.passkeys().insert(passkey.clone());
                Ok(passkey)
            },
        )
    }

    pub(super) fn get_passkey_with_user(
        &self,
        credential_id: &str,
    ) -> AuthResult<Option<(Passkey, User)>> {
        Ok(self.0.read(|view| {
            let passkey = view.passkeys().get(credential_id)?;
            let user = view
                .users()
                .with(&passkey.user_id, |user| User::clone(user))?;
            Some((passkey, user))
        }))
    }

    pub(super) fn list_passkeys(&self, user_id: &str) -> AuthResult<Vec<Passkey>> {
        let read = |view: &mut View<'_>| view.passkeys().list(&BY_USER, user_id, |_| true);
        Ok(self.0.read(read))
    }

    pub(super) fn rename_passkey(
        &self,
        user_id: &str,
        id: &str,
        name: &str,
    ) -> AuthResult<Passkey> {
        let name = input::passkey_name(name)?;
        self.0.write(
            |view| stripes_of(view, id),
            (user_id.to_owned(), id.to_owned(), name),
            |view, (user_id, id, name)| {
                let key = find(view, &user_id, &id).ok_or(AuthError::PasskeyNotFound)?;
                let renamed = view.passkeys().update(key.as_str(), |passkey| {
                    passkey.name = Some(name);
                    passkey.clone()
                });
                renamed.ok_or(AuthError::PasskeyNotFound)
            },
        )
    }

    pub(super) fn delete_passkey(&self, user_id: &str, id: &str) -> AuthResult<()> {
        self.0.write(
            |view| stripes_of(view, id),
            (user_id.to_owned(), id.to_owned()),
            |view, (user_id, id)| {
                if let Some(key) = find(view, &user_id, &id) {
                    view.passkeys().remove(key.as_str());
                }
                Ok(())
            },
        )
    }

    pub(super) fn record_use(
        &self,
        credential_id: &str,
        counter: i64,
        backed_up: bool,
    ) -> AuthResult<PasskeyUse> {
        let counter = input::passkey_counter(counter)?;
        self.0.write_with_redo(
            |view| view.passkeys().stripe_of(credential_id),
            |view| Ok(record(view, credential_id, counter, backed_up)),
            // Others may have counted further until the commit.
            |outcome| {
                let was_accepted = *outcome == PasskeyUse::Accepted;
                let id = credential_id.to_owned();
                Box::new(move |view| {
                    if was_accepted && record(view, &id, counter, backed_up) != PasskeyUse::Accepted
                    {
                        return Err(lost_to_another("counter of a passkey"));
                    }
                    Ok(())
                })
            },
        )
    }
}

fn record(view: &mut View<'_>, credential_id: &str, counter: i64, backed_up: bool) -> PasskeyUse {
    let is_accepted = view.passkeys().rely(credential_id, |passkey| {
        input::is_counter_accepted(counter, passkey.counter)
    });
    match is_accepted {
        Some(true) => {}
        Some(false) => return PasskeyUse::ClonedAuthenticator,
        None => return PasskeyUse::NotFound,
    }
    view.passkeys().update(credential_id, |passkey| {
        passkey.counter = counter;
        passkey.backed_up = backed_up;
    });
    PasskeyUse::Accepted
}

/// The key of a passkey of the user.
fn find(view: &mut View<'_>, user_id: &str, id: &str) -> Option<Key> {
    let key = view.passkeys().find_unique(&BY_ID, id)?;
    let is_own = |passkey: &Passkey| passkey.user_id == user_id;
    (view.passkeys().with(key.as_str(), is_own) == Some(true)).then_some(key)
}

fn stripes_of(view: &mut View<'_>, id: &str) -> Stripes {
    let key = view.passkeys().find_unique(&BY_ID, id);
    let row = key.map(|key| view.passkeys().stripes_of(key.as_str()));
    Stripes::of(id) | row.unwrap_or_default()
}
