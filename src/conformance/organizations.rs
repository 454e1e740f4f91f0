//! Promises about organizations, their slugs and their roles.

use super::{Adapter, assert_eq, assert_error, assert_refused, at_once, new_user};
use crate::adapters::{DatabaseAdapter, OrganizationStore};
use crate::types::{
    CreateOrganization, CreateOrganizationRole, CreateUser, Member, Metadata, Organization,
    UpdateOrganization, User,
};
use crate::{AuthError, ConflictField};

pub(super) fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn OrganizationStore {
    adapter.organizations().unwrap()
}

/// An organization with this slug and its owner.
pub(super) async fn new_organization(
    adapter: &Adapter,
    slug: &str,
) -> (Organization, Member, User) {
    let user = new_user(adapter).await;
    let create = CreateOrganization::new("Engines", slug, &user.id);
    let (organization, owner) = store(adapter).create_organization(create).await.unwrap();
    (organization, owner, user)
}

macro_rules! assert_conflict {
    ($answer:expr, $field:ident) => {
        assert_error!(
            $answer,
            AuthError::Conflict {
                field: ConflictField::$field
            }
        )
    };
}
pub(super) use assert_conflict;

fn object(text: &str) -> Metadata {
    serde_json::from_str(text).unwrap()
}

pub(super) async fn an_organization_has_its_owner(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let create = CreateOrganization::new("Analytical Engines", "Engines", &user.id)
        .with_logo("https://example.com/logo.png")
        .with_metadata(object(r#"{"plan": "pro", "seats": 7}"#));
    let (organization, owner) = store(&adapter)
        .create_organization(create.clone())
        .await
        .unwrap();
    let expected = Organization {
        logo: create.logo,
        metadata: create.metadata,
        ..Organization::new(
            &organization.id,
            &create.name,
            "engines",
            organization.created_at,
        )
    };
    assert_eq!(organization, expected);
    let pair = (owner.organization_id.as_str(), owner.user_id.as_str());
    assert_eq!(pair, (organization.id.as_str(), user.id.as_str()));
    assert!(owner.is_owner() && owner.created_at == organization.created_at);

    let found = store(&adapter).get_organization(&organization.id).await;
    assert_eq!(found.unwrap(), Some(organization.clone()));
    let found = store(&adapter).get_organization_by_slug("eNGINES").await;
    assert_eq!(found.unwrap(), Some(organization.clone()));
    let (other, _, _) = new_organization(&adapter, "other").await;
    let ids = [other.id.clone(), "unknown".into(), organization.id.clone()];
    let found = store(&adapter).get_organizations_by_ids(&ids).await;
    assert_eq!(found.unwrap(), [other.clone(), organization.clone()]);

    let second = CreateOrganization::new("Second", "second", &user.id);
    let second = store(&adapter).create_organization(second).await.unwrap();
    let listed = store(&adapter).list_user_organizations(&user.id).await;
    assert_eq!(listed.unwrap(), [second, (organization, owner)]);
}

pub(super) async fn slugs_are_unique_without_case(adapter: Adapter) {
    let (first, _, user) = new_organization(&adapter, "engines").await;
    let (second, _, _) = new_organization(&adapter, "second").await;
    let taken = CreateOrganization::new("Engines", "ENGINES", &user.id);
    let answer = store(&adapter).create_organization(taken.clone()).await;
    assert_conflict!(answer, OrganizationSlug);
    let unknown = CreateOrganization {
        owner_id: "unknown".into(),
        ..taken
    };
    let answer = store(&adapter).create_organization(unknown).await;
    assert_conflict!(answer, OrganizationSlug);
    let to = |slug: &str| UpdateOrganization::new().with_slug(slug);
    let answer = store(&adapter).update_organization(&second.id, to("Engines"));
    assert_conflict!(answer.await, OrganizationSlug);
    for slug in ["ENGINES", "renamed"] {
        let renamed = store(&adapter).update_organization(&first.id, to(slug));
        assert_eq!(renamed.await.unwrap().slug, slug.to_lowercase());
    }
    let taken = store(&adapter).update_organization(&second.id, to("engines"));
    assert_eq!(taken.await.unwrap().slug, "engines");
    let found = store(&adapter).get_organization_by_slug("second").await;
    assert_eq!(found.unwrap(), None);
}

pub(super) async fn one_of_many_gets_the_slug(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let answers = at_once(20, |_| {
        let (adapter, user) = (adapter.clone(), user.clone());
        async move {
            let create = CreateOrganization::new("Engines", "engines", &user.id);
            store(&adapter).create_organization(create).await
        }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_conflict!(answer, OrganizationSlug);
    }
    let listed = store(&adapter).list_user_organizations(&user.id).await;
    assert_eq!(listed.unwrap().len(), 1);
}

pub(super) async fn impossible_organizations_are_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let create = CreateOrganization::new("Engines", "engines", &user.id);
    let long = "x".repeat(256);
    for wrong in ["", "a\0b", &long] {
        let answer = store(&adapter).create_organization(CreateOrganization {
            name: wrong.to_owned(),
            ..create.clone()
        });
        assert_refused("name", answer.await);
        let answer = store(&adapter).create_organization(CreateOrganization {
            slug: wrong.to_owned(),
            ..create.clone()
        });
        assert_refused("slug", answer.await);
    }
    let answer = store(&adapter).create_organization(create.clone().with_logo("a\0b"));
    assert_refused("logo", answer.await);
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        let answer = store(&adapter).create_organization(CreateOrganization {
            owner_id: unknown.to_owned(),
            ..create.clone()
        });
        assert_error!(answer.await, AuthError::UserNotFound);
        let update = UpdateOrganization::new().with_name("New");
        let answer = store(&adapter).update_organization(unknown, update).await;
        assert_error!(answer, AuthError::OrganizationNotFound);
        let answer = store(&adapter)
            .update_organization(unknown, UpdateOrganization::new())
            .await;
        assert_error!(answer, AuthError::OrganizationNotFound);
        store(&adapter).delete_organization(unknown).await.unwrap();
        let found = store(&adapter).get_organization(unknown).await;
        assert_eq!(found.unwrap(), None);
        let found = store(&adapter).get_organization_by_slug(unknown).await;
        assert_eq!(found.unwrap(), None);
        let listed = store(&adapter).list_user_organizations(unknown).await;
        assert_eq!(listed.unwrap(), []);
    }
    let found = store(&adapter).get_organization_by_slug("engines").await;
    assert_eq!(found.unwrap(), None);
}

pub(super) async fn an_update_changes_what_it_names(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let id = organization.id.as_str();
    let update = UpdateOrganization::new();
    let unchanged = store(&adapter).update_organization(id, update).await;
    assert_eq!(unchanged.unwrap(), organization);
    let update = UpdateOrganization::new()
        .with_logo("logo")
        .with_metadata(object(r#"{"a": [1, "b"]}"#));
    let changed = store(&adapter).update_organization(id, update).await;
    let changed = changed.unwrap();
    assert!(changed.updated_at > organization.updated_at);
    let expected = Organization {
        logo: Some("logo".into()),
        metadata: object(r#"{"a": [1, "b"]}"#),
        updated_at: changed.updated_at,
        ..organization.clone()
    };
    assert_eq!(changed, expected);
    let update = UpdateOrganization::new().with_name("New").without_logo();
    let changed = store(&adapter).update_organization(id, update).await;
    let changed = changed.unwrap();
    assert_eq!((changed.name.as_str(), &changed.logo), ("New", &None));
    let found = store(&adapter).get_organization(id).await;
    assert_eq!(found.unwrap(), Some(changed));
}

pub(super) async fn a_deleted_organization_takes_everything_along(adapter: Adapter) {
    let (organization, owner, user) = new_organization(&adapter, "engines").await;
    let role = CreateOrganizationRole::new(&organization.id, "auditor", Metadata::new());
    store(&adapter)
        .create_organization_role(role)
        .await
        .unwrap();
    let organizations = store(&adapter);
    for _ in 0..2 {
        let deleted = organizations.delete_organization(&organization.id).await;
        deleted.unwrap();
    }
    let found = organizations.get_member_by_id(&owner.id).await;
    assert_eq!(found.unwrap(), None);
    let roles = organizations
        .list_organization_roles(&organization.id)
        .await;
    assert_eq!(roles.unwrap(), []);
    let listed = organizations.list_user_organizations(&user.id).await;
    assert_eq!(listed.unwrap(), []);
    let (again, _, _) = new_organization(&adapter, "engines").await;
    assert!(again.id != organization.id);
}

pub(super) async fn the_limit_of_organizations_is_exact(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for slug in ["first", "second"] {
        let create = CreateOrganization::new("Engines", slug, &user.id).with_limit(3);
        store(&adapter).create_organization(create).await.unwrap();
    }
    let answers = at_once(20, |index| {
        let (adapter, user) = (adapter.clone(), user.clone());
        async move {
            let slug = format!("slug-{index}");
            let create = CreateOrganization::new("Engines", slug, &user.id).with_limit(3);
            store(&adapter).create_organization(create).await
        }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_conflict!(answer, Limit);
    }
    let taken = CreateOrganization::new("Engines", "first", &user.id).with_limit(3);
    let answer = store(&adapter).create_organization(taken).await;
    assert_conflict!(answer, OrganizationSlug);
    let free = CreateOrganization::new("Engines", "free", &user.id);
    store(&adapter).create_organization(free).await.unwrap();
}

pub(super) async fn organizations_without_owner_are_found(adapter: Adapter) {
    let (first, _, user) = new_organization(&adapter, "first").await;
    let create = CreateOrganization::new("Second", "second", &user.id);
    let (second, _) = store(&adapter).create_organization(create).await.unwrap();
    new_organization(&adapter, "owned").await;
    let listed = store(&adapter).list_organizations_without_owner().await;
    assert_eq!(listed.unwrap(), []);
    adapter.delete_user(&user.id).await.unwrap();
    let listed = store(&adapter).list_organizations_without_owner().await;
    assert_eq!(listed.unwrap(), [second, first]);
}

pub(super) async fn roles_are_created_changed_and_deleted(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let id = organization.id.as_str();
    let organizations = store(&adapter);
    let permission = object(r#"{"project": ["create", "share"]}"#);
    let create = CreateOrganizationRole::new(id, " auditor", permission.clone());
    let role = organizations.create_organization_role(create.clone()).await;
    let role = role.unwrap();
    assert_eq!(
        (role.role.as_str(), &role.permission),
        ("auditor", &permission)
    );
    let again = organizations.create_organization_role(create.clone()).await;
    assert_conflict!(again, OrganizationRole);
    // The name is trimmed wherever it is given.
    for name in ["auditor", " auditor", "auditor\n"] {
        let found = organizations.get_organization_role(id, name).await;
        assert_eq!(found.unwrap(), Some(role.clone()), "{name:?}");
    }
    let changed = organizations.update_organization_role(id, "auditor ", Metadata::new());
    let changed = changed.await.unwrap();
    assert!(changed.permission.is_empty() && changed.updated_at > role.updated_at);
    let other = CreateOrganizationRole::new(id, "other", permission.clone());
    let other = organizations.create_organization_role(other).await.unwrap();
    let listed = organizations.list_organization_roles(id).await.unwrap();
    assert_eq!(listed, [other, changed]);
    for _ in 0..2 {
        let deleted = organizations.delete_organization_role(id, " auditor").await;
        deleted.unwrap();
    }
    let found = organizations.get_organization_role(id, "auditor").await;
    assert_eq!(found.unwrap(), None);
    let missing = organizations.update_organization_role(id, "auditor", permission);
    assert_error!(missing.await, AuthError::RoleNotFound);
    for wrong in ["", "a,b", "a\0b"] {
        let create = CreateOrganizationRole::new(id, wrong, Metadata::new());
        let answer = organizations.create_organization_role(create).await;
        assert_refused("role", answer);
    }
    for unknown in ["unknown", "a\0b"] {
        let create = CreateOrganizationRole::new(unknown, "auditor", Metadata::new());
        let answer = organizations.create_organization_role(create).await;
        assert_error!(answer, AuthError::OrganizationNotFound);
    }
}

pub(super) async fn named(adapter: &Adapter, email: &str) -> User {
    let create = CreateUser::new().with_email(email).with_name(email);
    adapter.create_user(create).await.unwrap()
}
