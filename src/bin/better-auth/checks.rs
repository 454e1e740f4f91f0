//! `status` and `check`: whether the database is as it should be.

use better_auth::AuthResult;
use better_auth::adapters::{SqlxAdapter, UnreachableNames};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Global;
use crate::output::{Answer, Problem, advice_for_operators, count, shown};
use crate::{database, migrate, watch};

pub(crate) async fn status(global: &Global) -> Outcome {
    let database = database::connect(global).await?;
    let pending = database.pending_migrations().await?;
    let counts = database.health().await.migrations;
    let (applied, unknown) = counts.map_or((0, 0), |counts| (counts.applied, counts.unknown));
    let mut json = migrate::as_json(&pending);
    json["applied"] = applied.into();
    json["unknown"] = unknown.into();
    let schema = shown(&pending.schema);
    let text = if pending.is_empty() {
        format!("up to date: schema {schema} has all {applied} migrations")
    } else {
        format!(
            "not up to date: schema {schema} has {} and lacks {}: run `better-auth migrate`",
            count(applied, "migration"),
            pending.migrations.len()
        )
    };
    let newer = match unknown {
        0 => String::new(),
        unknown => format!(
            "; a newer version has applied {} more, which this version ignores and works with",
            count(unknown, "migration")
        ),
    };
    Ok(Answer::new(text + &newer, json).right_if(pending.is_empty()))
}

pub(crate) async fn check(global: &Global) -> Outcome {
    let database = database::connect(global).await?;
    let findings = Findings::of(global, &database).await?;
    Ok(findings.into_answer())
}

/// Which organizations no lookup finds by their slug, and what to do.
pub(crate) fn lost_slugs(organizations: &UnreachableNames) -> Option<String> {
    let UnreachableNames {
        count, first_ids, ..
    } = organizations;
    (*count > 0).then(|| {
        format!(
            "{count} organizations have a slug that lookups do not find, the first are {}: give each another one by its id",
            first_ids.join(", ")
        )
    })
}

/// Which pending invitations nobody can accept, and what to do.
pub(crate) fn lost_invitations(invitations: &UnreachableNames) -> Option<String> {
    let UnreachableNames {
        count, first_ids, ..
    } = invitations;
    (*count > 0).then(|| {
        format!(
            "{count} pending invitations name an address that no user has, the first are {}: cancel them and invite again",
            first_ids.join(", ")
        )
    })
}

/// What was found, one after the other.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Findings {
    #[serde(rename = "findings")]
    all: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_session_tokens: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removable_indexes: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    Ok,
    Advice,
    Wrong,
    /// It could not be checked.
    Skipped,
}

impl Findings {
    pub(crate) async fn of(global: &Global, database: &SqlxAdapter) -> Result<Self, Problem> {
        let mut findings = Self::default();
        let is_usable = findings.add_schema(database).await;
        let pooler = database.check_pooler().await;
        findings.add_result("pooler", pooler, "prepared statements are kept apart");
        if is_usable {
            findings.add_names(global, database).await?;
        } else {
            let message = "not checked, as the schema is not as it should be";
            findings.add("names", State::Skipped, message);
        }
        Ok(findings)
    }

    async fn add_schema(&mut self, database: &SqlxAdapter) -> bool {
        let report = match database.check_schema().await {
            Ok(report) => report,
            Err(error) => {
                self.add("schema", State::Wrong, &error.to_string());
                return false;
            }
        };
        let message = "tables, constraints, indexes and migrations are as they should be, and row level security hides \
                       nothing from this role";
        self.add("schema", State::Ok, message);
        if report.removable_indexes.is_empty() {
            self.add("indexes", State::Ok, "none is there for nothing");
        } else {
            let indexes = report.removable_indexes.join(", ");
            let message = format!(
                "another index does the same work: DROP INDEX CONCURRENTLY {indexes} (one statement for each)"
            );
            self.add("indexes", State::Advice, &message);
        }
        self.plain_session_tokens = Some(report.plain_session_tokens);
        self.removable_indexes = Some(report.removable_indexes);
        true
    }

    async fn add_names(&mut self, global: &Global, database: &SqlxAdapter) -> Result<(), Problem> {
        let how_to_go_on = "nothing was changed";
        let report = watch::run(global, how_to_go_on, |observe| {
            database.check_names_with(observe)
        })
        .await?;
        if report.unreachable == 0 {
            self.add("names", State::Ok, "lookups find all of them");
        } else {
            let message = format!(
                "{} of {} users have an email or username that lookups do not find, the first are {}: run `better-auth \
                 normalize-names`",
                report.unreachable,
                report.users,
                report.first_ids.join(", ")
            );
            self.add("names", State::Wrong, &message);
        }
        if let Some(message) = lost_slugs(&report.organizations) {
            self.add("slugs", State::Wrong, &message);
        }
        if let Some(message) = lost_invitations(&report.invitations) {
            self.add("invitations", State::Wrong, &message);
        }
        Ok(())
    }

    /// With what was found later.
    pub(crate) fn then(mut self, later: Self) -> Self {
        self.all.extend(later.all);
        Self {
            all: self.all,
            ..later
        }
    }

    fn add_result(&mut self, check: &'static str, result: AuthResult<()>, right: &str) {
        match result {
            Ok(()) => self.add(check, State::Ok, right),
            Err(error) => self.add(check, State::Wrong, &error.to_string()),
        }
    }

    pub(crate) fn add(&mut self, check: &'static str, state: State, message: &str) {
        self.all.push(Finding {
            check,
            state,
            message: shown(&advice_for_operators(message)),
        });
    }

    pub(crate) fn has_plain_session_tokens(&self) -> bool {
        self.plain_session_tokens == Some(true)
    }

    fn is_right(&self) -> bool {
        let mut findings = self.all.iter();
        findings.all(|finding| finding.state != State::Wrong)
    }

    pub(crate) fn into_answer(self) -> Answer {
        let lines = self.all.iter().map(|finding| {
            let state = match finding.state {
                State::Ok => "ok",
                State::Advice => "advice",
                State::Wrong => "wrong",
                State::Skipped => "skipped",
            };
            format!("{state:<7} {}: {}", finding.check, finding.message)
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let is_right = self.is_right();
        // Strings, numbers and truth values can always be written.
        let mut json = serde_json::to_value(&self).unwrap_or(Value::Null);
        if let Some(object) = json.as_object_mut() {
            object.insert("ok".to_owned(), json!(is_right));
        }
        Answer::new(text, json).right_if(is_right)
    }
}
