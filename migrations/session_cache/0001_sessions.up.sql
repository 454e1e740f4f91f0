-- What the session caches of all instances are told. The payloads are `s` and the id of a session, `u` and the id of a user
-- whose sessions are all concerned, or `*` for everything. Sessions that were not live before are in no cache. All triggers
-- of a table in one file, and without CONCURRENTLY: its lock is taken once, for a moment.
CREATE OR REPLACE FUNCTION better_auth_session_cache_sessions() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    channel CONSTANT TEXT := 'better_auth_' || to_hex(hashtextextended(TG_TABLE_SCHEMA::TEXT, 0));
    payloads TEXT[] := ARRAY['*'];
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT CASE
            WHEN count(*) = 0 THEN NULL
            WHEN count(*) <= 8 THEN array_agg('s' || id)
            WHEN count(DISTINCT user_id) <= 8 THEN array_agg(DISTINCT 'u' || user_id)
            ELSE ARRAY['*']
        END INTO payloads
        FROM old_rows WHERE active AND expires_at > statement_timestamp();
    END IF;
    -- A longer payload would make the statement fail.
    PERFORM pg_notify(channel, CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '*' END)
    FROM unnest(payloads) AS payload;
    RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS better_auth_session_cache_update ON sessions;
CREATE TRIGGER better_auth_session_cache_update AFTER UPDATE ON sessions REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION better_auth_session_cache_sessions();
DROP TRIGGER IF EXISTS better_auth_session_cache_delete ON sessions;
CREATE TRIGGER better_auth_session_cache_delete AFTER DELETE ON sessions REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION better_auth_session_cache_sessions();
DROP TRIGGER IF EXISTS better_auth_session_cache_truncate ON sessions;
CREATE TRIGGER better_auth_session_cache_truncate AFTER TRUNCATE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION better_auth_session_cache_sessions();

-- Also for sessions with session_replication_role = replica, as some tools set it.
ALTER TABLE sessions
    ENABLE ALWAYS TRIGGER better_auth_session_cache_update,
    ENABLE ALWAYS TRIGGER better_auth_session_cache_delete,
    ENABLE ALWAYS TRIGGER better_auth_session_cache_truncate;
