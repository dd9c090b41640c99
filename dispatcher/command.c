/*
** command.c: see command.h.
** SPDX-License-Identifier: MIT
*/
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks.h"
#include "memory.h"
#include "proxy.h"
#include "trust.h"

enum option_id {
    OPT_ALLOW = 256,
    OPT_ALLOW_HTTP,
    OPT_MAX_IN_FLIGHT,
    OPT_CA,
    OPT_PROXY,
    OPT_PROXY_FILE,
    OPT_SECRETS,
    OPT_DIR,
    OPT_ONCE,
    OPT_STANDBY,
    OPT_ADOPT,
    OPT_LOG_FORMAT,
    OPT_LOG_LEVEL,
    OPT_CORE,
    OPT_VERSION,
    OPT_HELP
};

static const struct {
    const char *name;
    const char *shown;
    const char *help;
    enum option_id id;
    int argument; /* of getopt_long */
} table[] = {
    {"allow", "--allow CIDR", "let targets be in this network, private or loopback; repeatable",
     OPT_ALLOW, required_argument},
    {"allow-http", "--allow-http", "let targets be plain http also outside the allowed networks",
     OPT_ALLOW_HTTP, no_argument},
    {"max-in-flight", "--max-in-flight N", "requests at once in all, 1 to 10000 (256)",
     OPT_MAX_IN_FLIGHT, required_argument},
    {"ca", "--ca FILE", "trust the certificates in FILE instead of the system's", OPT_CA,
     required_argument},
    {"proxy", "--proxy URL", "send through this proxy; it decides which addresses are reached",
     OPT_PROXY, required_argument},
    {"proxy-file", "--proxy-file FILE",
     "the same by the first line of FILE, where a password belongs", OPT_PROXY_FILE,
     required_argument},
    {"secrets", "--secrets DIR", "where the files are that subscriptions name as their secret",
     OPT_SECRETS, required_argument},
    {"dir", "--dir DIR", "deliver for every database in DIR that has resthook in it", OPT_DIR,
     required_argument},
    {"once", "--once", "deliver what is due, then exit", OPT_ONCE, no_argument},
    {"standby", "--standby", "wait for a database that another resthookd delivers for", OPT_STANDBY,
     no_argument},
    {"adopt", "--adopt[=skip]",
     "take over a copied or restored database: send what is pending, or skip it", OPT_ADOPT,
     optional_argument},
    {"log-format", "--log-format F", "text or json (text)", OPT_LOG_FORMAT, required_argument},
    {"log-level", "--log-level L", "error, warn, info or debug (info)", OPT_LOG_LEVEL,
     required_argument},
    {"core", "--core", "let a crash leave a core dump, and debuggers in: it has secrets in it",
     OPT_CORE, no_argument},
    {"version", "--version", "print the version", OPT_VERSION, no_argument},
    {"help", "--help", "print this", OPT_HELP, no_argument},
};
enum { OPTIONS = sizeof table / sizeof *table };

static void print_help(void) {
    puts("resthookd delivers the events of SQLite databases to their subscribers' URLs.\n"
         "\n"
         "  resthookd [run] [OPTIONS] DATABASE...   deliver until stopped\n"
         "  resthookd sql DATABASE [SQL]            run SQL with the resthook functions; rows as "
         "a|b\n"
         "  resthookd check DATABASE...             look at everything, send nothing\n");
    for (int i = 0; i < OPTIONS; i++) {
        printf("  %-19s %s\n", table[i].shown, table[i].help);
    }
    puts("\n"
         "Exit status: 0 done, 1 something stayed undelivered (--once) or the SQL failed, 64 "
         "usage,\n"
         "65 the schema is newer than this program, 66 no such database or no schema in it,\n"
         "69 another dispatcher or held, 74 input/output error.");
}

static int usage(const char *format, const char *value) {
    fputs("resthookd: ", stderr);
    fprintf(stderr, format, value);
    fputs(" (resthookd --help)\n", stderr);
    return EXIT_USAGE;
}

static bool read_number(const char *text, int least, int most, int *value) {
    char *end;

    errno = 0;
    long number = strtol(text, &end, 10);

    if (errno != 0 || end == text || *end != '\0' || number < least || number > most) {
        return false;
    }
    *value = (int)number;
    return true;
}

static bool is_readable_file(const char *path) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, R_OK) == 0;
}

static bool is_directory(const char *path) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A copy of an argument, which stands in the process list no more; whoever must not let it stand there
** at all uses a file. */
static char *text_take(char *argument) {
    char *copy = xstrdup(argument);

    memset(argument, ' ', strlen(argument));
    return copy;
}

/* A new proxy, or why not. Either way the option has a file for what nobody else is to see. */
static int take_proxy(struct options *options, char *value) {
    if (!proxy_check(value)) {
        char *shown = proxy_shown(value);
        int status = usage("--proxy: %s is not " PROXY_WANTED, shown);

        free(shown);
        return status;
    }
    text_forget(options->proxy);
    options->proxy = strchr(value, '@') != NULL ? text_take(value) : xstrdup(value);
    return -1;
}

static int take_proxy_file(struct options *options, const char *path) {
    char *error;
    char *proxy = proxy_read(path, &error);

    if (proxy == NULL) {
        int status = usage("--proxy-file: %s", error);

        free(error);
        return status;
    }
    text_forget(options->proxy);
    options->proxy = proxy;
    return -1;
}

