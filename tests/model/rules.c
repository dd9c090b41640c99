/*
** rules.c: the rules of the delivery scheme in one table: what each demands, and what goes wrong
** without it.
**
** "rule n" is the rule of design 4.3 that says so; "found here" was added because this model broke
** the scheme without it.
** SPDX-License-Identifier: MIT
*/
#include "rules.h"

#include <string.h>

int rule_off = RULES;

const struct rule_text rules[RULES] = {
    [RULE_ATOMIC] = {"atomic", "promise 1", "Only what has committed is read",
                     "an event of a transaction that rolls back is sent"},
    [RULE_SNAPSHOT] = {"snapshot", "rule 1",
                       "Events are matched with the subscriptions of the same snapshot",
                       "an event passes by a subscription that was there before it"},
    [RULE_FROM_AT_CALL] = {"from-at-call", "pair",
                           "from_id is the newest id at the call, not at the commit",
                           "events that the same transaction writes after the call are lost"},
    [RULE_NEWEST] = {"newest", "rule 6",
                     "The newest id is the larger of max(id) and sqlite_sequence",
                     "after a nested INSERT or DELETE FROM sqlite_sequence a subscription receives "
                     "what is older than it, or ends too early"},
    [RULE_TOMBSTONE] = {"tombstone", "pair",
                        "An ended subscription stays until all it may want is settled",
                        "its events above the cursor vanish without a state"},
    [RULE_VERSION_READ] = {"version-read", "rule 7",
                           "A row is read by the version of the watch that captured it",
                           "values appear under the names of other columns"},
    [RULE_VERSION_KEPT] = {"version-kept", "rule 7", "A version goes when no row carries it",
                           "a row can't be read any more"},

    [RULE_CURSOR] = {"cursor", "rule 2",
                     "The cursor stays below the oldest pair that has no committed row",
                     "a crash loses what was waiting or in flight"},
    [RULE_TOGETHER] = {"together", "rule 2", "Outcomes and the cursor are one commit",
                       "a crash between the two loses outcomes that the cursor has passed"},
    [RULE_SKIP] = {"skip", "invariant", "A pair that has a row is passed over when read again",
                   "after a crash everything above the cursor is sent again"},
    [RULE_GROUP] = {"group", "rule 2", "A full group of outcomes is committed at once",
                    "the repeats after a crash have no bound"},
    [RULE_SYNC] = {"sync", "4.3, end", "The side file is synced every second while it is written",
                   "the repeats after a power loss have no bound"},
    [RULE_WINDOW] = {"window", "rule 3", "The window above the cursor is bounded",
                     "memory, and what is read again after a crash, have no bound"},
    [RULE_SPILL] = {"spill", "rule 3", "What holds the cursor in a full window becomes rows",
                    "one target that hangs stops all others"},
    [RULE_SPILL_LATE] = {"spill-late", "rule 3", "… only if somebody could take work but has none",
                         "the backlog of a single target is written row by row"},
    [RULE_SPILL_WANTED] = {"spill-wanted", "rule 3, found by measuring",
                           "… and only if something that he wants was seen behind the window",
                           "a backlog is written row by row for those for whom there is nothing"},
    [RULE_AHEAD_ON] = {"ahead-on", "rule 3, found by measuring",
                       "Looking ahead goes on where it ended, up to the newest event",
                       "what stands far behind a target that hangs is never sent"},
    [RULE_AHEAD_ONE] = {"ahead-one", "rule 3, found by measuring",
                        "An event for one subscription alone is seen, too",
                        "a ping behind a target that hangs is never sent"},
    [RULE_AHEAD_ANCHOR] = {"ahead-anchor", "rules 3 and 10, found here",
                           "Looking ahead begins at the last event seen, there unchanged",
                           "ids that come again are taken for what was seen before"},
    [RULE_FETCH_KNOWN] = {"fetch-known", "rule 3, found by measuring",
                          "What is fetched from behind the window has no row yet",
                          "what was sent before a crash is sent again"},
    [RULE_FETCH_ANCHOR] = {"fetch-anchor", "rules 3 and 10",
                           "… and the newest event seen there is an anchor, in the same commit",
                           "a new event with the id of one that was fetched is taken for sent"},

    [RULE_BUSY] = {"busy", "rule 4",
                   "A row at work is not due: in flight, or finished and not recorded",
                   "it is sent twice at the same time"},
    [RULE_LOOK] = {"look", "rule 5, found here", "A look at app.db precedes every round of sending",
                   "what was paused, ended or restored long ago is still sent"},
    [RULE_CANCEL] = {"cancel", "rule 5", "The rows of an ended subscription are cancelled",
                     "it still receives what was pending"},
    [RULE_KEEP] = {"keep", "rule 5", "What is kept for a paused subscription is bounded",
                   "a forgotten pause fills both files"},
    [RULE_KEY_WAITS] = {"key-waits", "rule 4",
                        "An event waits while an earlier one of its key is not final",
                        "the order within a key is lost"},
    [RULE_KEY_RELEASED] = {"key-released", "rule 4",
                           "A final row releases the one behind it, in the same commit",
                           "the rest of the key is never sent"},
    [RULE_KEY_DEAD] = {"key-dead", "rule 4", "… dead, cancelled and expired ones too",
                       "one dead delivery blocks its key for ever"},
    [RULE_KEY_ASKED] = {"key-asked", "rule 4, found here",
                        "A row that is due is asked again whether it is its turn",
                        "a replay overtakes what is unfinished, or is sent beside it"},
    [RULE_KEY_STOPS] = {"key-stops", "order",
                        "A dead one stops its key until somebody decides, where that is wanted",
                        "what builds on it is sent"},
    [RULE_KEY_UNKNOWN] = {"key-unknown", "order",
                          "What was unfinished when `ordered` was switched on holds all after it",
                          "it is overtaken"},
    [RULE_KEY_READ] = {"key-read", "rule 4, found here",
                       "… and not before this process has read up to the row",
                       "after a crash a row overtakes one that has to be read again"},
    [RULE_KEY_START] = {"key-start", "rule 4, found here",
                        "A start looks at every row without a time again",
                        "a release that a crash took, or that a filter made due, never comes"},
    [RULE_KEY_TIME] = {"key-time", "rule 4, found here",
                       "A released row is due at its deliver_at, if that is later",
                       "it is sent before its time"},

    [RULE_RETAIN_CURSOR] = {"retain-cursor", "rule 8", "An event above the cursor stays",
                            "what was never sent is removed"},
    [RULE_RETAIN_NEEDED] = {"retain-needed", "rule 8",
                            "An event that an unfinished row names stays",
                            "a retry has nothing to send"},
    [RULE_RETAIN_ASKED] = {"retain-asked", "rule 8", "An event that a new request names stays",
                           "a replay has nothing to send"},
    [RULE_RETAIN_ANCHOR] = {"retain-anchor", "rules 6, 8",
                            "An anchor stays, and so the greatest id does",
                            "the last row read is missed, or its id is handed out again"},
    [RULE_RETAIN_SYNCED] = {"retain-synced", "rule 8", "The side file is synced before",
                            "a power loss brings a row back whose event has gone"},
    [RULE_RETAIN_INSIDE] = {"retain-inside", "rule 8",
                            "What goes is decided in the transaction itself",
                            "a request filed meanwhile names an event that goes"},
    [RULE_HISTORY] = {"history", "rule 8, found here",
                      "A final row outlives its event in the outbox",
                      "what is read again is sent again"},

    [RULE_REQUEST_TOGETHER] = {"request-together", "rule 9",
                               "A request's effect and its cursor are one commit",
                               "a crash between the two loses the request"},
    [RULE_REQUEST_SYNCED] = {"request-synced", "rule 9, found here",
                             "A request is deleted after the side file was synced",
                             "a power loss takes the effect back, and the request is gone"},
    [RULE_REQUEST_ANCHOR] =
        {"request-anchor", "rule 9, found here",
         "The last request carried out stays; if it is not there unchanged, all "
         "that are there are new",
         "after lost commits, or DELETE FROM sqlite_sequence, new requests have "
         "ids below the cursor and are never read"},
    [RULE_EFFECT_STOPS] = {"effect-stops", "rule 9, found here",
                           "After a 410 nothing is sent, although app.db can't say so yet",
                           "a target that is gone is asked on and on"},
    [RULE_EFFECT_REVISION] = {"effect-revision", "rule 9",
                              "A subscription changed since the request was sent does not end",
                              "a subscription that was just mended ends"},
    [RULE_EFFECT_MOMENT] = {"effect-moment", "rule 9, found here",
                            "… changed by its revision and its moment (updated_at)",
                            "after lost commits another change has the same revision"},
    [RULE_END_AT_WRITE] = {"end-at-write", "pair, found here",
                           "After a 410 to_id is the newest id when app.db is written; until then "
                           "what comes is kept",
                           "the events between the answer and the write have no state"},

    [RULE_ANCHOR] = {"anchor", "rule 10", "Every look begins at the last row read, there unchanged",
                     "ids that come again after lost commits are taken for old ones"},
    [RULE_ANCHOR_FORWARD] = {"anchor-forward", "rule 10, found here",
                             "Reading again after a crash leaves the last row read where it was",
                             "lost commits above the cursor go unnoticed"},
    [RULE_REWIND] = {"rewind", "rule 10", "After a reboot the dispatcher goes back by itself",
                     "an ordinary power loss stops deliveries until somebody comes"},
    [RULE_HOLD] = {"hold", "rule 10", "Without a reboot it holds until it is adopted",
                   "a restored file sends at once"},
    [RULE_BOOT] = {"boot", "rule 10, found here",
                   "The boot id is stored by the first look that finds all in order",
                   "a file restored before the cursor moved looks like a power loss"},
    [RULE_DROP] = {"drop", "rule 10", "Going back drops the rows above",
                   "new events with the old ids are taken for sent"},
    [RULE_WITNESS] =
        {"witness", "rule 10, found here",
         "Rows are anchors too: it goes back to the newest event of either that is "
         "there unchanged",
         "what was sent since the newest anchor left is sent again, though it was synced"},
};

int rule_named(const char *name) {
    int i = 0;

    while (i < RULES && strcmp(rules[i].name, name) != 0) {
        i++;
    }
    return i;
}
