-- uninstall.sql: the file as if resthook had never been there. The watches' triggers go before this (install.c):
-- a trigger without the tables it writes would make every write of the application fail.
DROP VIEW IF EXISTS main.resthook_subscriptions;
DROP VIEW IF EXISTS main.resthook_events;
DROP VIEW IF EXISTS main.resthook_watches;
DROP VIEW IF EXISTS main.resthook_settings;
DROP TRIGGER IF EXISTS main.resthook_outbox_last;
DROP TRIGGER IF EXISTS main.resthook_outbox_stays;
DROP TRIGGER IF EXISTS main.resthook_interest_subscribed;
DROP TRIGGER IF EXISTS main.resthook_interest_ended;
DROP TRIGGER IF EXISTS main.resthook_interest_watched;
DROP TRIGGER IF EXISTS main.resthook_interest_retired;
DROP TRIGGER IF EXISTS main.resthook_subscription_changed;
DROP TRIGGER IF EXISTS main.resthook_setting_changed;
DROP TRIGGER IF EXISTS main.resthook_request_filed;
DROP TABLE IF EXISTS main.resthook_interest;
DROP TABLE IF EXISTS main.resthook_extra;
DROP TABLE IF EXISTS main.resthook_backfill_run;
DROP TABLE IF EXISTS main.resthook_request;
DROP TABLE IF EXISTS main.resthook_setting;
DROP TABLE IF EXISTS main.resthook_watch;
DROP TABLE IF EXISTS main.resthook_subscription;
DROP TABLE IF EXISTS main.resthook_outbox;
DROP TABLE IF EXISTS main.resthook_meta;
