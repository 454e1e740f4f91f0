-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS api_keys_organization_id_created_at_id_idx
ON api_keys (organization_id, created_at, id COLLATE "C");
