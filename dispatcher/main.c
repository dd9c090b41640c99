/*
** main.c: resthookd: wires options, databases, engine and transport together, and is the loop.
**
** Signals: the first SIGTERM or SIGINT finishes what is in flight, the second one stops now.
** SPDX-License-Identifier: MIT
*/
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "confine.h"
#include "db.h"
#include "engine.h"
#include "fault.h"
#include "files.h"
#include "hooks.h"
#include "http.h"
#include "line.h"
#include "memory.h"
#include "notify.h"
#include "shell.h"
#include "stopwatch.h"
#include "syncer.h"
#include "wake.h"

#define ENDPOINT_MOST 64 /* requests at once to one endpoint */
#define TURN_MOST 1000   /* ms without a turn of the loop */
#define PROGRESS_EVERY 500
#define STATUS_EVERY 10000
#define UPKEEP_US 500000 /* of --once, at most: what is old goes there too … */
#define UPKEEP_PAUSE 5   /* … ms for the application between two steps in its file */

struct daemon {
    const struct options *options;
    struct http *http;
    struct endpoints *endpoints;
    struct engine *engine;
    struct wake *wake;
    struct syncer *syncer; /* NULL: there is none */
    struct files *files;
    struct notify *notify;
    int signals;
    int stops; /* signals to stop that have come */
    int64_t started_at, progress_at, status_at;
    bool terminal;
};

