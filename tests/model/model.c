/*
** model.c: the delivery scheme (design 4.3), tried against everything that can happen to it, before
** any of it is real.
**
** The whole system is a few structs in memory: app.db with its transaction, its committed and its
** synced state (world.c), the dispatcher with its own file and its memory (scheme.c, upkeep.c), and
** an oracle that knows what every transaction did and compares (oracle.c). Steps are drawn at
** random from a seed: a run can always be repeated. Each rule of the scheme has a name (rules.c)
** and can be switched off; then the oracle must find out.
**
**   model [--seed N] [--steps N] [--without RULE]     exit 0: all held; 1: the story of what went
**                                                     wrong
**   model --self-test [--seed N] [--steps N]          every rule off once: 1 if one can go
**                                                     unnoticed
**   model --rules                                     what each rule says, and what goes wrong
**                                                     without it
**
** What the model leaves out: SQL, HTTP, the identity of files, the number of bytes. Time is in
** ticks.
** SPDX-License-Identifier: MIT
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "rules.h"

enum { TOLD = 30, DRAIN_EVERY = 1500, TURNS = 150 };

static jmp_buf end_of_run;
static long step;
static char what[200];

void broken(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    longjmp(end_of_run, 1);
}

/* ---- steps ---- */

/* Either file may have come further than its last sync: the kernel writes when it likes. */
static void power_loss(void) {
    if (chance(40)) {
        app_sync();
    }
    if (chance(20)) {
        side.synced = side.committed;
    }
    say("POWER LOSS: both files fall back to what reached the disk");
    dispatcher_crash();
    app.has_backup = false; /* one of a life that is lost now would be two calamities at once */
    app_lose();
    side_lose();
    oracle_power_lost();
    boot++;
}

static void restore(void) {
    if (app.has_backup && !app.writing) {
        say("the file is replaced by its backup");
        app_restore();
    }
}

static void back_up(void) {
    app.backup = app.committed;
    app.has_backup = true;
    say("somebody makes a backup");
}

static void change_mood(void) {
    int endpoint = (int)pick(ENDPOINTS);
    unsigned which = pick(100);

    mood[endpoint] = which < 55 ? HEALTHY : which < 75 ? FAILING : which < 92 ? HANGING : GONE;
    say("endpoint %d is now %s", endpoint,
        (const char *[]){"healthy", "failing", "hanging", "gone (410)"}[mood[endpoint]]);
}

static void dispatcher_step(void) {
    unsigned which = pick(100);

    if (!me.running) {
        if (chance(30)) {
            dispatcher_start();
        }
    } else if (me.held) {
        if (chance(10)) {
            dispatcher_adopt();
        }
    } else if (which < 25) {
        dispatcher_read(1 + (int)pick(4));
    } else if (which < 50) {
        dispatcher_fill(1 + (int)pick(4));
    } else if (which < 76) {
        dispatcher_answer((int)pick(4));
    } else if (which < 86) {
        dispatcher_commit(false);
    } else if (which < 89) {
        dispatcher_retain();
    } else if (which < 91) {
        dispatcher_forget();
    } else if (which < 95) {
        dispatcher_requests();
    } else if (which < 97) {
        dispatcher_requests_done();
    } else {
        dispatcher_effects();
    }
}

static void random_step(void) {
    unsigned which = pick(1000);

    now += (int)pick(3);
    dispatcher_tick();
    if (which < 300) {
        application_step();
    } else if (which < 940) {
        dispatcher_step();
    } else if (which < 955) {
        change_mood();
    } else if (which < 970) {
        say("app.db is synced");
        app_sync();
    } else if (which < 984) {
        say("the dispatcher is killed");
        dispatcher_crash();
    } else if (which < 989) {
        power_loss();
    } else if (which < 996) {
        back_up();
    } else {
        restore();
    }
}

