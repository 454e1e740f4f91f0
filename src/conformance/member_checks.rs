//! Promises about memberships that `check_session` finds.

use std::time::Duration;

use super::organizations::{new_organization, store};
use super::session_checks::found;
use super::{Adapter, assert_eq, in_an_hour, new_session, new_user};
use crate::types::{CheckSession, CreateMember, CreateSession, UpdateSession};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(super) async fn a_check_finds_the_membership(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let (other, _, _) = new_organization(&adapter, "other").await;
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let check = CheckSession::new().with_member();
    let checked = adapter.check_session(&session.token, check).await;
    assert_eq!(checked.unwrap(), Some(found(&session, &user, None)));
    let create = CreateMember::new(&organization.id, &user.id).with_role("admin");
    let member = store(&adapter).create_member(create).await.unwrap();
    for (active, member) in [
        (organization.id.as_str(), Some(&member)),
        // The column is a hint: nothing refers to an organization.
        (other.id.as_str(), None),
        ("unknown", None),
    ] {
        let update = UpdateSession::new().with_active_organization_id(active);
        let session = adapter.update_session(&session.token, update).await;
        let session = session.unwrap();
        let checked = adapter.check_session(&session.token, check).await;
        assert_eq!(checked.unwrap(), Some(found(&session, &user, member)));
        let checked = adapter.check_session(&session.token, CheckSession::new());
        assert_eq!(checked.await.unwrap(), Some(found(&session, &user, None)));
    }
    let unknown = adapter.check_session("unknown", check).await;
    assert_eq!(unknown.unwrap(), None);
}

pub(super) async fn a_check_sees_each_change_of_a_membership(adapter: Adapter) {
    let (organization, _, owner) = new_organization(&adapter, "engines").await;
    let user = new_user(&adapter).await;
    let create = CreateMember::new(&organization.id, &user.id);
    let member = store(&adapter).create_member(create).await.unwrap();
    let create = CreateSession::new(&user.id, in_an_hour());
    let create = create.with_active_organization_id(&organization.id);
    let session = adapter.create_session(create).await.unwrap();
    let check = CheckSession::new().with_member();
    let checked = adapter.check_session(&session.token, check).await;
    assert_eq!(
        checked.unwrap(),
        Some(found(&session, &user, Some(&member)))
    );

    let changed = store(&adapter).update_member_role(&organization.id, &user.id, "billing");
    let member = changed.await.unwrap();
    let checked = adapter.check_session(&session.token, check).await;
    assert_eq!(
        checked.unwrap(),
        Some(found(&session, &user, Some(&member)))
    );

    // Extending, too.
    let extending = check.with_refresh(WEEK, DAY);
    let checked = adapter.check_session(&session.token, extending).await;
    let checked = checked.unwrap().unwrap();
    assert!(checked.extended);
    assert_eq!(checked.member, Some(member));

    let removed = store(&adapter).remove_member(&organization.id, &user.id);
    removed.await.unwrap();
    let checked = adapter.check_session(&session.token, check).await;
    assert_eq!(checked.unwrap().unwrap().member, None);

    let create = CreateSession::new(&owner.id, in_an_hour());
    let create = create.with_active_organization_id(&organization.id);
    let session = adapter.create_session(create).await.unwrap();
    let deleted = store(&adapter).delete_organization(&organization.id);
    deleted.await.unwrap();
    let checked = adapter.check_session(&session.token, check).await;
    assert_eq!(checked.unwrap().unwrap().member, None);
}
