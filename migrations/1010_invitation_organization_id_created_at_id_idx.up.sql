-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitation_organization_id_created_at_id_idx
ON invitation (organization_id, created_at, id COLLATE "C");
