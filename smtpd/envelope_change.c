#include "smtpd/envelope_change.h"

#include "smtpd/resolution.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void next(struct session *s);

static void
take(struct session *s, const struct resolution *r)
{
	struct transaction *t = s->transaction;

	t->recipients_changed = true;
	if (r->status != LOOKUP_FOUND || r->rows == NULL || transaction_add_resolved(t, r, NULL) < 0)
		t->changed(s, "451 4.3.0 Error: temporary lookup failure");
	else
		next(s);
}

/* Its address takes the place of all recipients. */
static void
redirected(struct session *s, const struct resolution *r)
{
	transaction_forget_recipients(s->transaction);
	take(s, r);
}

static void
next(struct session *s)
{
	struct transaction *t = s->transaction;

	/* Nobody gets it: it need not be known who would. */
	if (t->flags & MAIL_DISCARD)
		t->redirect_due = t->copy_due = t->recipients_changed = false;
	if (t->redirect_due) {
		t->redirect_due = false;
		resolution_find(s, t->redirect, t->rewritten_sender, 0, redirected);
		return;
	}
	if (t->copy_due) {
		t->copy_due = false;
		resolution_find(s, t->access_copy, t->rewritten_sender, 0, take);
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
