-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS member_organization_id_created_at_id_idx
ON member (organization_id, created_at, id COLLATE "C");
