DROP FUNCTION IF EXISTS better_auth_session_cache_users() CASCADE;
