//! Signing keys.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::iter;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::store::{Access, Repository, View, lost_to_another};
use super::table::{ListIndex, Row};
use crate::AuthResult;
use crate::adapters::input;
use crate::types::{CreateSigningKey, SigningKey};

/// All keys are in one list.
const ALL: ListIndex<SigningKey> = ListIndex::nth(0);
const LIST: &str = "";

impl Row for SigningKey {
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        LIST
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::once(Cow::Borrowed(LIST))
    }
}

impl<A: Access> Repository<A> {
    /// The store, which has its table from the start.
    pub(super) fn signing_keys(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn current(&self) -> AuthResult<Option<SigningKey>> {
        let now = self.0.clock().now();
        let newest = self.0.read(newest);
        Ok(newest.filter(|key| verifies(key, now)))
    }

    pub(super) fn list_signing_keys(&self) -> AuthResult<Vec<SigningKey>> {
        let now = self.0.clock().now();
        let read =
            |view: &mut View<'_>| (view.signing_keys()).list(&ALL, LIST, |key| verifies(key, now));
        let mut keys = self.0.read(read);
        keys.sort_by_key(|key| Reverse(key.generation));
        Ok(keys)
    }

    pub(super) fn rotate(
        &self,
        new: CreateSigningKey,
        older_than: Duration,
    ) -> AuthResult<SigningKey> {
        let now = self.0.clock().now();
        let new = input::new_signing_key(new, now)?;
        let (newest, _) = self.0.write_with_redo(
            |_| new.stripes(),
            |view| {
                let seen = newest(view);
                match seen {
                    Some(seen) if !input::is_rotation_due(&seen, older_than, now) => {
                        Ok((seen, None))
                    }
                    seen => Ok((create(view, &new, seen.as_ref()), Some(seen))),
                }
            },
            // Others may have rotated until the commit.
            |(_, replaced)| {
                let (new, replaced) = (new.clone(), replaced.clone());
                Box::new(move |view| {
                    let Some(seen) = &replaced else { return Ok(()) };
                    if newest(view) != *seen {
                        return Err(lost_to_another("signing key"));
                    }
                    create(view, &new, seen.as_ref());
                    Ok(())
                })
            },
        )?;
        Ok(newest)
    }
}

fn newest(view: &mut View<'_>) -> Option<SigningKey> {
    let keys = view.signing_keys().list(&ALL, LIST, |_| true);
    keys.into_iter().max_by_key(|key| key.generation)
}

fn create(view: &mut View<'_>, new: &SigningKey, newest: Option<&SigningKey>) -> SigningKey {
    let key = SigningKey {
        generation: newest.map_or(0, |newest| newest.generation) + 1,
        ..new.clone()
    };
    view.signing_keys().insert(key.clone());
    key
}

fn verifies(key: &SigningKey, now: DateTime<Utc>) -> bool {
    key.expires_at.is_none_or(|end| end > now)
}
