//! Every method with its arguments as data, and every place in the arguments that takes text.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::any::Any;
use std::borrow::Borrow;
use std::time::Duration;

use better_auth::AuthResult;
use better_auth::adapters::{DatabaseAdapter, Transaction};
use better_auth::types::{
    Account, CheckSession, CheckedSession, CodeCheck, CreateAccount, CreateInvitation,
    CreateMember, CreateOrganization, CreateOrganizationRole, CreateSession, CreateTeam,
    CreateTeamMember, CreateUser, CreateVerification, DeviceCodeStatus, Invitation,
    InvitationDetails, InvitationStatus, Linked, ListMembers, ListUsers, Member, MemberLimits,
    MemberPage, MemberWithUser, Metadata, Organization, OrganizationRole, PublicUser, Removed,
    SearchField, SearchOperator, Session, Team, TeamMember, UpdateAccount, UpdateOrganization,
    UpdateSession, UpdateUser, User, UserFilter, UserOrder, UserPage, UserSearch, Verification,
    VisitFields as _,
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// Says of the place with this name what is put there, if anything.
pub(crate) type Chooser<'a> = dyn FnMut(&str) -> Option<String> + 'a;

/// What may have places for text.
pub(crate) trait Places {
    /// One with nothing in its places.
    fn blank() -> Self;

    /// Asks for each of the places.
    fn fill(&mut self, name: &'static str, choose: &mut Chooser);
}

impl Places for String {
    fn blank() -> Self {
        Self::new()
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        if let Some(text) = choose(name) {
            *self = text;
        }
    }
}

impl Places for Vec<String> {
    fn blank() -> Self {
        Self::new()
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        if let Some(text) = choose(name) {
            *self = vec![text];
        }
    }
}

impl Places for Option<String> {
    fn blank() -> Self {
        None
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        if let Some(text) = choose(name) {
            *self = Some(text);
        }
    }
}

impl Places for Option<Option<String>> {
    fn blank() -> Self {
        None
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        if let Some(text) = choose(name) {
            *self = Some(Some(text));
        }
    }
}

impl Places for Metadata {
    fn blank() -> Self {
        Self::new()
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        if let Some(text) = choose(&format!("{name}: value")) {
            *self = Map::from_iter([
                ("plain".to_owned(), text.clone().into()),
                ("deep".to_owned(), json!([[{ "a": text }]])),
            ]);
        }
        if let Some(text) = choose(&format!("{name}: key")) {
            let inner = Value::Object(Map::from_iter([(text.clone(), 2.into())]));
            *self = Map::from_iter([(text, 1.into()), (" deep ".to_owned(), json!([inner]))]);
        }
    }
}

impl Places for Option<Metadata> {
    fn blank() -> Self {
        None
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        let mut metadata = self.take().unwrap_or_default();
        metadata.fill(name, choose);
        *self = (!metadata.is_empty()).then_some(metadata);
    }
}

macro_rules! no_places {
    ($($type:ty = $blank:expr,)*) => {
        $(impl Places for $type {
            fn blank() -> Self {
                $blank
            }

            fn fill(&mut self, _: &'static str, _: &mut Chooser) {}
        })*
    };
}
no_places! {
    bool = false,
    u32 = 100,
    i64 = 1,
    Option<u32> = None,
    Option<i32> = None,
    Option<i64> = None,
    Option<Option<i32>> = None,
    Option<Option<i64>> = None,
    MemberLimits = Self::default(),
    Duration = Duration::from_secs(3600),
    Option<Duration> = None,
    Option<bool> = None,
    DateTime<Utc> = far_future(),
    Option<DateTime<Utc>> = None,
    Option<Option<DateTime<Utc>>> = None,
    SearchField = SearchField::Name,
    SearchOperator = SearchOperator::Contains,
    UserOrder = UserOrder::default(),
}

fn far_future() -> DateTime<Utc> {
    "2999-01-01T00:00:00Z".parse().unwrap()
}

/// Answers for a field of one of these types.
macro_rules! downcast {
    ($field:ident as $($type:ty)|* => $answer:expr) => {
        $(if let Some($field) = $field.downcast_mut::<$type>() {
            return $answer;
        })*
    };
}

fn fill_field(name: &'static str, field: &mut dyn Any, choose: &mut Chooser) {
    downcast!(field as String | Option<String> | Option<Option<String>> | Metadata | Option<Metadata> | UserFilter
        | Option<UserSearch> | bool | u32 | i64 | Option<u32> | Option<i32> | Option<i64> | Option<Option<i32>>
        | Option<Option<i64>> | Option<bool> | DateTime<Utc> | Option<DateTime<Utc>>
        | Option<Option<DateTime<Utc>>> | Duration | Option<Duration> | SearchField | SearchOperator | UserOrder
        => field.fill(name, choose));
    panic!("{name} is of a type that is not in the list");
}

macro_rules! inputs {
    ($($type:ident = $blank:expr,)*) => {
        $(impl Places for $type {
            fn blank() -> Self {
                $blank
            }

            fn fill(&mut self, _: &'static str, choose: &mut Chooser) {
                self.visit_fields(&mut |name, field| fill_field(name, field, choose));
            }
        })*
    };
}
inputs! {
    CreateUser = Self::new(),
    UpdateUser = Self::default(),
    CreateSession = Self::new("", far_future()),
    UpdateSession = Self::default(),
    CheckSession = Self::new(),
    CreateAccount = Self::new("", "", ""),
    UpdateAccount = Self::default(),
    CreateVerification = Self::new("", "", far_future()),
    ListUsers = Self { filter: UserFilter::blank(), ..Self::default() },
    UserFilter = Self { search: Some(UserSearch::blank()), ..Self::default() },
    UserSearch = Self::new(SearchField::Name, SearchOperator::Contains, ""),
    CreateOrganization = Self::new("", "", ""),
    UpdateOrganization = Self::default(),
    CreateMember = Self::new("", ""),
    ListMembers = Self::new(""),
    CreateInvitation = Self::new("", "", "", far_future()),
    CreateTeam = Self::new("", ""),
    CreateTeamMember = Self::new("", ""),
    CreateOrganizationRole = Self::new("", "", Metadata::new()),
}

impl Places for Option<UserSearch> {
    fn blank() -> Self {
        Some(UserSearch::blank())
    }

    fn fill(&mut self, name: &'static str, choose: &mut Chooser) {
        if let Some(search) = self {
            search.fill(name, choose);
        }
    }
}

/// Every kind of error that a call may answer.
pub(crate) const KINDS: &[&str] = &[
    "AccountNotFound",
    "ApiKeyNotFound",
    "Conflict",
    "Database",
    "InvitationNotFound",
    "MemberNotFound",
    "OrganizationNotFound",
    "OutcomeUnknown",
    "PasskeyNotFound",
    "RoleNotFound",
    "SessionNotFound",
    "TeamNotFound",
    "TransactionAborted",
    "TwoFactorNotFound",
    "Unavailable",
    "Unsupported",
    "UserNotFound",
    "Validation",
];

/// A row of an answer, by column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) table: &'static str,
    pub(crate) columns: Map<String, Value>,
}

impl Row {
    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        self.columns.get(column)?.as_str()
    }

    /// Without what every adapter makes for itself.
    fn comparable(&self) -> Self {
        let mut row = self.clone();
        for column in ["created_at", "updated_at", "token"] {
            row.columns.remove(column);
        }
        if self.has_made_id() {
            row.columns.remove("id");
        }
        row
    }

    /// Whether the adapter made the id. The caller may give that of a user.
    pub(crate) fn has_made_id(&self) -> bool {
        self.table != "users" || self.text("id").is_some_and(is_uuid)
    }
}

pub(crate) fn is_uuid(id: &str) -> bool {
    id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4
}

/// What a method answers, as rows and numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) numbers: Vec<u64>,
}

