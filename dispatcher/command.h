/*
** command.h: the command line of resthookd, from one table: parsing, defaults and help.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_COMMAND_H
#define RESTHOOKD_COMMAND_H

#include "guard.h"
#include "identity.h"
#include "log.h"

/* Exit statuses (sysexits.h's numbers). */
#define EXIT_UNDELIVERED 1
#define EXIT_USAGE 64
#define EXIT_SCHEMA 65
#define EXIT_NO_DATABASE 66
#define EXIT_HELD 69
#define EXIT_IO 74

enum command { COMMAND_RUN, COMMAND_SQL, COMMAND_CHECK };

struct options {
    enum command command;
    char **names; /* what follows the command and the options */
    int count;
    struct guard *guard;
    bool allow_http;
    bool once;
    bool standby;
    const char *directory; /* --dir; NULL: none */
    enum adopt adopt;
    int max_in_flight;
    const char *ca_file;
    char *proxy;         /* may hold a password: not in the process list any more */
    char *sql;           /* sql: its argument, likewise; NULL: standard input */
    const char *secrets; /* --secrets; NULL: none */
    bool log_json;
    enum log_level log_level;
    bool core; /* dumps and debuggers are let in */
};

/* Reads argv. Returns -1 to go on, or the exit status to end with (help and version were printed,
** or what is wrong). */
int command_read(struct options *options, int argc, char **argv);
void command_free(struct options *options); /* also when command_read has said that it ends */

#endif
