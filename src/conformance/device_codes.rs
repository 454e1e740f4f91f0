//! Promises about device codes.

use std::collections::HashSet;
use std::time::Duration;

use super::transaction_races::overlap;
use super::{
    Adapter, an_hour_ago, assert_eq, assert_error, assert_refused, at_once, each_with, in_an_hour,
    new_user,
};
use crate::adapters::{DatabaseAdapter, DeviceCodeStore};
use crate::types::{CreateDeviceCode, DeviceCode, DeviceCodeStatus, DevicePoll, IssuedDeviceCode};
use crate::{AuthError, AuthResult};

const CLIENT: Option<&str> = Some("television");

fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn DeviceCodeStore {
    adapter.device_codes().expect("the adapter has the store")
}

fn create() -> CreateDeviceCode {
    CreateDeviceCode::new(in_an_hour()).with_client_id("television")
}

async fn issue(adapter: &Adapter) -> IssuedDeviceCode {
    let issued = store(adapter).create_device_code(create()).await;
    issued.unwrap()
}

/// Calls again while others are in the way.
async fn poll(adapter: &Adapter, code: &str) -> DevicePoll {
    loop {
        match store(adapter).poll(code, CLIENT).await {
            Err(error) if error.is_retryable() => {}
            answer => return answer.unwrap(),
        }
    }
}

pub(super) async fn a_device_is_approved(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let store = store(&adapter);
    let create = create().with_scope("read write");
    let issued = store.create_device_code(create).await.unwrap();
    let (code, typed) = (&*issued.device_code, &*issued.row.user_code);
    let expected = DeviceCode {
        status: DeviceCodeStatus::Pending,
        user_id: None,
        last_polled_at: None,
        polling_interval: 5000,
        client_id: CLIENT.map(str::to_owned),
        scope: Some("read write".to_owned()),
        updated_at: issued.row.created_at,
        ..issued.row.clone()
    };
    assert_eq!(issued.row, expected);
    let (first, second) = typed.split_at(4);
    for typed in [typed.to_owned(), format!("{first}-{second}").to_lowercase()] {
        let found = store.get_device_code(&typed).await.unwrap();
        assert_eq!(found.as_ref(), Some(&issued.row));
    }
    assert_eq!(store.poll(code, CLIENT).await.unwrap(), DevicePoll::Pending);
    for client in [None, Some("radio"), Some("a\0b"), Some(&*"x".repeat(5000))] {
        assert_eq!(
            store.poll(code, client).await.unwrap(),
            DevicePoll::NotFound
        );
    }
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        assert_error!(store.approve(typed, unknown).await, AuthError::UserNotFound);
    }
    let lower = format!("{first}-{second}").to_lowercase();
    assert!(store.approve(&lower, &user.id).await.unwrap());
    assert!(!store.approve(typed, &user.id).await.unwrap());
    assert!(!store.deny(typed).await.unwrap());
    let found = store.get_device_code(typed).await.unwrap().unwrap();
    assert_eq!(found.status, DeviceCodeStatus::Approved);
    assert_eq!(found.user_id.as_ref(), Some(&user.id));
    assert!(found.updated_at > issued.row.updated_at && found.last_polled_at.is_some());
    let approved = DevicePoll::Approved {
        user_id: user.id,
        scope: Some("read write".to_owned()),
    };
    for expected in [approved, DevicePoll::NotFound] {
        assert_eq!(store.poll(code, CLIENT).await.unwrap(), expected);
    }
    assert_eq!(store.get_device_code(typed).await.unwrap(), None);
}

pub(super) async fn a_device_is_denied(adapter: Adapter) {
    let issued = issue(&adapter).await;
    let user = new_user(&adapter).await;
    let store = store(&adapter);
    assert!(store.deny(&issued.row.user_code).await.unwrap());
    assert!(!store.deny(&issued.row.user_code).await.unwrap());
    let approved = store.approve(&issued.row.user_code, &user.id).await;
    assert!(!approved.unwrap());
    for _ in 0..2 {
        let denied = store.poll(&issued.device_code, CLIENT).await.unwrap();
        assert_eq!(denied, DevicePoll::Denied);
    }
}

pub(super) async fn a_poll_that_comes_too_soon_slows_down(adapter: Adapter) {
    let issued = issue(&adapter).await;
    let code = &*issued.device_code;
    assert_eq!(poll(&adapter, code).await, DevicePoll::Pending);
    for interval in [10_000, 15_000] {
        assert_eq!(poll(&adapter, code).await, DevicePoll::SlowDown);
        let found = store(&adapter).get_device_code(&issued.row.user_code).await;
        assert_eq!(found.unwrap().unwrap().polling_interval, interval);
    }
    let create = create().with_polling_interval(Duration::from_micros(1001));
    let issued = store(&adapter).create_device_code(create).await.unwrap();
    assert_eq!(issued.row.polling_interval, 2);
    assert_eq!(
        poll(&adapter, &issued.device_code).await,
        DevicePoll::Pending
    );
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(
        poll(&adapter, &issued.device_code).await,
        DevicePoll::Pending
    );
}

