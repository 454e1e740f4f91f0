//! Promises about `reserve_verification`.

use chrono::TimeDelta;

use super::{
    Adapter, an_hour_ago, assert_eq, assert_refused, at_once, code, expired_code, in_an_hour,
};

pub(super) async fn a_marker_is_set_once(adapter: Adapter) {
    let end = in_an_hour();
    for (identifier, value) in [("a", "1"), ("a", "2"), ("b", "1"), ("a1", ""), ("", "a1")] {
        for expected in [true, false, false] {
            let reserved = adapter.reserve_verification(identifier, value, end).await;
            assert_eq!(reserved.unwrap(), expected);
        }
        let marker = adapter.get_verification(identifier, value).await.unwrap();
        let marker = marker.unwrap();
        assert_eq!(marker.created_at, marker.updated_at);
        assert!((marker.expires_at - end).abs() < TimeDelta::milliseconds(1));
    }
    // Free again once it is deleted.
    let marker = adapter.get_verification("a", "1").await.unwrap().unwrap();
    adapter.delete_verification(&marker.id).await.unwrap();
    for expected in [true, false] {
        let reserved = adapter.reserve_verification("a", "1", end).await.unwrap();
        assert_eq!(reserved, expected);
    }
}

pub(super) async fn an_expired_marker_is_free(adapter: Adapter) {
    for _ in 0..2 {
        let reserved = adapter.reserve_verification("a", "1", an_hour_ago()).await;
        assert_eq!(reserved.unwrap(), true);
        assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
    }
    for expected in [true, false] {
        let reserved = adapter.reserve_verification("a", "1", in_an_hour()).await;
        assert_eq!(reserved.unwrap(), expected);
        assert!(adapter.get_verification("a", "1").await.unwrap().is_some());
        assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    }
}

pub(super) async fn created_rows_are_no_markers(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let expired = expired_code("a", "1");
    adapter.create_verification(expired).await.unwrap();
    let reserved = adapter.reserve_verification("a", "1", in_an_hour()).await;
    assert_eq!(reserved.unwrap(), true);
    adapter.create_verification(code("a", "1")).await.unwrap();
    let reserved = adapter.reserve_verification("a", "1", in_an_hour()).await;
    assert_eq!(reserved.unwrap(), false);
}

pub(super) async fn impossible_input_is_refused(adapter: Adapter) {
    let reserve = |identifier: &str, value: &str| {
        let (adapter, end) = (adapter.clone(), in_an_hour());
        let (identifier, value) = (identifier.to_owned(), value.to_owned());
        async move { adapter.reserve_verification(&identifier, &value, end).await }
    };
    assert_refused("identifier", reserve("a\0b", "1").await);
    assert_refused("identifier", reserve(&"x".repeat(1025), "1").await);
    assert_refused("value", reserve("a", "a\0b").await);
    let too_early = "-5000-01-01T00:00:00Z".parse().unwrap();
    let reserved = adapter.reserve_verification("a", "1", too_early).await;
    assert_refused("expires_at", reserved);
    for expected in [true, false] {
        let long = "x".repeat(1_000_000);
        assert_eq!(reserve("a", &long).await.unwrap(), expected);
    }
}

pub(super) async fn one_of_many_sets_the_marker(adapter: Adapter) {
    for round in 0..10 {
        let value = round.to_string();
        if round % 2 == 0 {
            let expired = adapter.reserve_verification("a", &value, an_hour_ago());
            expired.await.unwrap();
        }
        let answers = at_once(12, |_| {
            let (adapter, value) = (adapter.clone(), value.clone());
            async move {
                adapter
                    .reserve_verification("a", &value, in_an_hour())
                    .await
            }
        })
        .await;
        let mut winners = 0;
        for answer in answers {
            winners += usize::from(answer.unwrap());
        }
        assert_eq!(winners, 1);
    }
}
