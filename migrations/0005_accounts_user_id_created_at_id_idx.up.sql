-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_user_id_created_at_id_idx
    ON accounts (user_id, created_at, id COLLATE "C");
