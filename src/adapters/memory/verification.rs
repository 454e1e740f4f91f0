use std::collections::BTreeSet;
use std::hash::Hash;

use chrono::{DateTime, Utc};
use dashmap::DashMap;

use super::{PIECE, Position, Store, index, unindex};
use crate::AuthResult;
use crate::adapters::rules;
use crate::types::{CreateVerification, Verification};

impl Store {
    pub(super) fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification> {
        let row = rules::new_verification(v, rules::now())?;
        self.sequence.write(|| {
            index(&self.identifiers, row.identifier.clone(), position(&row));
            index(&self.values, row.value.clone(), position(&row));
            index(&self.pairs, pair(&row), position(&row));
            self.verifications.insert(row.id.clone(), row.clone());
            Ok(row)
        })
    }

    pub(super) fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let pair = (identifier.to_owned(), value.to_owned());
        Ok(self.sequence.read(|| self.newest_live(&self.pairs, &pair)))
    }

    pub(super) fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        let identifier = identifier.to_owned();
        Ok(self
            .sequence
            .read(|| self.newest_live(&self.identifiers, &identifier)))
    }

    pub(super) fn get_verification_by_value(
        &self,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let value = value.to_owned();
        Ok(self
            .sequence
            .read(|| self.newest_live(&self.values, &value)))
    }

    pub(super) fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let pair = (identifier.to_owned(), value.to_owned());
        Ok(self.sequence.write(|| {
            let newest = self.newest_live(&self.pairs, &pair);
            if let Some((_, positions)) = self.pairs.remove(&pair) {
                for (_, id) in &positions {
                    self.remove_verification(id);
                }
            }
            newest
        }))
    }

    pub(super) fn delete_verification(&self, id: &str) -> AuthResult<()> {
        self.sequence.write(|| self.remove_verification(id));
        Ok(())
    }

    pub(super) fn delete_expired_verifications(&self) -> AuthResult<usize> {
        let now = rules::now();
        let dead: Vec<String> = self
            .verifications
            .iter()
            .filter(|row| !is_live(row, now))
            .map(|row| row.id.clone())
            .collect();
        let removed = dead.chunks(PIECE).map(|ids| {
            self.sequence.write(|| {
                let removed = ids.iter().filter(|id| self.remove_verification(id));
                removed.count()
            })
        });
        Ok(removed.sum())
    }

    fn newest_live<K: Eq + Hash>(
        &self,
        index: &DashMap<K, BTreeSet<Position>>,
        key: &K,
    ) -> Option<Verification> {
        let now = rules::now();
        let positions = index.get(key)?;
        positions.iter().rev().find_map(|(_, id)| {
            let row = self.verifications.get(id)?;
            is_live(&row, now).then(|| row.clone())
        })
    }

    fn remove_verification(&self, id: &str) -> bool {
        let Some((_, row)) = self.verifications.remove(id) else {
            return false;
        };
        unindex(&self.identifiers, &row.identifier, &position(&row));
        unindex(&self.values, &row.value, &position(&row));
        unindex(&self.pairs, &pair(&row), &position(&row));
        true
    }
}

fn is_live(row: &Verification, now: DateTime<Utc>) -> bool {
    row.expires_at > now
}

fn position(row: &Verification) -> Position {
    (row.created_at, row.id.clone())
}

fn pair(row: &Verification) -> (String, String) {
    (row.identifier.clone(), row.value.clone())
}
