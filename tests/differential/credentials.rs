//! Calls of the stores of credentials.

use std::time::Duration;

use better_auth::types::{
    CreateApiKey, CreateDeviceCode, CreatePasskey, CreateSigningKey, ListApiKeys, UpdateApiKey,
};
use proptest::prelude::*;

use crate::calls::CredentialCall;
use crate::organizations::first_organizations;
use crate::steps::{Column, Made, Step};
use crate::values::{change, end, key, maybe, part_of_a_pair, text, user_id};

const HOUR: Duration = Duration::from_secs(3600);

/// Users with organizations, of whom the first has a credential of each kind.
pub(crate) fn first_credentials() -> Vec<Step> {
    let mut steps = first_organizations();
    let user_id = || "1".to_owned();
    let key = CreateApiKey::for_user("1").with_quota(3);
    let code = CreateDeviceCode::new("2999-01-01T00:00:00Z".parse().unwrap());
    let calls = [
        CredentialCall::enroll {
            user_id: user_id(),
            secret: "a".to_owned(),
            backup_codes: Some("a".to_owned()),
        },
        CredentialCall::confirm {
            user_id: user_id(),
            step: 1,
        },
        CredentialCall::create_passkey {
            passkey: CreatePasskey::new("1", "key", "a"),
        },
        CredentialCall::create_api_key { key },
        CredentialCall::create_device_code {
            code: code.with_polling_interval(HOUR),
        },
    ];
    steps.extend(calls.map(|call| Step::Credential(call, Vec::new())));
    steps
}

/// Calls with what was made in a column of a table as this argument, mostly, or with any text.
fn with(
    argument: &'static str,
    table: &'static str,
    name: &'static str,
    calls: impl Strategy<Value = CredentialCall> + Clone + 'static,
) -> BoxedStrategy<Step> {
    let column = Column { table, name };
    let made = (calls.clone(), 0_usize..3).prop_map(move |(call, number)| {
        let made = Made {
            argument,
            column,
            number,
        };
        Step::Credential(call, vec![made])
    });
    let text = (calls, key())
        .prop_map(move |(call, text)| Step::Credential(call.with(argument, &text), Vec::new()));
    prop_oneof![20 => made, 1 => text].boxed()
}

fn plain(calls: impl Strategy<Value = CredentialCall> + 'static) -> BoxedStrategy<Step> {
    let step = |call| Step::Credential(call, Vec::new());
    calls.prop_map(step).boxed()
}

/// A span so long that it does not end meanwhile, or one that is refused.
fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![20 => Just(HOUR), 1 => Just(Duration::ZERO), 1 => Just(Duration::MAX)]
}

fn millis() -> impl Strategy<Value = i64> {
    prop_oneof![20 => Just(3_600_000), 1 => Just(0), 1 => Just(-1), 1 => Just(i64::MAX)]
}

fn amount() -> impl Strategy<Value = i32> {
    prop_oneof![20 => 0..3, 1 => Just(-1), 1 => Just(i32::MAX)]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0_u32), 20 => 1_u32..4, 1 => Just(u32::MAX)]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(-1), 20 => 0_i64..6, 1 => Just(i64::MAX)]
}

fn none() -> String {
    String::new()
}

fn of_counters() -> BoxedStrategy<Step> {
    use CredentialCall as C;
    let take = (part_of_a_pair(), count(), span());
    let new = (text(), text(), maybe(text()), maybe(text()), maybe(end()));
    let new = new.prop_map(
        |(public_key, private_key, alg, crv, expires_at)| CreateSigningKey {
            public_key,
            private_key,
            alg,
            crv,
            expires_at,
        },
    );
    let rotate = (new, prop_oneof![Just(Duration::ZERO), Just(HOUR)]);
    prop_oneof![
        4 => plain(take.prop_map(|(key, max, window)| C::take { key, max, window })),
        3 => plain(rotate.prop_map(|(new, older_than)| C::rotate { new, older_than })),
        1 => plain(Just(C::current {})),
        1 => plain(Just(C::list_signing_keys {})),
    ]
    .boxed()
}

