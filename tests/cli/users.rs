//! `users` and `sessions`.

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CreateAccount, CreateSession, CreateUser};
use better_auth::{Session, User};

use crate::databases::{execute, migrated};
use crate::program::run;

async fn user(database: &SqlxAdapter, name: &str) -> User {
    let user = CreateUser::new()
        .with_email(format!("{name}@example.com"))
        .with_username(name)
        .with_name(format!("{name}\u{1b}[31m"));
    database.create_user(user).await.unwrap()
}

async fn session(database: &SqlxAdapter, user: &User) -> Session {
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    database.create_session(session).await.unwrap()
}

#[tokio::test]
async fn users_are_listed_by_pages_and_filters() {
    let (url, database) = migrated("list").await;
    for name in ["ada", "bob", "eve"] {
        user(&database, name).await;
    }
    let list = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["users", "list", "--json"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let json = run(&url, &arguments).with_code(0).json();
        let users = json["users"].as_array().unwrap().iter();
        let names: Vec<String> = users
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect();
        (names, json["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list(&[]).0, ["eve", "bob", "ada"]);
    assert_eq!(list(&["--oldest-first"]).0, ["ada", "bob", "eve"]);
    let (first, cursor) = list(&["--limit", "2"]);
    assert_eq!(first, ["eve", "bob"]);
    assert_eq!(
        list(&["--limit", "2", "--cursor", &cursor.unwrap()]).0,
        ["ada"]
    );
    assert_eq!(
        list(&["--limit", "1", "--all"]),
        (first.into_iter().chain(["ada".to_owned()]).collect(), None)
    );
    assert_eq!(
        list(&["--search", "BOB@", "--match", "starts-with"]).0,
        ["bob"]
    );
    assert_eq!(list(&["--search", "v", "--field", "username"]).0, ["eve"]);
    assert!(list(&["--banned"]).0.is_empty() && list(&["--verified"]).0.is_empty());
    assert!(list(&["--role", "admin"]).0.is_empty());
    let text = run(&url, &["users", "list", "--limit", "1"])
        .with_code(0)
        .out;
    assert!(
        text.starts_with("ID ") && text.contains("eve@example.com"),
        "{text}"
    );
    assert!(text.contains("next page: --cursor "), "{text}");
    assert!(
        !text.contains('\u{1b}'),
        "a name controls the terminal: {text:?}"
    );
}

/// Whatever a page holds, a list is one table or one document.
#[tokio::test]
async fn long_lists_are_written_page_by_page() {
    let (url, database) = migrated("long_list").await;
    database.close().await;
    execute(
        &url,
        "INSERT INTO users (id, email, created_at) SELECT i, i || '@example.com', to_timestamp(i) FROM generate_series(1, 2500) AS i; \
         INSERT INTO sessions (id, token, user_id, expires_at, created_at) SELECT i, 's3cr3t' || i, '7', \
         CASE i WHEN 1 THEN 'infinity' ELSE now() + '1 day' END, to_timestamp(i / 3) FROM generate_series(1, 2500) AS i",
    )
    .await;
    for (arguments, rows) in [
        (&["users", "list", "--all"][..], "users"),
        (&["sessions", "list", "7"], "sessions"),
    ] {
        let text = run(&url, arguments).with_code(0).out;
        assert_eq!(text.lines().count(), 2501);
        assert_eq!(text.matches("CREATED").count(), 1);
        let json = run(&url, &[arguments, &["--json"]].concat())
            .with_code(0)
            .json();
        let listed = json[rows].as_array().unwrap();
        let ids: std::collections::BTreeSet<&str> = listed
            .iter()
            .map(|row| row["id"].as_str().unwrap())
            .collect();
        assert_eq!((listed.len(), ids.len()), (2500, 2500));
        assert!(listed[0].get("token").is_none());
    }
    let revoked = run(&url, &["sessions", "revoke", "7", "--all"]).with_code(0);
    assert!(
        revoked.out.starts_with("2500 sessions of 7"),
        "{}",
        revoked.out
    );
    // A row on the third page cannot be read.
    execute(
        &url,
        "UPDATE users SET metadata = (repeat('{\"a\":', 200) || '1' || repeat('}', 200))::JSONB WHERE id = '5'",
    )
    .await;
    let broken = run(
        &url,
        &["users", "list", "--all", "--limit", "1000", "--json"],
    )
    .with_code(1);
    let json = broken.json();
    assert_eq!(json["users"].as_array().unwrap().len(), 2000);
    let cursor = json["nextCursor"].as_str().unwrap();
    assert_eq!(json["error"]["kind"], "Database");
    broken.refused("cannot be read");
    let rest = run(
        &url,
        &[
            "users", "list", "--limit", "400", "--cursor", cursor, "--json",
        ],
    )
    .with_code(0)
    .json();
    assert_eq!(rest["users"].as_array().unwrap().len(), 400);
}

#[tokio::test]
async fn a_user_is_shown_banned_and_deleted() {
    let (url, database) = migrated("user").await;
    let ada = user(&database, "ada").await;
    let mut account = CreateAccount::new(&ada.id, "credential", &ada.id);
    account.password = Some("s3cr3t".to_owned());
    database.create_account(account).await.unwrap();
    session(&database, &ada).await;
    for name in [&*ada.id, "ADA@example.com", "Ada"] {
        let shown = run(&url, &["users", "show", name]).with_code(0);
        assert!(
            shown.out.contains("ada@example.com") && shown.out.contains("account     credential"),
            "{}",
            shown.out
        );
    }
    let shown = run(&url, &["users", "show", "ada", "--json"])
        .with_code(0)
        .json();
    assert_eq!(
        (&shown["user"]["id"], &shown["sessions"]),
        (&ada.id.clone().into(), &1.into())
    );
    assert_eq!(shown["accounts"][0]["providerId"], "credential");
    run(&url, &["users", "show", "nobody"])
        .with_code(1)
        .refused("no user has this id, email or username");
    let error = run(&url, &["users", "show", "nobody", "--json"])
        .with_code(1)
        .json();
    assert_eq!(error["error"]["kind"], "UserNotFound");

    let until = "2099-01-01T00:00:00Z";
    let banned = run(
        &url,
        &["users", "ban", "ada", "--reason", "spam", "--until", until],
    )
    .with_code(0);
    assert_eq!(banned.out, format!("banned {} (ada@example.com)\n", ada.id));
    let now = database.get_user_by_id(&ada.id).await.unwrap().unwrap();
    assert!(now.is_banned_at(Utc::now()) && now.ban_reason.as_deref() == Some("spam"));
    assert!(
        database
            .get_user_sessions(&ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    let shown = run(&url, &["users", "show", "ada"]).with_code(0);
    assert!(
        shown.out.contains("yes until 2099-01-01T00:00:00Z: spam"),
        "{}",
        shown.out
    );
    let unbanned = run(&url, &["users", "unban", "ada", "--json"])
        .with_code(0)
        .json();
    assert_eq!(unbanned["banned"], false);

    run(&url, &["users", "delete", "ada"])
        .with_code(2)
        .refused("give --yes");
    assert!(database.get_user_by_id(&ada.id).await.unwrap().is_some());
    let deleted = run(&url, &["users", "delete", "ada", "--yes", "--json"])
        .with_code(0)
        .json();
    assert_eq!(deleted["deleted"], ada.id.as_str());
    assert!(database.get_user_by_id(&ada.id).await.unwrap().is_none());
}

#[tokio::test]
async fn sessions_are_listed_without_tokens_and_revoked() {
    let (url, database) = migrated("sessions").await;
    let (ada, bob) = (user(&database, "ada").await, user(&database, "bob").await);
    let sessions = [
        session(&database, &ada).await,
        session(&database, &ada).await,
    ];
    let of_bob = session(&database, &bob).await;
    let listed = run(&url, &["sessions", "list", "ada"]).with_code(0);
    let json = run(&url, &["sessions", "list", "ada", "--json"]).with_code(0);
    for session in &sessions {
        assert!(listed.out.contains(&session.id) && json.out.contains(&session.id));
        assert!(!listed.out.contains(&session.token) && !json.out.contains(&session.token));
    }
    assert_eq!(json.json()["sessions"].as_array().unwrap().len(), 2);

    let revoked = run(
        &url,
        &[
            "sessions",
            "revoke",
            "ada",
            &sessions[0].id,
            &of_bob.id,
            "--json",
        ],
    )
    .with_code(1)
    .json();
    assert_eq!(
        (&revoked["revoked"], &revoked["notFound"][0]),
        (&1.into(), &2.into())
    );
    // What was given may be a token.
    let token = sessions[1].token.as_str();
    for more in [&[][..], &["--json"]] {
        let revoked = run(
            &url,
            &[&["sessions", "revoke", "ada", token], more].concat(),
        )
        .with_code(1);
        assert!(
            !revoked.out.contains(token) && !revoked.err.contains(token),
            "{}",
            revoked.out
        );
    }
    let revoked = run(&url, &["sessions", "revoke", "ada", token]).with_code(1);
    assert!(
        revoked.out.contains("of the 1 id given, number 1"),
        "{}",
        revoked.out
    );
    assert!(database.get_session(token).await.unwrap().is_some());
    assert!(
        database
            .get_session(&sessions[0].token)
            .await
            .unwrap()
            .is_none()
    );
    assert!(database.get_session(&of_bob.token).await.unwrap().is_some());
    let revoked = run(&url, &["sessions", "revoke", "ada", &sessions[1].id]).with_code(0);
    assert_eq!(
        revoked.out,
        format!("1 session of {} (ada@example.com) revoked\n", ada.id)
    );
    let revoked = run(&url, &["sessions", "revoke", "bob", "--all"]).with_code(0);
    assert!(revoked.out.starts_with("1 session of "), "{}", revoked.out);
    assert!(database.get_session(&of_bob.token).await.unwrap().is_none());
}
