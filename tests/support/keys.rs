//! Promises about the keys by which values of verifications are hashed, for adapters on the same data with keys of their own.

use std::sync::Arc;

use better_auth::adapters::{DatabaseAdapter, VerificationKeys};
use better_auth::types::{CodeCheck, CreateVerification, Verification};
use better_auth::{AuthError, transaction};
use chrono::{TimeDelta, Utc};

pub(crate) type Adapter = Arc<dyn DatabaseAdapter>;

/// The keys, from the least to the greatest number of their bytes. The first is the current one.
pub(crate) fn keys(numbers: &[u8]) -> Option<VerificationKeys> {
    let key = |number: u8| [number; 32];
    let (current, previous) = numbers.split_first()?;
    let keys = VerificationKeys::new(key(*current));
    Some(
        previous
            .iter()
            .fold(keys, |keys, &previous| keys.with_previous(key(previous))),
    )
}

fn code(identifier: &str, value: &str) -> CreateVerification {
    CreateVerification::new(identifier, value, Utc::now() + TimeDelta::hours(1))
}

async fn create(adapter: &dyn DatabaseAdapter, code: CreateVerification) -> Verification {
    adapter.create_verification(code).await.unwrap()
}

/// What each lookup by the value finds.
async fn found(adapter: &dyn DatabaseAdapter, row: &Verification) -> [Option<Verification>; 2] {
    [
        adapter.get_verification(&row.identifier, &row.value).await,
        adapter.get_verification_by_value(&row.value).await,
    ]
    .map(Result::unwrap)
}

async fn is_found(adapter: &dyn DatabaseAdapter, row: &Verification) {
    for found in found(adapter, row).await {
        assert_eq!(found.as_ref(), Some(row));
    }
}

async fn is_missed(adapter: &dyn DatabaseAdapter, row: &Verification) {
    for found in found(adapter, row).await {
        assert_eq!(found, None);
    }
}

