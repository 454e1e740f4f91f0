//! Promises about verifications.

use super::{Adapter, assert_eq, assert_error, at_once, code, expired_code};
use crate::AuthError;

pub(super) async fn create_returns_what_every_get_returns(adapter: Adapter) {
    let row = adapter
        .create_verification(code("Ada", "123"))
        .await
        .unwrap();
    assert_eq!(
        (row.identifier.as_str(), row.value.as_str()),
        ("Ada", "123")
    );
    assert_eq!(row.updated_at, row.created_at);
    assert_eq!(
        adapter.get_verification("Ada", "123").await.unwrap(),
        Some(row.clone())
    );
    assert_eq!(
        adapter.get_verification_by_value("123").await.unwrap(),
        Some(row)
    );
    assert_eq!(adapter.get_verification("ada", "123").await.unwrap(), None);
    assert_eq!(adapter.get_verification("Ada", "124").await.unwrap(), None);
    assert_eq!(
        adapter.get_verification_by_value("124").await.unwrap(),
        None
    );
}

pub(super) async fn only_live_verifications_are_found(adapter: Adapter) {
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
    assert_eq!(adapter.get_verification_by_value("1").await.unwrap(), None);
}

pub(super) async fn the_newest_is_found(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let newest = adapter.create_verification(code("a", "1")).await.unwrap();
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(newest.clone())
    );
    assert_eq!(
        adapter.get_verification_by_value("1").await.unwrap(),
        Some(newest)
    );
    let newest = adapter.create_verification(code("b", "1")).await.unwrap();
    assert_eq!(
        adapter.get_verification_by_value("1").await.unwrap(),
        Some(newest)
    );
}

pub(super) async fn an_identifier_holds_several_values(adapter: Adapter) {
    let first = adapter.create_verification(code("a", "1")).await.unwrap();
    let second = adapter.create_verification(code("a", "2")).await.unwrap();
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(first)
    );
    assert_eq!(
        adapter.get_verification("a", "2").await.unwrap(),
        Some(second)
    );
}

pub(super) async fn identifiers_have_a_longest_length(adapter: Adapter) {
    let longest = "ä".repeat(512);
    let row = adapter
        .create_verification(code(&longest, "1"))
        .await
        .unwrap();
    assert_eq!(
        adapter.get_verification(&longest, "1").await.unwrap(),
        Some(row)
    );
    assert_error!(
        adapter
            .create_verification(code(&"x".repeat(1025), "1"))
            .await,
        AuthError::Validation {
            field: "identifier",
            ..
        }
    );
}

pub(super) async fn values_may_be_megabytes(adapter: Adapter) {
    let long = "ü!".repeat(1_000_000);
    let row = adapter.create_verification(code("a", &long)).await.unwrap();
    assert_eq!(
        adapter.get_verification("a", &long).await.unwrap(),
        Some(row.clone())
    );
    assert_eq!(
        adapter.get_verification_by_value(&long).await.unwrap(),
        Some(row)
    );
    assert_eq!(
        adapter.get_verification_by_value(&long[2..]).await.unwrap(),
        None
    );
}

pub(super) async fn delete_removes_one(adapter: Adapter) {
    let first = adapter.create_verification(code("a", "1")).await.unwrap();
    let second = adapter.create_verification(code("a", "1")).await.unwrap();
    adapter.delete_verification(&second.id).await.unwrap();
    adapter.delete_verification(&second.id).await.unwrap();
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(first)
    );
}

pub(super) async fn expired_verifications_are_removed(adapter: Adapter) {
    let live = adapter.create_verification(code("a", "1")).await.unwrap();
    at_once(4, |_| {
        let adapter = adapter.clone();
        async move {
            for _ in 0..260 {
                adapter
                    .create_verification(expired_code("a", "1"))
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 1040);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(live)
    );
}
