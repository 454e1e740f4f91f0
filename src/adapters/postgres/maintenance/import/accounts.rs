//! Which users have accounts that can be stored: one who has none could not sign in here.

use super::super::super::progress::Observer;
use super::hashes::Hashes;
use super::join::join;
use super::run::{MappedRow, Run};
use super::source::{Model, Source};
use super::target::Imported as _;
use super::verdict::Verdict;
use crate::AuthResult;
use crate::types::Account;

/// The users who have accounts, by whether these can be stored.
#[derive(Default)]
pub(super) struct Accounts {
    usable: Hashes,
    unusable: Hashes,
}

impl Accounts {
    /// Whether such a user could not sign in here.
    pub(super) fn all_are_unusable(&self, user: &str) -> bool {
        self.unusable.has(&user) && !self.usable.has(&user)
    }
}

impl Run<'_> {
    /// Finds the users of whom no account can be stored, before any user is stored.
    pub(super) async fn look_at_accounts(
        &mut self,
        source: &mut Source,
        observer: &mut Observer<'_>,
    ) -> AuthResult<()> {
        if !source.has(Model::Account) {
            return Ok(());
        }
        let total = source.estimated_rows(Model::Account);
        observer.begin("looking at accounts", total).await;
        let padded_columns = source.padded_columns(Model::Account);
        let mut taken = Hashes::default();
        let mut source = source.rows(Model::Account);
        let mut rows = source.next().await?;
        while !rows.is_empty() {
            let read = rows.len();
            let mut accounts = Vec::with_capacity(read);
            for row in rows {
                let MappedRow { user_id, row } = self.map::<Account>(&row, &padded_columns);
                match (row, user_id) {
                    (Ok(Some(account)), _) => accounts.push(account),
                    (Err(_), Some(user)) => self.accounts_of.unusable.add(&&*user),
                    _ => {}
                }
            }
            let (next, verdicts) = join(source.next(), self.judge_values(&accounts)).await;
            for (account, verdict) in accounts.iter().zip(verdicts?) {
                let mut values = account.unique_values();
                let is_usable = match verdict {
                    Verdict::Left(_) => false,
                    Verdict::Free => !values.iter().any(|value| taken.has(value)),
                    Verdict::Present | Verdict::Changed => true,
                };
                let user = &&*account.user_id;
                if is_usable {
                    self.accounts_of.usable.add(user);
                    values.drain(..).for_each(|value| taken.add(&value));
                } else {
                    self.accounts_of.unusable.add(user);
                }
            }
            rows = next?;
            observer.advance(read).await;
        }
        Ok(())
    }
}
