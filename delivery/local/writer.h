/*
 * writer: the process that writes one mailbox, as its user, for as long as there is mail for it.
 *
 * It is this program executed anew by the root part, which has already become the user for good. It learns the
 * mailbox, opens what it needs, closes a sandbox around it, and from then on reads letters and writes them in batches.
 */
#ifndef POSTERN_LOCAL_WRITER_H
#define POSTERN_LOCAL_WRITER_H

/* The connection to the root part. argv[1] of such a process is WRITER_ARGUMENT. */
enum { WRITER_FD = 3, WRITER_CREDIT = 64 };
#define WRITER_ARGUMENT "mailbox"

/* Content up to this size is sent, more comes as a file. */
enum { WRITER_CONTENT_MAX = 1 << 20 };

int writer_main(void);

#endif
