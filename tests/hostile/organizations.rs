//! Text is data in the store of organizations too: in each place of each method, on both adapters.

use std::collections::BTreeMap;

use better_auth::AuthResult;
use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter, input};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateTeam,
    CreateTeamMember, CreateUser, ListMembers, Metadata,
};
use serde_json::Value;
use sqlx::PgPool;

use crate::calls::{Answer, OrganizationCall, Row, is_uuid};
use crate::support::seed::announce;
use crate::world::far_future;
use crate::{plain, texts, verdict};

/// An organization with a row of each kind, and another one.
struct Place<'a> {
    database: &'a dyn DatabaseAdapter,
    organization: String,
    member: String,
    invitation: String,
    team: String,
    /// What the ids that the adapter has made are called.
    names: BTreeMap<String, &'static str>,
}

impl<'a> Place<'a> {
    async fn prepare(database: &'a dyn DatabaseAdapter) -> Place<'a> {
        for id in ["ada", "bob", "carol"] {
            let create = CreateUser::new()
                .with_id(id)
                .with_email(format!("{id}@example.com"));
            database.create_user(create).await.unwrap();
        }
        let store = database.organizations().unwrap();
        let create = CreateOrganization::new("Other", "other", "carol");
        let (other, _) = store.create_organization(create).await.unwrap();
        let create = CreateOrganization::new("Engines", "engines", "ada");
        let (organization, _) = store.create_organization(create).await.unwrap();
        let id = organization.id.as_str();
        let member = store
            .create_member(CreateMember::new(id, "bob"))
            .await
            .unwrap();
        let team = store
            .create_team(CreateTeam::new(id, "Team"))
            .await
            .unwrap();
        let in_team = CreateTeamMember::new(&team.id, "ada");
        store.create_team_member(in_team).await.unwrap();
        let create = CreateInvitation::new(id, "carol@example.com", "ada", far_future());
        let invitation = store.create_invitation(create).await.unwrap();
        let role = CreateOrganizationRole::new(id, "auditor", Metadata::new());
        store.create_organization_role(role).await.unwrap();
        let names = [
            (organization.id.clone(), "organization"),
            (other.id, "other organization"),
            (member.id.clone(), "member"),
            (team.id.clone(), "team"),
            (invitation.id.clone(), "invitation"),
        ];
        Self {
            database,
            organization: organization.id,
            member: member.id,
            invitation: invitation.id,
            team: team.id,
            names: BTreeMap::from(names),
        }
    }

    /// A call of every method, most of which succeed.
    fn templates(&self) -> Vec<OrganizationCall> {
        let each = OrganizationCall::of_every_method().into_iter();
        let filled = each.map(|mut call| {
            let method = call.method();
            call.fill(&mut |place| {
                Some(match place {
                    "organization_id" | "ids" => self.organization.clone(),
                    "id" if method.contains("organization") => self.organization.clone(),
                    "id" if method.contains("invitation") => self.invitation.clone(),
                    "id" if method.contains("team") => self.team.clone(),
                    "id" => self.member.clone(),
                    "team_id" => self.team.clone(),
                    "owner_id" | "inviter_id" => "ada".to_owned(),
                    "user_id" if method.starts_with("create_member") => "carol".to_owned(),
                    "user_id" if ["accept_invitation", "reject_invitation"].contains(&method) => {
                        "carol".to_owned()
                    }
                    "user_id" => "bob".to_owned(),
                    "role" if method == "create_organization_role" => "editor".to_owned(),
                    "role" if method.ends_with("organization_role") => "auditor".to_owned(),
                    "role" => "member".to_owned(),
                    "slug" if method == "get_organization_by_slug" => "engines".to_owned(),
                    "email" if method == "list_pending_invitations" => {
                        "carol@example.com".to_owned()
                    }
                    "email" => "dora@example.com".to_owned(),
                    "name" | "slug" => "new".to_owned(),
                    _ => return None,
                })
            });
            call
        });
        filled.collect()
    }

    /// What a call answers with this text in this place, and what everything is afterwards; undone.
    async fn attempt(
        &self,
        template: &OrganizationCall,
        place: Option<(&str, &str)>,
    ) -> (String, Answer, Vec<Answer>) {
        let call = match place {
            Some((place, text)) => template.with(place, text),
            None => template.clone(),
        };
        let transaction = self.database.begin().await.unwrap();
        let answer = call.make(&transaction).await;
        let verdict = verdict(&answer);
        let is_open = answer.is_ok();
        if let (Ok(answer), Some((place, text))) = (&answer, place) {
            check(&call, place, text, answer);
        }
        let answer = self.comparable(answer);
        let mut after = Vec::new();
        if is_open {
            after = self.everything(&transaction).await;
        }
        drop(transaction.rollback().await);
        (verdict, answer, after)
    }

    /// What a call that only reads answers with each of the texts in this place, and what everything is after all of them.
    async fn read(
        &self,
        template: &OrganizationCall,
        place: &str,
        texts: &[(String, String)],
    ) -> (Vec<(String, Answer)>, Vec<Answer>) {
        let mut transaction = self.database.begin().await.unwrap();
        let mut answers = Vec::new();
        for (_, text) in texts {
            let answer = template.with(place, text).make(&transaction).await;
            if answer.is_err() {
                drop(transaction.rollback().await);
                transaction = self.database.begin().await.unwrap();
            }
            answers.push((verdict(&answer), self.comparable(answer)));
        }
        let after = self.everything(&transaction).await;
        transaction.rollback().await.unwrap();
        (answers, after)
    }

    fn comparable(&self, answer: AuthResult<Answer>) -> Answer {
        let mut answer = answer.map(|answer| answer.comparable()).unwrap_or_default();
        for row in &mut answer.rows {
            for value in row.columns.values_mut() {
                let Some(text) = value.as_str() else { continue };
                if let Some(name) = self.names.get(text) {
                    *value = Value::from(*name);
                } else if is_uuid(text) {
                    *value = Value::from("made by the call");
                }
            }
        }
        answer.rows.sort_by_key(|row| format!("{row:?}"));
        answer
    }

    async fn everything(&self, database: &dyn DatabaseAdapter) -> Vec<Answer> {
        let organization_id = || self.organization.clone();
        let mut found = Vec::new();
        for user_id in ["ada", "bob", "carol"] {
            let user_id = user_id.to_owned();
            let call = OrganizationCall::list_user_organizations { user_id };
            found.push(self.comparable(call.make(database).await));
        }
        for call in [
            OrganizationCall::list_members {
                query: ListMembers::new(organization_id()).with_limit(1000),
            },
            OrganizationCall::list_invitations {
                organization_id: organization_id(),
            },
            OrganizationCall::list_teams {
                organization_id: organization_id(),
            },
            OrganizationCall::list_team_members {
                team_id: self.team.clone(),
            },
            OrganizationCall::list_organization_roles {
                organization_id: organization_id(),
            },
        ] {
            found.push(self.comparable(call.make(database).await));
        }
        found
    }
}

/// What is stored is the text, in its normal form where it has one.
fn check(call: &OrganizationCall, place: &str, text: &str, answer: &Answer) {
    let method = call.method();
    let stores = ["create_", "update_", "rename_"]
        .iter()
        .any(|begin| method.starts_with(begin));
    // A key that is another one finds another row, or none.
    let is_key = place == "id" || method.starts_with("update_organization_role") && place == "role";
    let column = place.split(':').next().unwrap_or(place);
    let holds = |row: &&Row| row.columns.contains_key(column);
    let Some(row) = answer.rows.iter().find(holds).filter(|_| stores && !is_key) else {
        return;
    };
    let expected = match column {
        "slug" | "email" => Value::from(input::lookup_name(text)),
        "role" if method == "create_organization_role" => Value::from(text.trim()),
        "role" => Value::from(input::member_role(text).unwrap()),
        "metadata" | "permission" => {
            let held = row.columns[column].to_string();
            let json = Value::from(text).to_string();
            assert!(held.contains(&json), "{method}: {place} = {text:?}: {held}");
            return;
        }
        _ => Value::from(text),
    };
    assert_eq!(
        row.columns[column], expected,
        "{method}: {place} = {text:?}"
    );
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hostile_text_is_data_in_organizations(pool: PgPool) {
    let (memory, postgres) = (MemoryDatabaseAdapter::new(), plain(&pool).await);
    let memory = Place::prepare(&memory).await;
    let postgres = Place::prepare(&postgres).await;
    let before = postgres.everything(postgres.database).await;
    assert_eq!(memory.everything(memory.database).await, before);
    let texts = texts();
    let mut tries = 0;
    for (left, right) in memory.templates().iter().zip(&postgres.templates()) {
        let method = left.method();
        let plain = memory.attempt(left, None).await;
        assert_eq!(plain.0, "ok", "{method}");
        assert_eq!(plain, postgres.attempt(right, None).await, "{method}");
        let reads = ["get_", "list_", "count_"];
        let only_reads = reads.iter().any(|begin| method.starts_with(begin));
        for place in &left.places() {
            tries += texts.len();
            if only_reads {
                let (left, after) = memory.read(left, place, &texts).await;
                let (right, also_after) = postgres.read(right, place, &texts).await;
                for ((left, right), (name, _)) in left.iter().zip(&right).zip(&texts) {
                    assert!(
                        left == right,
                        "{method}: {place} = {name}: {left:?}, {right:?}"
                    );
                }
                assert_eq!(after, before, "{method}: {place}");
                assert_eq!(also_after, before, "{method}: {place}");
                continue;
            }
            for (name, text) in &texts {
                let place = Some((place.as_str(), text.as_str()));
                let (left, right) = (
                    memory.attempt(left, place).await,
                    postgres.attempt(right, place).await,
                );
                assert!(
                    left == right,
                    "{method}: {place:?} = {name}: {left:?}, {right:?}"
                );
            }
        }
    }
    assert_eq!(postgres.everything(postgres.database).await, before);
    assert_eq!(memory.everything(memory.database).await, before);
    announce(format_args!(
        "{tries} tries of hostile text in organizations"
    ));
}
