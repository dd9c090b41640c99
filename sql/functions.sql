-- functions.sql: what every SQL function of resthook needs (ext/call.c, ext/statement.c).

-- The version of resthook's schema in this file; an error "no such table" when there is none.
-- name: schema_version
SELECT value FROM main.resthook_meta WHERE name = 'schema';

-- Takes the write lock and changes nothing: a statement that may write takes it when it starts, and only a
-- transaction that has read nothing yet waits for it (the busy handler is not asked for one that has).
-- name: schema_lock
UPDATE main.resthook_meta SET value = value WHERE 0;

-- Milliseconds since 1970-01-01, constant within one statement of the host's.
-- name: now
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);

-- The newest event's id. The row that has it always stays (schema.sql); an outbox of version 1 of the schema may have lost
-- it, and is counted by AUTOINCREMENT. What that remembers may be missing (DELETE FROM sqlite_sequence) or behind (the
-- count of a nested INSERT is overwritten by the outer one's).
-- name: newest_event
SELECT max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),
           ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0));

-- Drops one of the triggers that watches have on tables of the application; a trigger of the application's own that
-- only begins alike is left alone. Nothing but digits: a name in somebody's file could hold SQL.
-- name: watch_trigger_drop
SELECT 'DROP TRIGGER main.' || name FROM main.sqlite_master
 WHERE type = 'trigger' AND name GLOB 'resthook_watch_[0-9]*' AND substr(name, 16) NOT GLOB '*[^0-9]*'
 LIMIT 1;

-- Settings. Numbers are kept as they would be written: 15, not 15.0.
-- name: setting_install
INSERT INTO main.resthook_setting(name, type, unit, standard, least, most, help)
  VALUES (?1, ?2, ?3, CASE ?2 WHEN 'schedule' THEN ?4 ELSE CAST(?4 AS NUMERIC) END,
          CASE WHEN ?2 <> 'schedule' THEN CAST(printf('%.15g', ?5) AS NUMERIC) END,
          CASE WHEN ?2 <> 'schedule' THEN CAST(printf('%.15g', ?6) AS NUMERIC) END, ?7)
  ON CONFLICT(name) DO UPDATE
     SET type = excluded.type, unit = excluded.unit, standard = excluded.standard, least = excluded.least,
         most = excluded.most, help = excluded.help;

-- name: setting_value
SELECT coalesce(value, standard) FROM main.resthook_setting WHERE name = ?1;

-- name: setting_number
UPDATE main.resthook_setting SET value = CAST(printf('%.15g', ?2) AS NUMERIC) WHERE name = ?1;

-- Subscriptions.
-- name: subscription_find
SELECT id FROM main.resthook_subscription WHERE event = ?1 AND target = ?2 AND to_id IS NULL;

-- name: subscription_live
SELECT to_id IS NULL FROM main.resthook_subscription WHERE id = ?1;

-- name: subscription_add
INSERT INTO main.resthook_subscription(id, event, target, secret, from_id, created_at, updated_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6);

-- Every option is two parameters: was it given, and its text (NULL: back to the default).
-- name: subscription_options
UPDATE main.resthook_subscription
   SET secret = CASE WHEN ?2 THEN ?3 ELSE secret END,
       old_secret = CASE WHEN ?2 THEN NULL ELSE old_secret END,
       old_secret_until = CASE WHEN ?2 THEN NULL ELSE old_secret_until END,
       status = CASE WHEN NOT ?4 THEN status
                     WHEN ifnull(?5, 'active') = 'active' AND verify_secret IS NOT NULL THEN 'pending'
                     ELSE ifnull(?5, 'active') END,
       reason = CASE WHEN ?4 THEN NULL ELSE reason END,
       headers = CASE WHEN ?6 THEN ?7 ELSE headers END,
       format = CASE WHEN ?8 THEN ifnull(?9, 'bare') ELSE format END,
       max_in_flight = CASE WHEN ?10 THEN CAST(?11 AS INTEGER) ELSE max_in_flight END,
       timeout = CASE WHEN ?12 THEN CAST(round(CAST(?13 AS REAL) * 1000) AS INTEGER) ELSE timeout END,
       retry_schedule = CASE WHEN ?14 THEN ?15 ELSE retry_schedule END,
       description = CASE WHEN ?16 THEN ?17 ELSE description END,
       retry_statuses = CASE WHEN ?18 THEN ?19 ELSE retry_statuses END,
       filter = CASE WHEN ?20 THEN ?21 ELSE filter END,
       ordered = CASE WHEN ?22 THEN ?23 ELSE ordered END,
       rate = CASE WHEN ?24 THEN CAST(?25 AS REAL) ELSE rate END
 WHERE id = ?1;

-- name: subscription_touch
UPDATE main.resthook_subscription
   SET revision = revision + 1, updated_at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
 WHERE id = ?1;

-- What has not confirmed that it wants them is pending, never active.
-- name: subscription_status
UPDATE main.resthook_subscription
   SET status = CASE WHEN ?2 = 'active' AND verify_secret IS NOT NULL THEN 'pending' ELSE ?2 END, reason = NULL
 WHERE id = ?1;