/// `number` of different values, created by one adapter and used up by another, by both methods that use up a value.
async fn one_serves_the_other(one: &Adapter, other: &Adapter, number: usize, hashed: bool) {
    let callers = (0..number).map(|index| {
        let (one, other) = (Arc::clone(one), Arc::clone(other));
        tokio::spawn(async move {
            let (identifier, value) = (format!("{index}"), format!("{:06}", index * 7));
            let code = || code(&identifier, &value);
            let code = || if hashed { code().hashed() } else { code() };
            let row = create(&one, code()).await;
            is_found(&other, &row).await;
            let wrong = other.check_code(&identifier, "wrong", 3).await.unwrap();
            assert_eq!(wrong, CodeCheck::Wrong { attempts_left: 2 });
            let check = other.check_code(&identifier, &value, 3).await.unwrap();
            assert_eq!(check, CodeCheck::Accepted(row));
            let row = create(&one, code()).await;
            let consumed = other.consume_verification(&identifier, &value).await;
            assert_eq!(consumed.unwrap(), Some(row));
            assert_eq!(
                one.get_verification(&identifier, &value).await.unwrap(),
                None
            );
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// Two instances learn a key, change it and forget the old one, one instance after the other, and each uses up what the
/// other has created.
pub(crate) async fn keys_change_while_traffic_runs(with: impl AsyncFn(&[u8]) -> Adapter) {
    let steps: [(&[u8], bool); 6] = [
        (&[], false),
        (&[1], false),
        (&[1], true),
        (&[1, 2], true),
        (&[2, 1], true),
        (&[2], true),
    ];
    for pair in steps.windows(2) {
        let [(before, hashed_before), (after, hashed_after)] = *pair else {
            panic!("two at a time");
        };
        let (one, other) = (with(before).await, with(after).await);
        one_serves_the_other(&one, &other, 8, hashed_before).await;
        one_serves_the_other(&other, &one, 8, hashed_after && !before.is_empty()).await;
        one_serves_the_other(&other, &other, 8, hashed_after).await;
    }
}

pub(crate) async fn a_forgotten_key_finds_nothing(with: impl AsyncFn(&[u8]) -> Adapter) {
    let old = with(&[1]).await;
    let row = create(&old, code("a", "493027").hashed()).await;
    let plain = create(&old, code("b", "plain")).await;
    is_found(&with(&[2, 3, 1]).await, &row).await;
    for keys in [&[2][..], &[2, 3], &[]] {
        let other = with(keys).await;
        is_missed(&other, &row).await;
        is_found(&other, &plain).await;
        let consumed = other.consume_verification("a", "493027").await.unwrap();
        assert_eq!(consumed, None);
    }
    let other = with(&[2]).await;
    let check = other.check_code("a", "493027", 3).await.unwrap();
    assert_eq!(check, CodeCheck::Wrong { attempts_left: 2 });
    is_found(&old, &row).await;
    // The row is there until it expires, or until its identifier is used up.
    let shown = other.consume_verification_by_identifier("a").await.unwrap();
    assert_eq!(shown.map(|shown| shown.id), Some(row.id.clone()));
    is_missed(&old, &row).await;
}

/// Of several rows of a pair under several keys, the newest is found, and all are used up at once.
pub(crate) async fn rows_of_all_keys_are_one_pair(with: impl AsyncFn(&[u8]) -> Adapter) {
    let all = with(&[3, 2, 1]).await;
    for newest in 0..4 {
        let mut row = None;
        for number in (1..=4).map(|step| (newest + step) % 4) {
            let code = code("a", "1");
            row = Some(match number {
                0 => create(&all, code).await,
                key => create(&with(&[key]).await, code.hashed()).await,
            });
        }
        let row = row.unwrap();
        is_found(&all, &row).await;
        let consumed = all.consume_verification("a", "1").await.unwrap();
        assert_eq!(consumed.as_ref(), Some(&row));
        is_missed(&all, &row).await;
        for key in 1..4 {
            is_missed(&with(&[key]).await, &row).await;
        }
    }
}

pub(crate) async fn without_keys_nothing_is_hashed(with: impl AsyncFn(&[u8]) -> Adapter) {
    let none = with(&[]).await;
    let refused = none.create_verification(code("a", "493027").hashed()).await;
    assert!(
        matches!(refused, Err(AuthError::Unsupported { .. })),
        "{refused:?}"
    );
    let stored = none.get_verification_by_identifier("a").await.unwrap();
    assert_eq!(stored, None);
    // A transaction goes on.
    let kept = transaction(&none, |tx| async move {
        let refused = tx.create_verification(code("a", "493027").hashed()).await;
        assert!(refused.is_err());
        tx.create_verification(code("a", "plain")).await
    });
    let kept = kept.await.unwrap();
    is_found(&none, &kept).await;
}

/// What a row shows in place of its value opens nothing, whoever has which keys.
pub(crate) async fn no_digest_is_a_value(with: impl AsyncFn(&[u8]) -> Adapter) {
    let keyed = with(&[1]).await;
    let row = create(&keyed, code("a", "493027").hashed()).await;
    let shown = keyed.get_verification_by_identifier("a").await.unwrap();
    let digest = shown.unwrap().value;
    assert!(digest.starts_with("hmac-sha256:"), "{digest}");
    let leaked = Verification {
        value: digest.clone(),
        ..row.clone()
    };
    for keys in [&[][..], &[1], &[2, 1]] {
        let adapter = with(keys).await;
        is_missed(&adapter, &leaked).await;
        let consumed = adapter.consume_verification("a", &digest).await.unwrap();
        assert_eq!(consumed, None);
        for create in [code("a", &digest), code("a", &digest).hashed()] {
            let refused = adapter.create_verification(create).await;
            assert!(
                matches!(refused, Err(AuthError::Validation { field: "value", .. })),
                "{refused:?}"
            );
        }
        let end = Utc::now() + TimeDelta::hours(1);
        let refused = adapter.reserve_verification("a", &digest, end).await;
        assert!(
            matches!(refused, Err(AuthError::Validation { field: "value", .. })),
            "{refused:?}"
        );
    }
    let check = keyed.check_code("a", &digest, 3).await.unwrap();
    assert_eq!(check, CodeCheck::Wrong { attempts_left: 2 });
    is_found(&keyed, &row).await;
}

/// In a transaction as outside.
pub(crate) async fn transactions_have_the_keys(with: impl AsyncFn(&[u8]) -> Adapter) {
    let adapter = with(&[2, 1]).await;
    let before = create(&with(&[1]).await, code("a", "1").hashed()).await;
    let transaction = adapter.begin().await.unwrap();
    is_found(&transaction, &before).await;
    let inside = create(&transaction, code("b", "2").hashed()).await;
    is_found(&transaction, &inside).await;
    is_missed(&adapter, &inside).await;
    let check = transaction.check_code("a", "1", 3).await.unwrap();
    assert_eq!(check, CodeCheck::Accepted(before.clone()));
    transaction.commit().await.unwrap();
    is_missed(&adapter, &before).await;
    is_found(&adapter, &inside).await;
}
