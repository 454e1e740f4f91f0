//! Promises about `consume_verification`.

use super::{Adapter, assert_eq, at_once, code, expired_code, new_hashed, value_digest};

pub(super) async fn consume_takes_all_of_the_pair(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let newest = adapter.create_verification(code("a", "1")).await.unwrap();
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    let kept = adapter.create_verification(code("a", "2")).await.unwrap();
    let consumed = adapter.consume_verification("a", "1").await.unwrap();
    assert_eq!(consumed, Some(newest));
    assert_eq!(adapter.consume_verification("a", "1").await.unwrap(), None);
    assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
    assert_eq!(
        adapter.get_verification("a", "2").await.unwrap(),
        Some(kept)
    );
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
}

pub(super) async fn consume_refuses_the_expired(adapter: Adapter) {
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    let consumed = adapter.consume_verification("a", "1").await.unwrap();
    assert_eq!(consumed, None);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    for impossible in ["a\0b".to_owned(), "x".repeat(5000)] {
        assert_eq!(
            adapter
                .consume_verification(&impossible, "1")
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            adapter
                .consume_verification("a", &impossible)
                .await
                .unwrap(),
            None
        );
    }
}

pub(super) async fn one_of_many_consumes(adapter: Adapter) {
    for round in 0..10 {
        for _ in 0..=round % 3 {
            adapter.create_verification(code("a", "1")).await.unwrap();
        }
        let answers = at_once(12, |_| {
            let adapter = adapter.clone();
            async move { adapter.consume_verification("a", "1").await }
        })
        .await;
        let mut winners = 0;
        for answer in answers {
            winners += usize::from(answer.unwrap().is_some());
        }
        assert_eq!(winners, 1);
    }
}

pub(super) async fn consume_takes_the_pair_as_it_is_spelled(adapter: Adapter) {
    let long = "ü%".repeat(500_000);
    for (identifier, value) in [("Ada", "a_%"), ("'; --", "\\"), ("long", &long)] {
        let row = adapter
            .create_verification(code(identifier, value))
            .await
            .unwrap();
        for other in ["ada", "%", "", value] {
            let consumed = adapter.consume_verification(other, value).await.unwrap();
            assert_eq!(consumed, None);
        }
        for other in ["A_%", "%", "", identifier, &long[2..]] {
            let consumed = adapter.consume_verification(identifier, other).await;
            assert_eq!(consumed.unwrap(), None);
        }
        let consumed = adapter.consume_verification(identifier, value).await;
        assert_eq!(consumed.unwrap(), Some(row));
    }
}

pub(super) async fn a_used_pair_can_be_issued_again(adapter: Adapter) {
    for _ in 0..3 {
        let row = adapter.create_verification(code("a", "1")).await.unwrap();
        let consumed = adapter.consume_verification("a", "1").await.unwrap();
        assert_eq!(consumed, Some(row));
        assert_eq!(adapter.get_verification_by_value("1").await.unwrap(), None);
    }
}

pub(super) async fn hashed_pairs_are_consumed_once(adapter: Adapter) {
    for round in 0..5 {
        let plain = adapter.create_verification(code("a", "1")).await.unwrap();
        let hashed = new_hashed(&*adapter, code("a", "1")).await;
        let kept = new_hashed(&*adapter, code("a", "2")).await;
        for other in ["3", &value_digest()] {
            let consumed = adapter.consume_verification("a", other).await.unwrap();
            assert_eq!(consumed, None);
        }
        let answers = at_once(6 * (round + 1), |_| {
            let adapter = adapter.clone();
            async move { adapter.consume_verification("a", "1").await }
        })
        .await;
        let consumed: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(consumed, [hashed.unwrap_or(plain)]);
        let found = adapter.get_verification("a", "1").await.unwrap();
        assert_eq!(found, None);
        let consumed = adapter.consume_verification("a", "2").await.unwrap();
        assert_eq!(consumed, kept);
    }
}
