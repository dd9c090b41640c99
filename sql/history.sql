-- history.sql: what the virtual tables of the extension read (ext/history.c, ext/answer.c). Each has a part from the side file and a
-- part from app.db. In place of (SUB) and (EVENT) the extension writes the condition on a subscription's id (?1) or an
-- event's id (?2) that the query has, or 1: an OR would read everything. ?3 is the cursor in app.db's part, the time now
-- in ms in the side file's.

-- name: deliveries_side
SELECT s.id || '-' || d.event, d.event, e.text, s.id, s.target,
       CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'retrying' WHEN 2 THEN 'held'
                    WHEN 3 THEN 'delivered' WHEN 4 THEN 'dead' ELSE 'cancelled' END,
       d.reason, d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 86400000.0 + 2440587.5),
       d.status, d.error,
       CASE WHEN d.state = 3 THEN strftime('%Y-%m-%dT%H:%M:%fZ', d.finished_at / 86400000.0 + 2440587.5) END
  FROM subscription AS s CROSS JOIN delivery AS d ON d.sub = s.n LEFT JOIN event_name AS e ON e.n = d.name
 WHERE (SUB) AND (EVENT)

-- The same, of one state that has an index. (STATE) is the condition that names it.
-- name: deliveries_state
SELECT s.id || '-' || d.event, d.event, e.text, s.id, s.target,
       CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'retrying' WHEN 2 THEN 'held'
                    WHEN 3 THEN 'delivered' WHEN 4 THEN 'dead' ELSE 'cancelled' END,
       d.reason, d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 86400000.0 + 2440587.5),
       d.status, d.error, NULL
  FROM delivery AS d CROSS JOIN subscription AS s ON s.n = d.sub LEFT JOIN event_name AS e ON e.n = d.name
 WHERE (STATE) AND (SUB) AND (EVENT)

-- Pairs above the cursor: they have no row yet, or one that deliveries_side shows (recorded says which). A watch's
-- `when`, or a filter, may still leave some of them out.
-- name: deliveries_app
SELECT s.id || '-' || o.id, o.id, coalesce(o.event, w.event), s.id, s.target, 'pending', NULL, 0,
       strftime('%Y-%m-%dT%H:%M:%fZ', o.deliver_at / 86400000.0 + 2440587.5), NULL, NULL, NULL
  FROM main.resthook_outbox AS o LEFT JOIN main.resthook_watch AS w ON w.id = o.watch
       CROSS JOIN main.resthook_subscription AS s
 WHERE o.id > ?3 AND (EVENT) AND (SUB)
   AND o.id > s.from_id AND o.id <= ifnull(s.to_id, 9223372036854775807)
   AND CASE WHEN o.only IS NOT NULL THEN o.only = s.id
            ELSE s.event = coalesce(o.event, w.event)
                 OR (s.event = '*' AND coalesce(o.event, w.event) NOT GLOB 'resthook.*')
                 OR (substr(s.event, -2) = '.*'
                     AND substr(coalesce(o.event, w.event), 1, length(s.event) - 1)
                         = substr(s.event, 1, length(s.event) - 1)) END

-- name: deliveries_recorded
SELECT 1 FROM subscription AS s CROSS JOIN delivery AS d ON d.sub = s.n WHERE s.id = ?1 AND d.event = ?2

-- name: attempts_side
SELECT s.id || '-' || a.event, a.attempt, strftime('%Y-%m-%dT%H:%M:%fZ', a.started_at / 86400000.0 + 2440587.5),
       a.duration, a.status, a.error, a.response, a.class, a.dns / 1000.0, a.connect / 1000.0, a.tls / 1000.0, a.first_byte / 1000.0,
       a.headers
  FROM subscription AS s CROSS JOIN attempt AS a ON a.sub = s.n WHERE (SUB) AND (EVENT)
UNION ALL
SELECT s.id || '-' || a.event, a.attempts, strftime('%Y-%m-%dT%H:%M:%fZ', a.started_at / 86400000.0 + 2440587.5),
       a.duration, a.status, a.error, a.response, a.class, a.dns / 1000.0, a.connect / 1000.0, a.tls / 1000.0, a.first_byte / 1000.0,
       a.headers
  FROM subscription AS s CROSS JOIN delivery AS a ON a.sub = s.n
 WHERE a.started_at IS NOT NULL AND (SUB) AND (EVENT)

-- What is pending among the rows: how much, since when; status_app counts what is above the cursor, with a row or without.
-- Counts stop at 50,000, and status_app's, where each row is matched with the subscriptions, at 5,000: so that looking takes
-- some ms however much there is.
-- name: status_pending
SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_open
                              WHERE state < 3 AND state = 0 AND event <= (SELECT value FROM meta WHERE name = 'cursor')
                              LIMIT 50000)),
       (SELECT created_at FROM delivery INDEXED BY delivery_open WHERE state < 3 ORDER BY event LIMIT 1)

