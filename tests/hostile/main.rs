//! Text is data: whatever is given to whatever parameter, nothing but the named row changes, and the two adapters
//! answer the same.
//!
//! `HOSTILE_SEED` (64 hexadecimal digits, as each run shows them) chooses the random texts, `HOSTILE_CASES` how many.

#[path = "../support/calls.rs"]
mod calls;
mod credential_numbers;
mod credentials;
mod cursors;
mod expectations;
mod organizations;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod urls;
mod world;

use std::collections::BTreeSet;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::{AuthError, AuthResult};
use calls::{Answer, Call, Row};
use expectations::{creates, expected, held, lookups, places, removes, stored, templates, updates};
use proptest::strategy::{Strategy as _, ValueTree as _};
use sqlx::PgPool;
use support::hostile;
use support::seed::{Seed, announce};
use world::{Change, Snapshot, TARGET, World};

/// A text in a place of a call, after other calls that make the row that it names.
struct Try<'a> {
    about: String,
    setup: Vec<Call>,
    call: Call,
    place: &'a str,
    text: &'a str,
}

/// What came of the calls on one adapter.
struct Outcome {
    setup: Vec<Row>,
    answer: AuthResult<Answer>,
    /// What the looks at the row that was stored have found.
    found_again: Vec<Answer>,
}

