//! What the stores of credentials cost: round trips, whatever is wrong with what is presented.

use std::time::Duration;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    CreateApiKey, CreateDeviceCode, CreatePasskey, CreateSigningKey, CreateUser, IssuedApiKey,
    ListApiKeys, UpdateApiKey,
};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use crate::support::execute;
use crate::transactions::{behind_proxy, round_trips};

const HOUR: Duration = Duration::from_secs(3600);

/// Keys whose uses are answered in different ways, and some more.
async fn issue_keys(
    database: &dyn DatabaseAdapter,
    create: impl Fn() -> CreateApiKey,
) -> Vec<IssuedApiKey> {
    let mut keys = Vec::new();
    for create in [
        create(),
        create().with_quota(100),
        create().with_quota(0),
        create().with_rate_limit(1, HOUR),
        create().with_expires_at(Utc::now() - TimeDelta::hours(1)),
        create(),
        create(),
        create(),
        create(),
    ] {
        let issued = database.api_keys().unwrap().create_api_key(create).await;
        keys.push(issued.unwrap());
    }
    keys
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn each_method_of_the_stores_takes_one_round_trip(pool: PgPool) {
    let (proxy, database) = behind_proxy(&pool).await;
    let mut users = Vec::new();
    for _ in 0..4 {
        users.push(database.create_user(CreateUser::new()).await.unwrap().id);
    }
    let user = users[0].as_str();
    let in_an_hour = Utc::now() + TimeDelta::hours(1);
    let mut counts = Vec::new();
    macro_rules! count {
        ($round:ident: $store:ident.$method:ident($($argument:expr),*)) => {
            let trips = round_trips(&proxy, async |$round: usize| {
                database.$store().unwrap().$method($($argument),*).await.unwrap();
            });
            counts.push((stringify!($method), trips.await));
        };
    }
    count!(_round: rate_limits.take("key", 5, HOUR));
    // Its window is full by now.
    count!(_round: rate_limits.take("key", 1, HOUR));

    let new = || CreateSigningKey::new("public", "private");
    count!(_round: signing_keys.rotate(new(), Duration::ZERO));
    count!(_round: signing_keys.rotate(new(), HOUR));
    count!(_round: signing_keys.current());
    count!(_round: signing_keys.list_signing_keys());

    count!(round: two_factor.enroll(&users[round], "secret", Some("codes")));
    count!(round: two_factor.confirm(&users[round], 1));
    // Granted, locked, and of nobody.
    count!(_round: two_factor.begin_attempt(user, 10, HOUR));
    count!(_round: two_factor.begin_attempt(user, 1, HOUR));
    count!(_round: two_factor.begin_attempt("nobody", 1, HOUR));
    let other = users[1].as_str();
    count!(round: two_factor.accept_step(other, 2 + i64::try_from(round).unwrap()));
    count!(_round: two_factor.accept_step(other, 1));
    count!(_round: two_factor.accept_step(user, 1));
    count!(_round: two_factor.accept_step("nobody", 1));
    count!(_round: two_factor.replace_backup_codes(other, Some("codes"), Some("codes")));
    count!(_round: two_factor.replace_backup_codes(other, Some("others"), None));
    count!(round: two_factor.disable(&users[round]));

    let create = |round: usize| CreatePasskey::new(user, "key", round.to_string());
    count!(round: passkeys.create_passkey(create(round)));
    let ids = database.passkeys().unwrap().list_passkeys(user).await;
    let ids: Vec<_> = ids.unwrap().into_iter().map(|row| row.id).collect();
    count!(_round: passkeys.get_passkey_with_user("1"));
    count!(_round: passkeys.get_passkey_with_user("unknown"));
    count!(_round: passkeys.list_passkeys(user));
    count!(_round: passkeys.rename_passkey(user, &ids[0], "phone"));
    count!(round: passkeys.record_use("1", 1 + i64::try_from(round).unwrap(), true));
    count!(_round: passkeys.record_use("1", 1, true));
    count!(_round: passkeys.record_use("unknown", 1, true));
    count!(round: passkeys.delete_passkey(user, &ids[round]));

    let create = || CreateDeviceCode::new(in_an_hour).with_client_id("television");
    let mut codes = Vec::new();
    for _ in 0..8 {
        let issued = database.device_codes().unwrap();
        codes.push(issued.create_device_code(create()).await.unwrap());
    }
    let client = Some("television");
    let typed = |number: usize| codes[number].row.user_code.as_str();
    count!(_round: device_codes.create_device_code(create()));
    count!(_round: device_codes.get_device_code(typed(0)));
    count!(_round: device_codes.get_device_code("BBBB-BBBB"));
    // Waits, and comes too soon.
    count!(_round: device_codes.poll(&codes[0].device_code, client));
    count!(round: device_codes.approve(typed(round), user));
    count!(_round: device_codes.approve("BBBB-BBBB", user));
    count!(round: device_codes.deny(typed(4 + round)));
    count!(round: device_codes.poll(&codes[round].device_code, client));
    for presented in [&codes[4].device_code, &codes[0].device_code, "unknown", ""] {
        count!(_round: device_codes.poll(presented, client));
    }

    let create = || CreateApiKey::for_user(user);
    let keys = issue_keys(&database, create).await;
    count!(_round: api_keys.create_api_key(create()));
    count!(_round: api_keys.get_api_key(&keys[0].row.id));
    count!(_round: api_keys.list_api_keys(ListApiKeys::of_user(user)));
    count!(_round: api_keys.update_api_key(&keys[5].row.id, UpdateApiKey::new().with_enabled(false)));
    count!(_round: api_keys.update_api_key(&keys[5].row.id, UpdateApiKey::new()));
    execute(&pool, "UPDATE api_keys SET last_request = NULL").await;
    for issued in &keys[..6] {
        count!(_round: api_keys.use_key(&issued.key));
    }
    for presented in ["unknown", "", "a\0b", &"x".repeat(100_000)] {
        count!(_round: api_keys.use_key(presented));
    }
    count!(round: api_keys.delete_api_key(&keys[5 + round].row.id));
    println!("round trips: {counts:?}");
    assert!(counts.iter().all(|(_, trips)| *trips == 1), "{counts:?}");
}
