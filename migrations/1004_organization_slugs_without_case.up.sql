-- Slugs that differ only by case are left: nobody but the application knows which of them may keep the name.
UPDATE organization SET slug = lower(slug)
WHERE slug <> lower(slug) AND NOT EXISTS (
    SELECT FROM organization AS other WHERE other.id <> organization.id AND lower(other.slug) = lower(organization.slug)
);
