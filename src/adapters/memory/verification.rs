//! Verifications.

use std::iter;
use std::ops::ControlFlow;

use super::table::{Row, joined};
use super::{Access, Change, Database, Tables};
use crate::adapters::input;
use crate::adapters::user_query::Position;
use crate::types::{CreateVerification, Verification};
use crate::{AuthError, AuthResult};

const BY_IDENTIFIER: usize = 0;
const BY_VALUE: usize = 1;
const BY_PAIR: usize = 2;

impl Row for Verification {
    const UNIQUE: usize = 0;
    const LISTS: usize = 3;

    fn key(&self) -> &str {
        &self.id
    }

    fn position(&self) -> Position {
        (self.created_at, self.id.clone())
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<String>> {
        iter::empty()
    }

    fn list_keys(&self) -> impl Iterator<Item = String> {
        let pair = joined(&self.identifier, &self.value);
        [self.identifier.clone(), self.value.clone(), pair].into_iter()
    }
}

impl<A: Access> Database<A> {
    pub(super) fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification> {
        let row = input::new_verification(v, input::now())?;
        self.0.write(move |Tables { verifications, .. }| {
            verifications.put(row.clone());
            Ok(row.clone())
        })
    }

    pub(super) fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(BY_PAIR, &joined(identifier, value)))
    }

    pub(super) fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(BY_IDENTIFIER, identifier))
    }

    pub(super) fn get_verification_by_value(
        &self,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(BY_VALUE, value))
    }

    pub(super) fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let pair = joined(identifier, value);
        let now_micros = input::now_micros();
        let take = |Tables { verifications, .. }: &Tables| {
            let all = verifications.list(BY_PAIR, &pair, |row| Some(row.clone()));
            for row in &all {
                verifications.remove(&row.id);
            }
            Ok(all)
        };
        // Others may have issued more of the pair until the commit, or used these up.
        let again = |all: &Vec<Verification>| -> Change {
            let all = all.clone();
            Box::new(move |Tables { verifications, .. }| {
                if let Some(newest) = newest_live(&all, now_micros)
                    && verifications.rely(&newest.id, |_| ()).is_none()
                {
                    return Err(used_by_another());
                }
                for row in &all {
                    verifications.remove(&row.id);
                }
                Ok(())
            })
        };
        let all = self.0.write_once(take, again)?;
        Ok(newest_live(&all, now_micros).cloned())
    }

    pub(super) fn delete_verification(&self, id: &str) -> AuthResult<()> {
        let id = id.to_owned();
        self.0.write(move |Tables { verifications, .. }| {
            verifications.remove(&id);
            Ok(())
        })
    }

    pub(super) fn delete_expired_verifications(&self) -> AuthResult<usize> {
        let now_micros = input::now_micros();
        let verifications = &self.0.tables().verifications;
        let dead = verifications.keys(&|row| !is_live(row, now_micros));
        self.remove_in_pieces(&dead, |Tables { verifications, .. }, id| {
            verifications.remove(id).is_some()
        })
    }

    fn newest_live(&self, list: usize, key: &str) -> Option<Verification> {
        self.0.read(|Tables { verifications, .. }| {
            let now_micros = input::now_micros();
            let mut newest = None;
            verifications.walk(list, key, true, None, |row| {
                if is_live(row, now_micros) {
                    newest = Some(row.clone());
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            newest
        })
    }
}

fn newest_live(newest_first: &[Verification], now_micros: i64) -> Option<&Verification> {
    newest_first.iter().find(|row| is_live(row, now_micros))
}

fn is_live(row: &Verification, now_micros: i64) -> bool {
    row.expires_at.timestamp_micros() > now_micros
}

fn used_by_another() -> AuthError {
    AuthError::Unavailable {
        message: "commit in memory: someone else used the same one-time token first; run the transaction again"
            .to_owned(),
        contention: true,
        source: None,
    }
}