pub(super) async fn an_expired_device_code_is_worth_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut expired = create();
    expired.expires_at = an_hour_ago();
    let store = store(&adapter);
    let issued = store.create_device_code(expired).await.unwrap();
    let live = issue(&adapter).await;
    let typed = &*issued.row.user_code;
    assert_eq!(store.get_device_code(typed).await.unwrap(), None);
    assert!(!store.approve(typed, &user.id).await.unwrap());
    assert!(!store.deny(typed).await.unwrap());
    let code = &*issued.device_code;
    assert_eq!(store.poll(code, CLIENT).await.unwrap(), DevicePoll::Expired);
    adapter.clean_up().await.unwrap();
    assert_eq!(
        store.poll(code, CLIENT).await.unwrap(),
        DevicePoll::NotFound
    );
    assert!(store.deny(&live.row.user_code).await.unwrap());
}

pub(super) async fn of_many_one_answers_for_a_device(adapter: Adapter) {
    for _ in 0..3 {
        let (issued, user) = (issue(&adapter).await, new_user(&adapter).await);
        let answers = at_once(50, |caller| {
            let (adapter, typed) = (adapter.clone(), issued.row.user_code.clone());
            let user_id = user.id.clone();
            async move {
                loop {
                    let answer = if caller % 2 == 0 {
                        store(&adapter).approve(&typed, &user_id).await
                    } else {
                        store(&adapter).deny(&typed).await
                    };
                    match answer {
                        Err(error) if error.is_retryable() => {}
                        answer => return answer.unwrap(),
                    }
                }
            }
        });
        let answers = answers.await;
        assert_eq!(answers.iter().filter(|answered| **answered).count(), 1);
        let winner = answers.iter().position(|answered| *answered).unwrap();
        let polled = poll(&adapter, &issued.device_code).await;
        assert_eq!(polled == DevicePoll::Denied, winner % 2 == 1);
    }
}

pub(super) async fn of_many_polls_one_is_approved(adapter: Adapter) {
    for _ in 0..3 {
        let (issued, user) = (issue(&adapter).await, new_user(&adapter).await);
        let approved = store(&adapter).approve(&issued.row.user_code, &user.id);
        assert!(approved.await.unwrap());
        let answers = at_once(100, |_| {
            let (adapter, code) = (adapter.clone(), issued.device_code.clone());
            async move { poll(&adapter, &code).await }
        });
        let (won, lost): (Vec<_>, Vec<_>) = (answers.await.into_iter())
            .partition(|answer| matches!(answer, DevicePoll::Approved { .. }));
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|answer| *answer == DevicePoll::NotFound));
    }
}

pub(super) async fn device_codes_are_random(adapter: Adapter) {
    let mut codes = HashSet::new();
    for _ in 0..20 {
        let issued = issue(&adapter).await;
        assert_eq!(issued.device_code.len(), 43);
        assert_eq!(issued.row.user_code.len(), 8);
        let is_letter = |letter: u8| b"BCDFGHJKLMNPQRSTVWXZ".contains(&letter);
        assert!(issued.row.user_code.bytes().all(is_letter));
        let shown = format!("{issued:?} {issued:#?}");
        assert!(!shown.contains(&issued.device_code) && !shown.contains(&issued.row.user_code));
        assert!(codes.insert(issued.device_code) && codes.insert(issued.row.user_code));
    }
}

pub(super) async fn impossible_device_codes_are_refused(adapter: Adapter) {
    let store = store(&adapter);
    for (field, code) in each_with!(create(), Some("a\0b".to_owned()) => CreateDeviceCode {
        client_id, scope; expires_at, polling_interval
    }) {
        assert_refused(field, store.create_device_code(code).await);
    }
    for interval in [
        Duration::ZERO,
        Duration::from_secs(60 * 60 * 24 * 25),
        Duration::MAX,
    ] {
        let code = create().with_polling_interval(interval);
        assert_refused("polling_interval", store.create_device_code(code).await);
    }
    let code = create().with_client_id("x".repeat(256));
    assert_refused("client_id", store.create_device_code(code).await);
    for impossible in ["", "a\0b", "BCDFGHJ", "AEIOUAEI", &"B".repeat(5000)] {
        assert_eq!(store.get_device_code(impossible).await.unwrap(), None);
        assert!(!store.approve(impossible, "unknown").await.unwrap());
        assert!(!store.deny(impossible).await.unwrap());
        let polled = store.poll(impossible, CLIENT).await.unwrap();
        assert_eq!(polled, DevicePoll::NotFound);
    }
}

