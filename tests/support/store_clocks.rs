//! As `clocks.rs`, for organizations, credentials and what else the stores beside the four tables keep.

use std::slice;
use std::time::Duration;

use better_auth::AuthError;
use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    ApiKeyUse, Attempt, CreateApiKey, CreateDeviceCode, CreateInvitation, CreateMember,
    CreateOrganization, CreatePasskey, CreateSigningKey, CreateTeam, CreateTeamMember, CreateUser,
    DevicePoll, IssuedDeviceCode, ListApiKeys, ListMembers, MemberLimits,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::promises::{Clock, microsecond, new_user, start};

const MINUTE: Duration = Duration::from_secs(60);

fn end() -> DateTime<Utc> {
    start() + TimeDelta::minutes(1)
}

/// API keys keep their times to the millisecond.
fn to_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap()
}

pub(crate) async fn equal_is_expired_for_device_codes(
    adapter: &dyn DatabaseAdapter,
    clock: &dyn Clock,
) {
    let codes = adapter.device_codes().unwrap();
    let user = new_user(adapter).await;
    let [approved, denied, open] = [(); 3].map(|()| CreateDeviceCode::new(end()));
    let approved = codes.create_device_code(approved).await.unwrap();
    let denied = codes.create_device_code(denied).await.unwrap();
    let open = codes.create_device_code(open).await.unwrap();
    let poll = |code: &IssuedDeviceCode| {
        let code = code.device_code.clone();
        async move { codes.poll(&code, None).await.unwrap() }
    };
    let five_seconds = TimeDelta::seconds(5);
    for (time, answer) in [
        (start(), DevicePoll::Pending),
        (start() + five_seconds, DevicePoll::Pending),
        (
            start() + five_seconds * 2 - microsecond(),
            DevicePoll::SlowDown,
        ),
    ] {
        clock.set(time).await;
        assert_eq!(poll(&open).await, answer, "at {time}");
    }

    clock.set(end() - microsecond()).await;
    let code = &open.row.user_code;
    assert!(codes.get_device_code(code).await.unwrap().is_some());
    let approved_code = &approved.row.user_code;
    assert!(codes.approve(approved_code, &user.id).await.unwrap());

    clock.set(end()).await;
    assert_eq!(codes.get_device_code(code).await.unwrap(), None);
    assert!(!codes.approve(code, &user.id).await.unwrap());
    assert!(!codes.deny(&denied.row.user_code).await.unwrap());
    for code in [approved, denied, open] {
        assert_eq!(poll(&code).await, DevicePoll::Expired);
    }
}

pub(crate) async fn equal_is_expired_for_signing_keys(
    adapter: &dyn DatabaseAdapter,
    clock: &dyn Clock,
) {
    let keys = adapter.signing_keys().unwrap();
    let pair = || CreateSigningKey::new("public", "private").with_expires_at(end());
    let key = keys.rotate(pair(), MINUTE).await.unwrap();
    let [soon, late] = [end() - microsecond(), end()];
    clock.set(soon).await;
    assert_eq!(keys.current().await.unwrap(), Some(key.clone()));
    assert_eq!(
        keys.list_signing_keys().await.unwrap(),
        slice::from_ref(&key)
    );
    assert_eq!(keys.rotate(pair(), MINUTE).await.unwrap(), key);

    clock.set(late).await;
    assert_eq!(keys.current().await.unwrap(), None);
    assert_eq!(keys.list_signing_keys().await.unwrap(), []);
    let lasting = CreateSigningKey::new("public", "private");
    let next = keys.rotate(lasting.clone(), 2 * MINUTE).await.unwrap();
    assert_eq!(next.generation, 2);

    // Exactly so old.
    clock.set(late + MINUTE - microsecond()).await;
    let same = keys.rotate(lasting.clone(), MINUTE).await.unwrap();
    assert_eq!(same, next);
    clock.set(late + MINUTE).await;
    let third = keys.rotate(lasting, MINUTE).await.unwrap();
    assert_eq!(third.generation, 3);
}

