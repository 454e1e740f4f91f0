//! Promises that depend on the clock, for an adapter whose clock a test can set: it stands, goes back, and reads exactly
//! the end of a row.

use std::time::Duration;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    Account, CodeCheck, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers,
    Session, UpdateAccount, UpdateSession, UpdateUser, User,
};
use better_auth::{AuthError, async_trait};
use chrono::{DateTime, TimeDelta, Utc};

/// The clock of an adapter under test.
#[async_trait]
pub(crate) trait Clock: Sync {
    async fn set(&self, time: DateTime<Utc>);
}

/// What the clock reads first.
pub(crate) fn start() -> DateTime<Utc> {
    "2030-01-01T00:00:00.123456Z".parse().unwrap()
}

pub(crate) fn microsecond() -> TimeDelta {
    TimeDelta::microseconds(1)
}

pub(crate) async fn new_user(adapter: &dyn DatabaseAdapter) -> User {
    adapter.create_user(CreateUser::new()).await.unwrap()
}

/// Makes one change to each kind of row that can change, by each method. Returns when they changed last.
async fn change(
    adapter: &dyn DatabaseAdapter,
    user: &User,
    session: &Session,
    account: &Account,
) -> [DateTime<Utc>; 4] {
    let to_role = UpdateUser {
        role: Some(None),
        ..UpdateUser::default()
    };
    let user = adapter.update_user(&user.id, to_role).await.unwrap();
    let token = &session.token;
    let moved = adapter.update_session_expiry(token, session.expires_at);
    moved.await.unwrap();
    let moved = adapter.get_session(token).await.unwrap().unwrap();
    let to_agent = UpdateSession {
        user_agent: Some(None),
        ..UpdateSession::default()
    };
    let session = adapter.update_session(token, to_agent).await.unwrap();
    let to_scope = UpdateAccount {
        scope: Some(None),
        ..UpdateAccount::default()
    };
    let account = adapter.update_account(&account.id, to_scope).await.unwrap();
    [
        user.updated_at,
        moved.updated_at,
        session.updated_at,
        account.updated_at,
    ]
}

pub(crate) async fn updated_at_moves_forward(adapter: &dyn DatabaseAdapter, clock: &dyn Clock) {
    let user = new_user(adapter).await;
    let create = CreateSession::new(&user.id, start() + TimeDelta::days(1));
    let session = adapter.create_session(create).await.unwrap();
    let account = CreateAccount::new(&user.id, "github", "1");
    let account = adapter.create_account(account).await.unwrap();
    for created in [user.created_at, session.created_at, account.created_at] {
        assert_eq!(created, start());
    }
    // A session changes twice each time.
    for (changes, clock_reads) in readings() {
        clock.set(clock_reads).await;
        let changed = change(adapter, &user, &session, &account).await;
        let expected = [changes, 2 * changes - 1, 2 * changes, changes];
        let expected = expected.map(|changes| start() + microsecond() * changes);
        assert_eq!(changed, expected, "after {changes} changes");
    }
    let transaction = adapter.begin().await.unwrap();
    for changes in [6, 7] {
        let changed = change(&transaction, &user, &session, &account).await;
        let expected = [changes, 2 * changes - 1, 2 * changes, changes];
        let expected = expected.map(|changes| start() + microsecond() * changes);
        assert_eq!(changed, expected, "after {changes} changes, inside");
    }
    transaction.commit().await.unwrap();
    let later = start() + TimeDelta::hours(1);
    clock.set(later).await;
    let changed = change(adapter, &user, &session, &account).await;
    assert_eq!(changed, [later, later, later + microsecond(), later]);
    let transaction = adapter.begin().await.unwrap();
    let latest = later + TimeDelta::hours(1);
    clock.set(latest).await;
    let changed = change(&transaction, &user, &session, &account).await;
    assert_eq!(changed, [latest, latest, latest + microsecond(), latest]);
}

