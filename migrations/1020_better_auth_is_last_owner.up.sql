-- Whether a member ($2) of an organization ($1) is its only owner. VOLATILE and without names, as better_auth_count.
CREATE OR REPLACE FUNCTION better_auth_is_last_owner(TEXT, TEXT) RETURNS BOOLEAN LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM member WHERE member.organization_id = $1 AND member.user_id = $2 AND member.role ~ '(^|,) *owner *(,|$)'
    ) AND NOT EXISTS (
        SELECT FROM member WHERE member.organization_id = $1 AND member.user_id <> $2 AND member.role ~ '(^|,) *owner *(,|$)'
    )
$$;
