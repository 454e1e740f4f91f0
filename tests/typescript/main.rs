//! Better Auth (TypeScript) and this crate on the same tables, as `docs/beside-typescript.md` says; `just typescript-check`.
//! What they share and what they do not is tried with the package itself.

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use better_auth::adapters::{DatabaseAdapter, Import, SqlxAdapter, Store};
use better_auth::{
    CreateInvitation, CreateSession, CreateUser, InvitationStatus, MemberLimits, Metadata,
    UpdateOrganization, UpdateUser,
};
use chrono::{TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::PgPool;

use support::{adapter, execute, url};

const SECRET: &str = "a secret of thirty-two characters";

/// Which tables Better Auth works on.
#[derive(Clone, Copy, PartialEq)]
enum Tables {
    Ours,
    /// It creates them.
    ItsOwn,
}

/// A process that runs Better Auth.
struct TypeScript {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl TypeScript {
    fn start(pool: &PgPool, tables: Tables) -> Self {
        Self::start_in(pool, tables, "public")
    }

    fn start_in(pool: &PgPool, tables: Tables, search_path: &str) -> Self {
        let database = url(pool);
        // The parameters of sqlx mean something else there.
        let database = database.split('?').next().unwrap();
        let mut process = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/typescript/auth.mjs"))
            .env("DATABASE_URL", database)
            .env("PGOPTIONS", format!("-c search_path={search_path}"))
            .env("BETTER_AUTH_SECRET", SECRET)
            .env(
                "OWN_TABLES",
                if tables == Tables::ItsOwn { "1" } else { "0" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is missing");
        Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    /// What a call answers, or the code of its error.
    fn call(&mut self, call: &Value) -> Result<Value, String> {
        self.send(call);
        self.answer()
    }

    fn send(&mut self, call: &Value) {
        writeln!(self.input, "{call}").unwrap();
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).expect("run `just typescript-check`");
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    fn sign_up(&mut self, email: &str) -> Value {
        let call = json!({"call": "signUp", "email": email, "password": "correct horse", "name": "Ada", "username": "Ada_1"});
        self.call(&call).unwrap()
    }

    fn session(&mut self, cookie: &str) -> Value {
        self.call(&json!({"call": "session", "cookie": cookie}))
            .unwrap()
    }
}

impl Drop for TypeScript {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// The cookie of a session: token, dot, signature, percent-encoded.
fn signed_cookie(token: &str) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    hmac.update(token.as_bytes());
    let signature = STANDARD.encode(hmac.finalize().into_bytes());
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("better-auth.session_token={token}.{signature}")
}

/// The token of a cookie, if the signature is right.
fn token_of(cookie: &str) -> &str {
    let token = cookie.split(['=', '.']).nth(2).unwrap();
    assert_eq!(signed_cookie(token), cookie);
    token
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_one_side_does_holds_on_the_other(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut there = TypeScript::start(&pool, Tables::Ours);

    // Signed up there, checked here.
    let signed_up = there.sign_up("ada@example.com");
    let id = text(&signed_up["user"]["id"]);
    let token = token_of(text(&signed_up["cookie"]));
    let (session, user) = database
        .get_session_with_user(token)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&*user.id, user.email.as_deref()),
        (id, Some("ada@example.com"))
    );
    assert_eq!(
        (user.username.as_deref(), user.display_username.as_deref()),
        (Some("ada_1"), Some("Ada_1"))
    );
    assert_eq!((&*session.user_id, user.email_verified), (id, false));
    let account = database.get_credential_account(id).await.unwrap().unwrap();
    assert_eq!(account.account_id, id);
    let (salt, key) = account
        .password
        .as_deref()
        .unwrap()
        .split_once(':')
        .unwrap();
    assert_eq!((salt.len(), key.len()), (32, 128));

    // Created here, opens there; changed here, seen there.
    let new = CreateSession::new(id, Utc::now() + TimeDelta::days(1));
    let created = database.create_session(new).await.unwrap();
    let cookie = signed_cookie(&created.token);
    assert_eq!(text(&there.session(&cookie)["user"]["id"]), id);
    let update = UpdateUser {
        name: Some(Some("Countess".to_owned())),
        ..UpdateUser::default()
    };
    database.update_user(id, update).await.unwrap();
    assert_eq!(text(&there.session(&cookie)["user"]["name"]), "Countess");

    // Ended on one side, ended on the other.
    database.delete_session(&created.token).await.unwrap();
    assert_eq!(there.session(&cookie), Value::Null);
    let cookie = text(&signed_up["cookie"]);
    there
        .call(&json!({"call": "signOut", "cookie": cookie}))
        .unwrap();
    assert_eq!(database.get_session(token).await.unwrap(), None);

    // Banned here, refused there.
    let sign_in =
        json!({"call": "signIn", "email": "ada@example.com", "password": "correct horse"});
    database
        .ban_user(id, Some("spam".to_owned()), None)
        .await
        .unwrap();
    let refused = there.call(&sign_in).unwrap_err();
    assert!(refused.contains("BANNED"), "{refused}");
    database.unban_user(id).await.unwrap();
    let signed_in = there.call(&sign_in).unwrap();
    let token = token_of(text(&signed_in["cookie"]));
    assert!(database.get_session(token).await.unwrap().is_some());

    // Deleted there, gone here.
    let delete =
        json!({"call": "deleteUser", "cookie": signed_in["cookie"], "password": "correct horse"});
    there.call(&delete).unwrap();
    assert_eq!(database.get_user_by_id(id).await.unwrap(), None);
    assert_eq!(database.get_session(token).await.unwrap(), None);

    // Deleted here, gone there.
    let signed_up = there.sign_up("bob@example.com");
    database
        .delete_user(text(&signed_up["user"]["id"]))
        .await
        .unwrap();
    assert_eq!(there.session(text(&signed_up["cookie"])), Value::Null);
}

/// A token that resets a password has one winner, whichever side gets it.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_reset_token_has_one_winner(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut there = TypeScript::start(&pool, Tables::Ours);
    let signed_up = there.sign_up("ada@example.com");
    let id = text(&signed_up["user"]["id"]);
    let mut won_here = 0;
    for round in 0..40_u64 {
        let requested = there
            .call(&json!({"call": "requestReset", "email": "ada@example.com"}))
            .unwrap();
        let token = text(&requested["token"]);
        there.send(&json!({"call": "reset", "token": token, "newPassword": "correct horse again"}));
        // A reset takes most of its time to hash the password: the races are spread over all of it.
        tokio::time::sleep(Duration::from_millis(round * 10)).await;
        let identifier = format!("reset-password:{token}");
        let here = database
            .consume_verification(&identifier, id)
            .await
            .unwrap();
        let there = there.answer();
        assert_ne!(here.is_some(), there.is_ok(), "{here:?} {there:?}");
        won_here += u32::from(here.is_some());
    }
    println!("{won_here} of 40 were won here");
}

/// What the page says does not go together.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_does_not_go_together(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut there = TypeScript::start(&pool, Tables::Ours);
    let signed_up = there.sign_up("ada@example.com");
    let (id, cookie) = (text(&signed_up["user"]["id"]), text(&signed_up["cookie"]));

    // `active = false` ends nothing there.
    execute(&pool, "UPDATE sessions SET active = FALSE").await;
    assert_eq!(database.get_session(token_of(cookie)).await.unwrap(), None);
    assert_eq!(text(&there.session(cookie)["user"]["id"]), id);
    // Unless it sees a view of the active ones.
    let view = "CREATE SCHEMA typescript; CREATE VIEW typescript.sessions AS SELECT * FROM public.sessions WHERE active";
    execute(&pool, view).await;
    let mut of_views = TypeScript::start_in(&pool, Tables::Ours, "typescript,public");
    assert_eq!(of_views.session(cookie), Value::Null);
    let signed_in =
        json!({"call": "signIn", "email": "ada@example.com", "password": "correct horse"});
    let signed_in = of_views.call(&signed_in).unwrap();
    assert_eq!(
        text(&of_views.session(text(&signed_in["cookie"]))["user"]["id"]),
        id
    );
    execute(&pool, "UPDATE sessions SET active = TRUE").await;

    // A hashed token opens nothing there.
    database.hash_stored_session_tokens().await.unwrap();
    assert!(
        database
            .get_session(token_of(cookie))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(there.session(cookie), Value::Null);

    // Metadata stays as it is.
    let metadata = Metadata::from_iter([("plan".to_owned(), json!("pro"))]);
    let update = UpdateUser {
        metadata: Some(metadata.clone()),
        ..UpdateUser::default()
    };
    database.update_user(id, update).await.unwrap();
    let again = json!({"call": "signIn", "email": "ada@example.com", "password": "correct horse"});
    there.call(&again).unwrap();
    assert_eq!(
        database.get_user_by_id(id).await.unwrap().unwrap().metadata,
        metadata
    );
}

/// Organizations, members and invitations of one side are those of the other.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn organizations_are_shared(pool: PgPool) {
    let database = adapter(&pool).await;
    let store = database.organizations().unwrap();
    let mut there = TypeScript::start(&pool, Tables::Ours);
    let ada = there.sign_up("ada@example.com");
    let (ada_id, cookie) = (text(&ada["user"]["id"]), text(&ada["cookie"]));

    // Made there, found here, with the metadata as an object.
    let create = json!({
        "call": "createOrganization", "cookie": cookie, "name": "Engines", "slug": "engines",
        "metadata": {"plan": "pro"},
    });
    let created = there.call(&create).unwrap();
    let id = text(&created["id"]);
    let found = store
        .get_organization_by_slug("Engines")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.id.as_str(), &found.metadata["plan"]),
        (id, &json!("pro"))
    );
    let owner = store.get_member(id, ada_id).await.unwrap().unwrap();
    assert!(owner.is_owner());
    let plain =
        json!({"call": "createOrganization", "cookie": cookie, "name": "Plain", "slug": "plain"});
    there.call(&plain).unwrap();
    let plain = store
        .get_organization_by_slug("plain")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(plain.metadata, Metadata::new());
    let update = json!({
        "call": "updateOrganization", "cookie": cookie, "organizationId": id, "metadata": {"plan": "free"},
    });
    there.call(&update).unwrap();
    let found = store.get_organization(id).await.unwrap().unwrap();
    assert_eq!(found.metadata["plan"], json!("free"));

    // Made here, found there, where it is an object and no text.
    let update = UpdateOrganization::new()
        .with_metadata(Metadata::from_iter([("seats".to_owned(), json!(7))]));
    store
        .update_organization(id, update.with_name("Renamed"))
        .await
        .unwrap();
    let full = json!({"call": "fullOrganization", "cookie": cookie, "organizationId": id});
    let full = there.call(&full).unwrap();
    assert_eq!(
        (&full["name"], &full["metadata"]),
        (&json!("Renamed"), &json!({"seats": 7}))
    );
    assert_eq!(full["members"][0]["role"], "owner");

    // Invited there, accepted here.
    let invite = json!({
        "call": "invite", "cookie": cookie, "organizationId": id, "email": "Grace@example.com", "role": "member",
    });
    let invited = there.call(&invite).unwrap();
    let grace = CreateUser::new()
        .with_email("grace@example.com")
        .with_email_verified(true);
    let grace = database.create_user(grace).await.unwrap();
    let accepted = store.accept_invitation(
        text(&invited["id"]),
        &grace.id,
        true,
        MemberLimits::default(),
    );
    accepted.await.unwrap();

    // Invited here, accepted there.
    let until = Utc::now() + TimeDelta::hours(1);
    let invitation =
        CreateInvitation::new(id, "joan@example.com", ada_id, until).with_role("admin");
    let invitation = store.create_invitation(invitation).await.unwrap();
    let sign_up = json!({
        "call": "signUp", "email": "joan@example.com", "password": "correct horse", "name": "Joan", "username": "joan",
    });
    let joan = there.call(&sign_up).unwrap();
    let accept = json!({
        "call": "acceptInvitation", "cookie": text(&joan["cookie"]), "invitationId": invitation.id,
    });
    there.call(&accept).unwrap();
    assert!(there.call(&accept).is_err());
    let member = store
        .get_member(id, text(&joan["user"]["id"]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(member.role, "admin");
    assert_eq!(store.count_members(id).await.unwrap(), 3);
    let found = store.get_invitation(&invitation.id).await.unwrap().unwrap();
    assert_eq!(found.invitation.status, InvitationStatus::Accepted);
}

/// Sessions go on opening when they are copied from its own tables, and its passwords too.
#[sqlx::test(migrations = false)]
async fn its_own_tables_are_imported(pool: PgPool) {
    let mut there = TypeScript::start(&pool, Tables::ItsOwn);
    let signed_up = there.sign_up("ada@example.com");
    let database = adapter(&pool).await;
    let refusal = database.migrate().await.unwrap_err().to_string();
    assert!(refusal.contains("TypeScript"), "{refusal}");
    let report = database.import(Import::from_same_database()).await.unwrap();
    assert_eq!(
        (
            report.left_count(),
            report.users.imported,
            report.sessions.imported
        ),
        (0, 1, 1),
        "{report:?}"
    );
    let token = token_of(text(&signed_up["cookie"]));
    let (_, user) = database
        .get_session_with_user(token)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(user.username.as_deref(), Some("ada_1"));
    // And go on there, on our tables: those of its organization plugin are made empty.
    let builder = SqlxAdapter::builder(&url(&pool)).stores([Store::Organizations]);
    let with_organizations = builder.connect().await.unwrap();
    with_organizations.migrate().await.unwrap();
    let mut on_ours = TypeScript::start(&pool, Tables::Ours);
    assert_eq!(
        text(&on_ours.session(text(&signed_up["cookie"]))["user"]["id"]),
        user.id
    );
    on_ours
        .call(&json!({"call": "signIn", "email": "ada@example.com", "password": "correct horse"}))
        .unwrap();
}
