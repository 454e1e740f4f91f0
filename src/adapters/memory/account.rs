//! Accounts.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::store::{Access, Repository, View, lost_to_another, set};
use super::table::{ListIndex, Row, UniqueIndex};
use crate::adapters::input;
use crate::types::{Account, CREDENTIAL, CreateAccount, Linked, UpdateAccount};
use crate::{AuthError, AuthResult, ConflictField};

const BY_PROVIDER: UniqueIndex<Account> = UniqueIndex::nth(0);
pub(super) const BY_USER: ListIndex<Account> = ListIndex::nth(0);

impl Row for Account {
    const UNIQUE: usize = 1;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.user_id
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        let pair = Key::composite(&self.provider_id, &self.account_id);
        iter::once(Some(Cow::Owned(pair)))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::once(Cow::Borrowed(self.user_id.as_str()))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_account(&self, account: CreateAccount) -> AuthResult<Account> {
        let account = input::new_account(account, self.0.clock().now())?;
        let stripes = account.stripes();
        self.0.write(
            |_| stripes,
            account,
            |view, account| {
                let key = Key::composite(&account.provider_id, &account.account_id);
                if view.accounts().find_unique(&BY_PROVIDER, &key).is_some() {
                    return Err(AuthError::Conflict {
                        field: ConflictField::Account,
                    });
                }
                let user = view.users().rely(&account.user_id, |_| ());
                user.ok_or(AuthError::UserNotFound)?;
                view.accounts().insert(account.clone());
                Ok(account)
            },
        )
    }

    pub(super) fn link_account(&self, account: CreateAccount) -> AuthResult<(Account, Linked)> {
        let account = input::new_account(account, self.0.clock().now())?;
        let key = Key::composite(&account.provider_id, &account.account_id);
        self.0.write_with_redo(
            |view| {
                let linked = view.accounts().find_unique(&BY_PROVIDER, &key);
                let linked = linked.map(|id| view.accounts().stripes_of(id.as_str()));
                account.stripes() | linked.unwrap_or_default()
            },
            |view| link(view, account.clone()),
            // A commit that would do something else than what was answered fails.
            |(linked, outcome)| {
                let (account, id, outcome) = (account.clone(), linked.id.clone(), *outcome);
                Box::new(move |view| match link(view, account.clone()) {
                    Ok((linked, again)) if (&linked.id, again) == (&id, outcome) => Ok(()),
                    Ok(_) | Err(AuthError::AccountNotFound) => Err(lost_to_another("account")),
                    Err(error) => Err(error),
                })
            },
        )
    }

    pub(super) fn get_account(&self, provider: &str, id: &str) -> AuthResult<Option<Account>> {
        let key = Key::composite(provider, id);
        Ok(self.0.read(|view| {
            let id = view.accounts().find_unique(&BY_PROVIDER, &key)?;
            view.accounts().get(id.as_str())
        }))
    }

    pub(super) fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>> {
        let read = |view: &mut View<'_>| view.accounts().list(&BY_USER, user_id, |_| true);
        Ok(self.0.read(read))
    }

    pub(super) fn get_credential_account(&self, user_id: &str) -> AuthResult<Option<Account>> {
        let credential = |account: &Account| account.provider_id == CREDENTIAL;
        let read = |view: &mut View<'_>| view.accounts().list(&BY_USER, user_id, credential);
        Ok(self.0.read(read).into_iter().next())
    }

    pub(super) fn update_account(&self, id: &str, update: UpdateAccount) -> AuthResult<Account> {
        let update = input::account_update(update)?;
        if update == UpdateAccount::default() {
            let found = self.0.read(|view| view.accounts().get(id));
            return found.ok_or(AuthError::AccountNotFound);
        }
        let input = (id.to_owned(), update, self.0.clock().now());
        self.0.write(
            |view| view.accounts().stripe_of(id),
            input,
            |view, (id, update, now)| {
                let changed = view.accounts().update(&id, |account| {
                    apply(account, update);
                    account.updated_at = input::next_update(account.updated_at, now);
                    account.clone()
                });
                changed.ok_or(AuthError::AccountNotFound)
            },
        )
    }

    pub(super) fn delete_account(&self, id: &str) -> AuthResult<()> {
        self.0.write(
            |view| view.accounts().stripes_of(id),
            id.to_owned(),
            |view, id| {
                view.accounts().remove(&id);
                Ok(())
            },
        )
    }
}

fn link(view: &mut View<'_>, new: Account) -> AuthResult<(Account, Linked)> {
    let key = Key::composite(&new.provider_id, &new.account_id);
    let Some(id) = view.accounts().find_unique(&BY_PROVIDER, &key) else {
        let user = view.users().rely(&new.user_id, |_| ());
        user.ok_or(AuthError::UserNotFound)?;
        view.accounts().insert(new.clone());
        return Ok((new, Linked::Created));
    };
    let is_users = |account: &Account| account.user_id == new.user_id;
    if view.accounts().with(id.as_str(), is_users) == Some(false) {
        return Err(AuthError::Conflict {
            field: ConflictField::Account,
        });
    }
    let now = new.created_at;
    let refreshed = view.accounts().update(id.as_str(), |account| {
        apply(account, input::link_update(new));
        account.updated_at = input::next_update(account.updated_at, now);
        account.clone()
    });
    let refreshed = refreshed.ok_or(AuthError::AccountNotFound)?;
    Ok((refreshed, Linked::Refreshed))
}

fn apply(account: &mut Account, update: UpdateAccount) {
    let UpdateAccount {
        access_token,
        refresh_token,
        id_token,
        access_token_expires_at,
        refresh_token_expires_at,
        scope,
        password,
    } = update;
    set(&mut account.access_token, access_token);
    set(&mut account.refresh_token, refresh_token);
    set(&mut account.id_token, id_token);
    set(
        &mut account.access_token_expires_at,
        access_token_expires_at,
    );
    set(
        &mut account.refresh_token_expires_at,
        refresh_token_expires_at,
    );
    set(&mut account.scope, scope);
    set(&mut account.password, password);
}
