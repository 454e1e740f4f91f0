-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS verifications_value_idx;
