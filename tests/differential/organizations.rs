//! Calls of the store of organizations.

use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateTeam,
    CreateTeamMember, CreateUser, ListMembers, MemberLimits, UpdateOrganization,
};
use proptest::prelude::*;

use crate::calls::{Call, OrganizationCall};
use crate::steps::{Column, Made, Step, step};
use crate::values::{USERS, change, end, key, maybe, metadata, text, user_id};

impl OrganizationCall {
    /// Lets it add any number.
    pub(crate) fn take_limits(&mut self) {
        match self {
            Self::create_organization { organization } => organization.limit = None,
            Self::create_member { member } => member.limit = None,
            Self::create_invitation { invitation } => invitation.limit = None,
            Self::accept_invitation { limits, .. } => *limits = MemberLimits::default(),
            Self::create_team { team } => team.limit = None,
            Self::create_team_member { member } => member.limit = None,
            _ => {}
        }
    }
}

/// The addresses of the first users, which are invited.
const EMAILS: [&str; 3] = ["a", "b", "ß"];

/// Users with addresses, each with an organization.
pub(crate) fn first_organizations() -> Vec<Step> {
    let mut steps = Vec::new();
    for (user, email) in USERS.into_iter().zip(EMAILS) {
        let create = CreateUser::new().with_id(user).with_email(email);
        steps.push(step(Call::create_user { user: create }));
        let organization = CreateOrganization::new(user, user, user);
        let create = OrganizationCall::create_organization { organization };
        steps.push(Step::Organization(create, Vec::new()));
    }
    steps
}

/// What was made in a table, as an argument, mostly; or any text.
fn made(
    argument: &'static str,
    table: &'static str,
) -> impl Strategy<Value = (&'static str, Result<Made, String>)> {
    let column = Column { table, name: "id" };
    let made = (0_usize..4).prop_map(move |number| {
        Ok(Made {
            argument,
            column,
            number,
        })
    });
    let made_or_text = prop_oneof![20 => made, 1 => key().prop_map(Err)];
    made_or_text.prop_map(move |made_or_text| (argument, made_or_text))
}

/// Calls with what was made in these arguments.
fn with<const N: usize>(
    calls: impl Strategy<Value = OrganizationCall>,
    arguments: [(&'static str, &'static str); N],
) -> impl Strategy<Value = Step> {
    let arguments = arguments.map(|(argument, table)| made(argument, table));
    (calls, arguments).prop_map(|(call, arguments)| {
        let (mut call, mut all_made) = (call, Vec::new());
        for (argument, made_or_text) in arguments {
            match made_or_text {
                Ok(made) => all_made.push(made),
                Err(text) => call = call.with(argument, &text),
            }
        }
        Step::Organization(call, all_made)
    })
}

const IN_ORGANIZATION: (&str, &str) = ("organization_id", "organization");

fn limit() -> impl Strategy<Value = Option<u32>> {
    (0_u32..5).prop_map(Some)
}

fn role() -> impl Strategy<Value = String> {
    let roles = vec![
        "owner",
        "member",
        "admin",
        "owner,admin",
        " admin , owner",
        "a,,b",
    ];
    prop_oneof![
        8 => prop::sample::select(roles).prop_map(str::to_owned),
        1 => key(),
    ]
}

fn email() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(vec!["a", "A", "b", "ß", "nobody"]).prop_map(str::to_owned),
        1 => key(),
    ]
}

fn none() -> String {
    String::new()
}

fn of_organizations() -> BoxedStrategy<Step> {
    use OrganizationCall as C;
    let plain = |call: C| Step::Organization(call, Vec::new());
    let create = (key(), key(), maybe(text()), metadata(), user_id(), limit()).prop_map(
        |(name, slug, logo, metadata, owner_id, limit)| CreateOrganization {
            name,
            slug,
            logo,
            metadata,
            owner_id,
            limit,
        },
    );
    let update = (
        prop::option::weighted(0.3, key()),
        prop::option::weighted(0.5, key()),
        change(text()),
        prop::option::weighted(0.3, metadata()),
    )
        .prop_map(|(name, slug, logo, metadata)| UpdateOrganization {
            name,
            slug,
            logo,
            metadata,
        });
    let updates = update.prop_map(|update| C::update_organization { id: none(), update });
    let id = [("id", "organization")];
    prop_oneof![
        3 => create.prop_map(move |organization| plain(C::create_organization { organization })),
        2 => with(Just(C::get_organization { id: none() }), id),
        1 => key().prop_map(move |slug| plain(C::get_organization_by_slug { slug })),
        1 => with(Just(C::get_organizations_by_ids { ids: vec![none()] }), [("ids", "organization")]),
        2 => user_id().prop_map(move |user_id| plain(C::list_user_organizations { user_id })),
        1 => Just(plain(C::list_organizations_without_owner {})),
        3 => with(updates, id),
        1 => with(Just(C::delete_organization { id: none() }), id),
    ]
    .boxed()
}

fn of_members() -> BoxedStrategy<Step> {
    use OrganizationCall as C;
    let create = (user_id(), role(), limit()).prop_map(|(user_id, role, limit)| {
        let member = CreateMember {
            limit,
            ..CreateMember::new("", user_id).with_role(role)
        };
        C::create_member { member }
    });
    let list = (maybe(role()), prop_oneof![0_u32..3, Just(1000)]).prop_map(|(role, limit)| {
        let query = ListMembers::new("").maybe_role(role).with_limit(limit);
        C::list_members { query }
    });
    let of_user = |call: fn(String) -> C| with(user_id().prop_map(call), [IN_ORGANIZATION]);
    let get = |user_id| C::get_member {
        organization_id: none(),
        user_id,
    };
    let remove = |user_id| C::remove_member {
        organization_id: none(),
        user_id,
    };
    let change = (user_id(), role()).prop_map(|(user_id, role)| C::update_member_role {
        organization_id: none(),
        user_id,
        role,
    });
    let count = C::count_members {
        organization_id: none(),
    };
    prop_oneof![
        8 => with(create, [IN_ORGANIZATION]),
        1 => of_user(get),
        1 => with(Just(C::get_member_by_id { id: none() }), [("id", "member")]),
        2 => with(list, [IN_ORGANIZATION]),
        1 => with(Just(count), [IN_ORGANIZATION]),
        5 => with(change, [IN_ORGANIZATION]),
        4 => of_user(remove),
    ]
    .boxed()
}

