-- Of several pending invitations of one address, the newest stays. `migrate` runs it again if there are new ones before
-- the unique index stands.
UPDATE invitation SET status = 'canceled'
WHERE status = 'pending' AND EXISTS (
    SELECT FROM invitation AS newer
    WHERE newer.organization_id = invitation.organization_id AND newer.email = invitation.email
    AND newer.status = 'pending' AND (newer.created_at, newer.id) > (invitation.created_at, invitation.id)
);
-- What another program calls them, nobody can accept.
UPDATE invitation SET status = 'canceled' WHERE status NOT IN ('pending', 'accepted', 'rejected', 'canceled');
