//! Promises about passkeys.

use super::transaction_races::overlap;
use super::{Adapter, assert_eq, assert_error, assert_refused, at_once, each_with, new_user};
use crate::adapters::{DatabaseAdapter, PasskeyStore};
use crate::types::{CreatePasskey, Passkey, PasskeyUse, User};
use crate::{AuthError, AuthResult, ConflictField};

fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn PasskeyStore {
    adapter.passkeys().expect("the adapter has the store")
}

async fn new_passkey(adapter: &Adapter, user: &User, credential: &str) -> Passkey {
    let create = CreatePasskey::new(&user.id, "public key", credential);
    store(adapter).create_passkey(create).await.unwrap()
}

pub(super) async fn a_passkey_belongs_to_its_user(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let store = store(&adapter);
    let create = CreatePasskey::new(&user.id, "public key", "credential")
        .with_name("phone")
        .with_counter(3)
        .with_device_type("multiDevice")
        .with_backed_up(true)
        .with_transports("internal,hybrid")
        .with_aaguid("adce0002-35bc-c60a-648b-0b25f1f05503");
    let first = store.create_passkey(create.clone()).await.unwrap();
    let expected = Passkey {
        id: first.id.clone(),
        name: create.name,
        public_key: create.public_key,
        user_id: create.user_id,
        credential_id: create.credential_id,
        counter: 3,
        device_type: create.device_type,
        backed_up: true,
        transports: create.transports,
        aaguid: create.aaguid,
        created_at: first.created_at,
    };
    assert_eq!(first, expected);
    let second = new_passkey(&adapter, &user, "CREDENTIAL").await;
    let of_other = new_passkey(&adapter, &other, "another").await;
    let listed = store.list_passkeys(&user.id).await.unwrap();
    assert_eq!(listed, [second.clone(), first.clone()]);
    let found = store.get_passkey_with_user("credential").await.unwrap();
    assert_eq!(found, Some((first.clone(), user.clone())));
    let found = store.get_passkey_with_user("Credential").await.unwrap();
    assert_eq!(found, None);

    let renamed = store.rename_passkey(&user.id, &second.id, "key").await;
    let renamed = renamed.unwrap();
    let expected = Passkey {
        name: Some("key".to_owned()),
        ..second
    };
    assert_eq!(renamed, expected);
    for (user, id) in [(&other.id, &first.id), (&user.id, &of_other.id)] {
        let renamed = store.rename_passkey(user, id, "mine").await;
        assert_error!(renamed, AuthError::PasskeyNotFound);
        store.delete_passkey(user, id).await.unwrap();
    }
    let listed = store.list_passkeys(&user.id).await.unwrap();
    assert_eq!(listed, [renamed.clone(), first.clone()]);
    for _ in 0..2 {
        store.delete_passkey(&user.id, &first.id).await.unwrap();
    }
    assert_eq!(store.list_passkeys(&user.id).await.unwrap(), [renamed]);
    let found = store.get_passkey_with_user("credential").await.unwrap();
    assert_eq!(found, None);
    assert_eq!(store.list_passkeys(&other.id).await.unwrap(), [of_other]);
}

