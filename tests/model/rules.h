/*
** rules.h: the rules of the delivery scheme (design 4.3) by name. The table in rules.c says what
** each demands and what goes wrong without it; `model --without NAME` switches one off.
** SPDX-License-Identifier: MIT
*/
#ifndef MODEL_RULES_H
#define MODEL_RULES_H

#include <stdbool.h>

enum rule {
    /* which pairs there are */
    RULE_ATOMIC,
    RULE_SNAPSHOT,
    RULE_FROM_AT_CALL,
    RULE_NEWEST,
    RULE_TOMBSTONE,
    RULE_VERSION_READ,
    RULE_VERSION_KEPT,
    /* the cursor, and what is recorded */
    RULE_CURSOR,
    RULE_TOGETHER,
    RULE_SKIP,
    RULE_GROUP,
    RULE_SYNC,
    RULE_WINDOW,
    RULE_SPILL,
    RULE_SPILL_LATE,
    RULE_SPILL_WANTED,
    RULE_AHEAD_ON,
    RULE_AHEAD_ONE,
    RULE_AHEAD_ANCHOR,
    RULE_FETCH_KNOWN,
    RULE_FETCH_ANCHOR,
    /* rows that are not final */
    RULE_BUSY,
    RULE_LOOK,
    RULE_CANCEL,
    RULE_KEEP,
    RULE_KEY_WAITS,
    RULE_KEY_RELEASED,
    RULE_KEY_DEAD,
    RULE_KEY_ASKED,
    RULE_KEY_STOPS,
    RULE_KEY_UNKNOWN,
    RULE_KEY_READ,
    RULE_KEY_START,
    RULE_KEY_TIME,
    /* what may go */
    RULE_RETAIN_CURSOR,
    RULE_RETAIN_NEEDED,
    RULE_RETAIN_ASKED,
    RULE_RETAIN_ANCHOR,
    RULE_RETAIN_SYNCED,
    RULE_RETAIN_INSIDE,
    RULE_HISTORY,
    /* requests, and the dispatcher's changes of a subscription */
    RULE_REQUEST_TOGETHER,
    RULE_REQUEST_SYNCED,
    RULE_REQUEST_ANCHOR,
    RULE_EFFECT_STOPS,
    RULE_EFFECT_REVISION,
    RULE_EFFECT_MOMENT,
    RULE_END_AT_WRITE,
    /* lost commits and restored files */
    RULE_ANCHOR,
    RULE_ANCHOR_FORWARD,
    RULE_REWIND,
    RULE_HOLD,
    RULE_BOOT,
    RULE_DROP,
    RULE_WITNESS,
    RULES
};

struct rule_text {
    const char *name, *where, *says, *otherwise;
};

extern const struct rule_text rules[RULES];
extern int rule_off; /* the one that is switched off; RULES: none */

static inline bool rule(enum rule which) {
    return rule_off != (int)which;
}

int rule_named(const char *name); /* RULES: no such rule */

#endif
