//! Each call in an organization of 100,000 members, among a million, reads its tables by indexes, and so do the functions
//! that it calls, the checks of references and the cascades, which no plan of the statement shows.

use std::collections::BTreeMap;

use crate::calls::OrganizationCall;
use crate::large_tables::{MEMBERS_OF_THE_LARGEST, id};
use better_auth::adapters::{Joined, SqlxAdapter};
use better_auth::types::{ListMembers, MemberLimits};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// The server plans a statement for its values five times, then without them.
const REPEATS: usize = 6;
/// Its rustdoc says that it reads all organizations.
const MAY_SCAN: &str = "list_organizations_without_owner";
/// It may take seconds.
const MAY_LAST: &str = "delete_organization";

pub(crate) async fn each_call_runs_on_indexes(pool: &PgPool) {
    // The plans are those of a connection.
    let alone = PgPoolOptions::new().max_connections(1);
    let options = pool.connect_options().as_ref().clone();
    let alone = alone.connect_with(options).await.unwrap();
    let database = SqlxAdapter::from_pool(alone.clone());
    let mut scanned = BTreeMap::new();
    for call in calls() {
        let repeats = if call.method() == MAY_LAST {
            1
        } else {
            REPEATS
        };
        for _ in 0..repeats {
            let joined = database.join(alone.begin().await.unwrap());
            let before = scans(&joined).await;
            let answer = call.make(&joined).await;
            assert!(answer.is_ok(), "{call:?}: {answer:?}");
            for (table, scans) in scans(&joined).await {
                let earlier = before.get(&table).copied().unwrap_or_default();
                if scans > earlier && call.method() != MAY_SCAN {
                    scanned.insert(format!("{call:?}"), table);
                }
            }
            joined.rollback().await.unwrap();
        }
    }
    assert!(scanned.is_empty(), "read from end to end: {scanned:#?}");
}

/// How often each table was read from end to end, as counted in this transaction and shortly before.
async fn scans(joined: &Joined) -> BTreeMap<String, i64> {
    let mut lent = joined.connection().await.unwrap();
    let scans: Vec<(String, i64)> =
        sqlx::query_as("SELECT relname::TEXT, seq_scan FROM pg_stat_xact_user_tables")
            .fetch_all(&mut *lent)
            .await
            .unwrap();
    scans.into_iter().collect()
}

/// A call of every method that succeeds, those that count up to a limit also with one, and lists of members of other roles.
fn calls() -> Vec<OrganizationCall> {
    let mut calls = Vec::new();
    for mut call in OrganizationCall::of_every_method() {
        let method = call.method();
        call.fill(&mut |place| argument(method, place));
        calls.extend(with_limit(&call));
        calls.push(call);
    }
    for role in [None, Some("owner"), Some("auditor")] {
        let query = ListMembers::new(id(1)).maybe_role(role.map(str::to_owned));
        calls.push(OrganizationCall::list_members { query });
    }
    calls
}

/// What stands in a place: of the largest organization where there is a choice.
fn argument(method: &str, place: &str) -> Option<String> {
    // A member who is no owner and in no team, and a user who is no member and has an invitation.
    let (member, invited, invitation) = (100_001, 30, 60);
    let by_invited = ["create_member", "accept_invitation", "reject_invitation"];
    Some(match place {
        "id" if method.contains("invitation") => id(invitation),
        "id" | "ids" | "organization_id" | "team_id" => id(1),
        "user_id" if by_invited.contains(&method) => id(invited),
        "user_id" | "owner_id" | "inviter_id" => id(member),
        "role" if method == "create_organization_role" => "editor".to_owned(),
        "role" if method.ends_with("organization_role") => "auditor".to_owned(),
        "role" => "member".to_owned(),
        "slug" if method == "get_organization_by_slug" => format!("slug-{}", id(1)),
        "email" if method == "list_pending_invitations" => format!("{invited}@example.com"),
        "email" => "new@example.com".to_owned(),
        "name" | "slug" => "new".to_owned(),
        _ => return None,
    })
}

/// The call with a limit that is not reached before all rows are counted.
fn with_limit(call: &OrganizationCall) -> Option<OrganizationCall> {
    let limit = Some(MEMBERS_OF_THE_LARGEST * 2);
    let mut call = call.clone();
    match &mut call {
        OrganizationCall::create_organization { organization } => organization.limit = limit,
        OrganizationCall::create_member { member } => member.limit = limit,
        OrganizationCall::create_invitation { invitation } => invitation.limit = limit,
        OrganizationCall::create_team { team } => team.limit = limit,
        OrganizationCall::create_team_member { member } => member.limit = limit,
        OrganizationCall::accept_invitation { limits, .. } => {
            *limits = MemberLimits {
                members: limit,
                team_members: limit,
            };
        }
        _ => return None,
    }
    Some(call)
}