pub(super) async fn a_deleted_user_has_approved_nothing(adapter: Adapter) {
    let (issued, user) = (issue(&adapter).await, new_user(&adapter).await);
    let approved = store(&adapter).approve(&issued.row.user_code, &user.id);
    assert!(approved.await.unwrap());
    adapter.delete_user(&user.id).await.unwrap();
    assert_eq!(
        poll(&adapter, &issued.device_code).await,
        DevicePoll::NotFound
    );
}

pub(super) async fn device_codes_work_in_transactions(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for commits in [false, true] {
        let waiting = issue(&adapter).await;
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction);
        let first = inside.create_device_code(create()).await.unwrap();
        let second = inside.create_device_code(create()).await.unwrap();
        assert!(
            inside
                .approve(&first.row.user_code, &user.id)
                .await
                .unwrap()
        );
        assert!(inside.deny(&second.row.user_code).await.unwrap());
        let polled = inside.poll(&first.device_code, CLIENT).await.unwrap();
        assert!(matches!(polled, DevicePoll::Approved { .. }));
        let outside = poll(&adapter, &second.device_code).await;
        assert_eq!(outside, DevicePoll::NotFound);
        for expected in [DevicePoll::Pending, DevicePoll::SlowDown] {
            let polled = inside.poll(&waiting.device_code, CLIENT).await.unwrap();
            assert_eq!(polled, expected);
        }
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(
            poll(&adapter, &first.device_code).await,
            DevicePoll::NotFound
        );
        let polled = poll(&adapter, &second.device_code).await;
        assert_eq!(polled == DevicePoll::Denied, commits);
        let found = store(&adapter).get_device_code(&waiting.row.user_code);
        let found = found.await.unwrap().unwrap();
        assert_eq!(found.last_polled_at.is_some(), commits);
        let slower = found.polling_interval - waiting.row.polling_interval;
        assert_eq!(slower, if commits { 5_000 } else { 0 });
    }
}

pub(super) async fn of_two_transactions_one_uses_the_device_code(adapter: Adapter) {
    for round in 0..4 {
        let (issued, user) = (issue(&adapter).await, new_user(&adapter).await);
        let approves = round % 2 == 0;
        if !approves {
            let answered = store(&adapter).approve(&issued.row.user_code, &user.id);
            assert!(answered.await.unwrap());
        }
        let transaction = adapter.begin().await.unwrap();
        assert!(
            use_up(store(&*transaction), &issued, &user.id, approves)
                .await
                .unwrap()
        );
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                return use_up(store(&database), &issued, &user.id, approves).await;
            }
            let transaction = database.begin().await?;
            let answered = use_up(store(&*transaction), &issued, &user.id, approves).await?;
            transaction.commit().await?;
            AuthResult::Ok(answered)
        })
        .await;
        let second = match second {
            Ok(answered) => answered,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                false
            }
        };
        assert!(first.is_ok() != second, "{first:?}, {second}");
    }
}

/// Approves the code, or polls an approved one.
async fn use_up(
    store: &dyn DeviceCodeStore,
    issued: &IssuedDeviceCode,
    user_id: &str,
    approves: bool,
) -> AuthResult<bool> {
    if approves {
        return store.approve(&issued.row.user_code, user_id).await;
    }
    let polled = store.poll(&issued.device_code, CLIENT).await?;
    Ok(matches!(polled, DevicePoll::Approved { .. }))
}

pub(super) async fn a_poll_that_waits_uses_up_no_approval(adapter: Adapter) {
    let (issued, user) = (issue(&adapter).await, new_user(&adapter).await);
    let transaction = adapter.begin().await.unwrap();
    let polled = store(&*transaction).poll(&issued.device_code, CLIENT).await;
    assert_eq!(polled.unwrap(), DevicePoll::Pending);
    let (database, id, typed) = (adapter.clone(), user.id, issued.row.user_code);
    let (first, second) = overlap(transaction.commit(), async move {
        store(&database).approve(&typed, &id).await
    })
    .await;
    assert!(
        matches!((&first, &second), (Ok(()), Ok(true))),
        "{first:?}, {second:?}"
    );
    let polled = poll(&adapter, &issued.device_code).await;
    assert!(matches!(polled, DevicePoll::Approved { .. }), "{polled:?}");
}
