//! A session opens by its own token, to the byte, and by no digest.

use std::collections::BTreeSet;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{AuthError, CreateSession, CreateUser, UpdateSession};
use proptest::prelude::*;
use sqlx::PgPool;

use crate::support::hostile;
use crate::support::seed::{Seed, announce};
use crate::world::far_future;
use crate::{hashing, plain};

const DIGEST_OF_NOTHING: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The id of the session that a token opens, as each method that takes a token says.
async fn opened(database: &dyn DatabaseAdapter, token: &str) -> Option<String> {
    let session = database.get_session(token).await.unwrap();
    assert!(
        session
            .as_ref()
            .is_none_or(|session| session.token == token)
    );
    let with_user = database.get_session_with_user(token).await.unwrap();
    assert_eq!(with_user.map(|(session, _)| session), session);
    let unchanged = database
        .update_session(token, UpdateSession::default())
        .await;
    let update = UpdateSession {
        active: Some(true),
        ..UpdateSession::default()
    };
    let changed = database.update_session(token, update).await;
    let moved = database.update_session_expiry(token, far_future()).await;
    let id = session.map(|session| session.id);
    for answer in [unchanged.map(Some), changed.map(Some), moved.map(|()| None)] {
        match answer {
            Ok(updated) => {
                assert!(id.is_some() && updated.is_none_or(|updated| Some(updated.id) == id));
            }
            Err(AuthError::SessionNotFound) => assert_eq!(id, None),
            Err(error) => panic!("{error:?}"),
        }
    }
    id
}

async fn stored(pool: &PgPool) -> BTreeSet<String> {
    let tokens: Vec<String> = sqlx::query_scalar("SELECT token FROM sessions")
        .fetch_all(pool)
        .await
        .unwrap();
    tokens.into_iter().collect()
}

/// Another program, or an import, may have stored any text as a token.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn any_stored_token_opens_its_session_unless_it_is_a_digest(pool: PgPool) {
    let databases = [plain(&pool).await, hashing(&pool).await];
    let user = databases[0].create_user(CreateUser::new()).await.unwrap();
    let corpus = hostile::corpus().into_iter().map(|(_, text)| text);
    let mut tokens: BTreeSet<String> = corpus.filter(|token| !token.contains('\0')).collect();
    // Who deletes "" deletes what may be its digest too.
    tokens.remove(DIGEST_OF_NOTHING);
    for token in &tokens {
        sqlx::query(
            "INSERT INTO sessions (id, token, user_id, expires_at) VALUES (md5($1), $1, $2, $3)",
        )
        .bind(token)
        .bind(&user.id)
        .bind(far_future())
        .execute(&pool)
        .await
        .unwrap();
    }
    for (number, token) in tokens.clone().iter().enumerate() {
        let database = &databases[number % 2];
        let id: String = sqlx::query_scalar("SELECT id FROM sessions WHERE token = $1")
            .bind(token)
            .fetch_one(&pool)
            .await
            .unwrap();
        let is_digest = token.starts_with("sha256:");
        assert_eq!(
            opened(database, token).await,
            (!is_digest).then_some(id),
            "{token:?}"
        );
        database.delete_session(token).await.unwrap();
        tokens.remove(token);
        assert_eq!(stored(&pool).await, tokens, "{token:?} was deleted");
    }
}

/// A token with something changed.
fn changed(token: &str) -> impl Strategy<Value = String> + use<> {
    let characters: Vec<char> = token.chars().collect();
    let change = (
        any::<prop::sample::Index>(),
        any::<char>(),
        hostile::text(),
        0..8,
    );
    let changed = change.prop_map(move |(at, character, text, kind)| {
        let token: String = characters.iter().collect();
        let mut changed = characters.clone();
        let at = at.index(changed.len());
        match kind {
            0 => return token.to_lowercase(),
            1 => return token.to_uppercase(),
            2 => return format!("sha256:{token}"),
            3 => return format!("{token}{text}"),
            4 => return format!("{text}{token}"),
            5 => changed.truncate(at),
            6 => changed.insert(at, character),
            _ => changed[at] = character,
        }
        changed.into_iter().collect()
    });
    prop_oneof![
        8 => changed,
        1 => "(?i)sha256:[0-9a-f]{62,66}",
        1 => "sha256:[0-9a-f]{64}",
        1 => hostile::text(),
    ]
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_changed_token_opens_nothing(pool: PgPool) {
    let databases: Vec<Box<dyn DatabaseAdapter>> = vec![
        Box::new(MemoryDatabaseAdapter::new()),
        Box::new(plain(&pool).await),
        Box::new(hashing(&pool).await),
    ];
    let seed = Seed::of_environment("HOSTILE_SEED");
    announce(format_args!("HOSTILE_SEED={seed}"));
    for database in databases {
        let user = database.create_user(CreateUser::new()).await.unwrap();
        let session = CreateSession::new(user.id, far_future());
        let session = database.create_session(session).await.unwrap();
        let listed = database.get_user_sessions(&session.user_id).await.unwrap();
        for shown in listed {
            let opened = opened(&*database, &shown.token).await;
            assert_eq!(opened.is_some(), shown.token == session.token, "a digest");
        }
        let runtime = tokio::runtime::Handle::current();
        let tried = tokio::task::spawn_blocking(move || {
            let outcome = seed.runner(150).run(&changed(&session.token), |token| {
                let opened = runtime.block_on(opened(&*database, &token));
                prop_assert_eq!(opened.is_some(), token == session.token);
                Ok(())
            });
            outcome.map_err(|error| error.to_string())
        });
        tried
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("HOSTILE_SEED={seed}\n{error}"));
    }
}
