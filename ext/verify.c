/*
** verify.c: the handshake of REST hooks, X-Hook-Secret: the option `verify`, and resthook_confirm
** for a target that answers later.
**
** The secret of a handshake is one until it was given back: verify_secret is NULL then, and a
** subscription that has one is never active. It is sent to the target and shown to nobody else.
** SPDX-License-Identifier: MIT
*/
#include "verify.h"

#include <string.h>

#include "secret.h"
#include "sql.h"

#define RANDOM_BYTES 24
#define TEXT_MAX (RANDOM_BYTES / 3 * 4 + 1)

void verify_check(struct call *call, const struct option *verify) {
    if (verify->text != NULL && strcmp(verify->text, "none") != 0 &&
        strcmp(verify->text, "x-hook-secret") != 0) {
        call_fail(call, "option verify is %z, expected one of none, x-hook-secret",
                  shown_text(verify->text));
    }
}

static void begin(struct call *call, const char *id) {
    unsigned char random[RANDOM_BYTES];
    char text[TEXT_MAX];

    sqlite3_randomness((int)sizeof random, random);
    base64_encode(random, sizeof random, text);
    call_exec(call, sql_emit_verify, "t", id);
    call_exec(call, sql_subscription_verify, "tti", id, text, sqlite3_last_insert_rowid(call->db));
    explicit_bzero(random, sizeof random);
    explicit_bzero(text, sizeof text);
}

void verify_write(struct call *call, const char *id, const struct option *verify, bool again) {
    sqlite3_int64 was;

    if (!verify->given) {
        return;
    }
    was = call_int(call, 0, "SELECT verify <> 'none' FROM main.resthook_subscription WHERE id = ?1",
                   "t", id);
    if (verify->text == NULL || strcmp(verify->text, "none") == 0) {
        call_exec(call, sql_subscription_verify_none, "t", id);
    } else if (again || was == 0) {
        begin(call, id);
    }
}

static void confirm(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_begin(&call, context, "resthook_confirm", SCHEMA_CURRENT);
    const char *id = subscription_argument(&call, argv, false);
    const char *given = call.rc == SQLITE_OK && sqlite3_value_type(argv[1]) == SQLITE_TEXT
                            ? (const char *)sqlite3_value_text(argv[1])
                            : NULL;
    char *verify =
        call_text(&call, "SELECT verify FROM main.resthook_subscription WHERE id = ?1", "t", id);
    char *wanted = call_text(
        &call, "SELECT verify_secret FROM main.resthook_subscription WHERE id = ?1", "t", id);

    if (call.rc == SQLITE_OK && verify != NULL && strcmp(verify, "none") == 0) {
        call_fail(&call, "subscription %z has nothing to confirm: its option verify is none",
                  shown(argv[0]));
    } else if (call.rc == SQLITE_OK && wanted != NULL &&
               (given == NULL || !secret_same(wanted, strlen(wanted), given,
                                              (size_t)sqlite3_value_bytes(argv[1])))) {
        call_fail(&call,
                  "the secret is not the one that the target of subscription %z was sent in "
                  "X-Hook-Secret",
                  shown(argv[0]));
    }
    if (wanted != NULL) {
        call_exec(&call, sql_subscription_confirmed, "t", id);
        call_exec(&call, sql_subscription_touch, "t", id);
    }
    sqlite3_result_int(context, wanted != NULL);
    sqlite3_free(verify);
    call_forget(wanted);
    call_end(&call);
}

int verify_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_confirm", 2, FUNCTION_DIRECT_ONLY, confirm},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
