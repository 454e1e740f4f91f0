//! Two simple stores that keep the same rules for sessions as the memory adapter, but know no transactions: one mutex
//! around maps, and sharded maps whose writers hold the guard of the session's user.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{CreateSession, Session, User};
use chrono::{DateTime, TimeDelta, Utc};
use dashmap::DashMap;

use super::answer;

/// What the stores have in common.
pub trait Store: Sync {
    fn create_session(&self, session: CreateSession) -> Option<Session>;
    fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>) -> bool;
    fn get_session(&self, token: &str) -> Option<Session>;
    fn delete_session(&self, token: &str);
    fn tokens_of(&self, user_id: &str) -> Vec<String>;
}

impl Store for MemoryDatabaseAdapter {
    fn create_session(&self, session: CreateSession) -> Option<Session> {
        answer(DatabaseAdapter::create_session(self, session)).ok()
    }

    fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>) -> bool {
        let call = DatabaseAdapter::update_session_expiry(self, token, expires_at);
        answer(call).is_ok()
    }

    fn get_session(&self, token: &str) -> Option<Session> {
        answer(DatabaseAdapter::get_session(self, token)).ok()?
    }

    fn delete_session(&self, token: &str) {
        let _ = answer(DatabaseAdapter::delete_session(self, token));
    }

    fn tokens_of(&self, user_id: &str) -> Vec<String> {
        let sessions = answer(self.get_user_sessions(user_id)).unwrap_or_default();
        sessions.into_iter().map(|session| session.token).collect()
    }
}

/// The tokens of a user's sessions, in their order.
type Tokens = BTreeMap<(DateTime<Utc>, String), String>;

#[derive(Default)]
pub struct OneMutex(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    users: HashMap<String, User>,
    sessions: HashMap<String, Session>,
    tokens: HashMap<String, Tokens>,
}

impl OneMutex {
    pub fn add_user(&self, user: User) {
        let users = &mut self.0.lock().unwrap().users;
        users.insert(user.id.clone(), user);
    }
}

impl Store for OneMutex {
    fn create_session(&self, session: CreateSession) -> Option<Session> {
        let session = new_row(session);
        let mut maps = self.0.lock().unwrap();
        if !maps.users.contains_key(&session.user_id) || maps.sessions.contains_key(&session.token)
        {
            return None;
        }
        let tokens = maps.tokens.entry(session.user_id.clone()).or_default();
        tokens.insert(place(&session), session.token.clone());
        maps.sessions.insert(session.token.clone(), session.clone());
        Some(session)
    }

    fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>) -> bool {
        let mut maps = self.0.lock().unwrap();
        maps.sessions
            .get_mut(token)
            .is_some_and(|session| extend(session, expires_at))
    }

    fn get_session(&self, token: &str) -> Option<Session> {
        let maps = self.0.lock().unwrap();
        maps.sessions
            .get(token)
            .filter(|session| is_live(session))
            .cloned()
    }

    fn delete_session(&self, token: &str) {
        let mut maps = self.0.lock().unwrap();
        if let Some(session) = maps.sessions.remove(token)
            && let Some(tokens) = maps.tokens.get_mut(&session.user_id)
        {
            tokens.remove(&place(&session));
        }
    }

    fn tokens_of(&self, user_id: &str) -> Vec<String> {
        let maps = self.0.lock().unwrap();
        let tokens = maps.tokens.get(user_id);
        tokens.map_or_else(Vec::new, |tokens| tokens.values().cloned().collect())
    }
}

#[derive(Default)]
pub struct UserGuard {
    users: DashMap<String, User>,
    sessions: DashMap<String, Session>,
    tokens: DashMap<String, Tokens>,
}

impl UserGuard {
    pub fn add_user(&self, user: User) {
        self.users.insert(user.id.clone(), user);
    }

    fn user_of(&self, token: &str) -> Option<String> {
        Some(self.sessions.get(token)?.user_id.clone())
    }
}

impl Store for UserGuard {
    fn create_session(&self, session: CreateSession) -> Option<Session> {
        let session = new_row(session);
        let _user = self.users.get_mut(&session.user_id)?;
        if self.sessions.contains_key(&session.token) {
            return None;
        }
        let mut tokens = self.tokens.entry(session.user_id.clone()).or_default();
        tokens.insert(place(&session), session.token.clone());
        drop(tokens);
        self.sessions.insert(session.token.clone(), session.clone());
        Some(session)
    }

    fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>) -> bool {
        let Some(user) = self.user_of(token) else {
            return false;
        };
        let _user = self.users.get_mut(&user);
        self.sessions
            .get_mut(token)
            .is_some_and(|mut session| extend(&mut session, expires_at))
    }

    fn get_session(&self, token: &str) -> Option<Session> {
        let session = self.sessions.get(token)?;
        is_live(&session).then(|| session.clone())
    }

    fn delete_session(&self, token: &str) {
        let Some(user) = self.user_of(token) else {
            return;
        };
        let _user = self.users.get_mut(&user);
        if let Some((_, session)) = self.sessions.remove(token)
            && let Some(mut tokens) = self.tokens.get_mut(&session.user_id)
        {
            tokens.remove(&place(&session));
        }
    }

    fn tokens_of(&self, user_id: &str) -> Vec<String> {
        let tokens = self.tokens.get(user_id);
        tokens.map_or_else(Vec::new, |tokens| tokens.values().cloned().collect())
    }
}

fn new_row(session: CreateSession) -> Session {
    let (mut id, mut token) = ([0; 10], [0; 32]);
    getrandom::fill(&mut id).unwrap();
    getrandom::fill(&mut token).unwrap();
    let now = now();
    let millis = u64::try_from(now.timestamp_millis()).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &id).into_uuid();
    Session {
        id: id.to_string(),
        expires_at: session.expires_at,
        token: URL_SAFE_NO_PAD.encode(token),
        ip_address: session.ip_address,
        user_agent: session.user_agent,
        user_id: session.user_id,
        impersonated_by: session.impersonated_by,
        active_organization_id: session.active_organization_id,
        active: true,
        created_at: now,
        updated_at: now,
    }
}

fn extend(session: &mut Session, expires_at: DateTime<Utc>) -> bool {
    let is_live = is_live(session);
    if is_live {
        session.expires_at = expires_at;
        session.updated_at = now().max(session.updated_at + TimeDelta::microseconds(1));
    }
    is_live
}

fn place(session: &Session) -> (DateTime<Utc>, String) {
    (session.created_at, session.id.clone())
}

fn is_live(session: &Session) -> bool {
    session.active && session.expires_at > Utc::now()
}

fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}
