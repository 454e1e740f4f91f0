//! Promises about signing keys.

use std::time::Duration;

use super::transaction_races::overlap;
use super::{Adapter, an_hour_ago, assert_eq, assert_refused, at_once, each_with, in_an_hour};
use crate::AuthResult;
use crate::adapters::{DatabaseAdapter, SigningKeyStore};
use crate::types::{CreateSigningKey, SigningKey};

const HOUR: Duration = Duration::from_secs(3600);

fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn SigningKeyStore {
    adapter.signing_keys().expect("the adapter has the store")
}

fn pair(name: &str) -> CreateSigningKey {
    CreateSigningKey::new(format!("{name} public"), format!("{name} private"))
}

/// Calls again while others are in the way.
async fn rotate(adapter: &Adapter, new: CreateSigningKey, older_than: Duration) -> SigningKey {
    loop {
        match store(adapter).rotate(new.clone(), older_than).await {
            Err(error) if error.is_retryable() => {}
            answer => return answer.unwrap(),
        }
    }
}

pub(super) async fn a_key_is_replaced_when_it_is_old(adapter: Adapter) {
    assert_eq!(store(&adapter).current().await.unwrap(), None);
    assert_eq!(store(&adapter).list_signing_keys().await.unwrap(), []);
    let mut create = pair("first").with_alg("EdDSA").with_crv("Ed25519");
    create.expires_at = Some(in_an_hour());
    let first = rotate(&adapter, create, HOUR).await;
    assert_eq!(first.generation, 1);
    let given = (
        &*first.public_key,
        &*first.private_key,
        first.alg.as_deref(),
    );
    assert_eq!(given, ("first public", "first private", Some("EdDSA")));
    assert_eq!(first.crv.as_deref(), Some("Ed25519"));
    assert_eq!(rotate(&adapter, pair("second"), HOUR).await, first);
    assert_eq!(rotate(&adapter, pair("second"), Duration::MAX).await, first);
    let current = store(&adapter).current().await.unwrap();
    assert_eq!(current.as_ref(), Some(&first));
    let second = rotate(&adapter, pair("second"), Duration::ZERO).await;
    assert_eq!(
        (second.generation, &*second.public_key),
        (2, "second public")
    );
    let current = store(&adapter).current().await.unwrap();
    assert_eq!(current.as_ref(), Some(&second));
    let listed = store(&adapter).list_signing_keys().await.unwrap();
    assert_eq!(listed, [second, first]);
}

pub(super) async fn an_expired_key_neither_signs_nor_verifies(adapter: Adapter) {
    let mut expired = pair("expired");
    expired.expires_at = Some(an_hour_ago());
    let expired = rotate(&adapter, expired, HOUR).await;
    assert_eq!(store(&adapter).current().await.unwrap(), None);
    assert_eq!(store(&adapter).list_signing_keys().await.unwrap(), []);
    let next = rotate(&adapter, pair("next"), HOUR).await;
    assert_eq!(next.generation, expired.generation + 1);
    assert_eq!(store(&adapter).list_signing_keys().await.unwrap(), [next]);
}

pub(super) async fn of_many_one_rotates(adapter: Adapter) {
    for generation in [1, 3, 5] {
        let answers = at_once(50, |caller| {
            let (adapter, new) = (adapter.clone(), pair(&caller.to_string()));
            async move { rotate(&adapter, new, HOUR).await }
        });
        let answers = answers.await;
        let first = answers.first().unwrap();
        assert_eq!(first.generation, generation);
        assert!(answers.iter().all(|key| key == first));
        let current = store(&adapter).current().await.unwrap();
        assert_eq!(current.as_ref(), Some(first));
        // It has expired, so another one is due.
        let mut expired = pair("expired");
        expired.expires_at = Some(an_hour_ago());
        rotate(&adapter, expired, Duration::ZERO).await;
    }
}

pub(super) async fn impossible_keys_are_refused(adapter: Adapter) {
    let store = store(&adapter);
    for (field, new) in each_with!(pair("a"), String::new() => CreateSigningKey {
        public_key, private_key; alg, crv, expires_at
    }) {
        assert_refused(field, store.rotate(new, HOUR).await);
    }
    for (field, new) in each_with!(pair("a"), "a\0b".to_owned() => CreateSigningKey {
        public_key, private_key; alg, crv, expires_at
    }) {
        assert_refused(field, store.rotate(new, HOUR).await);
    }
    for (field, new) in each_with!(pair("a"), Some("a\0b".to_owned()) => CreateSigningKey {
        alg, crv; public_key, private_key, expires_at
    }) {
        assert_refused(field, store.rotate(new, HOUR).await);
    }
    assert_eq!(store.current().await.unwrap(), None);
}

pub(super) async fn private_keys_do_not_show(adapter: Adapter) {
    let create = CreateSigningKey::new("public", "hunter2");
    assert!(!format!("{create:?} {create:#?}").contains("hunter2"));
    let key = rotate(&adapter, create, HOUR).await;
    assert!(!format!("{key:?} {key:#?}").contains("hunter2"));
    let json = serde_json::to_string(&key).unwrap();
    assert!(!json.contains("hunter2") && json.contains("publicKey"));
    let whole = serde_json::to_string(&key.with_secrets()).unwrap();
    assert_eq!(serde_json::from_str::<SigningKey>(&whole).unwrap(), key);
}

pub(super) async fn of_two_transactions_one_rotates(adapter: Adapter) {
    for round in 0..4 {
        let before = store(&adapter).current().await.unwrap();
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction).rotate(pair("inside"), Duration::ZERO);
        let inside = inside.await.unwrap();
        let outside = store(&adapter).current().await.unwrap();
        assert_eq!(outside, before);
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                let rotated = store(&database).rotate(pair("other"), Duration::ZERO);
                return rotated.await;
            }
            let transaction = database.begin().await?;
            let rotated = store(&*transaction).rotate(pair("other"), Duration::ZERO);
            let rotated = rotated.await?;
            transaction.commit().await?;
            AuthResult::Ok(rotated)
        })
        .await;
        let listed = store(&adapter).list_signing_keys().await.unwrap();
        let generations: Vec<i64> = listed.iter().map(|key| key.generation).rev().collect();
        let count = i64::try_from(generations.len()).unwrap();
        assert_eq!(generations, (1..=count).collect::<Vec<_>>());
        match (first, second) {
            (Ok(()), Ok(key)) => assert!(listed.contains(&inside) && listed.contains(&key)),
            (Ok(()), Err(error)) => {
                assert!(error.is_retryable(), "{error:?}");
                assert!(listed.contains(&inside));
            }
            (Err(error), Ok(key)) => {
                assert!(error.is_retryable(), "{error:?}");
                assert!(listed.contains(&key) && !listed.contains(&inside));
            }
            both => panic!("{both:?}"),
        }
    }
}
