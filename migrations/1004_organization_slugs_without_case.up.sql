-- Slugs that differ only by case are left: nobody but the application knows which of them may keep the name. Only ASCII
-- letters change: what is lower-case in other alphabets depends on the server's locale.
UPDATE organization SET slug = lower(slug COLLATE "C")
WHERE slug <> lower(slug COLLATE "C") AND NOT EXISTS (
    SELECT FROM organization AS other
    WHERE other.id <> organization.id AND lower(other.slug COLLATE "C") = lower(organization.slug COLLATE "C")
);
