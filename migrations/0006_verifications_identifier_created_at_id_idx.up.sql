-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS verifications_identifier_created_at_id_idx
    ON verifications (identifier, created_at, id COLLATE "C");
