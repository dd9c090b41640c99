"""Watches that compare as many columns as they can: seconds of SQLite's own, which under the sanitizers are a minute."""

import sqlite3

import pytest

from test_watch import db  # noqa: F401


def test_changed_with_as_many_columns_as_a_trigger_can_compare(db):
    names = [f"c{i}" for i in range(1001)]
    db.write(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {','.join(names)})")
    with pytest.raises(sqlite3.OperationalError, match="changed names 1001 columns, expected at most 1000"):
        db.watch("t", "update", changed=names, fields={"id": "NEW.id"})
    db.watch("t", "update", changed=names[1:], fields={"id": "NEW.id"})
    db.write("INSERT INTO t(id) VALUES (1)")
    db.write("UPDATE t SET c0 = 1, c1 = c2, c1000 = c1")
    db.write("UPDATE t SET c1000 = 1")
    assert db.payloads() == [{"id": 1}]


def test_drop_column_beside_a_watch_with_as_many_columns_as_it_can_compare(db):
    names = [f"c{i}" for i in range(1000)]
    db.write(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {','.join(names)})")
    db.watch("t", "update", changed=names, fields={"id": "NEW.id"})
    db.write("CREATE TABLE other(a, b)")
    db.write("ALTER TABLE other DROP COLUMN b")