-- name: status_none
SELECT 'journal', ?1 UNION ALL SELECT 'dispatcher', ?2 UNION ALL
SELECT 'retrying', 0 UNION ALL SELECT 'held', 0 UNION ALL SELECT 'dead', 0

-- name: status_backfills
SELECT json_group_array(json_array(subscription, table_name, first_id, last_id))
  FROM (SELECT * FROM main.resthook_backfill_run ORDER BY id DESC LIMIT 100)

-- Of a database that the dispatcher keeps closed, since there is nothing to do for it, the sign of life is the time
-- of the side file (?4); a dispatcher that stops leaves it none.
-- ?5 are the backfills that app.db knows (status_backfills).
-- name: status_side
SELECT 'dispatcher', CASE WHEN beat IS NULL THEN 'never ran'
                          WHEN abs(?3 - beat) < 15000 AND stopped = 0 AND NOT abandoned THEN 'running'
                          ELSE 'not running since ' || strftime('%Y-%m-%dT%H:%M:%fZ',
                               max(beat, stopped) / 86400000.0 + 2440587.5) END
  FROM (SELECT (SELECT CASE WHEN (SELECT value FROM meta WHERE name = 'asleep_since') > 0 THEN max(value, ?4)
                            ELSE value END FROM meta WHERE name = 'heartbeat_at') AS beat,
               ifnull((SELECT value FROM meta WHERE name = 'stopped_at'), 0) AS stopped,
               ifnull((SELECT value FROM meta WHERE name = 'asleep_since'), 0) > 0 AND ?4 = 0 AS abandoned)
UNION ALL SELECT 'retrying', count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_open
                                             WHERE state < 3 AND state = 1 LIMIT 50000)
UNION ALL SELECT 'held', count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_open
                                         WHERE state < 3 AND state = 2 LIMIT 50000)
UNION ALL SELECT 'dead', count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_dead WHERE state = 4 LIMIT 50000)
UNION ALL SELECT 'held_reason', (SELECT d.reason FROM delivery AS d INDEXED BY delivery_open
                                  WHERE d.state < 3 AND d.state = 2 ORDER BY d.event LIMIT 1)
UNION ALL SELECT 'backfill', (rows - min(rows, open)) || ' of ' || rows || ' rows of ' || table_name || ' are finished for ' || id
  FROM (SELECT last - first + 1 AS rows, table_name, id,
               max(0, last - max(first - 1, (SELECT value FROM meta WHERE name = 'cursor')))
               + (SELECT count(*) FROM (
                    SELECT 1 FROM delivery AS d INDEXED BY delivery_open
                     WHERE d.state < 3 AND d.event BETWEEN first AND min(last, (SELECT value FROM meta WHERE name = 'cursor'))
                       AND d.sub = s.n LIMIT 50000)) AS open
          FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS table_name,
                       json_extract(value, '$[2]') AS first, json_extract(value, '$[3]') AS last FROM json_each(?5)) AS run
          LEFT JOIN subscription AS s USING (id))
UNION ALL SELECT 'gap', strftime('%Y-%m-%dT%H:%M:%fZ', from_at / 86400000.0 + 2440587.5) || ' to '
       || strftime('%Y-%m-%dT%H:%M:%fZ', to_at / 86400000.0 + 2440587.5) || ': ' || event || ' of ' || table_name
       || ' had no trigger; what was written then is possibly missed' FROM gap
UNION ALL SELECT 'filtered ' || id, filtered FROM subscription WHERE filtered > 0
UNION ALL SELECT CASE name WHEN 'held' THEN 'database_held' WHEN 'heartbeat_at' THEN 'heartbeat' ELSE name END,
       CASE WHEN name IN ('heartbeat_at', 'started_at', 'stopped_at')
            THEN strftime('%Y-%m-%dT%H:%M:%fZ', nullif(value, 0) / 86400000.0 + 2440587.5)
            ELSE nullif(value, '') END
  FROM meta WHERE name IN ('version', 'started_at', 'stopped_at', 'heartbeat_at', 'journal_mode', 'in_flight', 'held',
                           'cursor', 'filtered', 'wakes_hint', 'wakes_recheck', 'wakes_poll', 'circuit_open')

-- ?4 and ?5 are what status_pending said, NULL without a side file.
-- name: status_app
SELECT 'pending', ifnull(?4, 0) + (SELECT count(*) FROM (
  SELECT 1 FROM (SELECT id, event, only, watch, created_at FROM main.resthook_outbox WHERE id > ?3 ORDER BY id LIMIT 5000) AS o
       LEFT JOIN main.resthook_watch AS w ON w.id = o.watch
       CROSS JOIN main.resthook_subscription AS s
   WHERE o.id > ?3 AND o.id > s.from_id AND o.id <= ifnull(s.to_id, 9223372036854775807)
     AND CASE WHEN o.only IS NOT NULL THEN o.only = s.id
              ELSE s.event = coalesce(o.event, w.event)
                 OR (s.event = '*' AND coalesce(o.event, w.event) NOT GLOB 'resthook.*')
                   OR (substr(s.event, -2) = '.*'
                       AND substr(coalesce(o.event, w.event), 1, length(s.event) - 1)
                           = substr(s.event, 1, length(s.event) - 1)) END
   LIMIT 5000))
