//! Text is data in the stores of credentials too: in each parameter, on both adapters, where nothing but its own row changes.

use std::fmt::Debug;
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::{
    ApiKeyUse, Attempt, CreateApiKey, CreateDeviceCode, CreatePasskey, CreateSigningKey,
    CreateUser, ListApiKeys, UpdateApiKey,
};
use better_auth::{AuthError, AuthResult};
use sqlx::PgPool;

use crate::support::seed::announce;
use crate::world::far_future;
use crate::{plain, texts};

const HOUR: Duration = Duration::from_secs(3600);

/// What was answered, without what each adapter makes for itself.
pub(crate) fn told<T, S: Debug>(answer: AuthResult<T>, show: impl FnOnce(T) -> S) -> String {
    match answer {
        Ok(answer) => format!("{:?}", show(answer)),
        Err(AuthError::Validation { field, .. }) => format!("Validation {field}"),
        Err(error) => error.kind().to_owned(),
    }
}

/// The answers to calls with the text in each parameter, of a user of their own.
async fn try_text(database: &dyn DatabaseAdapter, text: &str) -> Vec<String> {
    let user = database.create_user(CreateUser::new()).await.unwrap().id;
    let mut all = Vec::new();
    try_rate_limits(database, text, &mut all).await;
    try_signing_keys(database, text, &mut all).await;
    try_two_factor(database, &user, text, &mut all).await;
    try_passkeys(database, &user, text, &mut all).await;
    try_device_codes(database, text, &mut all).await;
    try_api_keys(database, &user, text, &mut all).await;
    database.delete_user(&user).await.unwrap();
    all
}

async fn try_rate_limits(database: &dyn DatabaseAdapter, text: &str, all: &mut Vec<String>) {
    let limits = database.rate_limits().unwrap();
    for _ in 0..2 {
        all.push(told(limits.take(text, 1, HOUR).await, |limit| {
            limit.allowed
        }));
    }
}

async fn try_signing_keys(database: &dyn DatabaseAdapter, text: &str, all: &mut Vec<String>) {
    let keys = database.signing_keys().unwrap();
    let new = CreateSigningKey::new(text, text)
        .with_alg(text)
        .with_crv(text);
    let rotated = keys.rotate(new, Duration::ZERO).await;
    all.push(told(rotated, |key| {
        (
            key.public_key == text,
            key.private_key == text,
            key.alg,
            key.crv,
        )
    }));
}

async fn try_two_factor(
    database: &dyn DatabaseAdapter,
    user: &str,
    text: &str,
    all: &mut Vec<String>,
) {
    let factors = database.two_factor().unwrap();
    let enrolled = factors.enroll(user, text, Some(text)).await;
    all.push(told(enrolled, |factor| {
        (
            factor.secret == text,
            factor.backup_codes.as_deref() == Some(text),
        )
    }));
    all.push(told(factors.enroll(text, "secret", None).await, |_| ()));
    all.push(told(factors.confirm(text, 1).await, |_| ()));
    all.push(told(factors.accept_step(text, 1).await, |outcome| outcome));
    all.push(told(factors.disable(text).await, |()| ()));
    let replaced = factors.replace_backup_codes(user, Some(text), Some("other"));
    all.push(told(replaced.await, |replaced| replaced));
    all.push(told(
        factors.replace_backup_codes(text, None, Some(text)).await,
        |replaced| replaced,
    ));
    let attempt = factors.begin_attempt(user, 5, HOUR).await;
    all.push(told(attempt, |attempt| {
        matches!(attempt, Attempt::Granted(_))
    }));
}

async fn try_passkeys(
    database: &dyn DatabaseAdapter,
    user: &str,
    text: &str,
    all: &mut Vec<String>,
) {
    let passkeys = database.passkeys().unwrap();
    let mut create = CreatePasskey::new(user, text, text)
        .with_name(text)
        .with_device_type(text);
    create.transports = Some(text.to_owned());
    create.aaguid = Some(text.to_owned());
    let created = passkeys.create_passkey(create).await;
    all.push(told(created, |passkey| {
        (
            passkey.credential_id == text,
            passkey.name,
            passkey.device_type,
        )
    }));
    all.push(told(
        passkeys
            .create_passkey(CreatePasskey::new(text, "key", "a"))
            .await,
        |_| (),
    ));
    let found = passkeys.get_passkey_with_user(text).await;
    all.push(told(found, |found| {
        found.map(|(passkey, owner)| passkey.public_key == text && owner.id == user)
    }));
    all.push(told(passkeys.record_use(text, 1, true).await, |outcome| {
        outcome
    }));
    all.push(told(passkeys.list_passkeys(text).await, |listed| {
        listed.len()
    }));
    all.push(told(
        passkeys.rename_passkey(user, text, text).await,
        |_| (),
    ));
    all.push(told(passkeys.delete_passkey(text, text).await, |()| ()));
    all.push(told(passkeys.list_passkeys(user).await, |listed| {
        listed.len()
    }));
}

