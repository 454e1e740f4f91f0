-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS member_organization_id_role_created_at_id_idx
ON member (organization_id, left(role, 256) COLLATE "C", created_at, id COLLATE "C");
