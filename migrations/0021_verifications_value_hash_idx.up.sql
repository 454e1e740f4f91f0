-- no-transaction
-- A btree, as PostgreSQL's hash indexes may miss a row while a bucket is split, and a value may be too long for a btree.
CREATE INDEX CONCURRENTLY IF NOT EXISTS verifications_value_hash_idx
    ON verifications (hashtextextended(value, 0), created_at, id COLLATE "C");
