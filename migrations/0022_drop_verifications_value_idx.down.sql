-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS verifications_value_idx
    ON verifications USING hash (value);
