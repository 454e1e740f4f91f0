-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_inactive_idx
    ON sessions (id) WHERE NOT active;