pub(crate) async fn equal_is_expired_for_locks(adapter: &dyn DatabaseAdapter, clock: &dyn Clock) {
    let factors = adapter.two_factor().unwrap();
    let user = new_user(adapter).await;
    factors.enroll(&user.id, "secret", None).await.unwrap();
    let attempt = || async { factors.begin_attempt(&user.id, 1, MINUTE).await.unwrap() };
    assert!(matches!(attempt().await, Attempt::Granted(_)));
    assert_eq!(attempt().await, Attempt::Locked { until: end() });
    clock.set(end() - microsecond()).await;
    assert_eq!(attempt().await, Attempt::Locked { until: end() });
    clock.set(end()).await;
    assert!(matches!(attempt().await, Attempt::Granted(_)));
}

pub(crate) async fn equal_is_expired_for_invitations(
    adapter: &dyn DatabaseAdapter,
    clock: &dyn Clock,
) {
    let organizations = adapter.organizations().unwrap();
    let owner = new_user(adapter).await;
    let create = CreateOrganization::new("Engines", "engines", &owner.id);
    let created = organizations.create_organization(create).await.unwrap();
    let id = created.0.id;
    let grace = CreateUser::new().with_email("grace@example.com");
    let grace = adapter.create_user(grace).await.unwrap();
    let invite = |expires_at| {
        let create = CreateInvitation::new(&id, "grace@example.com", &owner.id, expires_at);
        organizations.create_invitation(create)
    };
    let invitation = invite(end()).await.unwrap();
    let pending = || organizations.list_pending_invitations("grace@example.com");

    clock.set(end() - microsecond()).await;
    assert_eq!(pending().await.unwrap(), slice::from_ref(&invitation));
    let taken = invite(end() + MINUTE).await;
    assert!(
        matches!(taken, Err(AuthError::Conflict { .. })),
        "{taken:?}"
    );

    clock.set(end()).await;
    assert_eq!(pending().await.unwrap(), []);
    let limits = MemberLimits::default();
    let accepted = organizations.accept_invitation(&invitation.id, &grace.id, false, limits);
    let accepted = accepted.await;
    let is_gone = matches!(accepted, Err(AuthError::InvitationNotFound));
    assert!(is_gone, "{accepted:?}");
    let rejected = organizations.reject_invitation(&invitation.id, &grace.id);
    assert!(rejected.await.is_err());
    invite(end() + MINUTE).await.unwrap();
}

pub(crate) async fn equal_is_expired_for_api_keys(
    adapter: &dyn DatabaseAdapter,
    clock: &dyn Clock,
) {
    let keys = adapter.api_keys().unwrap();
    let user = new_user(adapter).await;
    let create = || CreateApiKey::for_user(&user.id);
    let issue = |create| async move { keys.create_api_key(create).await.unwrap() };
    let ends = issue(create().with_expires_at(end())).await;
    let uncounted = issue(create()).await;
    let limited = issue(create().with_rate_limit(1, MINUTE)).await;
    let refilled = issue(create().with_quota(1).with_refill(1, MINUTE)).await;
    let use_key = |key: &str| {
        let key = key.to_owned();
        async move { keys.use_key(&key).await.unwrap() }
    };
    let is_accepted = |answer: &ApiKeyUse| matches!(answer, ApiKeyUse::Accepted(_));
    let last_request = |answer: ApiKeyUse| match answer {
        ApiKeyUse::Accepted(row) => row.last_request,
        answer => panic!("{answer:?}"),
    };
    let (first, last) = (to_millis(start()), to_millis(end()));
    for issued in [&ends, &limited, &refilled] {
        assert!(is_accepted(&use_key(&issued.key).await));
    }
    assert_eq!(last_request(use_key(&uncounted.key).await), Some(first));

    clock.set(last - microsecond()).await;
    assert!(is_accepted(&use_key(&ends.key).await));
    assert_eq!(last_request(use_key(&uncounted.key).await), Some(first));
    let retry_after = Duration::from_micros(1);
    let answer = use_key(&limited.key).await;
    assert_eq!(answer, ApiKeyUse::RateLimited { retry_after });
    assert_eq!(use_key(&refilled.key).await, ApiKeyUse::UsedUp);

    clock.set(last).await;
    assert_eq!(use_key(&ends.key).await, ApiKeyUse::Expired);
    assert_eq!(last_request(use_key(&uncounted.key).await), Some(last));
    assert!(is_accepted(&use_key(&limited.key).await));
    assert!(is_accepted(&use_key(&refilled.key).await));
}

