/*
** signing.h: the options of a subscription that say how its requests are signed.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_SIGNING_H
#define RESTHOOK_SIGNING_H

#include "hooks.h"
#include "options.h"
#include "secret.h"

/* Fails the call where `secret` is none, or `signing` is neither v1 nor v1a, or both are given. */
void signing_check(struct call *call, const struct option *secret, const struct option *signing);
/* A random secret, of the kind that `signing` says. */
void signing_make(const struct option *signing, char secret[SECRET_TEXT_MAX]);
/* Gives a subscription a new secret where the one it has is not of the kind that `signing` says; the
** old one signs too for the usual time. */
void signing_write(struct call *call, const char *id, const struct option *signing);

#endif
