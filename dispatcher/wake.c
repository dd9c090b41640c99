/*
** wake.c: see wake.h.
** SPDX-License-Identifier: MIT
*/
#include "wake.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

#define US 1000LL /* in nanoseconds */
#define MS 1000000LL
#define POLL_EVERY (1000 * MS)
#define READS 128 /* of hints in a turn: who writes without a pause must not keep us here */

/* Looks after a hint. Until one of them saw a commit they follow each other closely: with
** synchronous=FULL it becomes visible after its fsync (a tenth of a millisecond on a good disk, four
** on a bad one), and is then found a third later than that. What was seen may be that of another
** writer, so some of the looks stay: the second of two that follow each other at once may be found by
** one of these. The last ones are for a writer that was put to sleep between its write and its
** publication, or whose fsync took that long (a busy disk): until the poll. */
static const struct {
    int64_t after;
    bool stays; /* also when a commit was seen */
} burst[] = {
    {100 * US, false},  {200 * US, false},  {300 * US, false}, {400 * US, false},
    {550 * US, false},  {750 * US, false},  {1 * MS, true},    {1300 * US, false},
    {1700 * US, false}, {2300 * US, false}, {3 * MS, true},    {3900 * US, false},
    {5000 * US, false}, {6300 * US, false}, {8 * MS, true},    {10500 * US, false},
    {14 * MS, false},   {20 * MS, true},    {60 * MS, true},   {150 * MS, true},
    {350 * MS, true},   {700 * MS, true},
};
enum { BURST = sizeof burst / sizeof *burst };

/* Who has written for longer than this, twice a sync, and nothing was seen, is in the middle of a large
** transaction, or writes where nobody looks: not worth so many looks. */
#define COMMITS_SOON (10 * MS)

struct slot {
    char *directory, *name; /* of the database file; NULL: it is for another */
    int watch;              /* inotify's number of the directory, -1: none */
    enum wake_cause due;    /* a look is due, and why */
    int stage;              /* next look of the burst; BURST: none is under way */
    bool sparse;            /* … of which only those that stay are made */
    int64_t hint_at, poll_at;
    int64_t unseen_since; /* the first hint since a commit was seen, 0: none */
};

struct wake {
    int notify, timer;
    struct slot *slots;
    int count;
};

static int64_t monotonic(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000LL + now.tv_nsec;
}

struct wake *wake_new(void) {
    struct wake *wake = xcalloc(1, sizeof *wake);

    wake->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    wake->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (wake->notify < 0 || wake->timer < 0) {
        wake_free(wake);
        return NULL;
    }
    return wake;
}

void wake_free(struct wake *wake) {
    for (int i = 0; i < wake->count; i++) {
        free(wake->slots[i].directory);
        free(wake->slots[i].name);
    }
    free(wake->slots);
    if (wake->notify >= 0) {
        close(wake->notify);
    }
    if (wake->timer >= 0) {
        close(wake->timer);
    }
    free(wake);
}

/* Goes to the look at this stage or, where it is not made, to the one after it. */
static void go_to(struct slot *slot, int stage) {
    while (stage < BURST && slot->sparse && !burst[stage].stays) {
        stage++;
    }
    slot->stage = stage;
}

/* Sets the timer to the earliest look that any slot wants. */
static void arm(struct wake *wake) {
    int64_t earliest = INT64_MAX;

    for (int i = 0; i < wake->count; i++) {
        const struct slot *slot = &wake->slots[i];
        int64_t at = slot->poll_at;

        if (slot->stage < BURST && slot->hint_at + burst[slot->stage].after < at) {
            at = slot->hint_at + burst[slot->stage].after;
        }
        earliest = at < earliest ? at : earliest;
    }
    if (earliest != INT64_MAX) {
        struct itimerspec spec = {
            .it_value = {.tv_sec = earliest / 1000000000LL, .tv_nsec = earliest % 1000000000LL}};

        timerfd_settime(wake->timer, TFD_TIMER_ABSTIME, &spec, NULL);
    }
}

/* The slot of a path; -1: there is none. */
static int find(const struct wake *wake, const char *path) {
    size_t length = (size_t)(strrchr(path, '/') + 1 - path);

    for (int i = 0; i < wake->count; i++) {
        const struct slot *slot = &wake->slots[i];

        if (slot->name != NULL && strncmp(slot->directory, path, length) == 0 &&
            slot->directory[length] == '\0' && strcmp(slot->name, path + length) == 0) {
            return i;
        }
    }
    return -1;
}

static int make(struct wake *wake, const char *path) {
    size_t length = (size_t)(strrchr(path, '/') + 1 - path);
    int number = 0;

    while (number < wake->count && wake->slots[number].name != NULL) {
        number++;
    }
    if (number == wake->count) {
        wake->slots = xrealloc(wake->slots, (size_t)++wake->count * sizeof *wake->slots);
    }
    wake->slots[number] = (struct slot){
        .directory = xprintf("%.*s", (int)length, path),
        .name = xstrdup(path + length),
        .stage = BURST,
        .poll_at = monotonic() + POLL_EVERY,
    };
    return number;
}