/// What the clock reads before each change: it stands, goes back, and is one change behind.
fn readings() -> [(i32, DateTime<Utc>); 5] {
    [
        (1, start()),
        (2, start()),
        (3, start() - TimeDelta::hours(1)),
        (4, start() - TimeDelta::days(20_000)),
        (5, start() + microsecond()),
    ]
}

/// As [`updated_at_moves_forward`], by a ban, a link and a refresh.
pub(crate) async fn bans_links_and_refreshes_move_forward(
    adapter: &dyn DatabaseAdapter,
    clock: &dyn Clock,
) {
    let (user, banned) = (new_user(adapter).await, new_user(adapter).await);
    let link = || CreateAccount::new(&user.id, "github", "1");
    let (account, _) = adapter.link_account(link()).await.unwrap();
    let create = CreateSession::new(&user.id, start() + TimeDelta::days(1));
    let session = adapter.create_session(create).await.unwrap();
    assert_eq!([account.updated_at, session.updated_at], [start(), start()]);
    for (changes, clock_reads) in readings() {
        clock.set(clock_reads).await;
        let ban = adapter.ban_user(&banned.id, None, None).await.unwrap();
        let (account, _) = adapter.link_account(link()).await.unwrap();
        let end = session.expires_at + TimeDelta::seconds(changes.into());
        let lifetime = (end - clock_reads).to_std().unwrap();
        let refreshed = adapter.refresh_session(&session.token, lifetime, Duration::ZERO);
        let (refreshed, _) = refreshed.await.unwrap().unwrap();
        assert_eq!(refreshed.expires_at, end);
        let changed = [ban.updated_at, account.updated_at, refreshed.updated_at];
        let expected = start() + microsecond() * changes;
        assert_eq!(changed, [expected; 3], "after {changes} changes");
    }
}

/// As [`equal_is_expired`], for codes, markers and tokens by identifier.
pub(crate) async fn equal_is_expired_for_codes_and_markers(
    adapter: &dyn DatabaseAdapter,
    clock: &dyn Clock,
) {
    let end = start() + TimeDelta::minutes(1);
    for identifier in ["code", "token"] {
        let create = CreateVerification::new(identifier, "1", end);
        adapter.create_verification(create).await.unwrap();
    }
    let check = || async { adapter.check_code("code", "2", 9).await.unwrap() };
    let later = end + TimeDelta::minutes(1);
    let reserve = |end| async move {
        adapter
            .reserve_verification("marker", "1", end)
            .await
            .unwrap()
    };
    assert!(reserve(end).await);

    clock.set(end - microsecond()).await;
    assert_eq!(check().await, CodeCheck::Wrong { attempts_left: 8 });
    assert!(!reserve(later).await);

    clock.set(end).await;
    assert_eq!(check().await, CodeCheck::NotFound);
    assert!(reserve(later).await);
    assert!(!reserve(later).await);
    let consumed = adapter.consume_verification_by_identifier("token").await;
    assert_eq!(consumed.unwrap(), None);
    // The code alone has expired and is still there.
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 1);
}

/// As [`ties_are_broken_by_id`], for codes and tokens by identifier.
pub(crate) async fn ties_of_codes_are_broken_by_id(adapter: &dyn DatabaseAdapter) {
    let later = start() + TimeDelta::days(1);
    for is_code in [true, false] {
        let mut codes = Vec::new();
        for value in 0..12 {
            let create = CreateVerification::new("a", value.to_string(), later);
            codes.push(adapter.create_verification(create).await.unwrap());
        }
        codes.sort_by(|one, other| one.id.cmp(&other.id));
        let newest = codes.pop().unwrap();
        if is_code {
            let older = adapter.check_code("a", &codes[0].value, 3).await.unwrap();
            assert_eq!(older, CodeCheck::Wrong { attempts_left: 2 });
            let checked = adapter.check_code("a", &newest.value, 3).await.unwrap();
            assert_eq!(checked, CodeCheck::Accepted(newest));
        } else {
            let consumed = adapter.consume_verification_by_identifier("a").await;
            assert_eq!(consumed.unwrap(), Some(newest));
        }
    }
}

