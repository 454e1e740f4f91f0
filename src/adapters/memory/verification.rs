//! Verifications.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::key::Key;
use super::store::{Access, Repository, View, lost_to_another};
use super::stored_verification::StoredVerification;
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use crate::AuthResult;
use crate::adapters::input;
use crate::adapters::verification_keys::{DIGEST_BYTES, NUMBER_BYTES, forms, stored_digest};
use crate::types::{CodeCheck, CreateVerification, Verification};

const MARKER_BY_PAIR: UniqueIndex<StoredVerification> = UniqueIndex::nth(0);
const BY_IDENTIFIER: ListIndex<StoredVerification> = ListIndex::nth(0);
const BY_VALUE: ListIndex<StoredVerification> = ListIndex::nth(1);
const BY_PAIR: ListIndex<StoredVerification> = ListIndex::nth(2);

impl<A: Access> Repository<A> {
    pub(super) fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification> {
        let now = self.0.clock().now();
        let (row, key) = input::new_keyed_verification(v, self.1.as_deref(), now)?;
        let hashed_value = key.map(|_| row.value.clone());
        let stored = match key {
            Some(key) => {
                let form = hashed_form(key, &row.value);
                StoredVerification::hashed(row, form, stand_in()?)
            }
            None => StoredVerification::new(row),
        };
        let stripes = stored.stripes();
        let created = self.0.write(
            |_| stripes,
            stored,
            |view, stored| {
                view.verifications().insert(stored.clone());
                Ok(stored.row)
            },
        )?;
        Ok(match hashed_value {
            Some(value) => Verification { value, ..created },
            None => created,
        })
    }

    pub(super) fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let forms = self.forms(value);
        let pairs = forms.map(|form| Key::composite(identifier, &form).into());
        Ok(with_value(self.newest_live(&BY_PAIR, pairs), value))
    }

    pub(super) fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(self.newest_live(&BY_IDENTIFIER, [identifier.into()]))
    }

    pub(super) fn get_verification_by_value(
        &self,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let newest = self.newest_live(&BY_VALUE, self.forms(value));
        Ok(with_value(newest, value))
    }

    pub(super) fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let forms = self.forms(value);
        let pairs = forms.map(|form| Key::composite(identifier, &form).into());
        Ok(with_value(self.consume(&BY_PAIR, pairs)?, value))
    }

    pub(super) fn consume_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        self.consume(&BY_IDENTIFIER, [identifier.into()])
    }

    /// Removes the rows of these keys of a list and returns the newest live one.
    fn consume<'a>(
        &self,
        list: &ListIndex<StoredVerification>,
        keys: impl IntoIterator<Item = Cow<'a, str>>,
    ) -> AuthResult<Option<Verification>> {
        let now_micros = self.0.clock().now_micros();
        let keys: Vec<_> = keys.into_iter().collect();
        let all = self.0.write_with_redo(
            |view| {
                let stripes = |key| view.verifications().stripes_of_list(list, key);
                let each = keys.iter().map(AsRef::as_ref).map(stripes);
                each.fold(Stripes::NONE, |all, one| all | one)
            },
            |view| {
                let rows = |key| view.verifications().list(list, key, |_| true);
                let each = keys.iter().map(AsRef::as_ref).flat_map(rows);
                let all: Vec<_> = each.collect();
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
        let find = |view: &mut View<'_>| {
            let mut verifications = view.verifications();
            verifications.newest_unexpired(&BY_IDENTIFIER, identifier, now_micros)
        };
        let check = |newest: &StoredVerification| {
            let is_right = self.forms(value).any(|form| form == newest.form());
            let guessed = is_right.then(|| newest.row.clone());
            attempts.check(newest.attempts, with_value(guessed, value))
        };
        let (check, _, _) = self.0.write_with_redo(
            |view| {
                let Some(newest) = find(view) else {
                    return Stripes::of(identifier);
                };
                if let CodeCheck::Accepted(_) = check(&newest) {
                    let mut verifications = view.verifications();
                    return verifications.stripes_of_list(&BY_IDENTIFIER, identifier);
                }
                newest.stripes()
            },
            |view| {
                let Some(newest) = find(view) else {
                    return Ok((CodeCheck::NotFound, None, Vec::new()));
                };
                let check = check(&newest);
                let mut all = Vec::new();
                if let CodeCheck::Accepted(_) = check {
                    let mut verifications = view.verifications();
                    all = verifications.list(&BY_IDENTIFIER, identifier, |_| true);
                }
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
        let verification = CreateVerification::new(identifier, value, expires_at);
        let stored = StoredVerification::marker(input::new_verification(verification, now)?);
        self.0.write_with_redo(
            |_| stored.stripes(),
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

    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method takes one lifetime of views"
    )]
    pub(super) fn delete_expired_verifications(&self) -> AuthResult<usize> {
        self.delete_dead(|view| view.verifications(), StoredVerification::has_expired)
    }

    /// The newest live row of these keys of a list.
    fn newest_live<'a>(
        &self,
        list: &ListIndex<StoredVerification>,
        keys: impl IntoIterator<Item = Cow<'a, str>, IntoIter: Clone>,
    ) -> Option<Verification> {
        let keys = keys.into_iter();
        self.0.read(|view| {
            let now_micros = self.0.clock().now_micros();
            let newest = |key: Cow<'_, str>| {
                let mut verifications = view.verifications();
                verifications.newest_live(list, &key, now_micros)
            };
            let newest = keys.clone().filter_map(newest).max_by(by_age);
            newest.map(|stored| stored.row)
        })
    }

    /// Every form in which a value may be stored.
    fn forms<'a>(&'a self, value: &'a str) -> impl Iterator<Item = Cow<'a, str>> + Clone {
        forms(value, self.1.as_deref(), hashed_form)
    }
}