/// The error's variant and field. Messages name the server, and so differ.
fn verdict(answer: &AuthResult<Answer>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(AuthError::Validation { field, .. }) => format!("Validation {field}"),
        Err(AuthError::Conflict { field }) => format!("Conflict {field:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// Whether these are the row alone. Lists show digests in place of tokens.
fn same_row(rows: &[Row], row: &Row) -> bool {
    rows.len() == 1
        && rows[0].columns.len() == row.columns.len()
        && rows[0]
            .columns
            .iter()
            .all(|(column, value)| column == "token" || row.columns[column] == *value)
}

impl Try<'_> {
    /// The pairs of the verifications that the calls may make.
    fn pairs(&self) -> Vec<(String, String)> {
        let calls = self.setup.iter().chain([&self.call]);
        let pair = |call: &Call| match call {
            Call::create_verification { v } => Some((v.identifier.clone(), v.value.clone())),
            Call::reserve_verification {
                identifier, value, ..
            } => Some((identifier.clone(), value.clone())),
            _ => None,
        };
        calls.filter_map(pair).collect()
    }

    async fn make(&self, database: &dyn DatabaseAdapter) -> Outcome {
        let mut setup = Vec::new();
        for call in &self.setup {
            setup.extend(call.make(database).await.unwrap().rows);
        }
        self.make_after(setup, database).await
    }

    async fn make_after(&self, setup: Vec<Row>, database: &dyn DatabaseAdapter) -> Outcome {
        let answer = self.call.make(database).await;
        let mut found_again = Vec::new();
        if let (true, Ok(answer)) = (stores(&self.call), &answer) {
            for lookup in answer.rows.iter().flat_map(lookups) {
                found_again.push(lookup.make(database).await.unwrap());
            }
        }
        Outcome {
            setup,
            answer,
            found_again,
        }
    }

    /// Makes the calls and undoes them, and answers what can be compared.
    async fn alone(&self, world: &mut World, baseline: &Snapshot) -> (String, Answer) {
        let mut setup = Vec::new();
        for call in &self.setup {
            setup.extend(call.make(world.database()).await.unwrap().rows);
        }
        let pairs = self.pairs();
        let before = if setup.is_empty() {
            baseline.clone()
        } else {
            world.snapshot(&pairs).await
        };
        let outcome = self.make_after(setup, world.database()).await;
        let after = world.snapshot(&pairs).await;
        self.check(&outcome);
        let target_session = world.session.id.as_str();
        self.check_change(&outcome, &Change::between(&before, &after), target_session);
        if after != *baseline {
            world.reset().await;
        }
        outcome.comparable()
    }

    /// The same in a transaction that is rolled back.
    async fn in_transaction(&self, world: &World) -> (String, Answer) {
        let transaction = world.database().begin().await.unwrap();
        let outcome = self.make(&transaction).await;
        self.check(&outcome);
        let after = transaction.get_user_by_id(TARGET).await;
        match (&outcome.answer, after) {
            (Ok(_), Ok(_)) | (Err(_), Err(AuthError::TransactionAborted)) => {}
            (answer, after) => panic!("{}: {after:?} after {}", self.about, verdict(answer)),
        }
        match transaction.rollback().await {
            Ok(()) | Err(AuthError::TransactionAborted) => {}
            Err(error) => panic!("{}: {error:?}", self.about),
        }
        outcome.comparable()
    }

    /// Fails unless the answer is the contract's, and holds the text as it was given.
    fn check(&self, outcome: &Outcome) {
        let about = &self.about;
        let expected = expected(&self.call, self.place, self.text, !self.setup.is_empty());
        let verdict = verdict(&outcome.answer);
        assert!(
            expected.is_none_or(|expected| expected == verdict),
            "{about}: {verdict}"
        );
        let Ok(answer) = &outcome.answer else { return };
        let method = self.call.method();
        if stores(&self.call) {
            let [row] = answer.rows.as_slice() else {
                panic!("{about}: {} rows", answer.rows.len());
            };
            if let Some((column, value)) = stored(method, self.place, self.text) {
                assert!(row.columns[column] == value, "{about}: {column} is another");
            }
            if updates(method) {
                let named = outcome
                    .setup
                    .last()
                    .map_or(Some(TARGET), |row| row.text("id"));
                let owner = row.text("user_id").or(row.text("id"));
                assert_eq!(owner, named, "{about}: the row of another");
            }
            assert!(!outcome.found_again.is_empty());
            for found in &outcome.found_again {
                assert!(found.rows.contains(row), "{about}: not found again");
            }
        } else if let Some(row) = outcome.setup.last() {
            match method {
                "list_users" => assert!(answer.rows.contains(row), "{about}: not listed"),
                "count_users" => assert!(answer.numbers[0] > 0, "{about}: not counted"),
                _ if method.starts_with("delete_") => {}
                _ => assert!(same_row(&answer.rows, row), "{about}: not found"),
            }
        } else if method.starts_with("get_")
            || method.starts_with("consume_")
            || ["check_code", "check_session", "refresh_session"].contains(&method)
        {
            assert!(answer.rows.is_empty(), "{about}: something was found");
        }
    }

    /// Fails where anything but the named row has changed.
    fn check_change(&self, outcome: &Outcome, change: &Change, target_session: &str) {
        let method = self.call.method();
        let mut expected = Change::default();
        let names = |rows: &[Row]| {
            let name = |row: &Row| (row.table.to_owned(), row.text("id").unwrap().to_owned());
            let mut names: Vec<_> = rows.iter().map(name).collect();
            names.sort();
            names
        };
        if let Ok(answer) = &outcome.answer {
            let last = outcome.setup.last().map(std::slice::from_ref);
            match method {
                _ if creates(method) => expected.added = names(&answer.rows),
                _ if updates(method) => expected.changed = names(&answer.rows),
                "delete_user" => expected.removed = names(&outcome.setup),
                _ if removes(method) => expected.removed = names(last.unwrap_or_default()),
                _ => {}
            }
            if method == "ban_user" && answer.rows.iter().any(|row| row.text("id") == Some(TARGET))
            {
                let session = ("sessions".to_owned(), target_session.to_owned());
                expected.removed.push(session);
            }
        }
        if let (Call::reserve_verification { .. }, Ok(_)) = (&self.call, &outcome.answer) {
            // The answer does not name the row.
            let [(table, id)] = change.added.as_slice() else {
                panic!("{}: {change:?}", self.about);
            };
            let is_digest_or_uuid = id.starts_with("sha256:") || id.len() == 36;
            assert!(table == "verifications" && is_digest_or_uuid, "{id}");
            expected.added.clone_from(&change.added);
        }
        assert_eq!(change, &expected, "{}", self.about);
    }
}

impl Outcome {
    fn comparable(&self) -> (String, Answer) {
        let answer = self.answer.as_ref().map(Answer::comparable);
        (verdict(&self.answer), answer.unwrap_or_default())
    }
}

/// Puts each of the texts into each place of the calls on both adapters, and answers how many tries that was. One of so
/// many is made in a transaction too.
async fn try_everywhere(
    database: SqlxAdapter,
    pool: PgPool,
    texts: &[(String, String)],
    chosen: impl Fn(&Call) -> bool,
    in_transaction: usize,
) -> usize {
    let mut tries = 0;
    let mut memory = World::in_memory().await;
    let mut postgres = World::in_postgres(database, pool).await;
    let stored = postgres.snapshot(&[]).await;
    for (number, template) in templates(&memory).into_iter().enumerate() {
        let places = if chosen(&template) {
            places(&template)
        } else {
            Vec::new()
        };
        for place in &places {
            for (name, text) in texts {
                let setups = [Some(Vec::new()), held(&template, place, text)];
                for setup in setups.into_iter().flatten() {
                    let attempt = |world: &World| Try {
                        about: format!("{}: {place} = {name}", template.method()),
                        setup: setup.clone(),
                        call: templates(world)[number].with(place, text),
                        place,
                        text,
                    };
                    let (left, right) = (attempt(&memory), attempt(&postgres));
                    let remembered = memory.snapshot(&[]).await;
                    let mut answers = vec![
                        left.alone(&mut memory, &remembered).await,
                        right.alone(&mut postgres, &stored).await,
                    ];
                    tries += 1;
                    if tries % in_transaction == 0 {
                        let (left, right) = (attempt(&memory), attempt(&postgres));
                        let remembered = memory.snapshot(&[]).await;
                        answers.push(left.in_transaction(&memory).await);
                        answers.push(right.in_transaction(&postgres).await);
                        assert!(
                            memory.snapshot(&left.pairs()).await == remembered,
                            "{}",
                            left.about
                        );
                        assert!(postgres.snapshot(&[]).await == stored, "{}", left.about);
                    }
                    let same = answers.windows(2).all(|answers| answers[0] == answers[1]);
                    assert!(same, "{}: the answers differ", left.about);
                }
            }
        }
    }
    tries
}

/// The corpus and some random texts.
fn texts() -> Vec<(String, String)> {
    let mut texts = hostile::corpus();
    let count = std::env::var("HOSTILE_CASES").map_or(25, |cases| cases.parse().unwrap());
    let seed = Seed::of_environment("HOSTILE_SEED");
    announce(format_args!("HOSTILE_SEED={seed}"));
    let mut runner = seed.runner(0);
    for _ in 0..count {
        let text = hostile::text().new_tree(&mut runner).unwrap().current();
        texts.push((format!("{text:?}"), text));
    }
    texts
}

async fn plain(pool: &PgPool) -> SqlxAdapter {
    SqlxAdapter::new(&support::url(pool)).await.unwrap()
}

async fn hashing(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&support::url(pool)).hash_session_tokens(true);
    builder.connect().await.unwrap()
}