pub(crate) async fn equal_is_expired(adapter: &dyn DatabaseAdapter, clock: &dyn Clock) {
    let end = start() + TimeDelta::minutes(1);
    let user = new_user(adapter).await;
    let create = CreateSession::new(&user.id, end);
    let session = adapter.create_session(create).await.unwrap();
    let token = &session.token;
    let create = CreateVerification::new("a", "1", end);
    let verification = adapter.create_verification(create).await.unwrap();

    clock.set(end - microsecond()).await;
    let found = adapter.get_session(token).await.unwrap();
    assert_eq!(found.as_ref(), Some(&session));
    let found = adapter.get_session_with_user(token).await.unwrap();
    assert_eq!(found, Some((session.clone(), user.clone())));
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_eq!(listed.len(), 1);
    let same = adapter.update_session(token, UpdateSession::default());
    assert_eq!(same.await.unwrap(), session);
    for found in verifications(adapter).await {
        assert_eq!(found.as_ref(), Some(&verification.id));
    }
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 0);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);

    clock.set(end).await;
    assert_eq!(adapter.get_session(token).await.unwrap(), None);
    assert_eq!(adapter.get_session_with_user(token).await.unwrap(), None);
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_eq!(listed, []);
    let later = end + TimeDelta::hours(1);
    for answer in [
        adapter.update_session_expiry(token, later).await,
        adapter
            .update_session(token, UpdateSession::default())
            .await
            .map(drop),
    ] {
        assert!(
            matches!(answer, Err(AuthError::SessionNotFound)),
            "{answer:?}"
        );
    }
    assert_eq!(verifications(adapter).await, [None, None, None]);
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 1);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 1);

    let create = CreateVerification::new("a", "1", end);
    adapter.create_verification(create).await.unwrap();
    let consumed = adapter.consume_verification("a", "1").await.unwrap();
    assert_eq!(consumed, None, "a verification that has just expired");
}

/// The ids that each lookup of the pair `a` and `1` finds.
async fn verifications(adapter: &dyn DatabaseAdapter) -> [Option<String>; 3] {
    [
        adapter.get_verification("a", "1").await.unwrap(),
        adapter.get_verification_by_identifier("a").await.unwrap(),
        adapter.get_verification_by_value("1").await.unwrap(),
    ]
    .map(|found| found.map(|row| row.id))
}

pub(crate) async fn ties_are_broken_by_id(adapter: &dyn DatabaseAdapter) {
    let later = start() + TimeDelta::days(1);
    let user = new_user(adapter).await;
    let (mut users, mut sessions, mut accounts, mut codes) =
        (vec![user.id.clone()], vec![], vec![], vec![]);
    for index in 0..12 {
        users.push(new_user(adapter).await.id);
        let create = CreateSession::new(&user.id, later);
        sessions.push(adapter.create_session(create).await.unwrap().id);
        let create = CreateAccount::new(&user.id, "github", index.to_string());
        accounts.push(adapter.create_account(create).await.unwrap().id);
        let create = CreateVerification::new("a", "1", later);
        codes.push(adapter.create_verification(create).await.unwrap().id);
    }
    for ids in [&mut users, &mut sessions, &mut accounts, &mut codes] {
        ids.sort_unstable();
        ids.reverse();
    }
    let listed = adapter.list_users(ListUsers::new()).await.unwrap().users;
    let listed: Vec<String> = listed.into_iter().map(|user| user.id).collect();
    assert_eq!(listed, users);
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    let listed: Vec<String> = listed.into_iter().map(|session| session.id).collect();
    assert_eq!(listed, sessions);
    let listed = adapter.get_user_accounts(&user.id).await.unwrap();
    let listed: Vec<String> = listed.into_iter().map(|account| account.id).collect();
    assert_eq!(listed, accounts);
    for newest in &codes[..6] {
        for found in verifications(adapter).await {
            assert_eq!(found.as_ref(), Some(newest));
        }
        adapter.delete_verification(newest).await.unwrap();
    }
    let consumed = adapter.consume_verification("a", "1").await.unwrap();
    assert_eq!(consumed.map(|row| row.id), Some(codes[6].clone()));
}
