-- deliveries.sql: the statements the dispatcher runs on its own file (journal.sql), one a section.

-- name: meta_get
SELECT value FROM meta WHERE name = ?1

-- name: meta_set
INSERT INTO meta(name, value) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = excluded.value

-- The number of a subscription that leads where it did: asked first, since at a start nothing of ten thousand is new, and
-- to write each again took a third of the time to the first request (RETURNING makes a table for each).
-- name: subscription_known
SELECT n FROM subscription WHERE id = ?1 AND target = ?2

-- The number of any; its target is kept up to date for the history.
-- name: subscription_number
INSERT INTO subscription(id, target) VALUES (?1, ?2)
  ON CONFLICT(id) DO UPDATE SET target = excluded.target
  RETURNING n

-- name: subscription_filtered
UPDATE subscription SET filtered = filtered + ?2 WHERE n = ?1
-- What its receivers verify by; only where it is another than is there, so that nothing is written for nothing.
-- name: subscription_public_key
UPDATE subscription SET public_key = ?2, key_revision = ?3, key_updated_at = ?4
 WHERE n = ?1 AND NOT (public_key IS ?2 AND key_revision IS ?3 AND key_updated_at IS ?4)

-- name: event_name_number
INSERT INTO event_name(text) VALUES (?1) ON CONFLICT(text) DO UPDATE SET text = excluded.text RETURNING n

-- A delivery as it is now. The attempt that the row held before is kept first, by attempt_keep.
-- name: delivery_put
INSERT INTO delivery(sub, event, state, name, created_at, attempts, next_at, reason,
                     started_at, duration, status, error, response, finished_at,
                     class, dns, connect, tls, first_byte, headers, key, base)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
    ON CONFLICT(sub, event) DO UPDATE SET
       state = excluded.state, attempts = excluded.attempts, next_at = excluded.next_at, reason = excluded.reason,
       started_at = excluded.started_at, duration = excluded.duration, status = excluded.status,
       error = excluded.error, response = excluded.response, finished_at = excluded.finished_at,
       class = excluded.class, dns = excluded.dns, connect = excluded.connect, tls = excluded.tls,
       first_byte = excluded.first_byte, headers = excluded.headers, key = excluded.key, base = excluded.base

-- A state without an attempt: held, cancelled, expired, due again. What the last attempt brought stays.
-- name: delivery_mark
INSERT INTO delivery(sub, event, state, name, created_at, next_at, reason, finished_at, key)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT(sub, event) DO UPDATE SET
       state = excluded.state, next_at = excluded.next_at, reason = excluded.reason, finished_at = excluded.finished_at,
       key = excluded.key

-- name: attempt_keep
INSERT OR REPLACE INTO attempt(sub, event, attempt, started_at, duration, status, error, response,
                               class, dns, connect, tls, first_byte, headers)
SELECT sub, event, attempts, started_at, duration, status, error, response, class, dns, connect, tls, first_byte, headers
  FROM delivery WHERE sub = ?1 AND event = ?2 AND started_at IS NOT NULL

-- One that is sent before the events that stand before it are read (dispatcher/fetch.c). Its age counts from the event.
-- name: delivery_fetch
INSERT INTO delivery(sub, event, state, name, created_at, next_at, reason)
VALUES (?1, ?2, 0, ?3, ?4, CASE WHEN ?4 BETWEEN 1 AND ?5 THEN ?4 ELSE ?5 END, 'fetched')
    ON CONFLICT(sub, event) DO NOTHING

-- The unfinished deliveries of a subscription that have a time, earliest first; those at work are passed over by the
-- caller. One that is held, or was replayed or fetched and never sent, was not judged by the subscription's filter.
-- name: delivery_due
SELECT event, next_at, attempts, base, state, created_at, reason IS 'replayed',
       finished_at, iif(state = 2, reason, NULL), reason IS 'fetched'
  FROM delivery INDEXED BY delivery_due
 WHERE sub = ?1 AND state < 3 AND next_at IS NOT NULL ORDER BY next_at, event LIMIT ?2

