-- watch.sql: the statements behind resthook_watch, _unwatch, _repair and _payload, one a section.

-- Is there such a table in main, and what is it? A shadow table belongs to a virtual one; before 3.37, where
-- pragma_table_list began, it is known by the endings that SQLite's own modules use.
-- name: table_find
SELECT name, type,
       type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%',
       EXISTS (SELECT 1 FROM main.sqlite_master AS v
                WHERE v.type = 'table' AND v.sql LIKE 'CREATE VIRTUAL TABLE%'
                  AND substr(m.name, 1, length(v.name) + 1) = v.name || '_' COLLATE NOCASE
                  AND lower(substr(m.name, length(v.name) + 2)) IN
                      ('content', 'data', 'idx', 'docsize', 'config', 'segments', 'segdir', 'stat',
                       'node', 'parent', 'rowid')),
       sql
  FROM main.sqlite_master AS m
 WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE

-- name: table_shadow
SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ?1 AND type = 'shadow'

-- hidden: 0 a column, 2 a VIRTUAL generated one, 3 a STORED one.
-- name: table_columns
SELECT name, hidden, pk FROM pragma_table_xinfo(?1, 'main') ORDER BY cid

-- A rowid table whose key is the rowid itself has no index for it.
-- name: table_key_index
SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk'

-- name: outbox_width
SELECT count(*) FROM pragma_table_info('resthook_outbox', 'main') WHERE name GLOB 'v[0-9]*'

-- The current versions, each with the table its trigger stands on now (RENAME TABLE takes the trigger along, and
-- our row does not know), whether it is to be armed (watch_wanted) and whether it captures OLD beside NEW, and its
-- trigger's text.
-- name: watch_current
SELECT w.id, w.of IS NOT NULL OR EXISTS (SELECT 1 FROM main.resthook_interest AS i WHERE i.watch = w.id)
         OR (SELECT count(*) FROM main.resthook_watch WHERE retired_at IS NULL) > 100
         OR instr(lower(w.captured), '"nobody subscribed"') > 0,
       w.operation = 'update' AND EXISTS (SELECT 1 FROM json_each(w.captured) AS c
                                           WHERE json_extract(c.value, '$.row') = 'old'),
       coalesce(m.tbl_name, w.table_name), w.operation, w.event, w.options, w.of,
       json_extract(w.options, '$.changed'), w.record, w.captured, w.virtual, w.table_sql, w.primary_key,
       w.table_name, m.sql
  FROM main.resthook_watch AS w
  LEFT JOIN main.sqlite_master AS m ON m.type = 'trigger' AND m.name = 'resthook_watch_' || w.id
 WHERE w.retired_at IS NULL
 ORDER BY w.id

-- Is a version to be armed (trigger.c)? Those of "update of", whose columns no other text would follow, always are; those
-- of a table that has the column that no table has; and where there are more than a hundred watches, since to make a
-- trigger SQLite reads the whole schema.
-- name: watch_wanted
SELECT 1 FROM main.resthook_watch AS w
 WHERE id = ?1
   AND (w.of IS NOT NULL OR EXISTS (SELECT 1 FROM main.resthook_interest AS i WHERE i.watch = w.id)
        OR (SELECT count(*) FROM main.resthook_watch WHERE retired_at IS NULL) > 100
        OR instr(lower(w.captured), '"nobody subscribed"') > 0)

-- Is one disarmed that somebody is interested in?
-- name: watch_disarmed
SELECT 1 FROM main.sqlite_master AS m
 WHERE type = 'trigger' AND name GLOB 'resthook_watch_[0-9]*' AND substr(name, 16) NOT GLOB '*[^0-9]*'
   AND substr(sql, length('CREATE TRIGGER "' || name) + 1, 41) = '" AFTER UPDATE OF "nobody subscribed" ON '
   AND EXISTS (SELECT 1 FROM main.resthook_interest WHERE watch = CAST(substr(m.name, 16) AS INTEGER))
   AND EXISTS (SELECT 1 FROM main.resthook_watch AS w
                WHERE id = CAST(substr(m.name, 16) AS INTEGER) AND retired_at IS NULL AND w.of IS NULL)
 LIMIT 1

