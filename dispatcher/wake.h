/*
** wake.h: when to look into a database again.
**
** The directory is watched by inotify; its notice is a hint, never proof: in WAL mode it comes when
** the frame is written, before the commit is visible, so a hint begins a short burst of looks (0.6
** to 4 % of commits are seen only by the second one or a later one; with synchronous=FULL nearly
** all). With a rollback journal, whose readers can make a writer's commit fail, the one look comes
** when the journal has gone. A slow poll is the net below all this.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_WAKE_H
#define RESTHOOKD_WAKE_H

enum wake_cause {
    WAKE_NONE,
    WAKE_HINT,    /* the file system said so */
    WAKE_RECHECK, /* a later look of the burst */
    WAKE_POLL,    /* the slow poll */
    WAKE_CAUSES
};

struct wake;

struct wake *wake_new(void); /* NULL: no descriptors left; errno says why */
void wake_free(struct wake *wake);

/* Watches the database at a real path; returns its slot, the same one for the same path. Where the
** directory can't be watched, the poll remains. */
int wake_add(struct wake *wake, const char *path);
void wake_forget(struct wake *wake, const char *path); /* its slot may become another's */

/* Descriptors to wait for: readable when wake_turn has something to do. */
void wake_descriptors(const struct wake *wake, int descriptors[2]);
void wake_turn(struct wake *wake);

/* Why this database is to be looked into now; WAKE_NONE: it isn't. Consumed by the call. */
enum wake_cause wake_take(struct wake *wake, int slot);

/* A look saw a commit: the next ones of the burst need not be so close to each other. */
void wake_saw(struct wake *wake, int slot);

/*
** A look for this cause found something: what was it that found it? A commit may fall between the
** last reading of notices and a poll's look; its notice is there by now (it precedes the commit),
** and would have found it a moment later; so would the next look of a burst that is under way. What
** the poll alone found is a notice that never came.
*/
enum wake_cause wake_found(struct wake *wake, int slot, enum wake_cause cause);

#endif