impl Answer {
    /// What all adapters have to answer alike. In an order of its own, as users that are made at once may have the same
    /// `created_at` in one adapter and not in the other.
    pub(crate) fn comparable(&self) -> Self {
        let mut rows: Vec<Row> = self.rows.iter().map(Row::comparable).collect();
        rows.sort_by_key(|row| row.text("id").map(str::to_owned));
        Self {
            rows,
            numbers: self.numbers.clone(),
        }
    }
}

fn value(name: &'static str, field: &mut dyn Any) -> Value {
    downcast!(field as String | Option<String> | bool | i32 | i64 | Option<i32> | Option<i64> | DateTime<Utc>
        | Option<DateTime<Utc>> | Metadata | InvitationStatus | DeviceCodeStatus => json!(field));
    panic!("{name} is of a type that is not in the list");
}

macro_rules! rows {
    ($($type:ident in $table:literal,)*) => {
        pub(crate) const TABLES: &[&str] = &[$($table),*];

        $(impl From<$type> for Answer {
            fn from(mut row: $type) -> Self {
                let mut columns = Map::new();
                row.visit_fields(&mut |name, field| {
                    columns.insert(name.to_owned(), value(name, field));
                });
                Self { rows: vec![Row { table: $table, columns }], numbers: Vec::new() }
            }
        })*
    };
}
rows! {
    User in "users",
    Session in "sessions",
    Account in "accounts",
    Verification in "verifications",
    Organization in "organization",
    Member in "member",
    Invitation in "invitation",
    Team in "team",
    TeamMember in "team_member",
    OrganizationRole in "organization_role",
}

