//! Verifications.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::store::{Access, Repository, lost_to_another};
use super::table::{ListIndex, Row};
use crate::AuthResult;
use crate::adapters::input;
use crate::types::{CreateVerification, Verification};

const BY_IDENTIFIER: ListIndex<Verification> = ListIndex::nth(0);
const BY_VALUE: ListIndex<Verification> = ListIndex::nth(1);
const BY_PAIR: ListIndex<Verification> = ListIndex::nth(2);

impl Row for Verification {
    const LISTS: usize = 3;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.identifier
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let pair = Key::composite(&self.identifier, &self.value);
        let (identifier, value) = (self.identifier.as_str(), self.value.as_str());
        [identifier.into(), value.into(), pair.into()].into_iter()
    }

    fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification> {
        let row = input::new_verification(v, self.0.clock().now())?;
        let stripes = row.stripes();
        self.0.write(
            |_| stripes,
            row,
            |view, row| {
                view.verifications().insert(row.clone());
                Ok(row)
            },
        )
    }

    pub(super) fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(&BY_PAIR, &Key::composite(identifier, value)))
    }

    pub(super) fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(&BY_IDENTIFIER, identifier))
    }

    pub(super) fn get_verification_by_value(
        &self,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(&BY_VALUE, value))
    }

    pub(super) fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let pair = Key::composite(identifier, value);
        let now_micros = self.0.clock().now_micros();
        let all = self.0.write_with_redo(
            |view| view.verifications().stripes_of_list(&BY_PAIR, &pair),
            |view| {
                let all = view.verifications().list(&BY_PAIR, &pair, |_| true);
                for row in &all {
                    view.verifications().remove(&row.id);
                }
                Ok(all)
            },
            // Others may have issued more of the pair until the commit, or used these up.
            |all| {
                let all = all.clone();
                Box::new(move |view| {
                    if let Some(newest) = newest_live(&all, now_micros)
                        && view.verifications().rely(&newest.id, |_| ()).is_none()
                    {
                        return Err(lost_to_another("one-time token"));
                    }
                    for row in &all {
                        view.verifications().remove(&row.id);
                    }
                    Ok(())
                })
            },
        )?;
        Ok(newest_live(&all, now_micros).cloned())
    }

    pub(super) fn delete_verification(&self, id: &str) -> AuthResult<()> {
        self.0.write(
            |view| view.verifications().stripes_of(id),
            id.to_owned(),
            |view, id| {
                view.verifications().remove(&id);
                Ok(())
            },
        )
    }

    pub(super) fn delete_expired_verifications(&self) -> AuthResult<usize> {
        let now_micros = self.0.clock().now_micros();
        let expired = |row: &Verification| !is_live(row, now_micros);
        let expired = self.0.read(|view| view.verifications().keys(expired));
        self.delete_in_batches(
            &expired,
            |view, id| view.verifications().stripes_of(id),
            |view, id| view.verifications().remove(id),
        )
    }

    fn newest_live(&self, list: &ListIndex<Verification>, key: &str) -> Option<Verification> {
        self.0.read(|view| {
            let now_micros = self.0.clock().now_micros();
            view.verifications().newest_live(list, key, now_micros)
        })
    }
}

fn newest_live(newest_first: &[Verification], now_micros: i64) -> Option<&Verification> {
    newest_first.iter().find(|row| is_live(row, now_micros))
}

fn is_live(row: &Verification, now_micros: i64) -> bool {
    row.expires_at.timestamp_micros() > now_micros
}
