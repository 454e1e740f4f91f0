-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS verifications_expires_at_id_idx
    ON verifications (expires_at, id);