fn of_second_factors() -> BoxedStrategy<Step> {
    use CredentialCall as C;
    let codes = || maybe(part_of_a_pair());
    let enroll = (user_id(), part_of_a_pair(), codes());
    let begin = (user_id(), count(), span());
    let replace = (user_id(), codes(), codes());
    let enroll = enroll.prop_map(|(user_id, secret, backup_codes)| C::enroll {
        user_id,
        secret,
        backup_codes,
    });
    let begin = begin.prop_map(|(user_id, max_failures, lock_for)| C::begin_attempt {
        user_id,
        max_failures,
        lock_for,
    });
    let replace = replace.prop_map(|(user_id, expected, new)| C::replace_backup_codes {
        user_id,
        expected,
        new,
    });
    let step = || (user_id(), number());
    prop_oneof![
        4 => plain(enroll),
        4 => plain(step().prop_map(|(user_id, step)| C::confirm { user_id, step })),
        1 => plain(user_id().prop_map(|user_id| C::disable { user_id })),
        4 => plain(begin),
        4 => plain(step().prop_map(|(user_id, step)| C::accept_step { user_id, step })),
        3 => plain(replace),
    ]
    .boxed()
}

fn of_passkeys() -> BoxedStrategy<Step> {
    use CredentialCall as C;
    let texts = (maybe(key()), text(), maybe(text()), maybe(text()));
    let create = (
        user_id(),
        texts,
        part_of_a_pair(),
        number(),
        text(),
        any::<bool>(),
    );
    let create = create.prop_map(
        |(
            user_id,
            (name, public_key, transports, aaguid),
            credential_id,
            counter,
            device_type,
            backed_up,
        )| {
            C::create_passkey {
                passkey: CreatePasskey {
                    user_id,
                    name,
                    public_key,
                    credential_id,
                    counter,
                    device_type,
                    backed_up,
                    transports,
                    aaguid,
                },
            }
        },
    );
    let get = part_of_a_pair().prop_map(|credential_id| C::get_passkey_with_user { credential_id });
    let rename = (user_id(), key()).prop_map(|(user_id, name)| C::rename_passkey {
        user_id,
        id: none(),
        name,
    });
    let delete = user_id().prop_map(|user_id| C::delete_passkey {
        user_id,
        id: none(),
    });
    let record = (part_of_a_pair(), number(), any::<bool>()).prop_map(
        |(credential_id, counter, backed_up)| C::record_use {
            credential_id,
            counter,
            backed_up,
        },
    );
    prop_oneof![
        4 => plain(create),
        2 => plain(get),
        1 => plain(user_id().prop_map(|user_id| C::list_passkeys { user_id })),
        2 => with("id", "passkeys", "id", rename.boxed()),
        1 => with("id", "passkeys", "id", delete.boxed()),
        5 => plain(record),
    ]
    .boxed()
}

fn of_device_codes() -> BoxedStrategy<Step> {
    use CredentialCall as C;
    let client = || maybe(Just("a".to_owned()));
    let create = (end(), span(), client(), maybe(text())).prop_map(
        |(expires_at, polling_interval, client_id, scope)| C::create_device_code {
            code: CreateDeviceCode {
                expires_at,
                polling_interval,
                client_id,
                scope,
            },
        },
    );
    let approve = user_id().prop_map(|user_id| C::approve {
        user_code: none(),
        user_id,
    });
    let poll = client().prop_map(|client_id| C::poll {
        device_code: none(),
        client_id,
    });
    let typed = |calls| with("user_code", "device_code", "user_code", calls);
    prop_oneof![
        3 => plain(create),
        1 => typed(Just(C::get_device_code { user_code: none() }).boxed()),
        3 => typed(approve.boxed()),
        1 => typed(Just(C::deny { user_code: none() }).boxed()),
        6 => with("device_code", "device_code", "device_code", poll.boxed()),
    ]
    .boxed()
}

