-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS member_user_id_idx
ON member (user_id);
