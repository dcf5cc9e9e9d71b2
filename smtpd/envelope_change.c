#include "smtpd/envelope_change.h"

#include "smtpd/resolution.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void next(struct session *s);

static void
fail(struct session *s)
{
	s->transaction->changed(s, "451 4.3.0 Error: temporary lookup failure");
}

/* Its address takes the place of all recipients, copies among them. As in Postfix it is taken for the first one's. */
static void
redirected(struct session *s, const struct resolution *r)
{
	struct transaction *t = s->transaction;
	struct recipient like = {.notify = 0};

	if (t->recipients != NULL) {
		const struct recipient *first = t->recipients;
		like.original = first->original.len > 0 ? first->original : first->address;
		like.orcpt = first->orcpt;
		like.notify = first->notify;
	}
	transaction_forget_recipients(t);
	t->recipients_changed = true;
	if (r->status != LOOKUP_FOUND || r->rows == NULL || transaction_add_resolved(t, r, &like) < 0)
		fail(s);
	else
		next(s);
}

/* Who sent the message is told nothing of the copy, nor that there is one. */
static void
copied(struct session *s, const struct resolution *r)
{
	const struct recipient like = {.notify = DSN_NOTIFY_NEVER};
	struct transaction *t = s->transaction;

	t->recipients_changed = true;
	if (r->status == LOOKUP_TEMPORARY ||
	    (r->status == LOOKUP_FOUND && transaction_add_resolved(t, r, &like) < 0))
		fail(s);
	else
		next(s);
}

static void
next(struct session *s)
{
	struct transaction *t = s->transaction;
	struct prepended *copy;

	/* Nobody gets it: it need not be known who would. */
	if (t->flags & MAIL_DISCARD)
		t->redirect_due = t->recipients_changed = false;
	if ((t->flags & MAIL_DISCARD) || t->redirect.len > 0)
		t->copies_due = NULL;
	if (t->redirect_due) {
		t->redirect_due = false;
		resolution_find(s, t->redirect, t->rewritten_sender, 0, redirected);
		return;
	}
	if ((copy = t->copies_due)) {
		t->copies_due = copy->next;
		resolution_find(s, copy->line, t->rewritten_sender, 0, copied);
		return;
	}
	if (t->recipients_changed)
		submission_resend_recipients(s);
	t->recipients_changed = false;
	t->changed(s, NULL);
}

void
envelope_change(struct session *s, void (*done)(struct session *s, const char *refusal))
{
	s->transaction->changed = done;
	next(s);
}
