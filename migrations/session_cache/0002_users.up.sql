-- As for sessions. Every change of a user counts: a session that is not visible yet may have been cached with the user.
CREATE OR REPLACE FUNCTION better_auth_session_cache_users() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    channel CONSTANT TEXT := 'better_auth_' || to_hex(hashtextextended(TG_TABLE_SCHEMA::TEXT, 0));
    payloads TEXT[] := ARRAY['*'];
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT CASE
            WHEN count(*) = 0 THEN NULL
            WHEN count(*) <= 8 THEN array_agg('u' || id)
            ELSE ARRAY['*']
        END INTO payloads
        FROM old_rows;
    END IF;
    -- A longer payload would make the statement fail.
    PERFORM pg_notify(channel, CASE WHEN octet_length(payload) < 8000 THEN payload ELSE '*' END)
    FROM unnest(payloads) AS payload;
    RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS better_auth_session_cache_update ON users;
CREATE TRIGGER better_auth_session_cache_update AFTER UPDATE ON users REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION better_auth_session_cache_users();
DROP TRIGGER IF EXISTS better_auth_session_cache_delete ON users;
CREATE TRIGGER better_auth_session_cache_delete AFTER DELETE ON users REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION better_auth_session_cache_users();
DROP TRIGGER IF EXISTS better_auth_session_cache_truncate ON users;
CREATE TRIGGER better_auth_session_cache_truncate AFTER TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION better_auth_session_cache_users();

-- Also for sessions with session_replication_role = replica, as some tools set it.
ALTER TABLE users
    ENABLE ALWAYS TRIGGER better_auth_session_cache_update,
    ENABLE ALWAYS TRIGGER better_auth_session_cache_delete,
    ENABLE ALWAYS TRIGGER better_auth_session_cache_truncate;
