-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitation_inviter_id_idx
ON invitation (inviter_id);
