//! Promises about `check_code`.

use super::{
    Adapter, assert_eq, assert_refused, at_once, code, expired_code, new_hashed, value_digest,
};
use crate::types::{CodeCheck, CreateVerification, Verification};

async fn create(adapter: &Adapter, code: CreateVerification) -> Verification {
    adapter.create_verification(code).await.unwrap()
}

async fn check(adapter: &Adapter, value: &str) -> CodeCheck {
    adapter.check_code("a", value, 3).await.unwrap()
}

fn wrong(attempts_left: u32) -> CodeCheck {
    CodeCheck::Wrong { attempts_left }
}

/// A check that is made again until it is answered: a store may refuse it while others are at work.
async fn check_until_answered(adapter: &Adapter, value: &str) -> CodeCheck {
    loop {
        match adapter.check_code("a", value, 3).await {
            Ok(check) => return check,
            Err(error) if error.is_retryable() => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

pub(super) async fn the_right_code_is_accepted_once(adapter: Adapter) {
    create(&adapter, code("a", "older")).await;
    let newest = create(&adapter, code("a", "right")).await;
    let kept = create(&adapter, code("b", "right")).await;
    assert_eq!(check(&adapter, "right").await, CodeCheck::Accepted(newest));
    for value in ["right", "older"] {
        assert_eq!(check(&adapter, value).await, CodeCheck::NotFound);
        let found = adapter.get_verification("a", value).await.unwrap();
        assert_eq!(found, None);
    }
    let found = adapter.get_verification_by_value("right").await.unwrap();
    assert_eq!(found, Some(kept));
}

pub(super) async fn wrong_codes_are_counted(adapter: Adapter) {
    let row = create(&adapter, code("a", "right")).await;
    assert_eq!(check(&adapter, "wrong").await, wrong(2));
    assert_eq!(check(&adapter, "a\0b").await, wrong(1));
    let found = adapter.get_verification("a", "right").await.unwrap();
    assert_eq!(found, Some(row.clone()));
    assert_eq!(check(&adapter, "right").await, CodeCheck::Accepted(row));

    create(&adapter, code("a", "right")).await;
    for expected in [wrong(2), wrong(1)] {
        assert_eq!(check(&adapter, "Right").await, expected);
    }
    for value in ["wrong", "wrong", "right"] {
        assert_eq!(check(&adapter, value).await, CodeCheck::TooManyAttempts);
    }
    let more = adapter.check_code("a", "right", 1000).await.unwrap();
    assert_eq!(more, CodeCheck::TooManyAttempts);

    // A new code has attempts of its own.
    let row = create(&adapter, code("a", "new")).await;
    assert_eq!(check(&adapter, "right").await, wrong(2));
    assert_eq!(check(&adapter, "new").await, CodeCheck::Accepted(row));
}

pub(super) async fn a_code_without_attempts_is_dead(adapter: Adapter) {
    create(&adapter, code("a", "right")).await;
    let only = adapter.check_code("a", "wrong", 1).await.unwrap();
    assert_eq!(only, CodeCheck::TooManyAttempts);
    let found = adapter.get_verification("a", "right").await.unwrap();
    assert_eq!(found, None);
    let found = adapter.get_verification_by_value("right").await.unwrap();
    assert_eq!(found, None);
    assert_eq!(check(&adapter, "right").await, CodeCheck::TooManyAttempts);
    // Fewer attempts than were made already.
    create(&adapter, code("a", "new")).await;
    assert_eq!(check(&adapter, "wrong").await, wrong(2));
    let fewer = adapter.check_code("a", "new", 1).await.unwrap();
    assert_eq!(fewer, CodeCheck::TooManyAttempts);
    assert_eq!(check(&adapter, "new").await, CodeCheck::TooManyAttempts);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
}

pub(super) async fn only_the_newest_unexpired_code_counts(adapter: Adapter) {
    create(&adapter, code("a", "older")).await;
    let newest = create(&adapter, code("a", "newest")).await;
    create(&adapter, expired_code("a", "expired")).await;
    assert_eq!(check(&adapter, "older").await, wrong(2));
    assert_eq!(check(&adapter, "expired").await, wrong(1));
    assert_eq!(check(&adapter, "newest").await, CodeCheck::Accepted(newest));
    create(&adapter, expired_code("b", "expired")).await;
    for identifier in ["a", "b", "unknown", "a\0b", &"x".repeat(5000)] {
        let checked = adapter.check_code(identifier, "expired", 3).await.unwrap();
        assert_eq!(checked, CodeCheck::NotFound);
    }
}

pub(super) async fn no_attempts_are_refused(adapter: Adapter) {
    let row = create(&adapter, code("a", "right")).await;
    for identifier in ["a", "unknown"] {
        let checked = adapter.check_code(identifier, "right", 0).await;
        assert_refused("max_attempts", checked);
    }
    assert_eq!(
        adapter.check_code("a", "right", u32::MAX).await.unwrap(),
        CodeCheck::Accepted(row)
    );
}

pub(super) async fn a_thousand_guesses_share_the_attempts(adapter: Adapter) {
    create(&adapter, code("a", "right")).await;
    let checks = at_once(1000, |index| {
        let adapter = adapter.clone();
        async move { check_until_answered(&adapter, &format!("wrong {index}")).await }
    })
    .await;
    let mut left = Vec::new();
    for check in checks {
        match check {
            CodeCheck::Wrong { attempts_left } => left.push(attempts_left),
            check => assert_eq!(check, CodeCheck::TooManyAttempts),
        }
    }
    left.sort_unstable();
    assert_eq!(left, [1, 2]);
    assert_eq!(check(&adapter, "right").await, CodeCheck::TooManyAttempts);
}

pub(super) async fn one_of_many_is_accepted(adapter: Adapter) {
    for _ in 0..10 {
        for value in ["older", "right"] {
            create(&adapter, code("a", value)).await;
        }
        let checks = at_once(12, |index| {
            let adapter = adapter.clone();
            let value = if index % 6 == 5 { "older" } else { "right" };
            async move { check_until_answered(&adapter, value).await }
        })
        .await;
        let mut accepted = 0;
        for check in checks {
            match check {
                CodeCheck::Accepted(row) => {
                    accepted += 1;
                    assert_eq!(row.value, "right");
                }
                CodeCheck::Wrong { .. } | CodeCheck::NotFound => {}
                CodeCheck::TooManyAttempts => panic!("two wrong codes used up three attempts"),
            }
        }
        assert_eq!(accepted, 1);
        let found = adapter.get_verification("a", "older").await.unwrap();
        assert_eq!(found, None);
    }
}

pub(super) async fn hashed_codes_are_checked(adapter: Adapter) {
    create(&adapter, code("a", "older")).await;
    let Some(row) = new_hashed(&*adapter, code("a", "right")).await else {
        return;
    };
    assert_eq!(check(&adapter, &value_digest()).await, wrong(2));
    assert_eq!(check(&adapter, "older").await, wrong(1));
    assert_eq!(check(&adapter, "right").await, CodeCheck::Accepted(row));
    assert_eq!(check(&adapter, "right").await, CodeCheck::NotFound);

    new_hashed(&*adapter, code("a", "right")).await;
    for expected in [wrong(2), wrong(1), CodeCheck::TooManyAttempts] {
        assert_eq!(check(&adapter, "wrong").await, expected);
    }
    assert_eq!(check(&adapter, "right").await, CodeCheck::TooManyAttempts);
    let found = adapter.get_verification("a", "right").await.unwrap();
    assert_eq!(found, None);

    for _ in 0..5 {
        new_hashed(&*adapter, code("a", "right")).await;
        let checks = at_once(12, |_| {
            let adapter = adapter.clone();
            async move { check_until_answered(&adapter, "right").await }
        })
        .await;
        let accepted = |check: &&CodeCheck| matches!(check, CodeCheck::Accepted(_));
        assert_eq!(checks.iter().filter(accepted).count(), 1);
    }
}
