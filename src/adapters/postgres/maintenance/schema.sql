-- What the tables $1 consist of, one row for each part, in a form that depends neither on PostgreSQL's version nor on the
-- session's settings. `check_schema` compares it with expected_schema.txt, which holds the same rows of a fresh database.
WITH tables AS (
    SELECT name, pg_class.oid, nspname
    FROM unnest($1::TEXT[]) AS name JOIN pg_class ON pg_class.oid = to_regclass(quote_ident(name))
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
),
columns AS (
    SELECT attrelid, attnum, attname, attnotnull,
        CASE of_type.nspname WHEN 'pg_catalog' THEN replace(format_type(atttypid, NULL), '"', '')
        ELSE of_type.nspname || '.' || typname END
        || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
        || COALESCE(' DEFAULT ' || pg_get_expr(adbin, adrelid), '') AS definition
    FROM tables JOIN pg_attribute ON attrelid = tables.oid JOIN pg_type ON pg_type.oid = atttypid
    JOIN pg_namespace AS of_type ON of_type.oid = typnamespace
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped
),
indexes AS (
    SELECT indrelid, indexrelid, relname, amname, indisvalid, indisunique, indclass, indcollation, indoption, indkey,
        indpred IS NULL AS is_total, indkey[0:indnkeyatts - 1] AS keys,
        CASE WHEN to_jsonb(pg_index) ->> 'indnullsnotdistinct' = 'true' THEN ' NULLS NOT DISTINCT' ELSE '' END AS nulls
    FROM tables JOIN pg_index ON indrelid = tables.oid JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_am ON pg_am.oid = relam
)
SELECT 'column' AS "kind!", name AS "table!", attname::TEXT AS "name!", definition AS "definition!"
FROM tables JOIN columns ON attrelid = tables.oid
UNION ALL
-- Not those of NOT NULL, which only PostgreSQL 18 has; the columns tell.
SELECT 'constraint', name, conname::TEXT,
    CASE contype
        WHEN 'p' THEN 'PRIMARY KEY' || nulls || key
        WHEN 'u' THEN 'UNIQUE' || nulls || key
        WHEN 'f' THEN 'FOREIGN KEY' || key || ' REFERENCES '
            || COALESCE((SELECT name FROM tables WHERE tables.oid = confrelid),
                (SELECT nspname || '.' || relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                WHERE pg_class.oid = confrelid))
            || (SELECT format('(%s)', string_agg(attname, ', ' ORDER BY place))
                FROM unnest(confkey) WITH ORDINALITY AS of (number, place)
                JOIN pg_attribute ON attrelid = confrelid AND attnum = number)
            || CASE confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'r' THEN ' ON DELETE RESTRICT'
               WHEN 'n' THEN ' ON DELETE SET NULL' WHEN 'd' THEN ' ON DELETE SET DEFAULT' ELSE '' END
        WHEN 'c' THEN 'CHECK '
            || regexp_replace(pg_get_expr(conbin, conrelid), 'pg_catalog\.|"', '', 'g')
        ELSE 'of another kind'
    END
    || CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END
    || CASE WHEN to_jsonb(pg_constraint) ->> 'conenforced' = 'false' THEN ' NOT ENFORCED'
       WHEN convalidated OR contype = 'c' THEN '' ELSE ' NOT VALID' END
FROM tables JOIN pg_constraint ON conrelid = tables.oid
LEFT JOIN indexes ON indexrelid = conindid AND contype IN ('p', 'u')
CROSS JOIN LATERAL (
    SELECT format(' (%s)', string_agg(attname, ', ' ORDER BY place)) AS key
    FROM unnest(conkey) WITH ORDINALITY AS of (number, place) JOIN columns ON attrelid = conrelid AND attnum = number
) AS keys
WHERE contype <> 'n'
UNION ALL
SELECT 'index', name, relname::TEXT,
    CASE WHEN indisunique THEN 'UNIQUE' || nulls || ' ' ELSE '' END
    || CASE WHEN indisunique AND amname = 'btree' THEN '' ELSE amname || ' ' END
    || (SELECT format('(%s)', string_agg(COALESCE(attname, 'expression'), ', ' ORDER BY place))
        FROM unnest(keys) WITH ORDINALITY AS of (number, place)
        LEFT JOIN columns ON attrelid = indrelid AND attnum = number)
    || CASE WHEN is_total THEN '' ELSE ' WHERE …' END
    || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
