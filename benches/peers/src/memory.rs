//! What runs without a server: operating system threads that call without a pause.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use better_auth::adapters::{DatabaseAdapter as _, MemoryDatabaseAdapter};
use better_auth::types::{CreateSession, CreateUser, Session};
use better_auth_core_09 as peer;
use chrono::{TimeDelta, Utc};
use dashmap::DashMap;
use peer::SessionOps as _;
use tokio::runtime::Handle;

use crate::Result;
use crate::contenders::peers_session;
use crate::load::{Contender, Latencies, Round, per_second};

pub const SESSIONS: usize = 100_000;
pub const SESSIONS_PER_USER: usize = 10;

/// The same sessions in both adapters and in a bare map.
pub struct Stores {
    ours: MemoryDatabaseAdapter,
    peers: peer::MemoryDatabaseAdapter,
    map: DashMap<String, Session>,
    users: Vec<String>,
    our_tokens: Vec<String>,
    peers_tokens: Vec<String>,
}

impl Stores {
    pub async fn filled() -> Result<Arc<Self>> {
        let mut stores = Self {
            ours: MemoryDatabaseAdapter::new(),
            peers: peer::MemoryDatabaseAdapter::new(),
            map: DashMap::new(),
            users: Vec::new(),
            our_tokens: Vec::new(),
            peers_tokens: Vec::new(),
        };
        for _ in 0..SESSIONS / SESSIONS_PER_USER {
            let user = stores.ours.create_user(CreateUser::new()).await?.id;
            for _ in 0..SESSIONS_PER_USER {
                stores.add_session(&user).await?;
            }
            stores.users.push(user);
        }
        Ok(Arc::new(stores))
    }

    async fn add_session(&mut self, user: &str) -> Result<()> {
        let theirs = self.peers.create_session(peers_session(user)).await?;
        self.peers_tokens.push(theirs.token);
        let session = CreateSession {
            ip_address: theirs.ip_address,
            user_agent: theirs.user_agent,
            ..CreateSession::new(user, Utc::now() + TimeDelta::days(7))
        };
        let session = self.ours.create_session(session).await?;
        self.our_tokens.push(session.token.clone());
        self.map.insert(session.token.clone(), session);
        Ok(())
    }
}

/// A call over the stores, which takes a random number and panics where the answer is wrong.
pub struct Threads<F> {
    stores: Arc<Stores>,
    call: F,
}

#[async_trait]
impl<F> Contender for Threads<F>
where
    F: AsyncFn(&Stores, usize) + Copy + Send + Sync + 'static,
{
    async fn round(&self, callers: usize, length: Duration) -> Result<Round> {
        let threads: Vec<_> = (0..callers)
            .map(|_| {
                let (stores, call) = (self.stores.clone(), self.call);
                let runtime = Handle::current();
                std::thread::spawn(move || runtime.block_on(count(&stores, call, length)))
            })
            .collect();
        let mut calls = 0;
        for thread in threads {
            calls += tokio::task::block_in_place(|| thread.join())
                .map_err(|_| "a call in memory had a wrong answer")?;
        }
        Ok(Round {
            per_second: per_second(calls, length),
            latencies: Latencies::default(),
        })
    }
}

async fn count(stores: &Stores, call: impl AsyncFn(&Stores, usize), length: Duration) -> u64 {
    let mut random = fastrand::Rng::new();
    let mut calls = 0;
    let end = Instant::now() + length;
    while Instant::now() < end {
        // The clock would cost as much as a lookup.
        for _ in 0..16 {
            call(stores, random.usize(..)).await;
        }
        calls += 16;
    }
    calls
}

pub fn our_get_session(stores: &Arc<Stores>) -> impl Contender + use<> {
    threads(stores, async |stores, random| {
        let token = pick(&stores.our_tokens, random);
        let session = stores.ours.get_session(token).await.unwrap().unwrap();
        assert_eq!(session.token, *token);
    })
}

pub fn peers_get_session(stores: &Arc<Stores>) -> impl Contender + use<> {
    threads(stores, async |stores, random| {
        let token = pick(&stores.peers_tokens, random);
        let session = stores.peers.get_session(token).await.unwrap().unwrap();
        assert_eq!(session.token, *token);
    })
}

pub fn map_get(stores: &Arc<Stores>) -> impl Contender + use<> {
    threads(stores, async |stores, random| {
        let token = pick(&stores.our_tokens, random);
        let session = stores.map.get(token).unwrap().clone();
        assert_eq!(session.token, *token);
    })
}

pub fn our_get_user_sessions(stores: &Arc<Stores>) -> impl Contender + use<> {
    threads(stores, async |stores, random| {
        let user = pick(&stores.users, random);
        let sessions = stores.ours.get_user_sessions(user).await.unwrap();
        assert_eq!(sessions.len(), SESSIONS_PER_USER);
    })
}

pub fn peers_get_user_sessions(stores: &Arc<Stores>) -> impl Contender + use<> {
    threads(stores, async |stores, random| {
        let user = pick(&stores.users, random);
        let sessions = stores.peers.get_user_sessions(user).await.unwrap();
        assert_eq!(sessions.len(), SESSIONS_PER_USER);
    })
}

fn threads<F: AsyncFn(&Stores, usize)>(stores: &Arc<Stores>, call: F) -> Threads<F> {
    Threads {
        stores: stores.clone(),
        call,
    }
}

fn pick(of: &[String], random: usize) -> &String {
    &of[random % of.len()]
}