impl<T> From<Vec<T>> for Answer
where
    Self: From<T>,
{
    fn from(rows: Vec<T>) -> Self {
        let answers = rows.into_iter().map(Self::from);
        Self {
            rows: answers.flat_map(|answer| answer.rows).collect(),
            numbers: Vec::new(),
        }
    }
}

impl<T> From<Option<T>> for Answer
where
    Self: From<T>,
{
    fn from(row: Option<T>) -> Self {
        row.map(Self::from).unwrap_or_default()
    }
}

impl From<(Session, User)> for Answer {
    fn from((session, user): (Session, User)) -> Self {
        Self {
            rows: [Self::from(session).rows, Self::from(user).rows].concat(),
            numbers: Vec::new(),
        }
    }
}

impl From<CheckedSession> for Answer {
    fn from(checked: CheckedSession) -> Self {
        let CheckedSession {
            session,
            user,
            member,
            extended,
        } = checked;
        let member = member.map(Self::from).unwrap_or_default().rows;
        Self {
            rows: [Self::from((session, user)).rows, member].concat(),
            numbers: vec![extended.into()],
        }
    }
}

impl From<(Organization, Member)> for Answer {
    fn from((organization, member): (Organization, Member)) -> Self {
        Self {
            rows: [Self::from(organization).rows, Self::from(member).rows].concat(),
            numbers: Vec::new(),
        }
    }
}

impl From<(Invitation, Member)> for Answer {
    fn from((invitation, member): (Invitation, Member)) -> Self {
        Self {
            rows: [Self::from(invitation).rows, Self::from(member).rows].concat(),
            numbers: Vec::new(),
        }
    }
}

impl From<InvitationDetails> for Answer {
    fn from(details: InvitationDetails) -> Self {
        let InvitationDetails {
            invitation,
            organization_name,
            organization_slug,
            inviter_name,
            inviter_email,
        } = details;
        let mut answer = Self::from(invitation);
        let shown = [
            ("organization_name", json!(organization_name)),
            ("organization_slug", json!(organization_slug)),
            ("inviter_name", json!(inviter_name)),
            ("inviter_email", json!(inviter_email)),
        ];
        let shown = shown.map(|(name, value)| (name.to_owned(), value));
        answer.rows[0].columns.extend(shown);
        answer
    }
}

impl From<MemberWithUser> for Answer {
    fn from(MemberWithUser { member, user }: MemberWithUser) -> Self {
        let PublicUser {
            id,
            name,
            email,
            image,
        } = user;
        assert_eq!(id, member.user_id);
        let mut answer = Self::from(member);
        let shown = [("name", name), ("email", email), ("image", image)];
        let shown = shown.map(|(column, value)| (column.to_owned(), json!(value)));
        answer.rows[0].columns.extend(shown);
        answer
    }
}

impl From<MemberPage> for Answer {
    fn from(page: MemberPage) -> Self {
        Self {
            numbers: vec![page.next_cursor.is_some().into()],
            ..page.members.into()
        }
    }
}

impl From<(Account, Linked)> for Answer {
    fn from((account, linked): (Account, Linked)) -> Self {
        Self {
            numbers: vec![(linked == Linked::Created).into()],
            ..account.into()
        }
    }
}

