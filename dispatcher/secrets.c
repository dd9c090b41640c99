/*
** secrets.c: see secrets.h.
**
** The folder is opened anew each time, so that it may be replaced as a whole. What is no file, is
** too large, or can be read by everybody, is refused as ssh refuses a key: what was meant to be
** secret and is not may be known to others already. Its group may read it: that is how an operator
** lets a service read what is root's.
** SPDX-License-Identifier: MIT
*/
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MOST 4096 /* bytes: SIGN_SECRETS_MAX of the longest, and then some */

static const char *say(const char *name, const char *what, const char *more) {
    static char text[300];

    snprintf(text, sizeof text, "secret file %s: %s%s", name, what, more);
    return text;
}

/* The folder in which the database's files are: its own, where it has one, whatever is wrong with
** that. */
static int open_folder(const struct secrets *secrets) {
    int top = open(secrets->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (top < 0) {
        return -1;
    }
    int own = openat(top, secrets->database, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (own < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return top;
    }
    close(top);
    return own;
}

/* Opening a pipe must not wait for who writes to it. */
static int open_file(const struct secrets *secrets, const char *name) {
    int folder = open_folder(secrets);
    int file = folder < 0 ? -1
                          : openat(folder, name,
                                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int error = errno;

    if (folder >= 0) {
        close(folder);
    }
    errno = error;
    return file;
}

/* The stamp of what has the name now, be it a file or not. memset: its padding is compared too. */
static void look(const struct secrets *secrets, const char *name, struct secret_stamp *stamp) {
    int folder = open_folder(secrets);
    struct stat info;

    memset(stamp, 0, sizeof *stamp);
    if (folder < 0) {
        return;
    }
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
        stamp->device = info.st_dev;
        stamp->inode = info.st_ino;
        stamp->size = info.st_size;
        stamp->modified = info.st_mtim;
        stamp->changed = info.st_ctim;
    }
    close(folder);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *add_lines(const char *text, size_t length, const char *name,
                             struct secret_ring *ring) {
    bool any = false;

    for (size_t start = 0, end; start < length; start = end + 1) {
        size_t last;

        for (end = start; end < length && text[end] != '\n'; end++) {
        }
        for (last = end; last > start && is_blank(text[last - 1]); last--) {
        }
        if (last > start) {
            const char *wrong = secret_ring_add(ring, text + start, last - start, INT64_MAX);

            if (wrong != NULL) {
                return say(name, "a secret in it ", wrong);
            }
            any = true;
        }
    }
    return any ? NULL : say(name, "there is no secret in it", "");
}

static const char *add_all(int file, const char *name, struct secret_ring *ring) {
    char text[FILE_MOST + 1];
    size_t length = 0;
    const char *wrong;
    ssize_t n;

    while (length < sizeof text && (n = read(file, text + length, sizeof text - length)) > 0) {
        length += (size_t)n;
    }
    if (length == sizeof text) {
        wrong = say(name, "it is larger than 4096 bytes", "");
    } else if (n < 0) {
        wrong = say(name, strerror(errno), "");
    } else {
        wrong = add_lines(text, length, name, ring);
    }
    explicit_bzero(text, sizeof text);
    return wrong;
}

const char *secrets_read(const struct secrets *secrets, const char *name, struct secret_ring *ring,
                         struct secret_stamp *stamp) {
    const char *wrong = NULL;
    struct stat info;

    memset(stamp, 0, sizeof *stamp);
    if (secret_file_check(name) != NULL) {
        return "its secret is file: and not the plain name of a file";
    }
    if (secrets->directory == NULL) {
        return "its secret is in a file, and --secrets names no directory";
    }
    look(secrets, name, stamp); /* first: what replaces the file from now on is seen next time */
    int file = open_file(secrets, name);

    if (file < 0) {
        return say(name, errno == ELOOP ? "it is a symbolic link" : strerror(errno), "");
    }
    if (fstat(file, &info) != 0) {
        wrong = say(name, strerror(errno), "");
    } else if (!S_ISREG(info.st_mode)) {
        wrong = say(name, "it is not a file", "");
    } else if ((info.st_mode & S_IRWXO) != 0) {
        wrong = say(name, "everybody may read or write it; chmod o= mends that", "");
    } else {
        wrong = add_all(file, name, ring);
    }
    close(file);
    return wrong;
}

bool secrets_changed(const struct secrets *secrets, const char *name,
                     const struct secret_stamp *stamp) {
    struct secret_stamp now;

    if (secrets->directory == NULL || secret_file_check(name) != NULL) {
        return false;
    }
    look(secrets, name, &now);
    return memcmp(&now, stamp, sizeof now) != 0;
}
