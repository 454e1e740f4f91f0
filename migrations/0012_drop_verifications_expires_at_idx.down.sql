-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS verifications_expires_at_idx
    ON verifications (expires_at);