async fn try_device_codes(database: &dyn DatabaseAdapter, text: &str, all: &mut Vec<String>) {
    let codes = database.device_codes().unwrap();
    let create = CreateDeviceCode::new(far_future())
        .with_client_id(text)
        .with_scope(text);
    let issued = codes.create_device_code(create).await;
    if let Ok(issued) = &issued {
        let poll = codes.poll(&issued.device_code, Some(text)).await;
        all.push(told(poll, |poll| poll));
        let approved = codes.approve(&issued.row.user_code, text).await;
        all.push(told(approved, |approved| approved));
    }
    all.push(told(issued, |issued| {
        (issued.row.client_id, issued.row.scope)
    }));
    all.push(told(codes.get_device_code(text).await, |found| {
        found.is_some()
    }));
    all.push(told(codes.approve(text, text).await, |approved| approved));
    all.push(told(codes.deny(text).await, |denied| denied));
    all.push(told(codes.poll(text, Some(text)).await, |poll| poll));
}

async fn try_api_keys(
    database: &dyn DatabaseAdapter,
    user: &str,
    text: &str,
    all: &mut Vec<String>,
) {
    let keys = database.api_keys().unwrap();
    let create = CreateApiKey::for_user(user)
        .with_name(text)
        .with_prefix(text)
        .with_config_id(text)
        .with_permissions(text)
        .with_metadata(text);
    let issued = keys.create_api_key(create).await;
    if let Ok(issued) = &issued {
        let answer = keys.use_key(&issued.key).await;
        all.push(told(answer, |answer| {
            matches!(answer, ApiKeyUse::Accepted(_))
        }));
    }
    all.push(told(issued, |issued| {
        (
            issued.row.name,
            issued.row.prefix,
            issued.row.config_id,
            issued.row.metadata,
        )
    }));
    let plain = keys
        .create_api_key(CreateApiKey::for_user(user))
        .await
        .unwrap();
    let update = UpdateApiKey::new()
        .with_name(text)
        .with_permissions(text)
        .with_metadata(text);
    let updated = keys.update_api_key(&plain.row.id, update).await;
    all.push(told(updated, |row| {
        (row.name, row.permissions, row.metadata)
    }));
    for create in [
        CreateApiKey::for_user(text),
        CreateApiKey::for_organization(text),
    ] {
        all.push(told(keys.create_api_key(create).await, |_| ()));
    }
    all.push(told(keys.get_api_key(text).await, |found| found.is_some()));
    all.push(told(keys.delete_api_key(text).await, |()| ()));
    all.push(told(keys.use_key(text).await, |used| used));
    let query = ListApiKeys::of_user(text);
    all.push(told(keys.list_api_keys(query).await, |page| {
        page.keys.len()
    }));
}

/// A user with a credential of each kind.
pub(crate) async fn add_bystander(database: &dyn DatabaseAdapter) {
    let create = CreateUser::new().with_id("bystander");
    database.create_user(create).await.unwrap();
    let passkeys = database.passkeys().unwrap();
    let create = CreatePasskey::new("bystander", "key", "the bystander's");
    passkeys.create_passkey(create).await.unwrap();
    let factors = database.two_factor().unwrap();
    factors.enroll("bystander", "secret", None).await.unwrap();
    factors.confirm("bystander", 1).await.unwrap();
    let keys = database.api_keys().unwrap();
    let create = CreateApiKey::for_user("bystander");
    keys.create_api_key(create).await.unwrap();
}

/// What stands beside what is tried, and stays as it is.
pub(crate) async fn bystanders(database: &dyn DatabaseAdapter) -> Vec<String> {
    let passkeys = database.passkeys().unwrap();
    let factors = database.two_factor().unwrap();
    let keys = database.api_keys().unwrap();
    let query = ListApiKeys::of_user("bystander");
    vec![
        format!("{:?}", passkeys.list_passkeys("bystander").await.unwrap()),
        format!("{:?}", factors.accept_step("bystander", 1).await.unwrap()),
        format!("{:?}", keys.list_api_keys(query).await.unwrap()),
    ]
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hostile_text_is_data_in_every_store(pool: PgPool) {
    let postgres = plain(&pool).await;
    let memory = MemoryDatabaseAdapter::new();
    let databases: [&dyn DatabaseAdapter; 2] = [&memory, &postgres];
    let mut before = Vec::new();
    for database in databases {
        add_bystander(database).await;
        before.push(bystanders(database).await);
    }
    let texts = texts();
    for (name, text) in &texts {
        let left = try_text(&memory, text).await;
        let right = try_text(&postgres, text).await;
        assert!(left == right, "{name}: {left:#?} {right:#?}");
    }
    for (database, before) in databases.into_iter().zip(before) {
        assert_eq!(bystanders(database).await, before);
    }
    announce(format_args!(
        "{} texts in the stores of credentials",
        texts.len()
    ));
}