fn of_api_keys() -> BoxedStrategy<Step> {
    use CredentialCall as C;
    let create = || {
        let refill = maybe((amount(), millis()));
        let limit = maybe((amount(), millis()));
        let texts = (maybe(key()), maybe(key()), maybe(key()));
        let data = (maybe(text()), maybe(text()));
        let numbers = (refill, limit, maybe(amount()), maybe(end()));
        (texts, data, numbers).prop_map(
            |(
                (name, prefix, config_id),
                (permissions, metadata),
                (refill, limit, remaining, expires_at),
            )| CreateApiKey {
                user_id: None,
                organization_id: None,
                name,
                prefix,
                config_id,
                refill_interval: refill.map(|(_, interval)| interval),
                refill_amount: refill.map(|(amount, _)| amount),
                rate_limit_time_window: limit.map(|(_, window)| window),
                rate_limit_max: limit.map(|(max, _)| max),
                remaining,
                expires_at,
                permissions,
                metadata,
            },
        )
    };
    let of_user = (create(), user_id()).prop_map(|(key, user_id)| C::create_api_key {
        key: CreateApiKey {
            user_id: Some(user_id),
            ..key
        },
    });
    let of_organization = create().prop_map(|key| C::create_api_key { key });
    let update = (
        change(key()),
        (maybe(any::<bool>()), maybe(any::<bool>())),
        (change(millis()), change(amount())),
        (change(millis()), change(amount())),
        change(amount()),
        change(end()),
        (change(text()), change(text())),
    );
    let update = update.prop_map(
        |(name, flags, refill, limit, remaining, expires_at, (permissions, metadata))| {
            let update = UpdateApiKey {
                name,
                enabled: flags.0,
                refill_interval: refill.0,
                refill_amount: refill.1,
                rate_limit_enabled: flags.1,
                rate_limit_time_window: limit.0,
                rate_limit_max: limit.1,
                remaining,
                expires_at,
                permissions,
                metadata,
            };
            C::update_api_key { id: none(), update }
        },
    );
    // All of them: two that are of the same millisecond may come in any order.
    let query = |limit| {
        user_id().prop_map(move |user_id| C::list_api_keys {
            query: ListApiKeys::of_user(user_id).with_limit(limit),
        })
    };
    let query = prop_oneof![10 => query(1000), 1 => query(0), 1 => query(1001)];
    let id = |calls| with("id", "api_keys", "id", calls);
    prop_oneof![
        3 => plain(of_user),
        1 => with("organization_id", "organization", "id", of_organization.boxed()),
        1 => id(Just(C::get_api_key { id: none() }).boxed()),
        1 => plain(query),
        3 => id(update.boxed()),
        1 => id(Just(C::delete_api_key { id: none() }).boxed()),
        8 => with("key", "api_keys", "key", Just(C::use_key { key: none() }).boxed()),
    ]
    .boxed()
}

pub(crate) fn credential_step() -> BoxedStrategy<Step> {
    prop_oneof![
        2 => of_counters(),
        4 => of_second_factors(),
        2 => of_passkeys(),
        3 => of_device_codes(),
        4 => of_api_keys(),
    ]
    .boxed()
}

/// The calls that show what a user has.
pub(crate) fn lookups_of_user(id: &str) -> [CredentialCall; 3] {
    [
        CredentialCall::list_passkeys {
            user_id: id.to_owned(),
        },
        CredentialCall::list_api_keys {
            query: ListApiKeys::of_user(id).with_limit(1000),
        },
        // It counts an attempt, as nothing else shows a second factor.
        CredentialCall::begin_attempt {
            user_id: id.to_owned(),
            max_failures: 100,
            lock_for: HOUR,
        },
    ]
}
