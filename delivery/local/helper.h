/*
 * helper: the process that reads a user's lists and runs a user's commands, as that user.
 *
 * It is this program executed anew by the root part, which has already become the user for good. Commands may be
 * set-gid (sendmail is one), so it has neither no_new_privs nor a system call filter; it never looks at a letter
 * but to hand it on, and of files it reads those that the user (or the owner of an alias table) named.
 */
#ifndef POSTERN_LOCAL_HELPER_H
#define POSTERN_LOCAL_HELPER_H

/* argv[1] of such a process. Its connection is WRITER_FD. */
#define HELPER_ARGUMENT "helper"

/* root: NULL, or its root directory, and ids as spawn_as_user() gives both. */
int helper_main(const char *root, const char *ids);

#endif