static void give_time(void) {
    for (int turn = 0; turn < TURNS; turn++) {
        now += 4;
        dispatcher_tick();
        if (!me.running) {
            dispatcher_start();
        } else if (me.held) {
            dispatcher_adopt();
        }
        dispatcher_read(4);
        dispatcher_requests();
        dispatcher_effects();
        dispatcher_fill(8);
        for (int i = 0; i < 8; i++) {
            dispatcher_answer(i);
        }
        dispatcher_commit(false);
    }
}

/* Everybody but one target behaves, the application is quiet: all that can be sent must be sent
** before long. */
static void drain(void) {
    int hung = chance(50) ? (int)pick(ENDPOINTS) : -1;

    while (app.writing) {
        application_step();
    }
    for (int i = 0; i < ENDPOINTS; i++) {
        mood[i] = i == hung ? HANGING : HEALTHY;
    }
    say("everything is given time to be delivered, but endpoint %d hangs", hung);
    give_time();
    oracle_check();
    oracle_check_drained(hung);
    if (hung >= 0) {
        for (int i = 0; i < OUTBOX; i++) {
            dispatcher_retain();
        }
        application_backlog(hung);
        give_time();
    }
    oracle_check();
    oracle_check_drained(hung);
}

/* ---- runs ---- */

/* Returns the number of the step that broke something, or 0. From step told on, the story is
** printed. */
static long run(uint64_t seed, long steps, long told) {
    world_reset(seed);
    scheme_reset();
    oracle_reset();
    telling = false;
    if (setjmp(end_of_run) != 0) {
        return step;
    }
    for (step = 1; step <= steps; step++) {
        telling = step >= told;
        if (telling) {
            printf("%ld\n", step);
        }
        if (step % DRAIN_EVERY == 0) {
            drain();
        } else {
            random_step();
        }
        oracle_check();
    }
    return 0;
}

static int run_and_tell(uint64_t seed, long steps) {
    long bad = run(seed, steps, steps + 1);

    if (bad == 0) {
        oracle_counts();
        printf("%ld steps from seed %llu: everything held\n", steps, (unsigned long long)seed);
        return 0;
    }
    run(seed, bad, bad > TOLD ? bad - TOLD + 1 : 1);
    printf("BROKEN at step %ld from seed %llu: %s\n", bad, (unsigned long long)seed, what);
    return 1;
}

static int self_test(uint64_t seed, long steps) {
    int unnoticed = 0;

    for (rule_off = 0; rule_off < RULES; rule_off++) {
        long bad = run(seed, steps, steps + 1);

        if (bad == 0) {
            printf("%-18s NOT NOTICED in %ld steps\n", rules[rule_off].name, steps);
            unnoticed++;
        } else {
            printf("%-18s step %7ld: %s\n", rules[rule_off].name, bad, what);
        }
    }
    printf("%d rules, %d can be switched off unnoticed\n", RULES, unnoticed);
    return unnoticed != 0;
}

static int list_rules(void) {
    for (int i = 0; i < RULES; i++) {
        printf("%s (%s)\n  %s.\n  Without it: %s.\n", rules[i].name, rules[i].where, rules[i].says,
               rules[i].otherwise);
    }
    return 0;
}

static int usage(void) {
    fprintf(stderr, "model [--seed N] [--steps N] [--without RULE | --self-test | --rules]\n");
    return 64;
}

int main(int argc, char **argv) {
    uint64_t seed = 1;
    long steps = 0; /* the usual number */
    bool test = false;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--self-test") == 0) {
            test = true;
        } else if (strcmp(argv[i], "--rules") == 0) {
            return list_rules();
        } else if (value == NULL) {
            return usage();
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--without") == 0) {
            rule_off = rule_named(argv[++i]);
            if (rule_off == RULES) {
                return usage();
            }
        } else {
            return usage();
        }
    }
    if (steps == 0) {
        steps = test ? 3000000 : 1000000; /* the rarest rule is missed once in a million steps */
    }
    return test ? self_test(seed, steps) : run_and_tell(seed, steps);
}