impl From<CodeCheck> for Answer {
    fn from(check: CodeCheck) -> Self {
        match check {
            CodeCheck::Accepted(row) => row.into(),
            CodeCheck::Wrong { attempts_left } => u64::from(attempts_left).into(),
            CodeCheck::TooManyAttempts => u64::MAX.into(),
            CodeCheck::NotFound => Self::default(),
        }
    }
}

impl From<bool> for Answer {
    fn from(answer: bool) -> Self {
        u64::from(answer).into()
    }
}

impl From<UserPage> for Answer {
    fn from(UserPage { users, next_cursor }: UserPage) -> Self {
        Self {
            numbers: vec![next_cursor.is_some().into()],
            ..users.into()
        }
    }
}

impl From<Removed> for Answer {
    fn from(
        Removed {
            sessions,
            verifications,
        }: Removed,
    ) -> Self {
        let numbers = [sessions, verifications].map(|count| u64::try_from(count).unwrap());
        Self {
            rows: Vec::new(),
            numbers: numbers.to_vec(),
        }
    }
}

impl From<usize> for Answer {
    fn from(count: usize) -> Self {
        u64::try_from(count).unwrap().into()
    }
}

impl From<u64> for Answer {
    fn from(count: u64) -> Self {
        Self {
            rows: Vec::new(),
            numbers: vec![count],
        }
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Box<dyn Transaction>> for Answer {
    fn from(_: Box<dyn Transaction>) -> Self {
        Self::default()
    }
}

macro_rules! calls {
    (required { $($required:tt)* } provided { $($provided:tt)* } stores { $($stores:tt)* }) => {
        calls!(@methods Call, |database| database; $($required)* $($provided)*);
    };
    (organizations -> $store:path { $($methods:tt)* }) => {
        calls!(@methods OrganizationCall, |database| database.organizations()?; $($methods)*);
    };
    // They are in a file of their own, as some take `Option<&str>`.
    ($other:ident -> $store:path { $($methods:tt)* }) => {};
    (
        @methods $name:ident, |$database:ident| $to:expr;
        $($method:ident($($argument:ident: $(&$text:tt)? $($value:path)?),*) -> $answer:ty;)*
    ) => {
        /// A method with its arguments. `&str` is kept as `String`.
        #[allow(non_camel_case_types, reason = "the names of the methods")]
        #[derive(Clone, Debug)]
        pub(crate) enum $name {
            $($method { $($argument: $(<$text as ToOwned>::Owned)? $($value)?),* },)*
        }

        impl $name {
            pub(crate) const METHODS: &[&str] = &[$(stringify!($method)),*];

            /// A call of every method, with nothing in its places.
            pub(crate) fn of_every_method() -> Vec<Self> {
                vec![$(Self::$method { $($argument: Places::blank()),* }),*]
            }

            pub(crate) fn method(&self) -> &'static str {
                match self {
                    $(Self::$method { .. } => stringify!($method),)*
                }
            }

            pub(crate) async fn make(&self, $database: &dyn DatabaseAdapter) -> AuthResult<Answer> {
                match self.clone() {
                    $(Self::$method { $($argument),* } => {
                        let answer = $to.$method($($(Borrow::<$text>::borrow(&$argument))? $(<$value>::from($argument))?),*);
                        answer.await.map(Answer::from)
                    })*
                }
            }

            /// Asks for each of the places.
            pub(crate) fn fill(&mut self, choose: &mut Chooser) {
                let _ = &choose;
                match self {
                    $(Self::$method { $($argument),* } => { $($argument.fill(stringify!($argument), choose);)* })*
                }
            }

            /// The names of the places for text.
            pub(crate) fn places(&self) -> Vec<String> {
                let mut places = Vec::new();
                self.clone().fill(&mut |place| {
                    places.push(place.to_owned());
                    None
                });
                places
            }

            /// The same with a text in a place.
            pub(crate) fn with(&self, place: &str, text: &str) -> Self {
                let mut call = self.clone();
                call.fill(&mut |name| (name == place).then(|| text.to_owned()));
                call
            }
        }
    };
}

#[path = "credential_calls.rs"]
mod credentials;
#[allow(unused_imports, reason = "each test file takes what it needs")]
pub(crate) use credentials::{CredentialCall, TABLES as CREDENTIAL_TABLES};

better_auth::with_database_adapter_methods!(calls {});
better_auth::with_store_methods!(calls {});
