-- outbox.sql: the statements the dispatcher runs on the application's file (schema.sql), one a section.
-- The reading ones run together in one short read transaction, so that events and the subscriptions they are
-- matched with are of one snapshot.

-- name: app_revision
SELECT value FROM main.resthook_meta WHERE name = 'revision'

-- name: app_meta
SELECT value FROM main.resthook_meta WHERE name = ?1

-- name: app_meta_set
INSERT INTO main.resthook_meta(name, value) VALUES (?1, ?2)
  ON CONFLICT(name) DO UPDATE SET value = excluded.value

-- name: app_settings
SELECT name, coalesce(value, standard) FROM main.resthook_setting

-- Live subscriptions, and ended ones that may still have something to settle: they end above the cursor (?1). Who wrote to
-- the table by hand may have left a row without a name: it is nobody's.
-- name: app_subscriptions
SELECT id, event, target, status, secret, old_secret, old_secret_until, verify_secret, verify_event, headers, format,
       max_in_flight, timeout, retry_schedule, retry_statuses, from_id, to_id, revision, updated_at, filter, rate,
       ordered
  FROM main.resthook_subscription
 WHERE (to_id IS NULL OR to_id > ?1) AND typeof(id) = 'text' AND instr(id, char(0)) = 0

-- name: app_subscription_end
SELECT to_id FROM main.resthook_subscription WHERE id = ?1

-- The events after ?1.
-- name: app_events
SELECT * FROM main.resthook_outbox WHERE id > ?1 ORDER BY id LIMIT ?2

-- What stands behind them, without what it says: in the columns of app_events.
-- name: app_ahead
SELECT id, event, NULL, NULL, NULL, only, created_at, watch FROM main.resthook_outbox WHERE id > ?1 ORDER BY id LIMIT ?2

-- name: app_event
SELECT * FROM main.resthook_outbox WHERE id = ?1

-- name: app_event_created
SELECT created_at FROM main.resthook_outbox WHERE id = ?1

-- name: app_extra
SELECT headers FROM main.resthook_extra WHERE event = ?1 AND created_at = ?2

-- name: app_newest
SELECT max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),
           ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0))

-- Up to which request all are carried out: ?1 is the last that was, filed at ?2. It stays in its table: if it is not
-- there unchanged, app.db lost it, ids below the cursor were handed out again, and all that are there are new.
-- name: app_requests_taken
SELECT id FROM main.resthook_request WHERE id = ?1 AND created_at = ?2

-- name: app_requests
SELECT id, kind, subscription, event, created_at FROM main.resthook_request WHERE id > ?1 ORDER BY id LIMIT ?2

-- name: app_requests_done
DELETE FROM main.resthook_request WHERE id < ?1

-- The dispatcher's own change of a subscription: only if nobody changed it since. It ends at the newest event of this
-- moment: what came since the 410 was for it too, and has been kept as cancelled. That its target confirmed it
-- holds whatever else was changed since, as long as it is the handshake of the event ?4 that it has to answer.
-- name: app_effect
UPDATE main.resthook_subscription
   SET status = CASE WHEN ?2 <> 'confirmed' THEN ?2 WHEN status = 'pending' THEN 'active' ELSE status END,
       reason = ?3,
       verify_secret = CASE WHEN ?2 <> 'confirmed' THEN verify_secret END,
       to_id = CASE WHEN ?2 = 'ended' THEN max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),
         ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0)) END,
       revision = revision + 1, updated_at = ?6
 WHERE id = ?1 AND to_id IS NULL
   AND CASE WHEN ?2 = 'confirmed' THEN verify_secret IS NOT NULL AND verify_event = ?4
            ELSE revision = ?4 AND updated_at = ?5 END

-- An event of resthook's own.
-- name: app_notice
INSERT INTO main.resthook_outbox(event, payload) VALUES (?1, ?2)

-- Rows that may go, oldest first: what they are asked for besides is decided by the caller (unfinished deliveries,
-- anchors, requests). Never the row with the greatest id: SQLite would hand its id out again.
-- name: app_old_events
SELECT id, created_at, ifnull(length(CAST(payload AS BLOB)), 0) + 200 FROM main.resthook_outbox
 WHERE id > ?1 AND id <= ?2 AND id < (SELECT max(id) FROM main.resthook_outbox) ORDER BY id LIMIT ?3

-- name: app_event_delete
DELETE FROM main.resthook_outbox WHERE id = ?1

-- What an event has besides goes with it, but for an idempotency key that is younger than ?2 says. Those go when they
-- are older: the first few are looked at, which are the oldest.
-- name: app_extra_any
SELECT 1 FROM main.resthook_extra LIMIT 1

-- name: app_extra_delete
DELETE FROM main.resthook_extra WHERE event = ?1 AND (idempotency_key IS NULL OR created_at <= ?2)

-- name: app_extra_strip
UPDATE main.resthook_extra SET headers = NULL WHERE event = ?1

-- name: app_extra_over
SELECT 1 FROM (SELECT idempotency_key, created_at FROM main.resthook_extra
                WHERE event < (SELECT min(id) FROM main.resthook_outbox) ORDER BY event LIMIT 500)
 WHERE idempotency_key IS NULL OR created_at <= ?1 LIMIT 1

-- name: app_extra_delete_over
DELETE FROM main.resthook_extra WHERE event IN (
  SELECT event FROM (SELECT event, idempotency_key, created_at FROM main.resthook_extra
                      WHERE event < (SELECT min(id) FROM main.resthook_outbox) ORDER BY event LIMIT 500)
   WHERE idempotency_key IS NULL OR created_at <= ?1)

-- name: app_request_any
SELECT 1 FROM main.resthook_request WHERE id > ?1 LIMIT 1

-- name: app_request_names
SELECT 1 FROM main.resthook_request WHERE event = ?1 AND id > ?2 LIMIT 1

-- Current watches that have no trigger, or such a one, and whether they have a table.
-- name: app_watch_missing
SELECT w.id, w.event, w.table_name,
       EXISTS (SELECT 1 FROM main.sqlite_master AS m WHERE m.type = 'table' AND m.name = w.table_name COLLATE NOCASE)
  FROM main.resthook_watch AS w
 WHERE w.retired_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM main.sqlite_master AS m
                    WHERE m.type = 'trigger' AND m.name = 'resthook_watch_' || w.id
                      AND NOT (substr(m.sql, length('CREATE TRIGGER "' || m.name) + 1, 41)
                                 = '" AFTER UPDATE OF "nobody subscribed" ON '
                               AND w.of IS NULL
                               AND EXISTS (SELECT 1 FROM main.resthook_interest WHERE watch = w.id)))

-- A retired version of a watch goes when every row that it may have captured is gone.
-- So does what is known of a backfill.
-- name: app_watch_unused
SELECT 1 FROM main.resthook_watch
 WHERE retired_id < ifnull((SELECT min(id) FROM main.resthook_outbox), 9223372036854775807)
UNION ALL SELECT 1 FROM main.resthook_backfill_run
 WHERE last_id < ifnull((SELECT min(id) FROM main.resthook_outbox), 9223372036854775807) LIMIT 1

-- name: app_watch_delete
DELETE FROM main.resthook_watch
 WHERE retired_id < ifnull((SELECT min(id) FROM main.resthook_outbox), 9223372036854775807)

-- name: app_backfill_delete
DELETE FROM main.resthook_backfill_run
 WHERE last_id < ifnull((SELECT min(id) FROM main.resthook_outbox), 9223372036854775807)
