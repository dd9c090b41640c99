/*
** sync.h: brings one side file to the disk, over a connection of its own.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SYNC_H
#define RESTHOOKD_SYNC_H

#include <stdbool.h>

/*
** What was committed to the side file at path before this began is on the disk when it ends. copy: its WAL
** is copied into the file, too, up to what readers of the file leave. Returns SQLITE_OK, or why not.
*/
int sync_side_file(const char *path, bool copy);

#endif
