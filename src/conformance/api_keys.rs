//! Promises about API keys.

use std::time::Duration;

use super::organizations::new_organization;
use super::{
    Adapter, an_hour_ago, assert_eq, assert_error, assert_refused, at_once, each_with, in_an_hour,
    in_time, new_user,
};
use crate::AuthError;
use crate::adapters::{ApiKeyStore, DatabaseAdapter};
use crate::types::{
    ApiKey, ApiKeyUse, CreateApiKey, CreateUser, IssuedApiKey, ListApiKeys, UpdateApiKey, User,
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn ApiKeyStore {
    adapter.api_keys().expect("the adapter has the store")
}

pub(super) fn of(user: &User) -> CreateApiKey {
    CreateApiKey::for_user(&user.id)
}

pub(super) async fn issue(adapter: &Adapter, create: CreateApiKey) -> IssuedApiKey {
    store(adapter).create_api_key(create).await.unwrap()
}

/// Calls again while others are in the way.
async fn use_key(adapter: &Adapter, key: &str) -> ApiKeyUse {
    loop {
        match store(adapter).use_key(key).await {
            Err(error) if error.is_retryable() => {}
            answer => return answer.unwrap(),
        }
    }
}

pub(super) fn accepted(outcome: ApiKeyUse) -> ApiKey {
    match outcome {
        ApiKeyUse::Accepted(row) => row,
        outcome => panic!("{outcome:?}"),
    }
}

pub(super) async fn a_key_belongs_to_its_owner(adapter: Adapter) {
    let (organization, _, user) = new_organization(&adapter, "engines").await;
    let create = of(&user)
        .with_name("robot")
        .with_prefix("app_")
        .with_config_id("machines")
        .with_permissions("{\"project\":[\"read\"]}")
        .with_metadata("{\"plan\":\"pro\"}")
        .with_expires_at(in_an_hour());
    let issued = issue(&adapter, create.clone()).await;
    let random = issued.key.strip_prefix("app_").unwrap();
    assert_eq!(random.len(), 43);
    let expected = ApiKey {
        name: create.name,
        prefix: create.prefix,
        start: Some(random[..6].to_owned()),
        user_id: create.user_id,
        config_id: "machines".to_owned(),
        permissions: create.permissions,
        metadata: create.metadata,
        expires_at: issued.row.expires_at,
        ..ApiKey::new(&issued.row.id, issued.row.created_at)
    };
    assert_eq!(issued.row, expected);
    for time in [issued.row.created_at, issued.row.expires_at.unwrap()] {
        assert_eq!(time.timestamp_subsec_micros() % 1000, 0);
    }
    let found = store(&adapter).get_api_key(&issued.row.id).await.unwrap();
    assert_eq!(found, Some(expected.clone()));
    let outcome = accepted(use_key(&adapter, &issued.key).await);
    assert!(outcome.last_request.is_some());
    let expected = ApiKey {
        last_request: outcome.last_request,
        ..expected
    };
    assert_eq!(outcome, expected);
    // The next use of the same minute writes nothing.
    assert_eq!(accepted(use_key(&adapter, &issued.key).await), expected);

    let machine = CreateApiKey::for_organization(&organization.id);
    let machine = issue(&adapter, machine).await;
    assert_eq!(machine.row.organization_id.as_ref(), Some(&organization.id));
    assert_eq!(machine.row.config_id, "default");
    let store = store(&adapter);
    let of_user = store.list_api_keys(ListApiKeys::of_user(&user.id)).await;
    assert_eq!(of_user.unwrap().keys, [expected]);
    let page = ListApiKeys::of_organization(&organization.id);
    let of_organization = store.list_api_keys(page.clone()).await.unwrap();
    assert_eq!(of_organization.keys, [machine.row]);
    let organizations = adapter.organizations().unwrap();
    let deleted = organizations.delete_organization(&organization.id);
    deleted.await.unwrap();
    assert_eq!(store.list_api_keys(page).await.unwrap().keys, []);
    adapter.delete_user(&user.id).await.unwrap();
    for key in [&issued.key, &machine.key] {
        assert_eq!(use_key(&adapter, key).await, ApiKeyUse::NotFound);
    }
}

pub(super) async fn pages_of_keys_are_complete(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(issue(&adapter, of(&user)).await.row.id);
    }
    issue(&adapter, of(&other)).await;
    ids.reverse();
    for limit in [1, 3, 7, 100] {
        let mut listed = Vec::new();
        let mut query = ListApiKeys::of_user(&user.id).with_limit(limit);
        loop {
            let page = store(&adapter).list_api_keys(query.clone()).await.unwrap();
            assert!(page.keys.len() <= usize::try_from(limit).unwrap());
            listed.extend(page.keys);
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        let listed: Vec<String> = listed.into_iter().map(|key| key.id).collect();
        let mut sorted = listed.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), ids.len());
        assert_eq!(listed.len(), ids.len());
    }
    for limit in [0, 1001] {
        let query = ListApiKeys::of_user(&user.id).with_limit(limit);
        assert_refused("limit", store(&adapter).list_api_keys(query).await);
    }
    let query = ListApiKeys::of_user(&user.id).with_cursor("none");
    assert_refused("cursor", store(&adapter).list_api_keys(query).await);
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        for query in [
            ListApiKeys::of_user(unknown),
            ListApiKeys::of_organization(unknown),
        ] {
            let page = store(&adapter).list_api_keys(query).await.unwrap();
            assert_eq!(page.keys, []);
        }
    }
}

