//! Verifications.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::key::Key;
use super::store::{Access, Repository, View, lost_to_another};
use super::stored_verification::StoredVerification;
use super::stripes::Stripes;
use super::table::{ListIndex, Row};
use crate::AuthResult;
use crate::adapters::input;
use crate::types::{CodeCheck, CreateVerification, Verification};

const BY_IDENTIFIER: ListIndex<StoredVerification> = ListIndex::nth(0);
const BY_VALUE: ListIndex<StoredVerification> = ListIndex::nth(1);
const BY_PAIR: ListIndex<StoredVerification> = ListIndex::nth(2);

impl<A: Access> Repository<A> {
    pub(super) fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification> {
        let row = input::new_verification(v, self.0.clock().now())?;
        let stored = StoredVerification::new(row);
        let stripes = stored.stripes();
        self.0.write(
            |_| stripes,
            stored,
            |view, stored| {
                view.verifications().insert(stored.clone());
                Ok(stored.row)
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
        self.consume(&BY_PAIR, &Key::composite(identifier, value))
    }

    pub(super) fn consume_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        self.consume(&BY_IDENTIFIER, identifier)
    }

    /// Removes the rows of a list and returns the newest live one.
    fn consume(
        &self,
        list: &ListIndex<StoredVerification>,
        key: &str,
    ) -> AuthResult<Option<Verification>> {
        let now_micros = self.0.clock().now_micros();
        let all = self.0.write_with_redo(
            |view| view.verifications().stripes_of_list(list, key),
            |view| {
                let all = view.verifications().list(list, key, |_| true);
                remove(view, &all);
                Ok(all)
            },
            // Others may have issued more of the list until the commit, or used these up.
            |all| {
                let all = all.clone();
                Box::new(move |view| {
                    if let Some(newest) = newest_live(&all, now_micros) {
                        rely_on(view, newest)?;
                    }
                    remove(view, &all);
                    Ok(())
                })
            },
        )?;
        Ok(newest_live(&all, now_micros).map(|newest| newest.row.clone()))
    }

    pub(super) fn check_code(
        &self,
        identifier: &str,
        value: &str,
        max_attempts: u32,
    ) -> AuthResult<CodeCheck> {
        let attempts = input::Attempts::new(max_attempts)?;
        let now_micros = self.0.clock().now_micros();
        let (check, _, _) = self.0.write_with_redo(
            |view| {
                view.verifications()
                    .stripes_of_list(&BY_IDENTIFIER, identifier)
            },
            |view| {
                let all = view
                    .verifications()
                    .list(&BY_IDENTIFIER, identifier, |_| true);
                let newest = all.iter().find(|stored| !stored.has_expired(now_micros));
                let Some(newest) = newest.cloned() else {
                    return Ok((CodeCheck::NotFound, None, Vec::new()));
                };
                let check = attempts.check(newest.row.clone(), newest.attempts, value);
                apply(view, attempts, &check, &newest, &all);
                Ok((check, Some(newest), all))
            },
            // Others may have guessed until the commit, or used it up.
            |(check, newest, all)| {
                let (check, newest, all) = (check.clone(), newest.clone(), all.clone());
                Box::new(move |view| {
                    if let Some(newest) = &newest {
                        rely_on(view, newest)?;
                        apply(view, attempts, &check, newest, &all);
                    }
                    Ok(())
                })
            },
        )?;
        Ok(check)
    }

    pub(super) fn reserve_verification(
        &self,
        identifier: &str,
        value: &str,
        expires_at: DateTime<Utc>,
    ) -> AuthResult<bool> {
        let now = self.0.clock().now();
        let row = input::reserved_verification(marker_id, identifier, value, expires_at, now)?;
        let stored = StoredVerification::new(row);
        self.0.write_with_redo(
            |_| stored.stripes() | Stripes::of(stored.key()),
            |view| Ok(reserve(view, &stored)),
            |reserved| {
                let (stored, reserved) = (stored.clone(), *reserved);
                Box::new(move |view| {
                    if reserved && !reserve(view, &stored) {
                        return Err(lost_to_another("marker"));
                    }
                    Ok(())
                })
            },
        )
    }

    pub(super) fn delete_verifications_by_identifier(&self, identifier: &str) -> AuthResult<()> {
        let removed = self.0.write_with_redo(
            |view| {
                let mut verifications = view.verifications();
                verifications.stripes_of_list(&BY_IDENTIFIER, identifier)
            },
            |view| {
                let all = view
                    .verifications()
                    .list(&BY_IDENTIFIER, identifier, |_| true);
                remove(view, &all);
                Ok(all)
            },
            // Not those that others issue until the commit.
            |all| {
                let all = all.clone();
                Box::new(move |view| {
                    remove(view, &all);
                    Ok(())
                })
            },
        );
        removed.map(drop)
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
        let expired = |stored: &StoredVerification| stored.has_expired(now_micros);
        let expired = self.0.read(|view| view.verifications().keys(expired));
        self.delete_in_batches(
            &expired,
            |view, id| view.verifications().stripes_of(id),
            |view, id| view.verifications().remove(id),
        )
    }

    fn newest_live(&self, list: &ListIndex<StoredVerification>, key: &str) -> Option<Verification> {
        self.0.read(|view| {
            let now_micros = self.0.clock().now_micros();
            let newest = view.verifications().newest_live(list, key, now_micros);
            newest.map(|stored| stored.row)
        })
    }
}

fn newest_live(
    newest_first: &[StoredVerification],
    now_micros: i64,
) -> Option<&StoredVerification> {
    newest_first
        .iter()
        .find(|stored| stored.is_live(now_micros))
}

fn remove(view: &mut View<'_>, all: &[StoredVerification]) {
    for stored in all {
        view.verifications().remove(stored.key());
    }
}

/// Fails a commit unless the row is there as it was seen.
fn rely_on(view: &mut View<'_>, seen: &StoredVerification) -> AuthResult<()> {
    let attempts = |stored: &StoredVerification| stored.attempts;
    if view.verifications().rely(seen.key(), attempts) == Some(seen.attempts) {
        return Ok(());
    }
    Err(lost_to_another("one-time token"))
}

/// Does what a check of the newest row of an identifier says, of which `all` are.
fn apply(
    view: &mut View<'_>,
    attempts: input::Attempts,
    check: &CodeCheck,
    newest: &StoredVerification,
    all: &[StoredVerification],
) {
    if let CodeCheck::Accepted(_) = check {
        remove(view, all);
        return;
    }
    let after = attempts.after_another(newest.attempts);
    if after == newest.attempts {
        return;
    }
    if after != input::USED_UP {
        let count = |stored: &mut StoredVerification| stored.attempts = after;
        view.verifications().update(newest.key(), count);
    } else if let Some(row) = view.verifications().remove(newest.key()) {
        // It has another place in the lists now.
        let attempts = after;
        view.verifications()
            .insert(StoredVerification { attempts, ..row });
    }
}

/// Whether the marker is set now, and was not before.
fn reserve(view: &mut View<'_>, marker: &StoredVerification) -> bool {
    let now_micros = marker.row.created_at.timestamp_micros();
    let has_expired = |stored: &StoredVerification| stored.has_expired(now_micros);
    match view.verifications().with(marker.key(), has_expired) {
        Some(false) => return false,
        Some(true) => {
            view.verifications().remove(marker.key());
        }
        None => {}
    }
    view.verifications().insert(marker.clone());
    true
}

/// The id of the marker of a pair. Nothing limits its length here, so it need not be a digest.
fn marker_id(pair: &str) -> String {
    format!("reserved:{}", URL_SAFE_NO_PAD.encode(pair))
}
