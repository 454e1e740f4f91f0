//! Rows that a clean-up removes.

use better_auth::adapters::DatabaseAdapter;
use better_auth::{CreateSession, CreateUser, CreateVerification};
use chrono::{TimeDelta, Utc};

/// Adds so many expired sessions, of one user, and verifications.
pub(crate) async fn add_dead_rows(
    database: &dyn DatabaseAdapter,
    sessions: usize,
    verifications: usize,
) {
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let past = Utc::now() - TimeDelta::hours(1);
    for _ in 0..sessions {
        let dead = CreateSession::new(&user.id, past);
        database.create_session(dead).await.unwrap();
    }
    for _ in 0..verifications {
        let dead = CreateVerification::new("a", "1", past);
        database.create_verification(dead).await.unwrap();
    }
}
