-- Whether a member is the only owner. VOLATILE, as better_auth_count.
CREATE OR REPLACE FUNCTION better_auth_is_last_owner(organization TEXT, owner TEXT) RETURNS BOOLEAN LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM member WHERE organization_id = organization AND user_id = owner AND role ~ '(^|,) *owner *(,|$)'
    ) AND NOT EXISTS (
        SELECT FROM member WHERE organization_id = organization AND user_id <> owner AND role ~ '(^|,) *owner *(,|$)'
    )
$$;
