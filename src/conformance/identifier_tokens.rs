//! Promises about `consume_verification_by_identifier` and `delete_verifications_by_identifier`.

use super::{Adapter, assert_eq, at_once, code, expired_code};

pub(super) async fn consume_takes_all_of_the_identifier(adapter: Adapter) {
    for row in [code("a", "1"), code("a", "1"), code("a", "2")] {
        adapter.create_verification(row).await.unwrap();
    }
    let newest = adapter.create_verification(code("a", "3")).await.unwrap();
    let expired = expired_code("a", "4");
    adapter.create_verification(expired).await.unwrap();
    let kept = adapter.create_verification(code("b", "3")).await.unwrap();
    for impossible in ["a\0b", "unknown", "A", "%", &"x".repeat(5000)] {
        let consumed = adapter.consume_verification_by_identifier(impossible).await;
        assert_eq!(consumed.unwrap(), None);
    }
    for expected in [Some(newest), None] {
        let consumed = adapter.consume_verification_by_identifier("a").await;
        assert_eq!(consumed.unwrap(), expected);
    }
    for value in ["1", "2", "3", "4"] {
        let found = adapter.get_verification("a", value).await.unwrap();
        assert_eq!(found, None);
    }
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    let found = adapter.get_verification("b", "3").await.unwrap();
    assert_eq!(found, Some(kept));
}

pub(super) async fn consume_refuses_the_expired(adapter: Adapter) {
    let expired = expired_code("a", "1");
    adapter.create_verification(expired).await.unwrap();
    let consumed = adapter.consume_verification_by_identifier("a").await;
    assert_eq!(consumed.unwrap(), None);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
}

pub(super) async fn delete_removes_all_of_the_identifier(adapter: Adapter) {
    for row in [code("a", "1"), code("a", "2"), expired_code("a", "3")] {
        adapter.create_verification(row).await.unwrap();
    }
    let kept = adapter.create_verification(code("b", "1")).await.unwrap();
    for identifier in ["a", "a", "unknown", "a\0b", &"x".repeat(5000)] {
        let deleted = adapter.delete_verifications_by_identifier(identifier).await;
        deleted.unwrap();
        for value in ["1", "2"] {
            let found = adapter.get_verification("a", value).await.unwrap();
            assert_eq!(found, None);
        }
    }
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    let found = adapter.get_verification_by_value("1").await.unwrap();
    assert_eq!(found, Some(kept));
}

pub(super) async fn one_of_many_consumes(adapter: Adapter) {
    for round in 0..10 {
        for number in 0..=round % 3 {
            let row = code("a", &number.to_string());
            adapter.create_verification(row).await.unwrap();
        }
        let answers = at_once(12, |_| {
            let adapter = adapter.clone();
            async move { adapter.consume_verification_by_identifier("a").await }
        })
        .await;
        let mut winners = 0;
        for answer in answers {
            winners += usize::from(answer.unwrap().is_some());
        }
        assert_eq!(winners, 1);
    }
}
