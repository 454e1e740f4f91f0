//! Who looks at things, at random, for what may never be seen.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use better_auth::adapters::DatabaseAdapter as _;
use better_auth::types::{ListUsers, Session, User, Verification};
use chrono::{DateTime, Utc};

use super::{
    ACCOUNT_IDS, EMAILS, IDENTIFIERS, PROVIDERS, SIGNED_UP, Shared, TWINS, USERNAMES, VALUES,
    is_session, is_user, user_id,
};
use crate::ledger::Thing;
use crate::random::Random;
use crate::watch::Watched;

pub(super) async fn read(shared: Arc<Shared>, random: Random, task: Watched) {
    let mut reader = Reader {
        shared: &shared,
        random,
        seen: HashMap::new(),
    };
    while shared.goes_on() {
        let look = reader.random.below(11);
        task.does(format!("looks, in way {look}"));
        match look {
            0 => reader.by_email().await,
            1 => reader.by_username().await,
            2 => reader.by_id().await,
            3 => reader.by_token().await,
            4 => reader.by_token_with_user().await,
            5 => reader.sessions_of_a_user().await,
            6 => reader.accounts_of_a_user().await,
            7 => reader.by_account().await,
            8 => reader.verification().await,
            9 => reader.list().await,
            _ => reader.sign_up().await,
        }
        // In memory, nothing waits for anything.
        tokio::task::yield_now().await;
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    random: Random,
    /// Users as they were seen last.
    seen: HashMap<Thing, User>,
}

/// Fails where a value occurs twice.
pub(super) fn assert_unique<T: Eq + Hash>(values: impl Iterator<Item = T>, what: &str) {
    let mut seen = HashSet::new();
    for value in values {
        assert!(seen.insert(value), "two have the same {what}");
    }
}

/// Fails where users have something in common that is unique.
pub(super) fn assert_each_unique(users: &[User]) {
    assert_unique(users.iter().map(|user| &user.id), "id");
    let emails = users.iter().filter_map(|user| user.email.as_ref());
    assert_unique(emails, "email");
    let usernames = users.iter().filter_map(|user| user.username.as_ref());
    assert_unique(usernames, "username");
}

/// The database's clock is this machine's.
fn assert_live(session: &Session, begun: DateTime<Utc>) {
    assert!(session.active, "ended");
    assert!(session.expires_at >= begun, "expired");
}

impl Reader<'_> {
    fn saw(&mut self, user: &User) {
        if let Some(before) = self.seen.insert(Thing::from(user), user.clone()) {
            assert!(
                before.updated_at < user.updated_at || before == *user,
                "{user:?} after {before:?}"
            );
        }
    }

    async fn by_email(&mut self) {
        let email = self.random.pick(&EMAILS);
        let found = self.shared.database.get_user_by_email(email).await.unwrap();
        if let Some(user) = found {
            assert_eq!(user.email, Some(email.to_lowercase()));
            self.saw(&user);
        }
    }

    async fn by_username(&mut self) {
        let name = self.random.pick(&USERNAMES);
        let found = self.shared.database.get_user_by_username(name).await;
        if let Some(user) = found.unwrap() {
            assert_eq!(user.username, Some(name.to_lowercase()));
            self.saw(&user);
        }
    }

    async fn by_id(&mut self) {
        let Some(thing) = self.shared.ledger.some(&mut self.random, is_user) else {
            return;
        };
        let Thing::User(id, _) = &thing else { return };
        let begun = self.shared.ledger.now();
        let found = self.shared.database.get_user_by_id(id).await.unwrap();
        let is_seen = found.as_ref().map(Thing::from).as_ref() == Some(&thing);
        self.shared.check(&thing, begun, is_seen);
        if let Some(user) = found {
            assert_eq!(&user.id, id);
            self.saw(&user);
        }
    }

    async fn by_token(&mut self) {
        let Some(thing) = self.shared.ledger.some(&mut self.random, is_session) else {
            return;
        };
        let Thing::Session(token) = &thing else {
            return;
        };
        let (begun, time) = (self.shared.ledger.now(), Utc::now());
        let found = self.shared.database.get_session(token).await.unwrap();
        self.shared.check(&thing, begun, found.is_some());
        if let Some(session) = found {
            assert_eq!(&session.token, token);
            assert_live(&session, micros(time));
        }
    }

    async fn by_token_with_user(&mut self) {
        let Some(thing) = self.shared.ledger.some(&mut self.random, is_session) else {
            return;
        };
        let Thing::Session(token) = &thing else {
            return;
        };
        let (begun, time) = (self.shared.ledger.now(), Utc::now());
        let found = self.shared.database.get_session_with_user(token).await;
        let found = found.unwrap();
        self.shared.check(&thing, begun, found.is_some());
        if let Some((session, user)) = found {
            assert_eq!(&session.token, token);
            assert_eq!(session.user_id, user.id);
            assert_live(&session, micros(time));
            self.saw(&user);
        }
    }

    async fn sessions_of_a_user(&mut self) {
        let id = user_id(&self.shared.ledger, &mut self.random);
        let (begun, time) = (self.shared.ledger.now(), Utc::now());
        let listed = self.shared.database.get_user_sessions(&id).await.unwrap();
        assert_unique(listed.iter().map(|session| &session.id), "id");
        assert!(listed.is_sorted_by_key(|session| std::cmp::Reverse(session.created_at)));
        for session in listed {
            assert_eq!(session.user_id, id);
            assert_live(&session, micros(time));
            self.shared.check(&Thing::from(&session), begun, true);
        }
    }

    async fn accounts_of_a_user(&mut self) {
        let id = user_id(&self.shared.ledger, &mut self.random);
        let begun = self.shared.ledger.now();
        let listed = self.shared.database.get_user_accounts(&id).await.unwrap();
        let keys = listed
            .iter()
            .map(|account| (&account.provider_id, &account.account_id));
        assert_unique(keys, "account");
        for account in &listed {
            assert_eq!(account.user_id, id);
            self.shared.check(&Thing::from(account), begun, true);
        }
    }

    async fn by_account(&mut self) {
        let (provider, id) = (self.random.pick(&PROVIDERS), self.random.pick(&ACCOUNT_IDS));
        let begun = self.shared.ledger.now();
        let found = self.shared.database.get_account(provider, id).await;
        if let Some(account) = found.unwrap() {
            assert_eq!(
                (&*account.provider_id, &*account.account_id),
                (provider, id)
            );
            self.shared.check(&Thing::from(&account), begun, true);
        }
    }

    async fn verification(&mut self) {
        let (identifier, value) = (self.random.pick(&IDENTIFIERS), self.random.pick(&VALUES));
        let (begun, time) = (self.shared.ledger.now(), Utc::now());
        let database = &self.shared.database;
        let is_as_asked = |found: &Verification, by_identifier: bool, by_value: bool| {
            (!by_identifier || found.identifier == identifier)
                && (!by_value || found.value == value)
        };
        let (found, by_identifier, by_value) = match self.random.below(3) {
            0 => (
                database.get_verification(identifier, value).await,
                true,
                true,
            ),
            1 => (
                database.get_verification_by_identifier(identifier).await,
                true,
                false,
            ),
            _ => (database.get_verification_by_value(value).await, false, true),
        };
        if let Some(found) = found.unwrap() {
            assert!(is_as_asked(&found, by_identifier, by_value), "{found:?}");
            assert!(found.expires_at >= micros(time), "expired");
            self.shared.check(&Thing::from(&found), begun, true);
        }
    }

    /// One look at all users.
    async fn list(&mut self) {
        let query = ListUsers::new().with_limit(1000);
        let page = self.shared.database.list_users(query).await.unwrap();
        assert_each_unique(&page.users);
        assert!(page.users.is_sorted_by(|newer, older| {
            (newer.created_at, &newer.id) > (older.created_at, &older.id)
        }));
        let image = |twin: &str| {
            let mut users = page.users.iter();
            let found = users.find(|user| user.id == twin);
            found.expect("a twin is missing").image.clone()
        };
        let [one, other] = TWINS.map(image);
        assert_eq!(one, other, "half of a transaction");
        for user in &page.users {
            self.saw(user);
        }
    }

    /// Whoever has signed up has the account, from the first moment to the last.
    async fn sign_up(&mut self) {
        let database = &self.shared.database;
        let id = user_id(&self.shared.ledger, &mut self.random);
        let before = database.get_user_by_id(&id).await.unwrap();
        let Some(user) = before.filter(|user| user.role.as_deref() == Some(SIGNED_UP)) else {
            return;
        };
        let account = database.get_account(SIGNED_UP, &id).await.unwrap();
        let after = database.get_user_by_id(&id).await.unwrap();
        if after.is_some() {
            let account = account.expect("half of a transaction, or of a deletion");
            assert_eq!(account.user_id, user.id);
        }
    }
}

/// As the database keeps it.
fn micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap()
}
