//! An adapter under comparison.

use std::collections::{BTreeSet, HashMap};

use better_auth::adapters::{DatabaseAdapter, Transaction};
use better_auth::types::ListUsers;
use better_auth::{AuthError, AuthResult};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::calls::{Answer, Call, CredentialCall, OrganizationCall, Row};
use crate::credentials;
use crate::organizations::lookups_of_organization;
use crate::steps::{Made, Place, Step, TRANSACTIONS};

/// Columns that hold what an adapter has made.
const MADE: [&str; 6] = ["id", "token", "key", "start", "device_code", "user_code"];

/// Times that a store of credentials sets, of which only whether they are set can be compared.
const TIMES: [&str; 4] = [
    "last_refill_at",
    "rate_limit_window_started_at",
    "locked_until",
    "last_polled_at",
];

/// An adapter, with the rows whose ids and tokens it has made.
pub(crate) struct Subject<A> {
    adapter: A,
    transactions: [Option<Box<dyn Transaction>>; TRANSACTIONS],
    /// By table, in the order in which it created them.
    made: HashMap<&'static str, Vec<Row>>,
    /// How an id or a token that it has made is shown.
    names: HashMap<String, String>,
    /// Identifier and value of all verifications.
    pairs: BTreeSet<(String, String)>,
}

impl<A: DatabaseAdapter> Subject<A> {
    pub(crate) fn new(adapter: A) -> Self {
        Self {
            adapter,
            transactions: Default::default(),
            made: HashMap::new(),
            names: HashMap::new(),
            pairs: BTreeSet::new(),
        }
    }

    /// The transaction of the place, if it is open; otherwise the adapter itself.
    fn at(&self, place: Place) -> &dyn DatabaseAdapter {
        match place {
            Place::Inside(number) => match &self.transactions[number] {
                Some(transaction) => transaction,
                None => &self.adapter,
            },
            Place::Outside => &self.adapter,
        }
    }

    fn take_transaction(&mut self, place: Place) -> Option<Box<dyn Transaction>> {
        match place {
            Place::Inside(number) => self.transactions[number].take(),
            Place::Outside => None,
        }
    }

    /// Whether a transaction is open at this place.
    pub(crate) fn is_open(&self, place: Place) -> bool {
        matches!(place, Place::Inside(number) if self.transactions[number].is_some())
    }

    /// How many transactions are open.
    pub(crate) fn open(&self) -> usize {
        self.transactions.iter().flatten().count()
    }

    /// Undoes the transaction of this place, if there is one.
    pub(crate) async fn undo(&mut self, place: Place) {
        if let Some(transaction) = self.take_transaction(place) {
            // What waited for too long has aborted it; its end may be known already.
            let _ = transaction.rollback().await;
        }
    }

    /// The answer, with what the adapters may choose replaced.
    pub(crate) async fn take(&mut self, place: Place, step: &Step) -> Value {
        match step {
            Step::Call(call, made) => {
                let call = match made {
                    Some(made) => call.with(made.argument, self.find(made)),
                    None => call.clone(),
                };
                let answer = call.make(self.at(place)).await;
                if let Ok(Answer { rows, .. }) = &answer {
                    if call.method().starts_with("create_") || call.method() == "link_account" {
                        for row in rows {
                            self.name(row);
                        }
                    }
                    self.pairs.extend(pair_of(call));
                }
                self.answer(answer)
            }
            Step::Organization(call, made) => {
                let fill =
                    |call: OrganizationCall, made: &Made| call.with(made.argument, self.find(made));
                let call = made.iter().fold(call.clone(), fill);
                let answer = call.make(self.at(place)).await;
                if let Ok(Answer { rows, .. }) = &answer
                    && (call.method().starts_with("create_")
                        || call.method() == "accept_invitation")
                {
                    for row in rows {
                        self.name(row);
                    }
                }
                self.answer(answer)
            }
            Step::Credential(call, made) => {
                let fill =
                    |call: CredentialCall, made: &Made| call.with(made.argument, self.find(made));
                let call = made.iter().fold(call.clone(), fill);
                self.credential(place, &call).await
            }
            Step::AllPages(query) => self.all_pages(place, query.clone()).await,
            Step::Begin => match (self.at(place).begin().await, place) {
                (Ok(transaction), Place::Inside(number)) => {
                    self.transactions[number] = Some(transaction);
                    json!("begun")
                }
                (Ok(transaction), Place::Outside) => self.answer(transaction.commit().await),
                (Err(error), _) => failure(&error),
            },
            Step::Commit => match self.take_transaction(place) {
                Some(transaction) => self.answer(transaction.commit().await),
                None => Value::Null,
            },
            Step::Rollback => match self.take_transaction(place) {
                Some(transaction) => self.answer(transaction.rollback().await),
                None => Value::Null,
            },
            Step::DropTransaction => {
                drop(self.take_transaction(place));
                Value::Null
            }
        }
    }

