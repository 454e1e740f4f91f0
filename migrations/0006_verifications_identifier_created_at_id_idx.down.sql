-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS verifications_identifier_created_at_id_idx;
