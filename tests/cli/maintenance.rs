//! `check`, `doctor`, `clean-up`, `hash-tokens`, `normalize-names`.

use better_auth::sqlx::{self, Connection as _, PgConnection};

use crate::databases::{contents, execute, migrated, number};
use crate::program::{Running, run};

async fn fill(url: &str) {
    execute(
        url,
        "INSERT INTO users (id, email, username) VALUES ('1', 'Ada@example.com', 'ada'), ('2', 'Bob@example.com', NULL), \
         ('3', 'bob@example.com', NULL); \
         INSERT INTO sessions (id, token, user_id, expires_at) \
         SELECT 's' || i, 's3cr3t' || i, '1', now() + (i % 2 - 0.5) * INTERVAL '2 hours' FROM generate_series(1, 20) AS i; \
         INSERT INTO verifications (id, identifier, value, expires_at) VALUES ('v', 'i', 's3cr3t', now())",
    )
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_found_and_mended() {
    let (url, database) = migrated("maintenance").await;
    database.close().await;
    fill(&url).await;
    execute(&url, "CREATE INDEX idx_users_email ON users (email)").await;
    let before = contents(&url).await;

    let check = run(&url, &["check"]).with_code(1);
    for words in [
        "advice  indexes: ",
        "idx_users_email",
        "wrong   names: 2 of 3 users",
        "ok      schema",
    ] {
        assert!(check.out.contains(words), "{words}: {}", check.out);
    }
    let check = run(&url, &["check", "--json"]).with_code(1).json();
    assert_eq!(check["ok"], false);
    assert_eq!(check["removableIndexes"][0], "idx_users_email");
    assert_eq!(check["plainSessionTokens"], true);
    let states = check["findings"].as_array().unwrap().iter();
    let states: Vec<_> = states
        .map(|it| (it["check"].as_str().unwrap(), it["state"].as_str().unwrap()))
        .collect();
    let expected = [
        ("schema", "ok"),
        ("indexes", "advice"),
        ("pooler", "ok"),
        ("names", "wrong"),
    ];
    assert_eq!(states, expected);
    assert_eq!(contents(&url).await, before);

    let doctor = run(&url, &["doctor"]).with_code(1);
    for words in [
        "server: PostgreSQL ",
        "clock: ",
        "connections: ",
        "advice  tokens: ",
        "isolation: ",
    ] {
        assert!(doctor.out.contains(words), "{words}: {}", doctor.out);
    }

    let cleaned = run(&url, &["clean-up"]).with_code(0);
    assert_eq!(cleaned.out, "10 sessions and 1 verification removed\n");
    assert!(
        cleaned
            .err
            .contains("removing expired sessions: 0 of about "),
        "{}",
        cleaned.err
    );
    let cleaned = run(&url, &["clean-up", "--json", "--quiet"]).with_code(0);
    assert_eq!(
        (&cleaned.json()["sessions"], &*cleaned.err),
        (&0.into(), "")
    );

    let hashed = run(&url, &["hash-tokens", "--json"]).with_code(0).json();
    assert_eq!(hashed["hashed"], 10);
    let hashed = run(&url, &["hash-tokens"]).with_code(0);
    assert_eq!(hashed.out, "0 session tokens hashed\n");

    let normalized = run(&url, &["normalize-names", "--json"])
        .with_code(1)
        .json();
    assert_eq!(normalized["changed"], 1);
    assert_eq!(normalized["skipped"][0]["userId"], "2");
    assert_eq!(normalized["skipped"][0]["kind"], "Conflict");
    execute(
        &url,
        "DELETE FROM users WHERE id = '2'; DROP INDEX idx_users_email",
    )
    .await;
    let normalized = run(&url, &["normalize-names"]).with_code(0);
    assert_eq!(normalized.out, "0 names changed\n");
    run(&url, &["check"]).with_code(0);
    run(&url, &["doctor"]).with_code(0);
}

/// While an index is built, there is no end of a batch to wait for.
#[tokio::test]
async fn a_signal_stops_a_migration_that_waits() {
    let (url, database) = migrated("stopped_migration").await;
    database.close().await;
    execute(
        &url,
        "DROP INDEX users_created_at_id_idx; DELETE FROM _better_auth_migrations WHERE version = 13",
    )
    .await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let write = "BEGIN; INSERT INTO users (id) VALUES ('1')";
    sqlx::raw_sql(write).execute(&mut other).await.unwrap();
    let mut running = Running::start(&url, &["migrate"]);
    running.wait_for("migration 13 of 23, users_created_at_id_idx: waiting for writers");
    running.signal("-TERM");
    let stopped = running.end().with_code(1);
    let last = stopped.err.lines().last().unwrap();
    assert!(last.contains("run `better-auth migrate` again"), "{last}");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    run(&url, &["migrate"]).with_code(0);
    run(&url, &["check"]).with_code(0);
}

/// Each row takes a while to be removed or changed, so that the signal comes in the middle of a batch.
#[tokio::test]
async fn a_signal_stops_between_two_batches() {
    let (url, database) = migrated("signal").await;
    database.close().await;
    execute(
        &url,
        "INSERT INTO users (id) VALUES ('1'); \
         INSERT INTO sessions (id, token, user_id, expires_at) SELECT i, 's3cr3t' || i, '1', now() - INTERVAL '1 hour' \
         FROM generate_series(1, 5000) AS i; ANALYZE; \
         CREATE FUNCTION slow() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.0005); \
         IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE UPDATE OR DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await;
    for (command, signal, words) in [
        ("hash-tokens", "-INT", "hashing session tokens"),
        ("clean-up", "-TERM", "removing expired sessions"),
    ] {
        let mut running = Running::start(&url, &[command]);
        running.wait_for(words);
        running.signal(signal);
        running.wait_for("stopping at the end of this batch");
        let run = running.end().with_code(1);
        let last = run.err.lines().last().unwrap();
        assert!(last.starts_with("better-auth: stopped ("), "{last}");
        assert!(
            last.contains(&format!("run `better-auth {command}` again")),
            "{last}"
        );
        let done: i64 = last.split(' ').find_map(|word| word.parse().ok()).unwrap();
        assert!(done % 1000 == 0 && done < 5000, "{last}");
        let left = match command {
            "hash-tokens" => {
                number(
                    &url,
                    "SELECT count(*) FROM sessions WHERE token LIKE 's3cr3t%'",
                )
                .await
            }
            _ => number(&url, "SELECT count(*) FROM sessions").await,
        };
        assert_eq!(done + left, 5000, "{last}");
        execute(&url, "ALTER TABLE sessions DISABLE TRIGGER slow").await;
        crate::program::run(&url, &[command]).with_code(0);
        execute(&url, "ALTER TABLE sessions ENABLE TRIGGER slow").await;
    }
}