    async fn credential(&mut self, place: Place, call: &CredentialCall) -> Value {
        let mut answer = call.make(self.at(place)).await;
        if let Ok(Answer { rows, .. }) = &mut answer {
            let mut begins = ["create_", "enroll", "rotate"].iter();
            if begins.any(|begin| call.method().starts_with(begin)) {
                for row in &*rows {
                    self.name(row);
                }
            }
            // The times of API keys are kept to the millisecond: two may have the same.
            if call.method() == "list_api_keys" {
                let name = |row: &Row| self.names.get(row.text("id").unwrap()).cloned();
                rows.sort_by_key(name);
            }
        }
        self.answer(answer)
    }

    /// What the stores of credentials hold.
    async fn credentials(&mut self, users: &[String]) -> Vec<Value> {
        let mut calls: Vec<_> = users
            .iter()
            .flat_map(|id| credentials::lookups_of_user(id))
            .collect();
        let made = |table| self.made.get(table).into_iter().flatten();
        calls.extend(made("device_code").map(|code| {
            let user_code = code.text("user_code").unwrap().to_owned();
            CredentialCall::get_device_code { user_code }
        }));
        calls.extend(made("api_keys").map(|key| {
            let id = key.text("id").unwrap().to_owned();
            CredentialCall::get_api_key { id }
        }));
        calls.push(CredentialCall::list_signing_keys {});
        let mut found = Vec::new();
        for call in calls {
            let answer = self.credential(Place::Outside, &call).await;
            found.push(json!([call.method(), answer]));
        }
        found
    }

    async fn all_pages(&self, place: Place, mut query: ListUsers) -> Value {
        let mut pages = Vec::new();
        loop {
            match self.at(place).list_users(query.clone()).await {
                Ok(page) => {
                    pages.push(self.rows(page.users));
                    match page.next_cursor {
                        Some(cursor) => query = query.with_cursor(cursor),
                        None => return pages.into(),
                    }
                }
                Err(error) => return failure(&error),
            }
        }
    }

    /// All that is stored, by the lists and, where there are none, by the keys that were given.
    pub(crate) async fn everything(&mut self) -> Value {
        let all = ListUsers::new().with_limit(1000);
        let users = self.adapter.list_users(all).await.unwrap().users;
        let ids: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
        let mut found = self.credentials(&ids).await;
        for user in users {
            for call in lookups_of_user(&user.id) {
                let answer = call.make(&self.adapter).await;
                found.push(json!([call.method(), self.answer(answer)]));
            }
            found.push(self.rows(user));
        }
        let mut verifications = Vec::new();
        for (identifier, value) in &self.pairs {
            let row = self.adapter.get_verification(identifier, value).await;
            verifications.push(self.rows(row.unwrap()));
        }
        let made = |table| self.made.get(table).into_iter().flatten();
        for organization in made("organization") {
            for call in lookups_of_organization(organization.text("id").unwrap()) {
                let answer = call.make(&self.adapter).await;
                found.push(json!([call.method(), self.answer(answer)]));
            }
        }
        for team in made("team") {
            let team_id = team.text("id").unwrap().to_owned();
            let listed = OrganizationCall::list_team_members { team_id };
            let answer = listed.make(&self.adapter).await;
            found.push(json!([listed.method(), self.answer(answer)]));
        }
        let dead = [
            self.adapter.delete_expired_sessions().await.unwrap(),
            self.adapter.delete_expired_verifications().await.unwrap(),
        ];
        json!([found, verifications, dead])
    }