pub(super) async fn keys_of_users_and_organizations_do_not_mix(adapter: Adapter) {
    if adapter.organizations().is_err() {
        return;
    }
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let (other, _, _) = new_organization(&adapter, "others").await;
    let same = CreateUser::new().with_id(&organization.id);
    let user = adapter.create_user(same).await.unwrap();
    for (create, query) in [
        (of(&user), ListApiKeys::of_user(&user.id)),
        (
            CreateApiKey::for_organization(&organization.id),
            ListApiKeys::of_organization(&organization.id),
        ),
        (
            CreateApiKey::for_organization(&other.id),
            ListApiKeys::of_organization(&other.id),
        ),
    ] {
        let issued = issue(&adapter, create).await;
        let page = store(&adapter).list_api_keys(query).await.unwrap();
        assert_eq!(page.keys, [issued.row]);
    }
    adapter.delete_user(&user.id).await.unwrap();
    let query = ListApiKeys::of_organization(&organization.id);
    let page = store(&adapter).list_api_keys(query).await.unwrap();
    assert_eq!(page.keys.len(), 1);
}

pub(super) async fn a_key_is_changed_and_deleted(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let issued = issue(&adapter, of(&user)).await;
    let (id, key) = (&*issued.row.id, &*issued.key);
    let store = store(&adapter);
    let same = store.update_api_key(id, UpdateApiKey::new()).await;
    assert_eq!(same.unwrap(), issued.row);
    let update = UpdateApiKey::new()
        .with_name("name")
        .with_enabled(false)
        .with_refill_interval(1000)
        .with_refill_amount(5)
        .with_rate_limit_enabled(true)
        .with_rate_limit_time_window(60_000)
        .with_rate_limit_max(3)
        .with_remaining(7)
        .with_expires_at(an_hour_ago())
        .with_permissions("read")
        .with_metadata("data");
    let changed = store.update_api_key(id, update).await.unwrap();
    let expected = ApiKey {
        name: Some("name".to_owned()),
        enabled: false,
        refill_interval: Some(1000),
        refill_amount: Some(5),
        rate_limit_enabled: true,
        rate_limit_time_window: Some(60_000),
        rate_limit_max: Some(3),
        remaining: Some(7),
        expires_at: changed.expires_at,
        permissions: Some("read".to_owned()),
        metadata: Some("data".to_owned()),
        updated_at: changed.updated_at,
        ..issued.row.clone()
    };
    assert_eq!(changed, expected);
    assert!(changed.updated_at > changed.created_at);
    assert_eq!(use_key(&adapter, key).await, ApiKeyUse::Disabled);
    let enable = UpdateApiKey::new().with_enabled(true);
    store.update_api_key(id, enable).await.unwrap();
    assert_eq!(use_key(&adapter, key).await, ApiKeyUse::Expired);
    let clear = UpdateApiKey::new()
        .without_name()
        .without_refill_interval()
        .without_refill_amount()
        .without_rate_limit_time_window()
        .without_rate_limit_max()
        .without_remaining()
        .without_expires_at()
        .without_permissions()
        .without_metadata();
    let cleared = store.update_api_key(id, clear).await.unwrap();
    assert!(cleared.name.is_none() && cleared.remaining.is_none() && cleared.metadata.is_none());
    assert!(cleared.updated_at > changed.updated_at);
    accepted(use_key(&adapter, key).await);
    for _ in 0..2 {
        store.delete_api_key(id).await.unwrap();
        assert_eq!(use_key(&adapter, key).await, ApiKeyUse::NotFound);
    }
    for unknown in [id, "a\0b", &"x".repeat(5000)] {
        let update = UpdateApiKey::new().with_enabled(true);
        for update in [UpdateApiKey::new(), update] {
            let changed = store.update_api_key(unknown, update).await;
            assert_error!(changed, AuthError::ApiKeyNotFound);
        }
        assert_eq!(store.get_api_key(unknown).await.unwrap(), None);
        store.delete_api_key(unknown).await.unwrap();
    }
}