-- name: subscription_is_other
SELECT status <> CASE WHEN ?2 = 'active' AND verify_secret IS NOT NULL THEN 'pending' ELSE ?2 END
  FROM main.resthook_subscription WHERE id = ?1;

-- The handshake: ?2 is what the target has to give back, ?3 the event that asks it to.
-- name: subscription_verify
UPDATE main.resthook_subscription
   SET verify = 'x-hook-secret', verify_secret = ?2, verify_event = ?3,
       status = CASE status WHEN 'active' THEN 'pending' ELSE status END
 WHERE id = ?1;

-- name: subscription_verify_none
UPDATE main.resthook_subscription
   SET verify = 'none', verify_secret = NULL, verify_event = NULL,
       status = CASE status WHEN 'pending' THEN 'active' ELSE status END
 WHERE id = ?1;

-- name: subscription_confirmed
UPDATE main.resthook_subscription
   SET verify_secret = NULL, status = CASE status WHEN 'pending' THEN 'active' ELSE status END
 WHERE id = ?1;

-- name: subscription_end
UPDATE main.resthook_subscription SET status = 'ended', reason = 'unsubscribed', to_id = ?2 WHERE id = ?1;

-- name: subscription_rotate
UPDATE main.resthook_subscription SET old_secret = secret, old_secret_until = ?3, secret = ?2 WHERE id = ?1;

-- Events and requests.
-- name: emit_add
INSERT INTO main.resthook_outbox(event, payload, key, deliver_at) VALUES (?1, ?2, ?3, nullif(?4, 0))

-- An idempotency key that is younger than ?2, and what releases an older one and takes it.
-- name: extra_known
SELECT event FROM main.resthook_extra WHERE idempotency_key = ?1 AND created_at > ?2;

-- name: extra_release
UPDATE main.resthook_extra SET idempotency_key = NULL WHERE idempotency_key = ?1;

-- Over what may be left of an event that had the same id before.
-- name: extra_add
INSERT OR REPLACE INTO main.resthook_extra(event, headers, idempotency_key, created_at)
SELECT id, CASE WHEN ?3 IS NULL THEN ?2 ELSE json_set(ifnull(?2, '{}'), '$.traceparent', ?3) END, ?4, created_at
  FROM main.resthook_outbox WHERE id = ?1;

-- name: extra_traces
SELECT 1 FROM json_each(?1) WHERE lower(key) = 'traceparent';

-- name: emit_ping
INSERT INTO main.resthook_outbox(event, payload, only)
  VALUES ('resthook.ping', '{"subscription":"' || ?1 || '"}', ?1);

-- name: emit_verify
INSERT INTO main.resthook_outbox(event, payload, only)
  VALUES ('resthook.verify', '{"subscription":"' || ?1 || '"}', ?1);

-- Was the event (?2) for the subscription (?1)? No row: it is gone from the outbox.
-- name: request_meant
SELECT o.id > s.from_id AND CASE WHEN o.only IS NOT NULL THEN o.only = s.id
         ELSE s.event = coalesce(o.event, w.event) OR (s.event = '*' AND coalesce(o.event, w.event) NOT GLOB 'resthook.*')
              OR (substr(s.event, -2) = '.*' AND substr(coalesce(o.event, w.event), 1, length(s.event) - 1)
                                                 = substr(s.event, 1, length(s.event) - 1)) END
  FROM main.resthook_outbox AS o LEFT JOIN main.resthook_watch AS w ON w.id = o.watch
       CROSS JOIN main.resthook_subscription AS s
 WHERE o.id = ?2 AND o.only IS NOT 'forgotten' AND s.id = ?1;

-- name: request_add
INSERT INTO main.resthook_request(kind, subscription, event, created_at) VALUES (?1, ?2, ?3, ?4);

-- Is it there, and not forgotten?
-- name: event_remembered
SELECT 1 FROM main.resthook_outbox WHERE id = ?1 AND only IS NOT 'forgotten';

-- ISO 8601 text as milliseconds since 1970-01-01; NULL: it is none. julianday() takes a time without a date too, and
-- 02-31 for the third of March.
-- name: time_of
SELECT CAST(round((julianday(?1) - 2440587.5) * 86400000) AS INTEGER)
 WHERE ?1 GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND date(julianday(substr(?1, 1, 10))) = substr(?1, 1, 10);

-- Backfill: where a live subscription begins; the versions of the same watch that may have captured what it was sent.
-- name: backfill_subscription
SELECT from_id FROM main.resthook_subscription WHERE id = ?1 AND to_id IS NULL;

-- name: backfill_versions
SELECT id FROM main.resthook_watch
 WHERE operation = 'insert' AND event = ?1 AND table_name = ?2 COLLATE NOCASE
   AND id IN (SELECT watch FROM main.resthook_outbox WHERE id > ?3);

-- name: backfill_add
INSERT INTO main.resthook_backfill_run(subscription, table_name, first_id, last_id, created_at)
  VALUES (?1, ?2, ?3, ?4, ?5);