-- The same, or armed for nobody though it need not be?
-- name: watch_misarmed
SELECT 1
  FROM main.sqlite_master AS m JOIN main.resthook_watch AS w ON w.id = CAST(substr(m.name, 16) AS INTEGER)
 WHERE m.type = 'trigger' AND m.name GLOB 'resthook_watch_[0-9]*' AND substr(m.name, 16) NOT GLOB '*[^0-9]*'
   AND w.retired_at IS NULL AND w.of IS NULL
   AND (EXISTS (SELECT 1 FROM main.resthook_interest AS i WHERE i.watch = w.id)
        OR (SELECT count(*) FROM main.resthook_watch WHERE retired_at IS NULL) > 100
        OR instr(lower(w.captured), '"nobody subscribed"') > 0)
       = (substr(m.sql, length('CREATE TRIGGER "' || m.name) + 1, 41) = '" AFTER UPDATE OF "nobody subscribed" ON ')
 LIMIT 1

-- name: watch_definition
SELECT id, table_name, operation, event, options, captured, virtual, table_sql, primary_key
  FROM main.resthook_watch WHERE id = ?1

-- The same with the options of the current version of the same watch. What replaced a version was made in the statement
-- that retired it, whatever its table was called by then; after resthook_unwatch the same table's is taken.
-- name: watch_mended
WITH RECURSIVE heir(id) AS (
  SELECT ?1 UNION
  SELECT c.id FROM heir JOIN main.resthook_watch AS w ON w.id = heir.id
    JOIN main.resthook_watch AS c ON c.id > w.id AND c.operation = w.operation AND c.event = w.event
         AND c.created_at = w.retired_at)
SELECT w.id, w.table_name, w.operation, w.event, c.options, w.captured, w.virtual, w.table_sql, w.primary_key
  FROM main.resthook_watch AS w
  JOIN main.resthook_watch AS c ON c.operation = w.operation AND c.event = w.event AND c.retired_at IS NULL
       AND (c.id IN (SELECT id FROM heir) OR c.table_name = w.table_name COLLATE NOCASE)
 WHERE w.id = ?1 AND c.id <> w.id
 ORDER BY c.id IN (SELECT id FROM heir) DESC, c.id DESC LIMIT 1

-- name: watch_events
SELECT id, event FROM main.resthook_watch WHERE retired_at IS NULL ORDER BY id

-- name: watch_add
INSERT INTO main.resthook_watch(table_name, operation, of, event, options, captured, virtual, table_sql,
                                primary_key, record, created_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)

-- name: watch_retire
UPDATE main.resthook_watch
   SET retired_at = ?2,
       retired_id = max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),
         ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0))
 WHERE id = ?1

-- resthook_interest as its triggers keep it, where somebody emptied or restored tables past them. Nothing is written
-- where it is right.
-- name: interest_restore
DELETE FROM main.resthook_interest WHERE watch NOT IN (
  SELECT id FROM main.resthook_watch AS w
    WHERE retired_at IS NULL
      AND (record = 'always'
           OR EXISTS (SELECT 1 FROM main.resthook_subscription AS s WHERE s.to_id IS NULL AND s.event = w.event)
           OR EXISTS (SELECT 1 FROM main.resthook_subscription AS s
                       WHERE s.to_id IS NULL AND substr(s.event, -1) = '*'
                         AND (s.event = '*' OR substr(w.event, 1, length(s.event) - 1)
                                               = substr(s.event, 1, length(s.event) - 1)))));
INSERT INTO main.resthook_interest(watch)
  SELECT id FROM main.resthook_watch AS w
    WHERE retired_at IS NULL
      AND (record = 'always'
           OR EXISTS (SELECT 1 FROM main.resthook_subscription AS s WHERE s.to_id IS NULL AND s.event = w.event)
           OR EXISTS (SELECT 1 FROM main.resthook_subscription AS s
                       WHERE s.to_id IS NULL AND substr(s.event, -1) = '*'
                         AND (s.event = '*' OR substr(w.event, 1, length(s.event) - 1)
                                               = substr(s.event, 1, length(s.event) - 1))))
      AND id NOT IN (SELECT watch FROM main.resthook_interest);

