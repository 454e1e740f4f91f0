//! Second factors.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::store::{Access, Repository, View, lost_to_another};
use super::stripes::Stripes;
use super::table::Row;
use super::user;
use crate::adapters::input::{self, LockOut};
use crate::types::{Attempt, StepOutcome, TwoFactor, UpdateUser};
use crate::{AuthError, AuthResult, ConflictField};

impl Row for TwoFactor {
    fn key(&self) -> &str {
        &self.user_id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.user_id
    }
}

impl<A: Access> Repository<A> {
    /// The store, which has its table from the start.
    pub(super) fn two_factor(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn enroll(
        &self,
        user_id: &str,
        secret: &str,
        backup_codes: Option<&str>,
    ) -> AuthResult<TwoFactor> {
        let now = self.0.clock().now();
        let factor = input::new_two_factor(user_id, secret, backup_codes, now)?;
        self.0.write(
            |_| Stripes::of(user_id),
            factor,
            |view, factor| {
                let is_verified = |factor: &TwoFactor| factor.verified;
                match view.two_factors().with(&factor.user_id, is_verified) {
                    Some(true) => {
                        return Err(AuthError::Conflict {
                            field: ConflictField::TwoFactor,
                        });
                    }
                    Some(false) => drop(view.two_factors().remove(&factor.user_id)),
                    None => {}
                }
                let user = view.users().rely(&factor.user_id, |_| ());
                user.ok_or(AuthError::UserNotFound)?;
                view.two_factors().insert(factor.clone());
                Ok(factor)
            },
        )
    }

    pub(super) fn confirm(&self, user_id: &str, step: i64) -> AuthResult<TwoFactor> {
        let step = input::time_step(step)?;
        self.0.write(
            |view| view.users().stripes_of(user_id),
            (user_id.to_owned(), step, self.0.clock().now()),
            |view, (user_id, step, now)| {
                let confirmed = view.two_factors().update(&user_id, |factor| {
                    if factor.verified || lock(factor, now).is_some() {
                        return None;
                    }
                    factor.verified = true;
                    accept(factor, step, now);
                    Some(factor.clone())
                });
                let confirmed = confirmed.flatten().ok_or(AuthError::TwoFactorNotFound)?;
                set_flag(view, &user_id, true, now)?;
                Ok(confirmed)
            },
        )
    }

    pub(super) fn disable(&self, user_id: &str) -> AuthResult<()> {
        self.0.write(
            |view| view.users().stripes_of(user_id),
            (user_id.to_owned(), self.0.clock().now()),
            |view, (user_id, now)| {
                view.two_factors().remove(&user_id);
                // Another caller has stored it since, and it keeps its flag.
                if view.two_factors().contains(&user_id) {
                    return Ok(());
                }
                let is_set = |user: &std::sync::Arc<crate::types::User>| user.two_factor_enabled;
                if view.users().rely(&user_id, is_set) == Some(true) {
                    set_flag(view, &user_id, false, now)?;
                }
                Ok(())
            },
        )
    }

    pub(super) fn begin_attempt(
        &self,
        user_id: &str,
        max_failures: u32,
        lock_for: Duration,
    ) -> AuthResult<Attempt> {
        let lock_out = LockOut::new(max_failures, lock_for)?;
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |_| Stripes::of(user_id),
            |view| Ok(count(view, user_id, lock_out, now)),
            // Others may have used the attempts up until the commit, or forgotten them.
            |attempt| {
                let was_granted = match attempt {
                    Attempt::Granted(_) => true,
                    Attempt::Locked { .. } => false,
                    Attempt::NotEnrolled => return Box::new(|_| Ok(())),
                };
                let user_id = user_id.to_owned();
                Box::new(move |view| {
                    let attempt = count(view, &user_id, lock_out, now);
                    if matches!(attempt, Attempt::Granted(_)) == was_granted {
                        return Ok(());
                    }
                    Err(lost_to_another("attempt"))
                })
            },
        )
    }