-- The same of one delivery alone, the probe of a subscription that sends nothing else.
-- name: delivery_due_probe
SELECT event, next_at, attempts, base, state, created_at, reason IS 'replayed',
       finished_at, iif(state = 2, reason, NULL), reason IS 'fetched' FROM delivery
 WHERE sub = ?1 AND event = ?2 AND state < 3 AND next_at IS NOT NULL

-- Is anything recorded of this pair? Asked of events above the cursor when the outbox is read again after a crash.
-- name: delivery_recorded
SELECT 1 FROM delivery WHERE sub = ?1 AND event = ?2

-- Up to which event anything is recorded of a subscription, and what became of that one.
-- name: delivery_newest
SELECT event, state FROM delivery WHERE sub = ?1 ORDER BY event DESC LIMIT 1

-- A final delivery, or one that stopped its key, is to be sent again: the schedule begins anew, the count of attempts
-- goes on.
-- name: delivery_replay
UPDATE delivery SET state = 0, base = attempts, next_at = ?3, reason = CASE attempts WHEN 0 THEN 'replayed' END,
       finished_at = NULL
 WHERE sub = ?1 AND event = ?2 AND (state >= 3 OR (state = 2 AND next_at IS NULL))

-- name: delivery_open_any
SELECT 1 FROM delivery INDEXED BY delivery_open WHERE state < 3 LIMIT 1

-- name: delivery_open_of
SELECT 1 FROM delivery INDEXED BY delivery_due WHERE sub = ?1 AND state < 3 LIMIT 1

-- The next subscription, by number, that has any.
-- name: delivery_open_next
SELECT n, id FROM subscription
 WHERE n = (SELECT min(sub) FROM delivery INDEXED BY delivery_due WHERE state < 3 AND sub > ?1)

-- Ends the unfinished deliveries of a subscription, so many at a time.
-- name: delivery_cancel
UPDATE delivery SET state = 5, next_at = NULL, reason = ?2, finished_at = ?3
 WHERE (sub, event) IN (SELECT sub, event FROM delivery INDEXED BY delivery_due
                         WHERE sub = ?1 AND state < 3 LIMIT ?4)

-- resthook_cancel(), resthook_forget(): one delivery, and all of an event.
-- name: delivery_cancel_one
UPDATE delivery SET state = 5, next_at = NULL, reason = 'cancelled', finished_at = ?3
 WHERE sub = ?1 AND event = ?2 AND state < 3

-- name: delivery_cancel_event
UPDATE delivery INDEXED BY delivery_open SET state = 5, next_at = NULL, reason = 'forgotten', finished_at = ?2
 WHERE event = ?1 AND state < 3

-- name: delivery_erase
UPDATE delivery SET key = NULL, response = NULL, headers = NULL
 WHERE sub IN (SELECT n FROM subscription) AND event = ?1

-- name: attempt_erase
UPDATE attempt SET response = NULL, headers = NULL
 WHERE sub IN (SELECT n FROM subscription) AND event = ?1

-- Retention goes through all rows, some at a time: those behind (?1, ?2) …
-- name: delivery_walk
SELECT sub, event, state, created_at, next_at, attempts, base, finished_at FROM delivery
 WHERE (sub, event) > (?1, ?2) ORDER BY sub, event LIMIT ?3

-- … and ends what was kept too long, or forgets what ended long ago.
-- name: delivery_expire
UPDATE delivery SET state = 4, next_at = NULL, reason = ?3, finished_at = ?4 WHERE sub = ?1 AND event = ?2 AND state < 3

-- The clock shows ?3, and was set back from ?4 or later: a retry waits from now on as long as it was to wait from its
-- attempt on; what was due, or is held, is due.
-- name: delivery_near
UPDATE delivery SET next_at = CASE state WHEN 1 THEN ?3 + min(max(next_at - started_at - ifnull(duration, 0), 0), next_at - ?3)
                                         ELSE ?3 END
 WHERE sub = ?1 AND event = ?2 AND next_at > ?3
   AND CASE state WHEN 0 THEN next_at <= ?4 WHEN 1 THEN started_at > ?3 ELSE state = 2 END

