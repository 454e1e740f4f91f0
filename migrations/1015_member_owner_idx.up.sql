-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS member_owner_idx
ON member (organization_id, user_id) WHERE role ~ '(^|,) *owner *(,|$)';