fn newest_live(all: &[StoredVerification], now_micros: i64) -> Option<&StoredVerification> {
    let live = all.iter().filter(|stored| stored.is_live(now_micros));
    live.max_by(|one, other| by_age(one, other))
}

fn by_age(one: &StoredVerification, other: &StoredVerification) -> Ordering {
    let (one, other) = (&one.row, &other.row);
    (one.created_at, &one.id).cmp(&(other.created_at, &other.id))
}

/// The row with the value that it was found by.
fn with_value(row: Option<Verification>, value: &str) -> Option<Verification> {
    row.map(|mut row| {
        value.clone_into(&mut row.value);
        row
    })
}

/// The form in which a value is found that was stored with a key. No other value has it: stored text holds no NUL
/// character.
fn hashed_form(key: &[u8], value: &str) -> String {
    Key::composite(&URL_SAFE_NO_PAD.encode(key), value)
}

/// What a row shows in place of a hashed value.
fn stand_in() -> AuthResult<String> {
    let (mut number, mut digest) = ([0; NUMBER_BYTES], [0; DIGEST_BYTES]);
    input::fill_random(&mut number)?;
    input::fill_random(&mut digest)?;
    Ok(stored_digest(&number, &digest))
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
    } else if let Some(mut row) = view.verifications().remove(newest.key()) {
        // It has another place in the lists now.
        row.attempts = after;
        view.verifications().insert(row);
    }
}

/// Whether the marker is set now, and was not before.
fn reserve(view: &mut View<'_>, marker: &StoredVerification) -> bool {
    let now_micros = marker.row.created_at.timestamp_micros();
    let has_expired = |stored: &StoredVerification| stored.has_expired(now_micros);
    let mut verifications = view.verifications();
    if let Some(earlier) = verifications.find_unique(&MARKER_BY_PAIR, &marker.pair())
        && verifications
            .remove_if(earlier.as_str(), has_expired)
            .is_none()
    {
        return false;
    }
    verifications.insert(marker.clone());
    true
}