pub(super) async fn a_quota_is_exact(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for quota in [0, 1, 20] {
        let issued = issue(&adapter, of(&user).with_quota(quota)).await;
        let answers = at_once(100, |_| {
            let (adapter, key) = (adapter.clone(), issued.key.clone());
            async move { use_key(&adapter, &key).await }
        });
        let mut remaining = Vec::new();
        for answer in answers.await {
            match answer {
                ApiKeyUse::Accepted(row) => remaining.extend(row.remaining),
                answer => assert_eq!(answer, ApiKeyUse::UsedUp),
            }
        }
        remaining.sort_unstable();
        assert_eq!(remaining, (0..quota).collect::<Vec<_>>());
    }
}

pub(super) async fn a_rate_limit_is_exact(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let create = of(&user).with_rate_limit(5, HOUR).with_quota(7);
    let issued = issue(&adapter, create).await;
    let answers = at_once(50, |_| {
        let (adapter, key) = (adapter.clone(), issued.key.clone());
        async move { use_key(&adapter, &key).await }
    });
    let mut counts = Vec::new();
    for answer in answers.await {
        match answer {
            ApiKeyUse::Accepted(row) => counts.push(row.request_count),
            ApiKeyUse::RateLimited { retry_after } => {
                assert!(retry_after > Duration::ZERO && retry_after <= HOUR);
            }
            answer => panic!("{answer:?}"),
        }
    }
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4, 5]);
    // What was refused has used nothing up, and nothing of the rate.
    let found = store(&adapter).get_api_key(&issued.row.id).await.unwrap();
    let found = found.unwrap();
    assert_eq!((found.remaining, found.request_count), (Some(2), 5));
    let update = UpdateApiKey::new().with_rate_limit_max(100);
    let updated = store(&adapter).update_api_key(&issued.row.id, update).await;
    updated.unwrap();
    for remaining in [1, 0] {
        let outcome = accepted(use_key(&adapter, &issued.key).await);
        assert_eq!(outcome.remaining, Some(remaining));
    }
    assert_eq!(use_key(&adapter, &issued.key).await, ApiKeyUse::UsedUp);
    let update = UpdateApiKey::new()
        .with_rate_limit_enabled(false)
        .without_remaining();
    let updated = store(&adapter).update_api_key(&issued.row.id, update).await;
    updated.unwrap();
    accepted(use_key(&adapter, &issued.key).await);
}

pub(super) async fn windows_and_refills_come_again(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let moment = Duration::from_millis(20);
    for create in [
        of(&user).with_rate_limit(1, moment),
        of(&user).with_refill(1, moment),
    ] {
        let issued = issue(&adapter, create).await;
        in_time(async {
            for _ in 0..3 {
                loop {
                    match use_key(&adapter, &issued.key).await {
                        ApiKeyUse::Accepted(_) => break,
                        ApiKeyUse::RateLimited { retry_after } => {
                            assert!(retry_after <= moment);
                            tokio::time::sleep(retry_after).await;
                        }
                        answer => {
                            assert_eq!(answer, ApiKeyUse::UsedUp);
                            tokio::time::sleep(moment).await;
                        }
                    }
                }
            }
        })
        .await;
    }
    // Long ago, the quota was used up.
    let issued = issue(&adapter, of(&user).with_refill(3, HOUR)).await;
    for remaining in [2, 1, 0] {
        let outcome = accepted(use_key(&adapter, &issued.key).await);
        assert_eq!(
            (outcome.remaining, outcome.last_refill_at),
            (Some(remaining), None)
        );
    }
    assert_eq!(use_key(&adapter, &issued.key).await, ApiKeyUse::UsedUp);
}

pub(super) async fn expired_keys_are_removed(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let expired = issue(&adapter, of(&user).with_expires_at(an_hour_ago())).await;
    let live = issue(&adapter, of(&user).with_expires_at(in_an_hour())).await;
    let endless = issue(&adapter, of(&user)).await;
    assert_eq!(use_key(&adapter, &expired.key).await, ApiKeyUse::Expired);
    adapter.clean_up().await.unwrap();
    assert_eq!(use_key(&adapter, &expired.key).await, ApiKeyUse::NotFound);
    for kept in [live, endless] {
        accepted(use_key(&adapter, &kept.key).await);
    }
}

