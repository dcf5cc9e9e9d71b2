/*
 * mailbox: a Maildir or a mailbox file of one user, written as that user.
 *
 * Letters are put in one by one and become mail with mailbox_commit(): all of them are synced, then made visible,
 * then the directory is synced once. Nothing is reported as delivered before.
 */
#ifndef POSTERN_LOCAL_MAILBOX_H
#define POSTERN_LOCAL_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/ipc/protocol.h"
#include "delivery/local/letter.h"

struct mailbox_settings {
	enum mailbox_kind kind;
	const char *path;
	const char *host; /* in Maildir's file names */
	bool lock_fcntl, lock_flock, lock_dotlock;
	unsigned lock_attempts;
	int64_t lock_delay_us;
	int64_t lock_stale_us;
	int64_t size_limit; /* of a mailbox file; 0: none */
	bool strict_owner;
	bool shared_file; /* no mailbox: a file named by an alias or .forward */
};

/* What became of a letter. */
struct mailbox_result {
	enum outcome_class class;
	char status[12];
	char text[1000];
	bool moved; /* nothing was done: mailbox_has_moved() */
};

enum { MAILBOX_BATCH_MAX = 64 };

struct mailbox;

/* Makes the Maildir where it is missing. NULL with err and result if that fails: result is then every letter's. */
struct mailbox *mailbox_open(
    const struct mailbox_settings *settings, struct mailbox_result *result, struct error *err);
void mailbox_close(struct mailbox **m);

/* Whether another mailbox has its name by now, which a process that has confined itself to the old one cannot reach. */
bool mailbox_has_moved(const struct mailbox *m);

/* -1 with result if the letter was at this recipient before, or cannot be read. */
int mailbox_check_loop(const struct letter *l, struct mailbox_result *result);

/* Puts a letter in. At once failed (result is final, returns -1) or to be committed (returns 0). At most MAILBOX_BATCH_MAX. */
int mailbox_put(struct mailbox *m, const struct letter *l, struct mailbox_result *result);

/* results: of the letters that were put in since, in that order. */
void mailbox_commit(struct mailbox *m, struct mailbox_result *results);

/* ---- for the kinds ---- */

/* The outcome for a failed system call: which codes are the mailbox's, the system's, for ever. doing: in words. */
void mailbox_result_of_error(int number, const char *doing, struct mailbox_result *result);
void mailbox_result_set(struct mailbox_result *result, enum outcome_class class, const char *status,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

struct maildir;
struct maildir *maildir_open(const char *path, const char *host, struct mailbox_result *result);
void maildir_close(struct maildir **d);
bool maildir_has_moved(const struct maildir *d);
int maildir_put(struct maildir *d, const struct letter *l, struct mailbox_result *result);
void maildir_commit(struct maildir *d, struct mailbox_result *results);

/* The file is opened and locked with the first letter of a batch and closed with the commit. */
struct mbox;
struct mbox *mbox_new(const struct mailbox_settings *settings);
void mbox_free(struct mbox **m);
bool mbox_has_moved(const struct mbox *m);
int mbox_put(struct mbox *m, const struct letter *l, struct mailbox_result *result);
void mbox_commit(struct mbox *m, struct mailbox_result *results);

/* Makes PATH.lock, waiting for another's to go. -1 with errno (EEXIST: it is still held). */
int dotlock_take(const char *path, const struct mailbox_settings *settings);
void dotlock_release(const char *path);

#endif