    pub(super) fn accept_step(&self, user_id: &str, step: i64) -> AuthResult<StepOutcome> {
        let step = input::time_step(step)?;
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |_| Stripes::of(user_id),
            |view| Ok(use_step(view, user_id, step, now)),
            // Others may have used it until the commit.
            |outcome| {
                let was_accepted = *outcome == StepOutcome::Accepted;
                let user_id = user_id.to_owned();
                Box::new(move |view| {
                    if was_accepted && use_step(view, &user_id, step, now) != StepOutcome::Accepted
                    {
                        return Err(lost_to_another("time step"));
                    }
                    Ok(())
                })
            },
        )
    }

    pub(super) fn replace_backup_codes(
        &self,
        user_id: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> AuthResult<bool> {
        let new = input::backup_codes_text("new", new)?;
        let expected = expected.map(str::to_owned);
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |_| Stripes::of(user_id),
            |view| Ok(replace(view, user_id, expected.as_ref(), new.as_ref(), now)),
            // Others may have replaced them until the commit.
            |replaced| {
                let (was_replaced, user_id) = (*replaced, user_id.to_owned());
                let (expected, new) = (expected.clone(), new.clone());
                Box::new(move |view| {
                    if was_replaced
                        && !replace(view, &user_id, expected.as_ref(), new.as_ref(), now)
                    {
                        return Err(lost_to_another("set of backup codes"));
                    }
                    Ok(())
                })
            },
        )
    }
}

/// The end of a lock that lasts.
fn lock(factor: &TwoFactor, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    factor.locked_until.filter(|until| *until > now)
}

fn accept(factor: &mut TwoFactor, step: i64, now: DateTime<Utc>) {
    factor.last_used_step = Some(step);
    succeed(factor, now);
}

/// Forgets the attempts that were counted.
fn succeed(factor: &mut TwoFactor, now: DateTime<Utc>) {
    factor.failed_verification_count = 0;
    factor.locked_until = None;
    factor.updated_at = input::next_update(factor.updated_at, now);
}

/// As the next two, writes nothing if it refuses, so that a transaction goes on seeing what others commit.
fn count(view: &mut View<'_>, user_id: &str, lock_out: LockOut, now: DateTime<Utc>) -> Attempt {
    let locked = view.two_factors().rely(user_id, |factor| lock(factor, now));
    if let Some(Some(until)) = locked {
        return Attempt::Locked { until };
    }
    let counted = view.two_factors().update(user_id, |factor| {
        factor.updated_at = input::next_update(factor.updated_at, now);
        if factor.locked_until.take().is_some() {
            factor.failed_verification_count = 0;
        }
        if factor.failed_verification_count >= lock_out.max_failures {
            let until = lock_out.end(now);
            factor.locked_until = Some(until);
            return Attempt::Locked { until };
        }
        factor.failed_verification_count += 1;
        Attempt::Granted(factor.clone())
    });
    counted.unwrap_or(Attempt::NotEnrolled)
}

fn use_step(view: &mut View<'_>, user_id: &str, step: i64, now: DateTime<Utc>) -> StepOutcome {
    let outcome = view.two_factors().rely(user_id, |factor| {
        if !factor.verified {
            return StepOutcome::NotEnrolled;
        }
        if let Some(until) = lock(factor, now) {
            return StepOutcome::Locked { until };
        }
        if factor.last_used_step.is_some_and(|last| last >= step) {
            return StepOutcome::Replayed;
        }
        StepOutcome::Accepted
    });
    let outcome = outcome.unwrap_or(StepOutcome::NotEnrolled);
    if outcome == StepOutcome::Accepted {
        let used = |factor: &mut TwoFactor| accept(factor, step, now);
        view.two_factors().update(user_id, used);
    }
    outcome
}

fn replace(
    view: &mut View<'_>,
    user_id: &str,
    expected: Option<&String>,
    new: Option<&String>,
    now: DateTime<Utc>,
) -> bool {
    let is_replaced = view.two_factors().rely(user_id, |factor| {
        factor.backup_codes.as_ref() == expected && lock(factor, now).is_none()
    });
    if is_replaced == Some(true) {
        view.two_factors().update(user_id, |factor| {
            factor.backup_codes = new.cloned();
            succeed(factor, now);
        });
    }
    is_replaced == Some(true)
}

fn set_flag(
    view: &mut View<'_>,
    user_id: &str,
    is_enabled: bool,
    now: DateTime<Utc>,
) -> AuthResult<()> {
    let update = UpdateUser::new().with_two_factor_enabled(is_enabled);
    user::change(view, user_id, update, now).map(drop)
}
