-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS team_member_user_id_idx
ON team_member (user_id);
