-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS api_keys_organization_id_created_at_id_idx;