/* One option. Returns -1, or an exit status. */
static int take(struct options *options, int id, char *value) {
    switch (id) {
    case OPT_ALLOW:
        if (!guard_allow(options->guard, value)) {
            return usage("--allow: %s is not a network such as 10.0.0.0/8 or ::1", value);
        }
        break;
    case OPT_ALLOW_HTTP:
        options->allow_http = true;
        break;
    case OPT_MAX_IN_FLIGHT:
        if (!read_number(value, 1, 10000, &options->max_in_flight)) {
            return usage("--max-in-flight: %s is not a number from 1 to 10000", value);
        }
        break;
    case OPT_CA:
        if (!is_readable_file(value)) {
            return usage("--ca: %s is not a file that can be read", value);
        }
        if (!trust_check(value)) {
            return usage("--ca: %s holds no certificates that can be read (PEM)", value);
        }
        options->ca_file = value;
        break;
    case OPT_PROXY:
        return take_proxy(options, value);
    case OPT_PROXY_FILE:
        return take_proxy_file(options, value);
    case OPT_SECRETS:
        if (!is_directory(value)) {
            return usage("--secrets: %s is not a directory", value);
        }
        options->secrets = value;
        break;
    case OPT_DIR:
        if (!is_directory(value)) {
            return usage("--dir: %s is not a directory", value);
        }
        options->directory = value;
        break;
    case OPT_STANDBY:
        options->standby = true;
        break;
    case OPT_ONCE:
        options->once = true;
        break;
    case OPT_ADOPT:
        if (value != NULL && strcmp(value, "skip") != 0) {
            return usage("--adopt: %s is not known; --adopt or --adopt=skip", value);
        }
        options->adopt = value == NULL ? ADOPT_SEND : ADOPT_SKIP;
        break;
    case OPT_LOG_FORMAT:
        options->log_json = strcmp(value, "json") == 0;
        if (!options->log_json && strcmp(value, "text") != 0) {
            return usage("--log-format: %s is neither text nor json", value);
        }
        break;
    case OPT_LOG_LEVEL:
        if (!log_level_named(value, &options->log_level)) {
            return usage("--log-level: %s is none of error, warn, info, debug", value);
        }
        break;
    case OPT_CORE:
        options->core = true;
        break;
    case OPT_VERSION:
        puts("resthookd " RESTHOOK_VERSION);
        return 0;
    default:
        print_help();
        return 0;
    }
    return -1;
}

/* *given: a bit for each option of the table. */
static int take_all(struct options *options, int argc, char **argv, unsigned *given) {
    struct option getopt_table[OPTIONS + 1] = {{0}};
    int id, status;

    for (int i = 0; i < OPTIONS; i++) {
        getopt_table[i] = (struct option){table[i].name, table[i].argument, NULL, (int)table[i].id};
    }
    opterr = 0;
    while ((id = getopt_long(argc, argv, "", getopt_table, NULL)) != -1) {
        if (id == '?') {
            char *name = argv[optind - 1]; /* what stands behind it may be a secret */

            name[strcspn(name, "=")] = '\0';
            return usage("%s is not an option, or lacks its value", name);
        }
        *given |= 1U << (id - OPT_ALLOW);
        status = take(options, id, optarg);
        if (status >= 0) {
            return status;
        }
    }
    return -1;
}

/* The commands that send nothing have use for few options; one that does nothing would deceive:
** `check --adopt` adopts nothing. */
static int refuse_idle(enum command command, unsigned given) {
    static const unsigned used[] = {
        [COMMAND_RUN] = ~0U,
        [COMMAND_SQL] = 1U << (OPT_CORE - OPT_ALLOW),
        [COMMAND_CHECK] = 1U << (OPT_CORE - OPT_ALLOW) | 1U << (OPT_ALLOW - OPT_ALLOW) |
                          1U << (OPT_ALLOW_HTTP - OPT_ALLOW) | 1U << (OPT_SECRETS - OPT_ALLOW)};

    for (int i = 0; i < OPTIONS; i++) {
        if ((given & ~used[command] & 1U << (table[i].id - OPT_ALLOW)) != 0) {
            return usage(command == COMMAND_SQL ? "sql has no use for --%s"
                                                : "check has no use for --%s",
                         table[i].name);
        }
    }
    return -1;
}

int command_read(struct options *options, int argc, char **argv) {
    static const char *const commands[] = {"run", "sql", "check"};
    unsigned given = 0;
    int status;

    memset(options, 0, sizeof *options);
    options->guard = guard_new();
    options->max_in_flight = 256;
    options->log_level = LOG_INFO;
    status = take_all(options, argc, argv, &given);
    if (status >= 0) {
        return status;
    }
    options->names = argv + optind;
    options->count = argc - optind;
    for (int i = 0; options->count > 0 && i < (int)(sizeof commands / sizeof *commands); i++) {
        if (strcmp(options->names[0], commands[i]) == 0) {
            options->command = (enum command)i;
            options->names++;
            options->count--;
            break;
        }
    }
    status = refuse_idle(options->command, given);
    if (status >= 0) {
        return status;
    }
    if (options->count == 0 && (options->directory == NULL || options->command != COMMAND_RUN)) {
        return usage("name a database%s", "");
    }
    if (options->command == COMMAND_SQL && options->count > 2) {
        return usage("sql takes a database and one SQL text; %s is too much", options->names[2]);
    }
    if (options->command == COMMAND_SQL && options->count == 2) {
        options->sql = text_take(options->names[1]);
    }
    return -1;
}

void command_free(struct options *options) {
    guard_free(options->guard);
    text_forget(options->proxy);
    text_forget(options->sql);
}
