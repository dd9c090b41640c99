/*
** confine.c: see confine.h. By prctl(2) and capset(2) alone, which can't fail for who gives something
** up. A filter of system calls is not here: libcurl, OpenSSL and the resolver's modules call what
** they like, another version other ones, and the systemd unit has one that its makers keep.
** SPDX-License-Identifier: MIT
*/
#include "confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A database may be anybody's: its side file gets that owner (CHOWN), is written whatever its mode
** (DAC_OVERRIDE), and its time is set (FOWNER). */
#define KEPT (1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER)

static void give_up_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, sets) == 0) {
        sets[0].effective &= KEPT;
        sets[0].permitted &= KEPT;
        sets[0].inheritable = 0;
        sets[1] = (struct __user_cap_data_struct){0};
        (void)syscall(SYS_capset, &header, sets);
    }
}

void confine_self(bool dumps) {
    const struct rlimit none = {0, 0};

    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    give_up_capabilities();
    if (!dumps) { /* both: a program that gets dumps through a pipe asks for no limit */
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

void confine_files(void) {
    umask(S_IRWXG | S_IRWXO);
}
