-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS verifications_expires_at_id_idx;