    /// The sessions that it has made and that live, with their users, as a caller outside all transactions finds them.
    pub(crate) async fn sessions(&self) -> Value {
        let mut found = Vec::new();
        for session in self.made.get("sessions").into_iter().flatten() {
            let token = session.text("token").unwrap().to_owned();
            let answer = Call::get_session_with_user { token }
                .make(&self.adapter)
                .await;
            found.push(self.answer(answer));
        }
        found.into()
    }

    fn answer(&self, answer: AuthResult<impl Into<Answer>>) -> Value {
        match answer.map(Into::into) {
            Ok(Answer { rows, numbers }) => {
                let rows: Value = rows.iter().map(|row| self.row(row)).collect();
                json!({ "ok": [rows, numbers] })
            }
            Err(error) => failure(&error),
        }
    }

    fn rows(&self, rows: impl Into<Answer>) -> Value {
        let rows = rows.into().rows;
        rows.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &Row) -> Value {
        let time = |column| row.text(column).unwrap().parse::<DateTime<Utc>>().unwrap();
        let mut shown = row.columns.clone();
        shown.remove("created_at");
        // Who writes it down while others hold the row depends on the adapter.
        shown.remove("last_request");
        for column in TIMES {
            if let Some(time) = shown.get_mut(column) {
                *time = (!time.is_null()).into();
            }
        }
        if shown.contains_key("updated_at") {
            let (created_at, updated_at) = (time("created_at"), time("updated_at"));
            assert!(updated_at >= created_at);
            shown.insert("updated_at".to_owned(), (updated_at > created_at).into());
        }
        for column in row.columns.keys() {
            let Some(made) = row.text(column) else {
                continue;
            };
            if let Some(name) = self.names.get(made) {
                shown.insert(column.to_owned(), name.clone().into());
            } else if row.has_made_id() && MADE.contains(&column.as_str()) {
                // Such as a marker, whose id may stand for its pair or be new each time.
                shown.insert(column.to_owned(), "unknown".into());
            }
        }
        shown.into()
    }

    /// Names the id and the token of a row that is new.
    fn name(&mut self, row: &Row) {
        if !row.has_made_id() || row.text("id").is_some_and(|id| self.names.contains_key(id)) {
            return;
        }
        let rows = self.made.entry(row.table).or_default();
        for column in MADE {
            if let Some(made) = row.text(column) {
                let name = format!("{column} {} of {}", rows.len(), row.table);
                self.names.insert(made.to_owned(), name);
            }
        }
        rows.push(row.clone());
    }

    fn find(&self, Made { column, number, .. }: &Made) -> &str {
        let rows = self.made.get(column.table);
        let row = rows.and_then(|rows| rows.get(*number));
        row.and_then(|row| row.text(column.name))
            .unwrap_or("nobody")
    }
}

/// The lookups that take nothing but the id of a user.
fn lookups_of_user(id: &str) -> impl Iterator<Item = Call> {
    let calls = Call::of_every_method().into_iter();
    let lookups =
        calls.filter(|call| call.method().starts_with("get_") && call.places() == ["user_id"]);
    lookups.map(move |call| call.with("user_id", id))
}

/// Of a verification that a call stores.
fn pair_of(call: Call) -> Option<(String, String)> {
    match call {
        Call::create_verification { v } => Some((v.identifier, v.value)),
        Call::reserve_verification {
            identifier, value, ..
        } => Some((identifier, value)),
        _ => None,
    }
}

/// The variant and the field of an error. Messages name the server, and so differ.
fn failure(error: &AuthError) -> Value {
    match error {
        AuthError::Validation { field, message } => json!(["Validation", field, message]),
        AuthError::Conflict { field } => json!(["Conflict", field.to_string()]),
        error => json!(format!("{error:?}").split([' ', '{']).next()),
    }
}

/// What an operation answers that PostgreSQL made wait for too long.
pub(crate) fn waited() -> Value {
    json!("Unavailable")
}

/// What an operation answers in a transaction that an error has aborted.
pub(crate) fn aborted() -> Value {
    json!("TransactionAborted")
}