fn of_invitations() -> BoxedStrategy<Step> {
    use OrganizationCall as C;
    let create = || {
        (email(), role(), user_id(), end(), limit()).prop_map(
            |(email, role, inviter_id, expires_at, limit)| {
                let invitation = CreateInvitation {
                    limit,
                    ..CreateInvitation::new("", email, inviter_id, expires_at).with_role(role)
                };
                C::create_invitation { invitation }
            },
        )
    };
    let accept = (user_id(), any::<bool>(), limit(), limit()).prop_map(
        |(user_id, require_verified_email, members, team_members)| C::accept_invitation {
            id: none(),
            user_id,
            require_verified_email,
            limits: MemberLimits {
                members,
                team_members,
            },
        },
    );
    let reject = user_id().prop_map(|user_id| C::reject_invitation {
        id: none(),
        user_id,
    });
    let cancel = C::cancel_invitation {
        organization_id: none(),
        id: none(),
    };
    let list = C::list_invitations {
        organization_id: none(),
    };
    let pending = email()
        .prop_map(|email| Step::Organization(C::list_pending_invitations { email }, Vec::new()));
    let id = ("id", "invitation");
    prop_oneof![
        4 => with(create(), [IN_ORGANIZATION]),
        2 => with(create(), [IN_ORGANIZATION, ("team_id", "team")]),
        1 => with(Just(C::get_invitation { id: none() }), [id]),
        1 => with(Just(list), [IN_ORGANIZATION]),
        1 => pending,
        5 => with(accept, [id]),
        1 => with(reject, [id]),
        2 => with(Just(cancel), [IN_ORGANIZATION, id]),
    ]
    .boxed()
}

fn of_teams() -> BoxedStrategy<Step> {
    use OrganizationCall as C;
    let create = (key(), limit()).prop_map(|(name, limit)| C::create_team {
        team: CreateTeam {
            limit,
            ..CreateTeam::new("", name)
        },
    });
    let rename = key().prop_map(|name| C::rename_team { id: none(), name });
    let join = (user_id(), limit()).prop_map(|(user_id, limit)| C::create_team_member {
        member: CreateTeamMember {
            limit,
            ..CreateTeamMember::new("", user_id)
        },
    });
    let leave = user_id().prop_map(|user_id| C::remove_team_member {
        team_id: none(),
        user_id,
    });
    let list = C::list_teams {
        organization_id: none(),
    };
    let of_user = user_id()
        .prop_map(|user_id| Step::Organization(C::list_user_teams { user_id }, Vec::new()));
    let (id, team_id) = ([("id", "team")], [("team_id", "team")]);
    prop_oneof![
        4 => with(create, [IN_ORGANIZATION]),
        1 => with(Just(C::get_team { id: none() }), id),
        1 => with(Just(list), [IN_ORGANIZATION]),
        1 => of_user,
        1 => with(rename, id),
        1 => with(Just(C::delete_team { id: none() }), id),
        5 => with(join, team_id),
        1 => with(Just(C::list_team_members { team_id: none() }), team_id),
        2 => with(leave, team_id),
    ]
    .boxed()
}

fn of_roles() -> BoxedStrategy<Step> {
    use OrganizationCall as C;
    let name = || prop_oneof![4 => Just("auditor".to_owned()), 1 => Just(" auditor".to_owned()), 1 => key()];
    let create = (name(), metadata()).prop_map(|(name, permission)| C::create_organization_role {
        role: CreateOrganizationRole::new("", name, permission),
    });
    let get = name().prop_map(|role| C::get_organization_role {
        organization_id: none(),
        role,
    });
    let update = (name(), metadata()).prop_map(|(role, permission)| C::update_organization_role {
        organization_id: none(),
        role,
        permission,
    });
    let delete = name().prop_map(|role| C::delete_organization_role {
        organization_id: none(),
        role,
    });
    let list = C::list_organization_roles {
        organization_id: none(),
    };
    prop_oneof![
        3 => with(create, [IN_ORGANIZATION]),
        1 => with(get, [IN_ORGANIZATION]),
        1 => with(Just(list), [IN_ORGANIZATION]),
        2 => with(update, [IN_ORGANIZATION]),
        1 => with(delete, [IN_ORGANIZATION]),
    ]
    .boxed()
}

pub(crate) fn organization_step() -> BoxedStrategy<Step> {
    prop_oneof![
        2 => of_organizations(),
        4 => of_members(),
        4 => of_invitations(),
        3 => of_teams(),
        1 => of_roles(),
    ]
    .boxed()
}

/// The calls that list what an organization holds.
pub(crate) fn lookups_of_organization(id: &str) -> [OrganizationCall; 5] {
    use OrganizationCall as C;
    let organization_id = id.to_owned();
    [
        C::get_organization { id: id.to_owned() },
        C::list_members {
            query: ListMembers::new(id).with_limit(1000),
        },
        C::list_invitations {
            organization_id: organization_id.clone(),
        },
        C::list_teams {
            organization_id: organization_id.clone(),
        },
        C::list_organization_roles { organization_id },
    ]
}
