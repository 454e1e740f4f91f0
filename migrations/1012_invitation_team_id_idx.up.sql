-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitation_team_id_idx
ON invitation (team_id) WHERE team_id IS NOT NULL;