#[tokio::test]
async fn every_place_of_every_method_is_tried() {
    let templates = templates(&World::in_memory().await);
    let methods: BTreeSet<&str> = templates.iter().map(Call::method).collect();
    assert_eq!(methods, Call::METHODS.iter().copied().collect());
    let each = |places: fn(&Call) -> Vec<String>| -> BTreeSet<_> {
        let each = templates.iter().flat_map(|call| {
            let named = move |place| (call.method(), place);
            places(call).into_iter().map(named)
        });
        each.collect()
    };
    assert_eq!(each(places), each(Call::places));
}

fn stores(call: &Call) -> bool {
    creates(call.method()) || updates(call.method())
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hostile_text_is_data_where_it_is_stored(pool: PgPool) {
    let tries = try_everywhere(plain(&pool).await, pool, &texts(), stores, 4).await;
    announce(format_args!("{tries} tries of hostile text, to be stored"));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hostile_text_is_data_where_it_is_looked_up(pool: PgPool) {
    let tries = try_everywhere(plain(&pool).await, pool, &texts(), |call| !stores(call), 4).await;
    announce(format_args!(
        "{tries} tries of hostile text, to be looked up"
    ));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hostile_text_is_data_where_tokens_are_hashed(pool: PgPool) {
    let of_sessions = |call: &Call| call.method().contains("session");
    let tries = try_everywhere(hashing(&pool).await, pool, &texts(), of_sessions, 4).await;
    announce(format_args!(
        "{tries} tries of hostile text, with hashed tokens"
    ));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn ten_megabytes_are_data_in_every_parameter(pool: PgPool) {
    let tries = try_everywhere(
        plain(&pool).await,
        pool,
        &hostile::giants(),
        |_| true,
        usize::MAX,
    )
    .await;
    announce(format_args!("{tries} tries of ten megabytes"));
}