int wake_add(struct wake *wake, const char *path) {
    int known = find(wake, path), number = known >= 0 ? known : make(wake, path);
    struct slot *slot = &wake->slots[number];

    slot->due = WAKE_HINT;
    /* Of a directory that is watched already this is the same watch; one that was removed and made
    ** again has none. */
    slot->watch = inotify_add_watch(wake->notify, slot->directory,
                                    IN_MODIFY | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
    arm(wake);
    return number;
}

void wake_forget(struct wake *wake, const char *path) {
    int number = find(wake, path);

    if (number >= 0) {
        struct slot *slot = &wake->slots[number];

        free(slot->directory);
        free(slot->name);
        slot->directory = slot->name = NULL;
        slot->stage = BURST;
        slot->poll_at = INT64_MAX;
    }
}

void wake_descriptors(const struct wake *wake, int descriptors[2]) {
    descriptors[0] = wake->notify;
    descriptors[1] = wake->timer;
}

/* Is a transaction's journal over: empty, or its header zeroed (journal_mode PERSIST)? All 28 bytes
** of it: the magic and the count before the rest are zero, too, until a journal that is being
** written is synced. It is no file that SQLite locks, so opening and closing it here drops nobody's
** locks. */
static bool journal_over(const struct slot *slot) {
    char *path = xprintf("%s%s-journal", slot->directory, slot->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char header[28] = {0};
    static const char zeros[sizeof header] = {0};

    free(path);
    if (fd < 0) {
        return true;
    }
    ssize_t n = read(fd, header, sizeof header);

    close(fd);
    return n <= 0 || memcmp(header, zeros, sizeof zeros) == 0;
}

static void hint(struct slot *slot, const struct inotify_event *event, int64_t now) {
    size_t length = strlen(slot->name);
    const char *suffix = event->name + length;

    if (event->len == 0 || strncmp(event->name, slot->name, length) != 0) {
        return;
    }
    if (strcmp(suffix, "-wal") == 0) {
        slot->due = WAKE_HINT;
        if (slot->unseen_since == 0 || slot->stage == BURST) { /* what there was is seen by now */
            slot->unseen_since = now;
        }
        slot->sparse = now - slot->unseen_since >= COMMITS_SOON;
        go_to(slot, 0);
        slot->hint_at = now;
    } else if (strcmp(suffix, "-journal") == 0 && journal_over(slot)) {
        slot->due = WAKE_HINT;
    } else if (*suffix == '\0' && (event->mask & IN_MODIFY) == 0) {
        slot->due = WAKE_HINT; /* another file stands there now, or none */
    }
}

static void read_hints(struct wake *wake, int64_t now) {
    union {
        struct inotify_event event;
        char bytes[8192];
    } buffer;
    ssize_t n;

    for (int reads = 0; reads < READS && (n = read(wake->notify, &buffer, sizeof buffer)) > 0;
         reads++) {
        for (char *at = buffer.bytes; at < buffer.bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            for (int i = 0; i < wake->count; i++) {
                struct slot *slot = &wake->slots[i];

                if ((event->mask & IN_Q_OVERFLOW) != 0) {
                    slot->due = WAKE_HINT; /* hints were lost: look everywhere */
                } else if (slot->name != NULL && event->wd == slot->watch) {
                    hint(slot, event, now);
                }
            }
            at += sizeof *event + event->len;
        }
    }
}

void wake_turn(struct wake *wake) {
    int64_t now = monotonic();
    uint64_t expirations;

    if (read(wake->timer, &expirations, sizeof expirations) < 0) {
        expirations = 0; /* it was the other descriptor */
    }
    for (int i = 0; i < wake->count; i++) {
        struct slot *slot = &wake->slots[i];

        while (slot->stage < BURST && slot->hint_at + burst[slot->stage].after <= now) {
            go_to(slot, slot->stage + 1);
            slot->due = slot->due == WAKE_NONE ? WAKE_RECHECK : slot->due;
        }
        if (slot->poll_at <= now) {
            slot->poll_at = (now / POLL_EVERY + 1) * POLL_EVERY; /* all at once: one wake-up */
            slot->due = slot->due == WAKE_NONE ? WAKE_POLL : slot->due;
        }
    }
    read_hints(wake, now);
    arm(wake);
}

void wake_saw(struct wake *wake, int at) {
    struct slot *slot = &wake->slots[at];

    slot->unseen_since = 0;
    if (!slot->sparse) {
        slot->sparse = true;
        go_to(slot, slot->stage);
        arm(wake);
    }
}

enum wake_cause wake_found(struct wake *wake, int at, enum wake_cause cause) {
    if (cause == WAKE_POLL) {
        const struct slot *slot = &wake->slots[at];

        read_hints(wake, monotonic());
        if (slot->due == WAKE_HINT) {
            cause = WAKE_HINT;
        } else if (slot->stage < BURST) {
            cause = WAKE_RECHECK;
        }
    }
    return cause;
}

enum wake_cause wake_take(struct wake *wake, int slot) {
    enum wake_cause due = wake->slots[slot].due;

    wake->slots[slot].due = WAKE_NONE;
    return due;
}
