#include "smtpd/local_client.h"

#include "smtpd/restriction.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
evaluated(struct session *s, bool permitted)
{
	struct transaction *t = s->transaction;

	t->local_client = permitted && s->check->said_permit;
	/* The one thing that can be refused here is a table that does not answer. */
	t->client_known(s, permitted ? NULL : "451 4.3.0 Error: temporary lookup failure");
}

void
local_client_find(struct session *s, void (*done)(struct session *s, const char *refusal))
{
	struct check *c;

	if (s->sasl_username || s->settings->restrictions[RESTRICT_LOCAL_CLIENT]->count == 0) {
		done(s, NULL);
		return;
	}
	s->transaction->client_known = done;
	c = check_new(s, command_name(s->command), evaluated);
	c->quiet = true;
	check_add_stage(c, RESTRICT_LOCAL_CLIENT);
	check_start(c);
}

bool
local_client_is(const struct session *s)
{
	return s->sasl_username || (s->transaction && s->transaction->local_client);
}

bool
local_client_hides(const struct session *s)
{
	return s->settings->values->smtpd_hide_client_address && (s->in_mynetworks || local_client_is(s));
}
