//! Accounts.

use std::iter;

use super::table::{Row, joined};
use super::{Access, Database, Tables, set};
use crate::adapters::input;
use crate::adapters::user_query::Position;
use crate::types::{Account, CreateAccount, UpdateAccount};
use crate::{AuthError, AuthResult, ConflictField};

const BY_PROVIDER: usize = 0;
const BY_USER: usize = 0;

impl Row for Account {
    const UNIQUE: usize = 1;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn position(&self) -> Position {
        (self.created_at, self.id.clone())
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<String>> {
        iter::once(Some(joined(&self.provider_id, &self.account_id)))
    }

    fn list_keys(&self) -> impl Iterator<Item = String> {
        iter::once(self.user_id.clone())
    }
}

impl<A: Access> Database<A> {
    pub(super) fn create_account(&self, account: CreateAccount) -> AuthResult<Account> {
        let account = input::new_account(account, input::now())?;
        self.0.write(
            move |Tables {
                      users, accounts, ..
                  }| {
                let key = joined(&account.provider_id, &account.account_id);
                if accounts.holder(BY_PROVIDER, &key).is_some() {
                    return Err(AuthError::Conflict {
                        field: ConflictField::Account,
                    });
                }
                if users.rely(&account.user_id, |_| ()).is_none() {
                    return Err(AuthError::UserNotFound);
                }
                accounts.put(account.clone());
                Ok(account.clone())
            },
        )
    }

    pub(super) fn get_account(&self, provider: &str, id: &str) -> AuthResult<Option<Account>> {
        let key = joined(provider, id);
        Ok(self
            .0
            .read(|Tables { accounts, .. }| accounts.get(&accounts.holder(BY_PROVIDER, &key)?)))
    }

    pub(super) fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>> {
        Ok(self.0.read(|Tables { accounts, .. }| {
            accounts.list(BY_USER, user_id, |account| Some(account.clone()))
        }))
    }

    pub(super) fn update_account(&self, id: &str, update: UpdateAccount) -> AuthResult<Account> {
        let update = input::account_update(update)?;
        if update == UpdateAccount::default() {
            let found = self.0.read(|Tables { accounts, .. }| accounts.get(id));
            return found.ok_or(AuthError::AccountNotFound);
        }
        let id = id.to_owned();
        let now = input::now();
        self.0.write(move |Tables { accounts, .. }| {
            let account = accounts.rely(&id, Account::clone);
            let mut account = account.ok_or(AuthError::AccountNotFound)?;
            apply(&mut account, update.clone());
            account.updated_at = input::next_update(account.updated_at, now);
            accounts.put(account.clone());
            Ok(account)
        })
    }

    pub(super) fn delete_account(&self, id: &str) -> AuthResult<()> {
        let id = id.to_owned();
        self.0.write(move |Tables { accounts, .. }| {
            accounts.remove(&id);
            Ok(())
        })
    }
}

impl Tables {
    pub(super) fn remove_user_accounts(&self, user_id: &str) {
        let id = |account: &Account| Some(account.id.clone());
        for id in self.accounts.list(BY_USER, user_id, id) {
            self.accounts.remove(&id);
        }
    }
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