pub(super) async fn impossible_keys_are_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let store = store(&adapter);
    for create in [
        CreateApiKey::default(),
        CreateApiKey {
            organization_id: Some("a".to_owned()),
            ..of(&user)
        },
    ] {
        assert_refused("user_id", store.create_api_key(create).await);
    }
    for bad in [String::new(), "a\0b".to_owned(), "x".repeat(256)] {
        for (field, create) in each_with!(of(&user), Some(bad.clone()) => CreateApiKey {
            name, prefix, config_id;
            user_id, organization_id, refill_interval, refill_amount, rate_limit_time_window, rate_limit_max, remaining,
            expires_at, permissions, metadata
        }) {
            assert_refused(field, store.create_api_key(create).await);
        }
    }
    for (field, create) in each_with!(of(&user), Some("a\0b".to_owned()) => CreateApiKey {
        permissions, metadata;
        user_id, organization_id, name, prefix, config_id, refill_interval, refill_amount, rate_limit_time_window,
        rate_limit_max, remaining, expires_at
    }) {
        assert_refused(field, store.create_api_key(create).await);
    }
    for (field, create) in [
        ("remaining", of(&user).with_quota(-1)),
        ("refill_amount", of(&user).with_refill(0, HOUR)),
        ("refill_interval", of(&user).with_refill(1, Duration::ZERO)),
        ("refill_interval", of(&user).with_refill(1, Duration::MAX)),
        ("rate_limit_max", of(&user).with_rate_limit(0, HOUR)),
        (
            "rate_limit_time_window",
            of(&user).with_rate_limit(1, Duration::ZERO),
        ),
    ] {
        assert_refused(field, store.create_api_key(create).await);
    }
    let half = CreateApiKey {
        refill_amount: Some(1),
        ..of(&user)
    };
    assert_refused("refill_interval", store.create_api_key(half).await);
    let half = CreateApiKey {
        rate_limit_max: Some(1),
        ..of(&user)
    };
    assert_refused("rate_limit_time_window", store.create_api_key(half).await);
    for (field, update) in [
        ("remaining", UpdateApiKey::new().with_remaining(-1)),
        ("refill_amount", UpdateApiKey::new().with_refill_amount(0)),
        (
            "refill_interval",
            UpdateApiKey::new().with_refill_interval(0),
        ),
        (
            "rate_limit_max",
            UpdateApiKey::new().with_rate_limit_max(-1),
        ),
        (
            "rate_limit_time_window",
            UpdateApiKey::new().with_rate_limit_time_window(-1),
        ),
        ("name", UpdateApiKey::new().with_name("")),
        ("metadata", UpdateApiKey::new().with_metadata("a\0b")),
    ] {
        assert_refused(field, store.update_api_key("unknown", update).await);
    }
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        let answer = store.create_api_key(CreateApiKey::for_user(unknown)).await;
        assert_error!(answer, AuthError::UserNotFound);
        let create = CreateApiKey::for_organization(unknown);
        let answer = store.create_api_key(create).await;
        assert_error!(answer, AuthError::OrganizationNotFound);
        assert_eq!(use_key(&adapter, unknown).await, ApiKeyUse::NotFound);
    }
    assert_eq!(use_key(&adapter, "").await, ApiKeyUse::NotFound);
}

pub(super) async fn issued_keys_do_not_show(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let (first, second) = (
        issue(&adapter, of(&user)).await,
        issue(&adapter, of(&user)).await,
    );
    assert!(first.key != second.key);
    let outcome = use_key(&adapter, &first.key).await;
    let json = serde_json::to_string(&first.row).unwrap();
    let shown = format!("{first:?} {first:#?} {outcome:?} {json}");
    assert!(!shown.contains(&first.key));
    let row: ApiKey = serde_json::from_str(&json).unwrap();
    assert_eq!(row, first.row);
}

pub(super) async fn keys_work_in_transactions(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for commits in [false, true] {
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction);
        let issued = inside
            .create_api_key(of(&user).with_quota(1))
            .await
            .unwrap();
        let plain = inside.create_api_key(of(&user)).await.unwrap();
        accepted(inside.use_key(&issued.key).await.unwrap());
        assert_eq!(
            inside.use_key(&issued.key).await.unwrap(),
            ApiKeyUse::UsedUp
        );
        accepted(inside.use_key(&plain.key).await.unwrap());
        let update = UpdateApiKey::new().with_remaining(2);
        inside.update_api_key(&issued.row.id, update).await.unwrap();
        inside.delete_api_key(&plain.row.id).await.unwrap();
        assert_eq!(use_key(&adapter, &issued.key).await, ApiKeyUse::NotFound);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(use_key(&adapter, &plain.key).await, ApiKeyUse::NotFound);
        let outcome = use_key(&adapter, &issued.key).await;
        assert_eq!(matches!(outcome, ApiKeyUse::Accepted(_)), commits);
    }
}
