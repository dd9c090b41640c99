"""Databases of tenants who do not trust each other, in one dispatcher: what a file says is its own affair."""

import json
import os
import re
import socket
import sqlite3
import stat

import pytest

from conftest import Database, resthookd
from receiver import answer, hang

HUNG = 200


@pytest.fixture
def hung():
    """Many endpoints that take a connection and never answer: one socket that nobody accepts from, by many addresses."""
    listening = socket.create_server(("", 0), backlog=4096)
    yield [f"http://127.0.{number // 200}.{number % 200 + 1}:{listening.getsockname()[1]}/" for number in range(HUNG)]
    listening.close()


def made(path):
    db = Database(path)
    db.shell("PRAGMA journal_mode=WAL; CREATE TABLE item(id INTEGER PRIMARY KEY, name);")
    db.ext("SELECT resthook_init()")
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create')")
    return db


def subscribe_many(db, targets, event="hung.{}", **options):
    connection = db.connect()
    connection.execute("BEGIN")
    for number, target in enumerate(targets):
        connection.execute("SELECT resthook_subscribe(?, ?, ?)", (event.format(number), target, json.dumps(options)))
    connection.execute("COMMIT")
    connection.close()


def emit_many(db, count, names):
    db.shell(f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
             f" INSERT INTO resthook_outbox(event, payload) SELECT 'hung.' || (i % {names}), '{{}}' FROM n;")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_hundred_thousand_rows_for_hung_targets_hold_nobody(tmp_path, receiver, dispatcher, eventually, hung, restarted):
    """Of the places for targets that have not proven themselves, one database never has all."""
    hog, other = made(tmp_path / "hog.db"), made(tmp_path / "other.db")
    subscribe_many(hog, hung, timeout=300, retry_schedule="0, 30d")
    other.subscribe("*", receiver.url("/"))
    emit_many(hog, 100_000, HUNG)
    running = dispatcher(hog, "--max-in-flight", "16", other.path, ready=False)
    running.wait_log(" ready ", count=2)
    eventually(lambda: (hog.meta("in_flight") or 0) >= 64, timeout=60)  # as many as may hang, and places besides
    if restarted:
        running.kill()
        running = dispatcher(hog, "--max-in-flight", "16", other.path, ready=False)
        running.wait_log(" ready ", count=2)
        eventually(lambda: (hog.meta("in_flight") or 0) >= 64, timeout=60)
    for number in range(1, 4):
        other.shell(f"INSERT INTO item(name) VALUES ('{number}');")
        receiver.wait_for(number, timeout=60)
    assert hog.journal("SELECT count(*) FROM delivery WHERE finished_at IS NOT NULL AND state > 2") == [(0,)]
