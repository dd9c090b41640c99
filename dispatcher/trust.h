/*
** trust.h: the certificates that the operator trusts instead of the system's.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_TRUST_H
#define RESTHOOKD_TRUST_H

#include <stdbool.h>

/* Can a file be trusted by? libcurl reads it when it connects, so that one without a certificate would
** be seen by deliveries that fail. */
bool trust_check(const char *file);

#endif
