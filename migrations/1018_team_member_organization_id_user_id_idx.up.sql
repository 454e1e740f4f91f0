-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS team_member_organization_id_user_id_idx
ON team_member (organization_id, user_id);