-- name: delivery_forget
DELETE FROM delivery WHERE sub = ?1 AND event = ?2

-- The first unfinished deliveries of a subscription but for one (?3), in the order in which they came.
-- name: delivery_first
SELECT event FROM delivery INDEXED BY delivery_due
 WHERE sub = ?1 AND state < 3 AND event <> ?3 ORDER BY next_at, event LIMIT ?2

-- Held deliveries are tried again, something they depend on may have changed: all unfinished ones are looked at, some
-- at a time, those behind (?1, ?2, ?3).
-- name: delivery_open_walk
SELECT event, state, sub FROM delivery INDEXED BY delivery_open
 WHERE state < 3 AND (event, state, sub) > (?1, ?2, ?3) ORDER BY event, state, sub LIMIT ?4

-- … not those that stopped their key, which have no time.
-- name: delivery_unhold
UPDATE delivery SET next_at = ?3 WHERE sub = ?1 AND event = ?2 AND state = 2 AND next_at IS NOT NULL

-- Order within a key (dispatcher/order.c). A key that is not known is the text char(1), which order.c calls UNKNOWN.
-- Is an earlier event of the key unfinished?
-- name: order_earlier
SELECT 1 FROM delivery INDEXED BY delivery_key
 WHERE sub = ?1 AND key = ?2 AND event < ?3 AND state < 3 AND key IS NOT NULL LIMIT 1

-- name: order_key
SELECT key FROM delivery WHERE sub = ?1 AND event = ?2

-- The first unfinished of a key, and does it wait for others? One that stopped the key does not.
-- name: order_first
SELECT event, next_at IS NULL AND state <> 2 FROM delivery INDEXED BY delivery_key
 WHERE sub = ?1 AND key = ?2 AND state < 3 AND key IS NOT NULL ORDER BY event LIMIT 1

-- Its turn has come. The time is the event's, so that its age counts from there, and the oldest go first; a replay's
-- is now.
-- name: order_set
UPDATE delivery SET next_at = CASE WHEN created_at BETWEEN 1 AND ?3 AND reason IS NOT 'replayed' THEN created_at
                                   ELSE ?3 END
 WHERE sub = ?1 AND event = ?2

-- name: order_next_key
SELECT key FROM delivery INDEXED BY delivery_key
 WHERE sub = ?1 AND key > ?2 AND state < 3 AND key IS NOT NULL ORDER BY key LIMIT 1

-- name: order_any
SELECT EXISTS(SELECT 1 FROM delivery INDEXED BY delivery_key WHERE sub = ?1 AND state < 3 AND key IS NOT NULL)

-- Is any of the first ?3 unfinished rows not as `ordered` wants it: without a key, or (?2) one that stopped its key?
-- Where there are more than that, it is not known.
-- name: order_odd
SELECT count(*) = ?3 OR total(key IS NULL OR (?2 AND state = 2 AND next_at IS NULL)) > 0
  FROM (SELECT key, state, next_at FROM delivery INDEXED BY delivery_due WHERE sub = ?1 AND state < 3 LIMIT ?3)

-- `ordered` was switched: its rows are brought to it, some at a time, since there may be millions. Each statement has
-- the events behind ?2 up to ?3, so that no row is looked at twice.
-- name: order_range
SELECT coalesce(max(event), 0)
  FROM (SELECT event FROM delivery WHERE sub = ?1 AND event > ?2 ORDER BY event LIMIT ?3)

-- On: what is unfinished has a key that is not known.
-- name: order_adopt
UPDATE delivery NOT INDEXED SET key = char(1)
 WHERE sub = ?1 AND event > ?2 AND event <= ?3 AND state < 3 AND key IS NULL