UNION ALL
SELECT 'oldest_pending_age', CAST((julianday('now') - 2440587.5) * 86400 - (
  SELECT min(created_at) FROM (
    SELECT ?5 AS created_at WHERE ?5 IS NOT NULL
    UNION ALL SELECT * FROM (
      SELECT o.created_at FROM main.resthook_outbox AS o LEFT JOIN main.resthook_watch AS w ON w.id = o.watch
       WHERE o.id > ?3
         AND o.id <= (SELECT max(id) FROM (SELECT id FROM main.resthook_outbox WHERE id > ?3 ORDER BY id LIMIT 5000))
         AND EXISTS (SELECT 1 FROM main.resthook_subscription AS s
                      WHERE o.id > s.from_id AND o.id <= ifnull(s.to_id, 9223372036854775807)
                        AND CASE WHEN o.only IS NOT NULL THEN o.only = s.id
                                 ELSE s.event = coalesce(o.event, w.event)
                 OR (s.event = '*' AND coalesce(o.event, w.event) NOT GLOB 'resthook.*')
                                      OR (substr(s.event, -2) = '.*'
                                          AND substr(coalesce(o.event, w.event), 1, length(s.event) - 1)
                                              = substr(s.event, 1, length(s.event) - 1)) END)
       ORDER BY o.id LIMIT 1))) / 1000.0 AS INTEGER)
UNION ALL
SELECT 'subscriptions_failing', count(*) FROM main.resthook_subscription WHERE to_id IS NULL AND status = 'failing'
UNION ALL
SELECT 'unread', max(0, max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),
                            ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0)) - ?3)
UNION ALL
SELECT 'watch ' || name, wrong FROM (
  SELECT t.name,
         CASE WHEN NOT EXISTS (SELECT 1 FROM main.sqlite_master AS m WHERE m.type = 'table' AND m.name = t.table_name COLLATE NOCASE)
              THEN 'its table ' || t.table_name || ' is gone'
              WHEN t.sql IS NULL
              THEN 'its trigger is missing: resthook_repair() makes it again'
              WHEN t.disarmed
              THEN 'it is disarmed although somebody is subscribed: resthook_repair() arms it'
              WHEN EXISTS (SELECT 1 FROM pragma_table_xinfo(t.table_name, 'main') AS c WHERE c.hidden IN (0, 3)
                              AND NOT EXISTS (SELECT 1 FROM json_each(t.captured) AS j
                                               WHERE json_extract(j.value, '$.column') = c.name))
              THEN 'table ' || t.table_name || ' has a column it does not capture: resthook_repair(), or resthook_watch()'
                   || ' if an expression no longer compiles'
              WHEN EXISTS (SELECT 1 FROM json_each(t.captured) AS j
                            WHERE (SELECT count(*) FROM pragma_table_xinfo(t.table_name, 'main')) > 0
                              AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(t.table_name, 'main') AS c
                                               WHERE c.name = json_extract(j.value, '$.column') OR c.hidden = 1)
                              AND lower(json_extract(j.value, '$.column')) NOT IN ('rowid', 'oid', '_rowid_'))
              THEN 'it captures a column that table ' || t.table_name || ' no longer has: resthook_repair(), or'
                   || ' resthook_watch() if an expression no longer compiles'
              WHEN json_array_length(t.of) > 0
                   AND NOT EXISTS (SELECT 1 FROM json_each(t.of) AS j JOIN pragma_table_xinfo(t.table_name, 'main') AS c
                                    WHERE c.hidden = 0 AND c.name = j.value COLLATE NOCASE)
              THEN 'it can''t fire: table ' || t.table_name || ' has none of the columns of its update of'
              WHEN json_array_length(t.options, '$.changed') > 0
                   AND NOT EXISTS (SELECT 1 FROM json_each(t.options, '$.changed') AS j
                                     JOIN pragma_table_xinfo(t.table_name, 'main') AS c
                                    WHERE c.hidden IN (0, 3) AND c.name = j.value COLLATE NOCASE)
              THEN 'it can''t fire: table ' || t.table_name || ' has none of the columns of its option changed'
         END AS wrong
    FROM (SELECT 'resthook_watch_' || w.id AS name, coalesce(m.tbl_name, w.table_name) AS table_name,
                 w.captured, w.of, w.options, m.sql,
                 substr(m.sql, length('CREATE TRIGGER "' || m.name) + 1, 41) = '" AFTER UPDATE OF "nobody subscribed" ON '
                   AND w.of IS NULL AND EXISTS (SELECT 1 FROM main.resthook_interest AS i WHERE i.watch = w.id) AS disarmed
            FROM main.resthook_watch AS w
            LEFT JOIN main.sqlite_master AS m ON m.type = 'trigger' AND m.name = 'resthook_watch_' || w.id
           WHERE w.retired_at IS NULL) AS t)
 WHERE wrong IS NOT NULL
