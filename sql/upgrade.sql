-- upgrade.sql: from one version of the schema to the next, in either file. A version only adds, so that what an older
-- program wrote is kept. Views are dropped, since schema.sql and journal.sql, which run afterwards, make them anew.

-- name: upgrade_2
ALTER TABLE main.resthook_subscription ADD COLUMN retry_statuses TEXT;
ALTER TABLE main.resthook_subscription ADD COLUMN filter TEXT;
ALTER TABLE main.resthook_subscription ADD COLUMN rate REAL;
ALTER TABLE main.resthook_subscription ADD COLUMN ordered TEXT;
ALTER TABLE main.resthook_subscription ADD COLUMN verify TEXT NOT NULL DEFAULT 'none';
ALTER TABLE main.resthook_subscription ADD COLUMN verify_secret TEXT;
ALTER TABLE main.resthook_subscription ADD COLUMN verify_event INTEGER;
DROP VIEW main.resthook_subscriptions;
DROP VIEW main.resthook_events;
DROP VIEW main.resthook_watches;
DROP VIEW main.resthook_settings;
UPDATE main.resthook_meta SET value = 2 WHERE name = 'schema';

-- name: journal_upgrade_2
ALTER TABLE subscription ADD COLUMN failing_since INTEGER;
ALTER TABLE subscription ADD COLUMN filtered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscription ADD COLUMN public_key TEXT;
ALTER TABLE subscription ADD COLUMN key_revision INTEGER;
ALTER TABLE subscription ADD COLUMN key_updated_at INTEGER;
ALTER TABLE subscription ADD COLUMN probe_at INTEGER;
ALTER TABLE subscription ADD COLUMN probe_pause INTEGER;
ALTER TABLE delivery ADD COLUMN key TEXT;
ALTER TABLE delivery ADD COLUMN class TEXT;
ALTER TABLE delivery ADD COLUMN dns INTEGER;
ALTER TABLE delivery ADD COLUMN connect INTEGER;
ALTER TABLE delivery ADD COLUMN tls INTEGER;
ALTER TABLE delivery ADD COLUMN first_byte INTEGER;
ALTER TABLE delivery ADD COLUMN headers TEXT;
ALTER TABLE attempt ADD COLUMN class TEXT;
ALTER TABLE attempt ADD COLUMN dns INTEGER;
ALTER TABLE attempt ADD COLUMN connect INTEGER;
ALTER TABLE attempt ADD COLUMN tls INTEGER;
ALTER TABLE attempt ADD COLUMN first_byte INTEGER;
ALTER TABLE attempt ADD COLUMN headers TEXT;
DROP VIEW resthook_deliveries;
DROP VIEW resthook_attempts;
DROP VIEW resthook_status;
UPDATE meta SET value = 2 WHERE name = 'schema';
