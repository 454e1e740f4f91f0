//! Whatever is given as a URL, the answer is an error without the password.

use std::time::Duration;

use better_auth::AuthError;
use better_auth::adapters::{PoolConfig, SqlxAdapter};
use proptest::prelude::*;

use crate::support::hostile;
use crate::support::seed::{Seed, announce};
use crate::support::shown;

/// What passwords begin and end with, so that no part of one is shown.
const SECRETS: [&str; 2] = ["hunter2begin", "hunter2end"];
/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

fn percent_encoded(text: &str) -> String {
    let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    encoded.concat()
}

fn url() -> impl Strategy<Value = String> {
    let password = (hostile::text(), any::<bool>()).prop_map(|(middle, encoded)| {
        let password = format!("{}{middle}{}", SECRETS[0], SECRETS[1]);
        if encoded {
            percent_encoded(&password)
        } else {
            password
        }
    });
    let part = || {
        prop_oneof![
            2 => Just("name".to_owned()),
            1 => hostile::text().prop_map(|text| percent_encoded(&text)),
        ]
    };
    let parameters = prop_oneof![
        3 => Just(String::new()),
        1 => hostile::text().prop_map(|text| format!("?sslmode={}", percent_encoded(&text))),
        1 => hostile::text().prop_map(|text| format!("?options={}", percent_encoded(&text))),
        1 => hostile::text().prop_map(|text| format!("?{}={0}", percent_encoded(&text))),
    ];
    (password, part(), part(), parameters, 0..9).prop_map(
        |(password, user, database, parameters, form)| match form {
            // With an `@`, what follows would be the host.
            0 => format!("postgresql://{user}:{}", password.replace('@', "")),
            1 => format!("postgresql://{user}:{password}@"),
            2 => format!("postgresql://{NOBODY}/{database}?user={user}&password={password}"),
            3 => format!("mysql://{user}:{password}@{NOBODY}/{database}"),
            4 => format!("{user}:{password}@{NOBODY}/{database}"),
            5 => format!("postgresql://{user}:{password}@127.0.0.1:port/{database}{parameters}"),
            _ => format!("postgres://{user}:{password}@{NOBODY}/{database}{parameters}"),
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_url_shows_its_password() {
    let seed = Seed::of_environment("HOSTILE_SEED");
    announce(format_args!("HOSTILE_SEED={seed}"));
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let refused = std::cell::Cell::new(0);
        let outcome = seed.runner(1000).run(&url(), |url| {
            let config = PoolConfig {
                acquire_timeout: Duration::from_secs(5),
                ..PoolConfig::default()
            };
            let builder = SqlxAdapter::builder(&url);
            let debugged = format!("{builder:?}");
            prop_assert!(!debugged.contains("hunter2"));
            let connected = runtime.block_on(builder.pool_config(config).connect());
            let error = connected.expect_err("nobody listens");
            let shown = shown(&error);
            prop_assert!(
                !SECRETS.iter().any(|secret| shown.contains(secret)),
                "{}",
                shown
            );
            match error {
                AuthError::Validation { field: "url", .. } => refused.set(refused.get() + 1),
                AuthError::Unavailable { .. } => {}
                error => prop_assert!(false, "{error:?}"),
            }
            Ok(())
        });
        outcome
            .map(|()| refused.get())
            .map_err(|error| error.to_string())
    });
    let refused = tried
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("HOSTILE_SEED={seed}\n{error}"));
    assert!(
        (100..900).contains(&refused),
        "{refused} of 1000 were refused"
    );
}
