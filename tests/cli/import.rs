//! `import`, and what other commands say of a database of Better Auth (TypeScript).

use crate::databases::{contents, execute, fresh, number};
use crate::program::run;

const TYPESCRIPT: &str = include_str!("../support/typescript.sql");
const ROWS: &str = "INSERT INTO \"user\" (id, name, email, \"emailVerified\") VALUES \
    ('1', 'Ada', 'ada@example.com', true), ('2', 'Ada', 'ADA@example.com', true), ('3', 'Bob', 'bob@example.com', false); \
    INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
    VALUES ('s', now() + '1 day', 'token', now(), '3')";

#[tokio::test]
async fn a_foreign_database_is_recognised_and_imported() {
    let (from, into) = (fresh("import_from").await, fresh("import_into").await);
    execute(&from, TYPESCRIPT).await;
    execute(&from, ROWS).await;
    let before = contents(&from).await;
    for command in ["migrate", "check"] {
        let refused = run(&from, &[command]).with_code(1);
        let said = refused.out + &refused.err;
        assert!(
            said.contains("TypeScript") && said.contains("better-auth import"),
            "{said}"
        );
    }
    assert_eq!(contents(&from).await, before);

    let import = ["import", "--from", &from, "--quiet"];
    let dry = run(&into, &[&import[..], &["--dry-run", "--json"]].concat())
        .with_code(1)
        .json();
    assert_eq!(dry["users"]["imported"], 2);
    assert_eq!(dry["left"][0]["id"], "2");
    assert_eq!(dry["left"][0]["kind"], "Conflict");
    assert!(contents(&into).await.is_empty());

    let imported = run(&into, &import).with_code(1);
    assert!(
        imported.out.contains("left: users 2: this email is taken"),
        "{}",
        imported.out
    );
    assert_eq!(number(&into, "SELECT count(*) FROM users").await, 2);
    let shown = run(&into, &["users", "show", "bob@example.com", "--json"]).with_code(0);
    assert!(shown.out.contains("bob@example.com"));
    run(&into, &["check"]).with_code(0);

    execute(&from, "DELETE FROM \"user\" WHERE id = '2'").await;
    let verified = run(&into, &[&import[..], &["--verify"]].concat()).with_code(0);
    assert!(verified.out.contains("there already"), "{}", verified.out);
    // Into the database of the source.
    run(&from, &["import", "--quiet"]).with_code(0);
    assert_eq!(number(&from, "SELECT count(*) FROM sessions").await, 1);
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_changed() {
    let into = fresh("import_wrong").await;
    let nowhere = "postgresql://better_auth:s3cr3t@localhost:1/app";
    run(&into, &["import", "--from", nowhere])
        .with_code(2)
        .refused("no connection");
    run(
        &into,
        &["import", "--from", "mysql://ada:s3cr3t@localhost/app"],
    )
    .with_code(2)
    .refused("url");
    run(&into, &["import"])
        .with_code(1)
        .refused("no table user or users");
    run(&into, &["import", "--verify", "--dry-run"]).with_code(2);
    run(nowhere, &["import"])
        .with_code(2)
        .refused("no connection");
    assert!(contents(&into).await.is_empty());
}
