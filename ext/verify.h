/*
** verify.h: whether a target has to show that it wants what it is sent, before it is sent anything.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_VERIFY_H
#define RESTHOOK_VERIFY_H

#include "hooks.h"
#include "options.h"

/* Fails the call where `verify` is neither none nor x-hook-secret. */
void verify_check(struct call *call, const struct option *verify);
/*
** Writes it: a subscription that is to be verified is pending from now on, and its target is asked
** by an event for it alone. again: also when it was to be verified before.
*/
void verify_write(struct call *call, const char *id, const struct option *verify, bool again);

#endif