static int64_t clock_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int watch_signals(void) {
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void take_signals(struct daemon *daemon) {
    struct signalfd_siginfo info;

    while (read(daemon->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (daemon->stops++ == 0) {
            log_line(LOG_INFO, "stopping: what is in flight is finished", NULL);
            notify_stopping(daemon->notify);
            engine_stop(daemon->engine);
        }
    }
}

static void show_progress(struct daemon *daemon, int64_t now, bool last) {
    if (!daemon->terminal || (now < daemon->progress_at && !last)) {
        return; /* before files_left, which reads every database */
    }
    long long delivered = engine_counts(daemon->engine)->delivered;
    long long left = files_left(daemon->files);
    double seconds = (double)(now - daemon->started_at) / 1000.0;

    daemon->progress_at = now + PROGRESS_EVERY;
    double rate = seconds > 0 ? (double)delivered / seconds : 0;

    fprintf(stderr, "\r%lld of %lld delivered, %.0f/s, %.0f s left   %s", delivered,
            delivered + left, rate, rate > 0 ? (double)left / rate : 0.0, last ? "\n" : "");
}

/* For the service manager's status line. */
static void show_status(struct daemon *daemon, int64_t now) {
    if (now < daemon->status_at && daemon->status_at - now <= STATUS_EVERY) {
        return;
    }
    struct files_counts files = files_counts(daemon->files);
    char *status =
        xprintf("%d databases, %d of them asleep, %d held or not open; %lld delivered", files.known,
                files.asleep, files.idle, (long long)engine_counts(daemon->engine)->delivered);

    notify_status(daemon->notify, status);
    free(status);
    daemon->status_at = now + STATUS_EVERY;
}

static bool over(struct daemon *daemon, int64_t now) {
    if (daemon->stops > 1 || files_all_held(daemon->files)) {
        return true;
    }
    if (daemon->stops == 1) {
        return engine_idle(daemon->engine);
    }
    return daemon->options->once && engine_drained(daemon->engine, now);
}

static void loop(struct daemon *daemon) {
    int descriptors[2];
    struct curl_waitfd fds[4];
    unsigned count = 3;

    wake_descriptors(daemon->wake, descriptors);
    for (int i = 0; i < 3; i++) {
        fds[i] = (struct curl_waitfd){.fd = i < 2 ? descriptors[i] : daemon->signals,
                                      .events = CURL_WAIT_POLLIN};
    }
    if (daemon->syncer != NULL) {
        fds[count++] = (struct curl_waitfd){.fd = syncer_descriptor(daemon->syncer),
                                            .events = CURL_WAIT_POLLIN};
    }
    for (;;) {
        int64_t due = engine_turn(daemon->engine, clock_now());
        /* A long turn says when by the time at its end. */
        int64_t now = clock_now();
        int64_t wait = sooner(notify_turn(daemon->notify), TURN_MOST);

        due = sooner(due, files_turn(daemon->files, now));
        show_status(daemon, now);
        if (daemon->options->once) {
            show_progress(daemon, now, false);
        }
        if (over(daemon, now)) {
            return;
        }
        http_wait(daemon->http, fds, count, due <= now ? 0 : (int)sooner(due - now, wait));
        wake_turn(daemon->wake);
        take_signals(daemon);
        if (daemon->syncer != NULL) {
            syncer_heard(daemon->syncer);
        }
    }
}

/* At the end of --once: who starts it again and again has no other upkeep. */
static void upkeep(struct daemon *daemon) {
    struct curl_waitfd signals = {.fd = daemon->signals, .events = CURL_WAIT_POLLIN};
    int64_t until = stopwatch_us() + UPKEEP_US;
    bool gently = false;

    while (daemon->stops == 0 && files_upkeep(daemon->files, clock_now(), until, &gently) &&
           stopwatch_us() < until) {
        http_wait(daemon->http, &signals, 1, gently ? UPKEEP_PAUSE : 0);
        take_signals(daemon);
    }
}

/* An open database takes up to ten descriptors: as many as we may have. */
static void raise_descriptors(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what there is serves else */
    }
}

/* Until it is told to stop, or has nothing left to do. Returns the exit status. */
static int deliver(struct daemon *daemon) {
    bool once = daemon->options->once;
    int status;

    show_status(daemon, clock_now());
    notify_ready(daemon->notify);
    loop(daemon);
    notify_stopping(daemon->notify);
    if (once) {
        show_progress(daemon, clock_now(), true);
    }
    engine_cancel(daemon->engine, clock_now());
    status = files_status(daemon->files, once);
    if (once) {
        upkeep(daemon);
    }
    return status;
}

static int run(const struct options *options) {
    struct daemon daemon = {.options = options, .terminal = isatty(STDERR_FILENO) == 1};
    struct http_options http_options = {.guard = options->guard,
                                        .allow_http = options->allow_http,
                                        .ca_file = options->ca_file,
                                        .proxy = options->proxy,
                                        .user_agent = "resthookd/" RESTHOOK_VERSION,
                                        .connections = options->max_in_flight * 2};
    int status;

    confine_files();
    raise_descriptors();
    daemon.notify = notify_new();
    daemon.signals = watch_signals();
    daemon.wake = wake_new();
    daemon.http = http_new(&http_options);
    if (daemon.signals < 0 || daemon.wake == NULL || daemon.http == NULL) {
        fprintf(stderr, "resthookd: can't start: %s\n", strerror(errno));
        return EXIT_IO;
    }
    daemon.endpoints = endpoints_new(options->max_in_flight, ENDPOINT_MOST);
    daemon.engine = engine_new(daemon.http, daemon.endpoints);
    daemon.started_at = clock_now();
    daemon.syncer = syncer_new();
    daemon.files = files_new(options, daemon.engine, daemon.endpoints, daemon.wake, daemon.syncer);
    status = files_open(daemon.files, clock_now());
    if (status < 0) {
        status = deliver(&daemon);
    }
    if (!files_close(daemon.files, clock_now())) {
        status = EXIT_IO;
    }
    if (status == 0) {
        log_line(LOG_INFO, "stopped", "delivered#",
                 (long long)engine_counts(daemon.engine)->delivered, NULL);
    } else if (status == EXIT_UNDELIVERED) {
        log_line(LOG_WARN, "something stayed undelivered: resthook_deliveries says what, and why",
                 "delivered#", (long long)engine_counts(daemon.engine)->delivered, NULL);
    }
    syncer_free(daemon.syncer);
    engine_free(daemon.engine);
    endpoints_free(daemon.endpoints);
    http_free(daemon.http);
    wake_free(daemon.wake);
    notify_free(daemon.notify);
    close(daemon.signals);
    return status;
}

int main(int argc, char **argv) {
    struct options options;
    int status = command_read(&options, argc, argv);

    if (status < 0) {
        db_configure();
        fault_open();
        log_open(options.log_level, options.log_json);
        confine_self(options.core);
        if (options.command == COMMAND_SQL) {
            status = shell_sql(options.names[0], options.sql);
        } else if (options.command == COMMAND_CHECK) {
            status = 0;
            for (int i = 0; i < options.count; i++) {
                int one = shell_check(options.names[i], options.guard, options.allow_http,
                                      options.secrets);

                status = status == 0 ? one : status;
            }
        } else {
            status = run(&options);
        }
    }
    command_free(&options);
    if (fflush(stdout) != 0 && status == 0) {
        fputs("resthookd: standard output can't be written\n", stderr);
        status = EXIT_IO;
    }
    return status;
}
