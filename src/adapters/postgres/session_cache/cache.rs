//! The cache of an adapter: the rows, and the task that listens.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::super::connection::Connections;
use super::super::maintenance::{TriggerState, read_triggers};
use super::config::SessionCache;
use super::listener::Listener;
use super::store::{OpenTerm, Store};
use super::target::{ListenTarget, PROBE_CHANNEL, Refusal};
use crate::AuthResult;
use crate::adapters::telemetry;

/// The cache of one adapter. Its listening connection ends with it.
pub(in super::super) struct CachedSessions {
    pub(in super::super) store: Store,
    target: Arc<ListenTarget>,
}

impl CachedSessions {
    pub(in super::super) fn new(
        config: &SessionCache,
        connections: &Connections,
    ) -> AuthResult<Self> {
        let target = Arc::new(ListenTarget::new(config, connections)?);
        let store = Store::new(config);
        telemetry::watch_session_cache(connections.server.database(), store.observer());
        Ok(Self { store, target })
    }

    /// Checks that the cache can listen, and begins to if the triggers are there.
    pub(in super::super) async fn start(&self, connections: &Arc<Connections>) -> AuthResult<()> {
        let limit = connections.acquire_timeout();
        let started = timeout(limit, self.try_start(connections));
        let timed_out = Err(Refusal::Connection(sqlx::Error::PoolTimedOut));
        let started = started.await.unwrap_or(timed_out);
        started.map_err(|refusal| self.target.error(refusal, &connections.server))
    }

    async fn try_start(&self, connections: &Arc<Connections>) -> Result<(), Refusal> {
        let triggers = read_triggers(connections).await.map_err(Refusal::Failed)?;
        let channel = triggers
            .as_ref()
            .map_or(PROBE_CHANNEL, |triggers| &triggers.channel);
        let target = &self.target;
        // First, as the pool in which sqlx listens does not say why it cannot connect.
        let witness = Box::pin(PgConnection::connect_with(&target.options)).await;
        let mut witness = witness.map_err(Refusal::Connection)?;
        let listener = target.open(channel, connections).await?;
        let is_shared = listener.is_shared_with(&mut witness).await;
        let _ = witness.close().await;
        if is_shared.map_err(Refusal::Connection)? {
            return Err(Refusal::SharedProcess);
        }
        if triggers.as_ref().is_some_and(TriggerState::is_complete)
            && let Some(term) = self.store.begin_term()
        {
            if term.listen() {
                telemetry::session_cache_listens();
            }
            tokio::spawn(serve(term, listener, Arc::clone(connections)));
        } else {
            listener.close().await;
        }
        Ok(())
    }

    /// Begins to listen, in a task of this caller's runtime, if the cache does not listen and it is time to try.
    pub(in super::super) fn revive(&self, connections: &Arc<Connections>) {
        if let Some(term) = self.store.begin_term() {
            let target = Arc::clone(&self.target);
            let connections = Arc::clone(connections);
            tokio::spawn(async move {
                // The term ends with its first failure, and a later caller begins another one.
                if let Ok(listener) = reopen(&target, &connections).await
                    && term.listen()
                {
                    telemetry::session_cache_listens();
                    serve(term, listener, connections).await;
                }
            });
        }
    }
}

async fn reopen(target: &ListenTarget, connections: &Connections) -> Result<Listener, Refusal> {
    let triggers = read_triggers(connections).await.map_err(Refusal::Failed)?;
    match triggers {
        Some(triggers) if triggers.is_complete() => {
            target.open(&triggers.channel, connections).await
        }
        _ => Err(Refusal::NoTriggers),
    }
}

async fn serve(term: OpenTerm, mut listener: Listener, connections: Arc<Connections>) {
    let epoch = connections.epoch();
    let is_current = || {
        telemetry::session_cache(connections.server.database());
        connections.epoch() == epoch
    };
    term.serve(&mut listener, is_current).await;
    // Before the connection is closed, which may take long.
    term.end();
    telemetry::session_cache_stopped();
    drop(connections);
    listener.close().await;
}
