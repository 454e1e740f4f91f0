-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS verifications_value_hash_idx;
