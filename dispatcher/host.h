/*
** host.h: the host of a URL, as libcurl reads it: an address, in whatever spelling, or a name.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_HOST_H
#define RESTHOOKD_HOST_H

#include "guard.h"

/*
** What the guard says of the address that stands in a URL ("2130706433" is 127.0.0.1), before
** anybody is asked for a name's. "localhost" and what ends in ".localhost" is 127.0.0.1; a host that
** ends in a number and is no address to libcurl is refused, since it may be one to a proxy. Any
** other name passes for public: where it leads is seen when it is connected to, or only by a proxy.
*/
enum guard_answer host_judge(const struct guard *guard, const char *url);
/* Is it a name, of which only a name server knows where it leads? */
bool host_is_name(const char *url);

#endif
