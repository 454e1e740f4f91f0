DROP FUNCTION IF EXISTS better_auth_is_last_owner(TEXT, TEXT);
