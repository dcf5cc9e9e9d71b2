/*
 * logfile: the file that log writes to, opened for it.
 */
#ifndef POSTERN_MASTER_LOGFILE_H
#define POSTERN_MASTER_LOGFILE_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/conf/conf.h"

/* Returns a descriptor that appends to it; a file that is missing is made. -1 with err. */
int logfile_open(const char *path, struct error *err);

/* The path still names the file that fd writes to. */
bool logfile_is_in_place(const char *path, int fd);

/* maillog_file is a file, neither syslog nor standard output. */
bool logfile_is_named(const struct conf *conf);

#endif
