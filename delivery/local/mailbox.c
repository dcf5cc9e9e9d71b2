#include "delivery/local/mailbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct mailbox {
	struct maildir *maildir;
	struct mbox *mbox;
	int64_t letter_limit; /* in a Maildir; 0: none */
};

void
mailbox_result_set(
    struct mailbox_result *result, enum outcome_class class, const char *status, const char *format, ...)
{
	va_list args;

	result->class = class;
	result->moved = false;
	snprintf(result->status, sizeof(result->status), "%s", status);
	va_start(args, format);
	vsnprintf(result->text, sizeof(result->text), format, args);
	va_end(args);
}

void
mailbox_result_of_error(int number, const char *doing, struct mailbox_result *result)
{
	static const struct {
		int number;
		enum outcome_class class;
		const char *status;
	} rows[] = {
	    {EDQUOT, OUTCOME_DEFERRED, "4.2.2"}, /* room may be made */
	    {EFBIG, OUTCOME_BOUNCED, "5.2.2"}, /* the administrator's limit */
	    {ENOSPC, OUTCOME_DEFERRED, "4.3.1"},
	    {EMFILE, OUTCOME_DEFERRED, "4.3.0"},
	    {ENFILE, OUTCOME_DEFERRED, "4.3.0"},
	    {ENOMEM, OUTCOME_DEFERRED, "4.3.0"},
	    {EIO, OUTCOME_DEFERRED, "4.3.0"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].number == number) {
			mailbox_result_set(
			    result, rows[i].class, rows[i].status, "%s: %s", doing, strerror(number));
			return;
		}
	}
	/* All else, wrong permissions included, is what somebody will put right. */
	mailbox_result_set(result, OUTCOME_DEFERRED, "4.2.0", "%s: %s", doing, strerror(number));
}

struct mailbox *
mailbox_open(const struct mailbox_settings *settings, struct mailbox_result *result, struct error *err)
{
	struct mailbox *m = mem_alloc(sizeof(*m));

	if (settings->kind == MAILBOX_MBOX) {
		m->mbox = mbox_new(settings);
		return m;
	}
	m->letter_limit = settings->size_limit;
	m->maildir = maildir_open(settings->path, settings->host, result);
	if (!m->maildir) {
		error_set(err, "%s", result->text);
		free(m);
		return NULL;
	}
	return m;
}

void
mailbox_close(struct mailbox **m)
{
	if (!*m)
		return;
	maildir_close(&(*m)->maildir);
	mbox_free(&(*m)->mbox);
	free(*m);
	*m = NULL;
}

bool
mailbox_has_moved(const struct mailbox *m)
{
	return m->maildir ? maildir_has_moved(m->maildir) : mbox_has_moved(m->mbox);
}

int
mailbox_check_loop(const struct letter *l, struct mailbox_result *result)
{
	struct error err;

	if (l->flags & LETTER_MAY_RETURN)
		return 0;
	switch (letter_was_delivered(l, &err)) {
	case 1:
		mailbox_result_set(result, OUTCOME_BOUNCED, "5.4.6", "mail forwarding loop for %.*s",
		    SPAN_ARG(l->recipient));
		return -1;
	case -1:
		mailbox_result_set(result, OUTCOME_DEFERRED, "4.3.0", "%s", err.text);
		return -1;
	default:
		return 0;
	}
}

int
mailbox_put(struct mailbox *m, const struct letter *l, struct mailbox_result *result)
{
	if (mailbox_check_loop(l, result) < 0)
		return -1;
	if (m->maildir && m->letter_limit > 0 && l->content_len > (uint64_t)m->letter_limit) {
		mailbox_result_set(result, OUTCOME_BOUNCED, "5.2.2",
		    "maildir delivery failed: the message is larger than a mailbox may be");
		return -1;
	}
	return m->maildir ? maildir_put(m->maildir, l, result) : mbox_put(m->mbox, l, result);
}

void
mailbox_commit(struct mailbox *m, struct mailbox_result *results)
{
	if (m->maildir)
		maildir_commit(m->maildir, results);
	else
		mbox_commit(m->mbox, results);
}