-- A dead delivery no longer stops its key.
-- name: order_unstop
UPDATE delivery NOT INDEXED SET state = 4, finished_at = ?4, reason = substr(reason, length('stopped: ') + 1)
 WHERE sub = ?1 AND event > ?2 AND event <= ?3 AND state = 2 AND next_at IS NULL

-- Off: nothing waits any more.
-- name: order_drop
UPDATE delivery NOT INDEXED SET key = NULL,
       next_at = coalesce(next_at, CASE WHEN created_at BETWEEN 1 AND ?4 THEN created_at ELSE ?4 END)
 WHERE sub = ?1 AND event > ?2 AND event <= ?3 AND state < 3 AND key IS NOT NULL

-- What waits for its key and is too old is looked at: it may have been meant for later.
-- name: order_wake
UPDATE delivery SET next_at = created_at
 WHERE sub = ?1 AND event = ?2 AND state < 2 AND next_at IS NULL AND reason IS NOT 'replayed'

-- name: anchor_add
INSERT OR REPLACE INTO anchor(id, created_at) VALUES (?1, ?2)

-- name: anchor_trim
DELETE FROM anchor WHERE id <= (SELECT id FROM anchor ORDER BY id DESC LIMIT 1 OFFSET 64)

-- name: anchor_newest
SELECT id, created_at FROM anchor ORDER BY id DESC LIMIT 1

-- All that names an event as it was read, newest first. A delivery does so too: with the anchors alone, what was
-- sent since the newest anchor that app.db still has would be sent again. Scans the history; asked after a loss only.
-- name: witness_list
SELECT id, created_at FROM anchor UNION SELECT event, created_at FROM delivery ORDER BY 1 DESC

-- Rewinding after app.db lost its newest commits: nothing is known above the newest anchor that is still there.
-- name: rewind_deliveries
DELETE FROM delivery WHERE event > ?1

-- name: rewind_attempts
DELETE FROM attempt WHERE event > ?1

-- name: rewind_anchors
DELETE FROM anchor WHERE id > ?1

-- name: gap_add
INSERT INTO gap(event, table_name, from_at, to_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT(event, table_name, from_at) DO UPDATE SET to_at = excluded.to_at

-- name: gap_trim
DELETE FROM gap WHERE n <= (SELECT max(n) FROM gap) - 100

-- name: failing_get
SELECT failing_since, probe_at, probe_pause FROM subscription WHERE n = ?1

-- name: failing_set
UPDATE subscription SET failing_since = ?2 WHERE n = ?1

-- name: failing_keep
UPDATE subscription SET probe_at = ?2, probe_pause = ?3 WHERE n = ?1

-- name: notice_add
INSERT INTO notice(event, payload) VALUES (?1, ?2)

-- name: notice_list
SELECT n, event, payload FROM notice ORDER BY n LIMIT 200

-- name: notice_done
DELETE FROM notice WHERE n <= ?1

-- name: effect_put
INSERT OR REPLACE INTO effect(subscription, status, reason, revision, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)

-- Did its target confirm what app.db does not know yet?
-- name: effect_confirms
SELECT EXISTS (SELECT 1 FROM effect WHERE subscription = ?1 AND status = 'confirmed')

-- name: effect_list
SELECT subscription, status, reason, revision, updated_at FROM effect

-- name: effect_done
DELETE FROM effect WHERE subscription = ?1

-- Which of the events up to ?1 an unfinished delivery needs: the next one from ?2 on.
-- name: needed_next
SELECT min(event) FROM delivery INDEXED BY delivery_open WHERE state < 3 AND event >= ?1

-- name: anchor_next
SELECT min(id) FROM anchor WHERE id >= ?1

-- name: attempt_walk
SELECT sub, event, attempt, started_at FROM attempt
 WHERE (sub, event, attempt) > (?1, ?2, ?3) ORDER BY sub, event, attempt LIMIT ?4

-- name: attempt_forget
DELETE FROM attempt WHERE sub = ?1 AND event = ?2 AND attempt = ?3
