/*
 * Does the address exist? As Postfix's reject_unlisted_recipient and reject_unlisted_sender ask: an address that
 * canonical or virtual tables know is fine, else the table of its class decides; an empty one knows everybody.
 */
#include "common/mail/address.h"
#include "common/mail/outcome.h"
#include "services/lookup/engine/engine.h"

static void
refuse(struct question *q, const char *code, const char *text)
{
	char *reason = arena_printf(q->arena, "%s %s", code, text);

	q->answer->status = LOOKUP_NOT_FOUND;
	q->answer->reason =
	    reason != NULL ? span_sub(span_of(reason), 0, ROUTE_REASON_MAX) : SPAN_LIT("5.1.1 User unknown");
	question_trace(q, "not valid: %.*s", SPAN_ARG(q->answer->reason));
}

/* 1 in the list, 0 not, -1 the question failed. */
static int
listed(struct question *q, struct maplist *list, struct span address, const struct map_keys *keys)
{
	struct route_engine *e = q->engine;

	enum lookup_status status = map_find(list, LOOKUP_MAIL, address, keys, &e->found, NULL);
	if (status == LOOKUP_TEMPORARY) {
		question_fail(q, e->found.err.text);
		return -1;
	}
	if (status == LOOKUP_FOUND)
		question_trace(q, "%.*s: valid (%s)", SPAN_ARG(address), question_place(q));
	return status == LOOKUP_FOUND ? 1 : 0;
}

/* RFC 5321, 4.5.1: postmaster is always there, with and without a domain. */
static bool
is_postmaster(struct span local)
{
	return span_is_nocase(local, "postmaster");
}

/* Tables that rewrite the address: whoever is in them is known. 1, 0, -1 as above. */
static int
rewritten_by_table(struct question *q, struct span address, bool sender)
{
	struct route_engine *e = q->engine;
	struct maplist *const lists[] = {
	    e->recipient_canonical, sender ? e->sender_canonical : NULL, e->canonical, e->virtual_aliases};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		int got = lists[i] != NULL ? listed(q, lists[i], address, &e->mail_keys) : 0;
		if (got != 0)
			return got;
	}
	return 0;
}

struct class_table {
	struct maplist *list;
	const char *text;
};

static struct class_table
class_table(const struct route_engine *e, enum address_class class)
{
	switch (class) {
	case CLASS_LOCAL:
		return (struct class_table){e->local_recipients, "User unknown in local recipient table"};
	case CLASS_VIRTUAL_MAILBOX:
		return (struct class_table){e->virtual_mailboxes, "User unknown in virtual mailbox table"};
	case CLASS_RELAY:
		return (struct class_table){e->relay_recipients, "User unknown in relay recipient table"};
	default:
		return (struct class_table){NULL, "User unknown in virtual alias table"};
	}
}

/* What an error or retry transport says. A code in front of the text is of the class that the transport stands for; a text without one gets ours. */
static void
refuse_by_transport(struct question *q, const struct resolved *r, const char *code)
{
	struct span rest = r->nexthop, word;
	char *copy = arena_copy(q->arena, r->nexthop);
	bool coded = copy != NULL && span_next_word(&rest, " \t", &word) && enhanced_code_valid(word);

	if (!coded) {
		refuse(q, code, copy != NULL && copy[0] != '\0' ? copy : "User unknown");
		return;
	}
	copy[0] = code[0];
	q->answer->status = LOOKUP_NOT_FOUND;
	q->answer->reason = span_sub(span_of(copy), 0, ROUTE_REASON_MAX);
	question_trace(q, "not valid: %s", copy);
}

/* Who gets mail on each host: notices come from mailer-daemon, and people answer them. */
static bool
is_always_there(const struct route_engine *e, struct span local)
{
	return is_postmaster(local) || span_is_nocase(local, "mailer-daemon") ||
	       span_is_nocase(local, e->values->double_bounce_sender);
}

void
validate_address(struct question *q, struct span as_given, const struct resolved *r, bool sender)
{
	struct route_engine *e = q->engine;
	const char *code = sender ? "5.1.0" : "5.1.1";

	if (is_postmaster(as_given)) {
		q->answer->class = CLASS_LOCAL;
		question_trace(q, "%.*s: always valid (RFC 5321)", SPAN_ARG(as_given));
		return;
	}
	int got = rewritten_by_table(q, r->address, sender);
	if (got != 0)
		return;
	if ((r->class != CLASS_VIRTUAL_ALIAS || r->moved) && span_is(r->transport, "error")) {
		refuse_by_transport(q, r, code);
		return;
	}
	if (span_is(r->transport, "retry")) {
		refuse_by_transport(q, r, sender ? "4.1.0" : "4.1.1");
		return;
	}
	if (r->class == CLASS_DEFAULT)
		return;
	if (r->class == CLASS_LOCAL && is_always_there(e, r->local)) {
		question_trace(q, "%.*s: always valid", SPAN_ARG(r->address));
		return;
	}
	struct class_table table = class_table(e, r->class);
	if (table.list != NULL && maplist_empty(table.list)) {
		question_trace(
		    q, "%.*s: valid (the table of its class is empty: all are)", SPAN_ARG(r->address));
		return;
	}
	if (table.list != NULL) {
		const struct map_keys *keys = r->class == CLASS_LOCAL ? &e->recipient_keys : &e->mail_keys;
		got = listed(q, table.list, r->address, keys);
		if (got != 0)
			return;
	}
	refuse(q, code, table.text);
}
