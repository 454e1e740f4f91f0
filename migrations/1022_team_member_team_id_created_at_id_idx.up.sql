-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS team_member_team_id_created_at_id_idx
ON team_member (team_id, created_at, id COLLATE "C");
