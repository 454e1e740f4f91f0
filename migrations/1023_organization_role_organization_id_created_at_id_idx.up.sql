-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS organization_role_organization_id_created_at_id_idx
ON organization_role (organization_id, created_at, id COLLATE "C");
