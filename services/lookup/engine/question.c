#include <stdarg.h>
#include <stdio.h>

#include "common/mail/address.h"
#include "services/lookup/engine/engine.h"

enum { TRACE_LINE_MAX = 2000 };

void
question_fail(struct question *q, const char *trouble)
{
	if (q->failed)
		return;
	q->failed = true;
	q->answer->status = LOOKUP_TEMPORARY;
	q->answer->reason = SPAN_LIT("4.3.0 Temporary lookup failure");
	struct span text = arena_copy_span(q->arena, span_of(trouble));
	q->answer->trouble = text.ptr != NULL ? text : SPAN_LIT("out of memory for this address");
	question_trace(q, "in trouble: %s", trouble);
}

void
question_warn(struct question *q, const char *format, ...)
{
	char text[TRACE_LINE_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	question_trace(q, "warning: %s", text);
	if (q->answer->warning.len == 0)
		q->answer->warning = arena_copy_span(q->arena, span_of(text));
}

bool
question_is_traced(const struct question *q)
{
	return q->trace != NULL;
}

void
question_trace(struct question *q, const char *format, ...)
{
	char text[TRACE_LINE_MAX];
	va_list args;

	if (q->trace == NULL)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	q->trace->step(text, q->trace->context);
}

const char *
question_place(struct question *q)
{
	const struct map_found *f = &q->engine->found;

	if (q->trace == NULL)
		return "";
	const char *text =
	    f->line > 0 ? arena_printf(q->arena, "%s, line %u, key %.*s", f->table, f->line,
			      SPAN_ARG(buf_span(&f->key)))
			: arena_printf(q->arena, "%s, key %.*s", f->table, SPAN_ARG(buf_span(&f->key)));
	return text != NULL ? text : "";
}

void
question_add_row(struct question *q, const struct resolved *r)
{
	struct route_answer *answer = q->answer;

	if (answer->count == q->room) {
		size_t room = q->room == 0 ? 2 : q->room * 2;
		struct route_recipient *list = arena_alloc(q->arena, room * sizeof(list[0]));
		if (list == NULL) {
			question_fail(q, "an expansion is too large");
			return;
		}
		if (answer->count > 0)
			memcpy(list, answer->list, answer->count * sizeof(list[0]));
		answer->list = list;
		q->room = room;
	}
	answer->list[answer->count++] =
	    (struct route_recipient){r->address, r->transport, r->nexthop, q->row_flags, q->row_copy};
}

/*
 * As in Postfix, mailer-daemon@$myorigin as a sender is the empty one: commands of pipe transports and filters that hand mail
 * on with "sendmail -f ${sender}" call it so (null_sender).
 */
static bool
is_mailer_daemon(const struct route_engine *e, struct span address)
{
	struct span local, domain;

	address_split(address, &local, &domain);
	return span_is_nocase(local, "mailer-daemon") && span_equal_nocase(domain, span_of(e->myorigin));
}

static void
empty_sender(struct question *q, unsigned flags)
{
	q->answer->address = (struct span){0};
	if (flags & RESOLVE_BCC)
		bcc_of_sender(q, q->answer->address);
}

/* An address was asked about. What is wanted of it is in flags; steps after a failure do nothing. */
void
route_resolve(struct route_engine *e, struct arena *a, struct span address, struct span sender,
    unsigned flags, const struct route_trace *trace, struct route_answer *answer)
{
	struct question q = {.engine = e, .arena = a, .trace = trace, .sender = sender, .answer = answer};
	struct resolved r;
	bool is_sender = (flags & RESOLVE_SENDER) != 0;

	*answer = (struct route_answer){.status = LOOKUP_FOUND, .class = CLASS_DEFAULT, .address = address};
	if (address.len == 0 && is_sender) {
		empty_sender(&q, flags);
		return;
	}
	if (address.len == 0)
		address = span_of(e->values->empty_address_recipient);
	struct span complete = rewrite_address(&q, address);
	answer->address = complete;
	if (is_sender && !(flags & (RESOLVE_VALIDATE | RESOLVE_UNROUTED)) && is_mailer_daemon(e, complete)) {
		question_trace(&q, "%.*s: becomes <>", SPAN_ARG(complete));
		empty_sender(&q, flags);
		return;
	}
	if (!resolve_address(&q, complete, &r))
		return;
	answer->class = r.class;
	answer->routed = r.routed;
	if (flags & RESOLVE_UNROUTED)
		answer->address = r.address;
	if (flags & RESOLVE_VALIDATE)
		validate_address(&q, address, &r, is_sender);
	if ((flags & RESOLVE_ROUTE) || ((flags & RESOLVE_LOCAL_STAYS) && span_is(r.transport, "local"))) {
		question_add_row(&q, &r);
		return;
	}
	if (!(flags & RESOLVE_EXPAND) || q.failed)
		return;
	answer->address =
	    canonical_address(&q, complete, is_sender ? USE_ENVELOPE_SENDER : USE_ENVELOPE_RECIPIENT);
	/* Also of who does not exist: whether that matters is smtpd_reject_unlisted_recipient's affair. */
	if (!is_sender && answer->status != LOOKUP_TEMPORARY)
		expand_address(&q, answer->address);
	if (!(flags & RESOLVE_BCC) || q.failed)
		return;
	if (is_sender) {
		q.sender = answer->address;
		bcc_of_sender(&q, answer->address);
	} else
		bcc_of_recipient(&q, answer->address);
}