pub(super) async fn a_credential_is_stored_once(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let answers = at_once(20, |caller| {
        let owner = if caller % 2 == 0 { &user } else { &other };
        let (adapter, create) = (adapter.clone(), CreatePasskey::new(&owner.id, "key", "id"));
        async move { store(&adapter).create_passkey(create).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_error!(
            answer,
            AuthError::Conflict {
                field: ConflictField::Passkey
            }
        );
    }
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        let create = |credential: &str| CreatePasskey::new(unknown, "key", credential);
        let answer = store(&adapter).create_passkey(create("new")).await;
        assert_error!(answer, AuthError::UserNotFound);
        let answer = store(&adapter).create_passkey(create("id")).await;
        assert_error!(
            answer,
            AuthError::Conflict {
                field: ConflictField::Passkey
            }
        );
    }
}

pub(super) async fn a_counter_only_grows(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let passkey = new_passkey(&adapter, &user, "id").await;
    let store = store(&adapter);
    for (counter, backed_up, expected) in [
        (0, false, PasskeyUse::Accepted),
        (0, true, PasskeyUse::Accepted),
        (5, true, PasskeyUse::Accepted),
        (5, false, PasskeyUse::ClonedAuthenticator),
        (4, false, PasskeyUse::ClonedAuthenticator),
        (0, false, PasskeyUse::ClonedAuthenticator),
        (6, true, PasskeyUse::Accepted),
    ] {
        let outcome = store.record_use("id", counter, backed_up).await.unwrap();
        assert_eq!(outcome, expected);
    }
    let expected = Passkey {
        counter: 6,
        backed_up: true,
        ..passkey
    };
    assert_eq!(store.list_passkeys(&user.id).await.unwrap(), [expected]);
    for unknown in ["unknown", "", "a\0b", &"x".repeat(1401)] {
        let outcome = store.record_use(unknown, 1, false).await.unwrap();
        assert_eq!(outcome, PasskeyUse::NotFound);
        let found = store.get_passkey_with_user(unknown).await.unwrap();
        assert_eq!(found, None);
    }
}

pub(super) async fn of_many_one_has_the_counter(adapter: Adapter) {
    let user = new_user(&adapter).await;
    new_passkey(&adapter, &user, "id").await;
    for counter in [1, 2, i64::MAX] {
        let answers = at_once(50, |_| {
            let adapter = adapter.clone();
            async move {
                loop {
                    match store(&adapter).record_use("id", counter, false).await {
                        Err(error) if error.is_retryable() => {}
                        answer => return answer.unwrap(),
                    }
                }
            }
        });
        let answers = answers.await;
        let accepted = answers
            .iter()
            .filter(|outcome| **outcome == PasskeyUse::Accepted);
        assert_eq!(accepted.count(), 1);
    }
}

pub(super) async fn impossible_passkeys_are_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let store = store(&adapter);
    let base = || CreatePasskey::new(&user.id, "key", "id");
    for (field, create) in each_with!(base(), String::new() => CreatePasskey {
        public_key, credential_id;
        user_id, name, counter, device_type, backed_up, transports, aaguid
    }) {
        assert_refused(field, store.create_passkey(create).await);
    }
    for (field, create) in each_with!(base(), "a\0b".to_owned() => CreatePasskey {
        public_key, credential_id, device_type;
        user_id, name, counter, backed_up, transports, aaguid
    }) {
        assert_refused(field, store.create_passkey(create).await);
    }
    for (field, create) in each_with!(base(), Some("a\0b".to_owned()) => CreatePasskey {
        name, transports, aaguid;
        user_id, public_key, credential_id, counter, device_type, backed_up
    }) {
        assert_refused(field, store.create_passkey(create).await);
    }
    let create = base().with_counter(-1);
    assert_refused("counter", store.create_passkey(create).await);
    assert_refused("counter", store.record_use("id", -1, false).await);
    for name in [String::new(), "x".repeat(256)] {
        let create = base().with_name(name.as_str());
        assert_refused("name", store.create_passkey(create).await);
        assert_refused("name", store.rename_passkey(&user.id, "a", &name).await);
    }
    let create = CreatePasskey::new(&user.id, "key", "x".repeat(1401));
    assert_refused("credential_id", store.create_passkey(create).await);
    let longest = "x".repeat(1400);
    let create = CreatePasskey::new(&user.id, "key", &longest).with_name("x".repeat(255));
    let longest = (store.create_passkey(create).await.unwrap(), longest);
    let found = store.get_passkey_with_user(&longest.1).await.unwrap();
    assert_eq!(found.map(|(passkey, _)| passkey), Some(longest.0));
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        for (user_id, id) in [(unknown, "a"), (&*user.id, unknown)] {
            let renamed = store.rename_passkey(user_id, id, "name").await;
            assert_error!(renamed, AuthError::PasskeyNotFound);
            store.delete_passkey(user_id, id).await.unwrap();
        }
        assert_eq!(store.list_passkeys(unknown).await.unwrap(), []);
    }
}

pub(super) async fn a_deleted_user_has_no_passkeys(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for credential in ["a", "b"] {
        new_passkey(&adapter, &user, credential).await;
    }
    adapter.delete_user(&user.id).await.unwrap();
    assert_eq!(store(&adapter).list_passkeys(&user.id).await.unwrap(), []);
    let found = store(&adapter).get_passkey_with_user("a").await.unwrap();
    assert_eq!(found, None);
    let other = new_user(&adapter).await;
    new_passkey(&adapter, &other, "a").await;
}

pub(super) async fn passkeys_work_in_transactions(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for commits in [false, true] {
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction);
        let mut ids = Vec::new();
        for credential in ["a", "b"] {
            let create = CreatePasskey::new(&user.id, "key", credential);
            ids.push(inside.create_passkey(create).await.unwrap().id);
        }
        for outcome in [PasskeyUse::Accepted, PasskeyUse::ClonedAuthenticator] {
            assert_eq!(inside.record_use("a", 1, false).await.unwrap(), outcome);
        }
        let renamed = inside.rename_passkey(&user.id, &ids[0], "name").await;
        let renamed = renamed.unwrap();
        inside.delete_passkey(&user.id, &ids[1]).await.unwrap();
        let found = inside.get_passkey_with_user("a").await.unwrap();
        assert_eq!(found, Some((renamed.clone(), user.clone())));
        assert_eq!(store(&adapter).list_passkeys(&user.id).await.unwrap(), []);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let expected: Vec<_> = commits.then_some(renamed).into_iter().collect();
        let listed = store(&adapter).list_passkeys(&user.id).await.unwrap();
        assert_eq!(listed, expected);
    }
}

pub(super) async fn of_two_transactions_one_has_the_counter(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for round in 0..4 {
        let id = format!("id {round}");
        new_passkey(&adapter, &user, &id).await;
        let transaction = adapter.begin().await.unwrap();
        let outcome = store(&*transaction).record_use(&id, 1, false).await;
        assert_eq!(outcome.unwrap(), PasskeyUse::Accepted);
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                return store(&database).record_use(&id, 1, true).await;
            }
            let transaction = database.begin().await?;
            let outcome = store(&*transaction).record_use(&id, 1, true).await?;
            transaction.commit().await?;
            AuthResult::Ok(outcome)
        })
        .await;
        let second = match second {
            Ok(outcome) => outcome == PasskeyUse::Accepted,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                false
            }
        };
        assert!(first.is_ok() != second, "{first:?}, {second}");
    }
}