-- name: watch_event
SELECT payload, watch, event, * FROM main.resthook_outbox WHERE id = ?1 AND only IS NOT 'forgotten'

-- The parts of a version, out of its JSON.
-- name: watch_values
SELECT json_extract(value, '$.row'), json_extract(value, '$.column'), json_extract(value, '$.rowid'),
       json_extract(value, '$.kept')
  FROM json_each(?1)

-- name: watch_keys
SELECT json_extract(value, '$.name'), json_extract(value, '$.value') FROM json_each(?1)

-- name: watch_names
SELECT value, type FROM json_each(?1)

-- name: watch_fields
SELECT key, value, type FROM json_each(?1, '$.fields') WHERE json_type(?1, '$.fields') = 'object'

-- name: watch_clauses
SELECT json_extract(?1, '$.when'), json_extract(?1, '$.key')

-- Which captured values are of a column that was dropped under the version's trigger, so that it may have captured NULL
-- in its place: of the current version those that the table has no column for, unless RENAME changed the name in the
-- trigger; of one that was replaced those that the version after it does not capture. And whether that one is another watch
-- than a repair would have made.
-- name: watch_gone
WITH heir(captured, options) AS (
  SELECT c.captured, c.options
    FROM main.resthook_watch AS w JOIN main.resthook_watch AS c
      ON c.id > w.id AND c.operation = w.operation AND c.event = w.event AND c.created_at = w.retired_at
   WHERE w.id = ?1 ORDER BY c.id LIMIT 1)
SELECT j.key, 0
  FROM main.resthook_watch AS w JOIN main.sqlite_master AS m ON m.type = 'trigger' AND m.name = 'resthook_watch_' || w.id,
       json_each(w.captured) AS j
 WHERE w.id = ?1 AND w.retired_at IS NULL
   AND instr(m.sql, '."' || replace(json_extract(j.value, '$.column'), '"', '""') || '")v' || j.key) > 0
   AND lower(json_extract(j.value, '$.column')) NOT IN (
         SELECT lower(c.name) FROM pragma_table_xinfo((SELECT t.tbl_name FROM main.sqlite_master AS t
                                                        WHERE t.type = 'trigger' AND t.name = 'resthook_watch_' || ?1), 'main') AS c)
UNION ALL
SELECT j.key, w.options <> (SELECT options FROM heir)
  FROM main.resthook_watch AS w, json_each(w.captured) AS j
 WHERE w.id = ?1 AND w.retired_at IS NOT NULL AND EXISTS (SELECT 1 FROM heir)
   AND lower(json_extract(j.value, '$.column')) NOT IN (
         SELECT lower(ifnull(json_extract(k.value, '$.column'), '')) FROM json_each((SELECT captured FROM heir)) AS k)

-- Options with other names in them; what is not there stays away.
-- name: watch_followed
SELECT json_replace(?1, '$.changed', json(?2), '$.fields', json(?3), '$.when', ?4, '$.key', ?5)

-- Are two lists of column names the same columns?
-- name: watch_same_names
SELECT NOT EXISTS (SELECT lower(value) FROM json_each(?1) EXCEPT SELECT lower(value) FROM json_each(?2))
   AND NOT EXISTS (SELECT lower(value) FROM json_each(?2) EXCEPT SELECT lower(value) FROM json_each(?1))

-- The schema as names alone (blueprint.c).
-- name: blueprint_virtual
SELECT sql FROM main.sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'

-- name: blueprint_columns
SELECT m.name, x.name, x.cid
  FROM main.sqlite_master AS m, pragma_table_xinfo(m.name, 'main') AS x
 WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL TABLE%' AND substr(m.name, 1, 7) <> 'sqlite_'
 ORDER BY m.rowid, x.cid

-- name: blueprint_views
SELECT sql FROM main.sqlite_master WHERE type = 'view' AND sql LIKE 'CREATE VIEW%'