pub(crate) async fn ties_in_stores_are_broken_by_id(adapter: &dyn DatabaseAdapter) {
    let later = start() + TimeDelta::days(1);
    let user = new_user(adapter).await;
    // Half of the rows come inside a transaction, which lists them all.
    let transaction = adapter.begin().await.unwrap();
    let side = |number| {
        if number < 6 {
            adapter
        } else {
            &transaction as &dyn DatabaseAdapter
        }
    };
    let mut owned = Vec::new();
    for slug in 0..12 {
        let organizations = side(slug).organizations().unwrap();
        let create = CreateOrganization::new("Engines", slug.to_string(), &user.id);
        let (organization, _) = organizations.create_organization(create).await.unwrap();
        owned.push(organization.id);
    }
    let id = owned[0].clone();
    let organizations = transaction.organizations().unwrap();
    let member = organizations.get_member(&id, &user.id).await.unwrap();
    let (mut members, mut invitations, mut teams, mut in_team, mut passkeys, mut keys) = (
        vec![member.unwrap().id],
        vec![],
        vec![],
        vec![],
        vec![],
        vec![],
    );
    for number in 0..12 {
        let adapter = side(number);
        let organizations = adapter.organizations().unwrap();
        let team = organizations.create_team(CreateTeam::new(&id, "Team"));
        teams.push(team.await.unwrap().id);
        let other = new_user(adapter).await;
        let member = organizations.create_member(CreateMember::new(&id, &other.id));
        members.push(member.await.unwrap().id);
        let joins = CreateTeamMember::new(&teams[0], &other.id);
        let joined = organizations.create_team_member(joins).await.unwrap();
        in_team.push(joined.id);
        let joins = CreateTeamMember::new(teams.last().unwrap(), &user.id);
        organizations.create_team_member(joins).await.unwrap();
        let address = format!("{number}@example.com");
        let invite = CreateInvitation::new(&id, address, &user.id, later);
        let invited = organizations.create_invitation(invite).await.unwrap();
        invitations.push(invited.id);
        let passkey = CreatePasskey::new(&user.id, "public", number.to_string());
        let passkey = adapter.passkeys().unwrap().create_passkey(passkey).await;
        passkeys.push(passkey.unwrap().id);
        let key = CreateApiKey::for_user(&user.id);
        let key = adapter.api_keys().unwrap().create_api_key(key).await;
        keys.push(key.unwrap().row.id);
    }
    let user_teams = teams.clone();
    let adapter = &transaction;
    let own = organizations.list_team_members(&teams[0]).await.unwrap();
    in_team.extend(
        own.into_iter()
            .filter(|row| row.user_id == user.id)
            .map(|row| row.id),
    );
    macro_rules! assert_ids {
        ($listed:expr, $ids:expr) => {
            let listed: Vec<String> = $listed.into_iter().map(|row| row.id).collect();
            let mut expected = $ids;
            expected.sort_unstable();
            expected.reverse();
            assert_eq!(listed, expected);
        };
    }
    let listed = organizations
        .list_user_organizations(&user.id)
        .await
        .unwrap();
    assert_ids!(
        listed.into_iter().map(|(organization, _)| organization),
        owned
    );
    let page = organizations
        .list_members(ListMembers::new(&id))
        .await
        .unwrap();
    assert_ids!(page.members.into_iter().map(|found| found.member), members);
    assert_ids!(
        organizations.list_invitations(&id).await.unwrap(),
        invitations
    );
    let listed = organizations.list_team_members(&teams[0]).await.unwrap();
    assert_ids!(listed, in_team);
    assert_ids!(organizations.list_teams(&id).await.unwrap(), teams);
    assert_ids!(
        organizations.list_user_teams(&user.id).await.unwrap(),
        user_teams
    );
    let listed = adapter.passkeys().unwrap().list_passkeys(&user.id).await;
    assert_ids!(listed.unwrap(), passkeys);
    let query = ListApiKeys::of_user(&user.id);
    let page = adapter.api_keys().unwrap().list_api_keys(query).await;
    assert_ids!(page.unwrap().keys, keys);
}
