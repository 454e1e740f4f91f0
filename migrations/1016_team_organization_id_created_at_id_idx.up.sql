-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS team_organization_id_created_at_id_idx
ON team (organization_id, created_at, id COLLATE "C");
