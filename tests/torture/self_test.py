"""The oracle's own test: a story in which everything that it watches for has happened once."""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

from oracle import Oracle, Story

# Committed: 1 to 6, all updates of ada's. 7 was rolled back.
LOG = [{"t": 1, "e": [[i, "item.update", f"m{i}", "ada"] for i in range(1, 7)], "x": []}, {"c": 1},
       {"t": 2, "e": [[7, "item.update", "m7", "ada"]], "x": []}]
REQUESTS = """
r 1
i 1 /wal/all id1 item.update 1 m1
o 1 200
s 1
i 2 /wal/all id2 item.update 2 other
o 2 200
s 2
i 3 /wal/all id3 item.update 3 m3
o 3 200
s 3
r 2
i 4 /wal/all id3 item.update 3 m3
i 5 /wal/all another item.update 1 m1
i 6 /wal/all id7 item.update 7 m7
i 7 /wal/order id1 item.update 1 m1
i 8 /wal/order id2 item.update 2 m2
i 9 /wal/all id5 item.update 5 m5
o 9 200
s 9
i 10 /wal/all id5 item.update 5 m5
i 11 /wal/order id6 item.update 6 m6
o 11 200
i 12 /wal/order id5 item.update 5 m5
o 12 200
o 7 200
o 8 200
"""
SUBSCRIPTIONS = [("sub_a", "*", "http://h/wal/all", 0, 1 << 60), ("sub_o", "item.*", "http://h/wal/order", 0, 1 << 60)]


class FakeStore:
    name = "wal"
    subs = {"sub_a": "/wal/all", "sub_o": "/wal/order"}
    # sub, event, state, reason, id, finished_at
    rows = [(1, 1, 3, None, "sub_a", 10), (1, 4, 4, None, "sub_a", 10), (2, 3, 5, "cancelled", "sub_o", 10),
            (2, 4, 4, "no success", "sub_o", 10)]

    def journal(self, *_):
        return self.rows

    def ext(self, sql, *_):
        return [("wal0", 1)] if " tx" in sql else SUBSCRIPTIONS

    def newest(self):
        return 7


def faults_found():
    """What the oracle sees of it, what it says, and what it has to see."""
    with tempfile.TemporaryDirectory() as folder:
        log, requests = Path(folder) / "wal0.log", Path(folder) / "target.log"
        log.write_text("".join(json.dumps(entry) + "\n" for entry in LOG))
        requests.write_text(REQUESTS.lstrip())
        story = Story(FakeStore(), [log])
        oracle = Oracle(SimpleNamespace(log=requests), [story])
        oracle.bound = 0
        oracle.after_kill()
        story.store.rows = [(1, 1, 0, None, "sub_a", None)]
        oracle.chapter_ends()
        oracle.judge_repeats()
    said = "\n".join(oracle.evidence())
    words = {"lost": "lost: /wal/all sub_a 6 ('item.update', 'm6', 'ada'): no request came",
             "ghost": "ghost: /wal/all 7 came as item.update m7, committed is None None",
             "another body": "ghost: /wal/all 2 came as item.update other, committed is item.update m2",
             "another id": "/wal/all 1 came as id1 and as another",
             "order": "/wal/order ada: 2 came before 1 was done",
             "repeat": "run 1 of wal: 1 were sent again, at most 0 may be",
             "repeat in a run": "/wal/all 5 came again in the run 2 that had seen it accepted",
             "pending again": "wal: /wal/all 1 was final and is pending again",
             "no reason": "wal: /wal/all 4 ended without a reason",
             "cancelled by nobody": "lost: /wal/order sub_o 3",
             "dead": "lost: /wal/order sub_o 4"}
    return {name for name, text in words.items() if text in said}, said, set(words)


if __name__ == "__main__":
    found, said, all_of_them = faults_found()
    print(said, all_of_them - found, sep="\n")