FROM tables JOIN indexes ON indrelid = tables.oid
UNION ALL
-- The functions that statements call. They stand by the first table of their store.
SELECT 'function', name, proname::TEXT, provolatile::TEXT || ' ' || md5(prosrc)
FROM tables JOIN pg_class ON pg_class.oid = tables.oid JOIN pg_proc ON pronamespace = relnamespace
WHERE name = 'organization' AND proname IN ('better_auth_count', 'better_auth_has', 'better_auth_is_last_owner')
UNION ALL
-- Pairs of an index and one that does the same work and more. Lookups by a long text ask an index of its hash.
SELECT 'covered index', name, little.relname::TEXT, big.relname::TEXT
FROM tables JOIN indexes AS little ON little.indrelid = tables.oid
JOIN indexes AS big ON big.indrelid = tables.oid AND big.indexrelid <> little.indexrelid
WHERE NOT little.indisunique AND little.amname = 'btree' AND little.is_total AND NOT 0 = ANY (little.indkey)
AND big.indisvalid AND big.is_total
AND CASE
    WHEN big.amname = 'btree' AND big.keys[1] = 0 AND cardinality(little.keys) = 1 THEN
        (SELECT replace(pg_get_indexdef(big.indexrelid, 1, FALSE), '"', '') = format('hashtextextended(%s, (0)::bigint)', attname)
        FROM columns WHERE attrelid = little.indrelid AND attnum = little.keys[1])
    WHEN big.amname = 'btree' THEN (big.keys[1:cardinality(little.keys)], big.indclass[0:cardinality(little.keys) - 1],
            big.indcollation[0:cardinality(little.keys) - 1], big.indoption[0:cardinality(little.keys) - 1])
        = (little.keys, little.indclass[0:cardinality(little.keys) - 1],
            little.indcollation[0:cardinality(little.keys) - 1], little.indoption[0:cardinality(little.keys) - 1])
    WHEN big.amname = 'hash' THEN big.keys = little.keys
    ELSE FALSE
    END
UNION ALL
-- As a REINDEX CONCURRENTLY leaves it that was interrupted. One that runs has this lock.
SELECT 'left-over index', name, relname::TEXT, ''
FROM tables JOIN indexes ON indrelid = tables.oid
WHERE NOT indisvalid AND relname ~ '_cc(new|old)[0-9]*$' AND NOT EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND relation = indrelid AND locktype = 'relation'
    AND mode = 'ShareUpdateExclusiveLock' AND granted
)
UNION ALL
SELECT 'schema', name, nspname::TEXT, '' FROM tables
UNION ALL
SELECT 'schema', relname::TEXT, nspname::TEXT, ''
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass('_better_auth_migrations')
UNION ALL
SELECT CASE WHEN success THEN 'migration' ELSE 'unfinished migration' END, '', version::TEXT, description
FROM _better_auth_migrations
UNION ALL
SELECT 'encoding', '', pg_encoding_to_char(encoding)::TEXT, '' FROM pg_database WHERE datname = current_database()
UNION ALL
-- The tables whose policies do not let this role read and change every row.
SELECT 'row security', name, current_user::TEXT, ''
FROM (SELECT name, oid FROM tables UNION ALL VALUES ('_better_auth_migrations', to_regclass('_better_auth_migrations')::OID))
    AS readable (name, oid)
WHERE row_security_active(readable.oid) AND EXISTS (
    SELECT FROM unnest('{r,a,w,d}'::"char"[]) AS command
    LEFT JOIN (
        SELECT polrelid, polcmd, polpermissive, pg_get_expr(polqual, polrelid) AS visible,
            COALESCE(pg_get_expr(polwithcheck, polrelid), pg_get_expr(polqual, polrelid)) AS allowed
        FROM pg_policy
        WHERE EXISTS (SELECT FROM unnest(polroles) AS member WHERE member = 0 OR pg_has_role(member, 'USAGE'))
    ) AS policies ON polrelid = readable.oid AND polcmd IN ('*', command)
    GROUP BY command
    HAVING NOT COALESCE(bool_or(polpermissive AND (command = 'a' OR visible = 'true') AND (command IN ('r', 'd') OR allowed = 'true')), FALSE)
    OR bool_or(NOT polpermissive AND (COALESCE(visible, 'true') <> 'true' OR COALESCE(allowed, 'true') <> 'true'))
)
