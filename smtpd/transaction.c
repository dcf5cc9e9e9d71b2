#include "smtpd/transaction.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/content_checks.h"
#include "common/mail/duplicates.h"
#include "smtpd/resolution.h"
#include "smtpd/session.h"

/* Final recipients of one message, however they came about. */
enum { FINALS_MAX = 50000 };

struct transaction *
transaction_new(struct session *s)
{
	struct arena *arena = arena_new(TRANSACTION_MEMORY);
	struct transaction *t = arena_alloc(arena, sizeof(*t));

	t->arena = arena;
	t->recipients_end = &t->recipients;
	t->prepended_end = &t->prepended;
	t->copies_end = &t->copies;
	t->keep_originals = s->settings->values->enable_original_recipient;
	s->transaction = t;
	return t;
}

void
transaction_free(struct session *s)
{
	struct transaction *t = s->transaction;
	struct arena *arena;

	if (t == NULL)
		return;
	submission_abort(s);
	buf_free(&t->submission.gathered);
	if (t->content_begun)
		content_fini(&t->content);
	header_rewrite_free(&t->rewriting);
	buf_free(&t->held);
	buf_free(&t->behind);
	content_checks_free(&t->checks);
	table_free(&t->seen);
	arena = t->arena;
	s->transaction = NULL;
	arena_free(&arena);
}

/* A list may name somebody twice, and so may the client. */
static bool
is_repeated(struct transaction *t, const struct recipient *r)
{
	const struct duplicate_key key = {
	    .recipient = r->address, .original = r->original, .orcpt = r->orcpt, .notify = r->notify};

	if (t->seen == NULL)
		t->seen = table_new(FINALS_MAX, NULL);
	return duplicate_is_known(t->seen, &key, t->keep_originals);
}

/* Returns -1 when the transaction is full. */
static int
add_recipient(struct transaction *t, const struct recipient *r)
{
	struct recipient *copy;

	if (t->finals >= FINALS_MAX)
		return -1;
	if (is_repeated(t, r))
		return 0;
	copy = arena_alloc(t->arena, sizeof(*copy));
	if (copy == NULL)
		return -1;
	*copy = (struct recipient){
	    .address = arena_copy_span(t->arena, r->address),
	    .original = arena_copy_span(t->arena, r->original),
	    .orcpt = arena_copy_span(t->arena, r->orcpt),
	    .transport = arena_copy_span(t->arena, r->transport),
	    .nexthop = arena_copy_span(t->arena, r->nexthop),
	    .generation = r->generation,
	    .notify = r->notify,
	};
	if (!copy->address.ptr || !copy->transport.ptr || !copy->nexthop.ptr || !copy->orcpt.ptr)
		return -1;
	*t->recipients_end = copy;
	t->recipients_end = &copy->next;
	t->finals++;
	return 0;
}

/* A copy is for whom the table named, and what virtual tables made of that. */
static struct span
original_of_copy(struct span recipient, struct span copy)
{
	return span_equal(recipient, copy) ? SPAN_LIT("") : copy;
}

int
transaction_add_resolved(struct transaction *t, const struct resolution *res, const struct recipient *like)
{
	struct recipient r = {.generation = res->generation};
	struct span given = like && like->original.len ? like->original : res->address;

	for (const struct resolution_row *row = res->rows; row; row = row->next) {
		r.orcpt = like ? like->orcpt : SPAN_LIT("");
		r.notify = like ? like->notify : 0;
		r.address = row->recipient;
		r.original = span_equal(row->recipient, given) ? SPAN_LIT("") : given;
		r.transport = row->transport;
		r.nexthop = row->nexthop;
		r.flags = row->flags;
		if (row->flags & ROUTE_COPY) {
			r.original = original_of_copy(row->recipient, row->copy);
			r.orcpt = SPAN_LIT("");
			r.notify = DSN_NOTIFY_NEVER;
		}
		if (add_recipient(t, &r) < 0)
			return -1;
	}
	return 0;
}

void
transaction_keep_copy(struct transaction *t, const struct msg_resolve_rcpt *row)
{
	struct recipient *r = arena_alloc(t->arena, sizeof(*r));

	if (r == NULL)
		return;
	*r = (struct recipient){
	    .address = arena_copy_span(t->arena, row->recipient),
	    .original = arena_copy_span(t->arena, original_of_copy(row->recipient, row->copy)),
	    .transport = arena_copy_span(t->arena, row->transport),
	    .nexthop = arena_copy_span(t->arena, row->nexthop),
	    .notify = DSN_NOTIFY_NEVER,
	    .flags = row->flags,
	};
	*t->copies_end = r;
	t->copies_end = &r->next;
}

void
transaction_add_copies(struct transaction *t)
{
	for (const struct recipient *r = t->copies; r; r = r->next)
		(void)add_recipient(t, r);
	t->copies = NULL;
	t->copies_end = &t->copies;
}

void
transaction_want_copy(struct transaction *t, struct span address)
{
	struct prepended *copy = NULL;

	/* A table that is asked for each recipient may say the same of all. */
	for (const struct prepended *p = t->copies_due; p; p = p->next)
		if (span_equal(p->line, address))
			return;
	if (t->copies_wanted < COPIES_MAX)
		copy = arena_alloc(t->arena, sizeof(*copy));
	if (copy == NULL) {
		log_warning(NULL, "tables want more than %d copies of one message: <%.*s> gets none",
		    COPIES_MAX, SPAN_ARG(span_sub(address, 0, 200)));
		return;
	}
	t->copies_wanted++;
	copy->line = arena_copy_span(t->arena, address);
	copy->next = t->copies_due;
	t->copies_due = copy;
}

void
transaction_forget_recipients(struct transaction *t)
{
	t->recipients = NULL;
	t->recipients_end = &t->recipients;
	t->finals = 0;
	table_free(&t->seen);
}

/* A header line, and nothing that would end the header. */
static bool
is_header_line(struct span line)
{
	return span_find(line, ':') > 0 && span_find(line, '\r') < 0 && span_find(line, '\n') < 0 &&
	       line.ptr[0] != ' ' && line.ptr[0] != '\t';
}

int
transaction_prepend(struct transaction *t, struct span line)
{
	struct prepended *p;

	if (!is_header_line(line) || (p = arena_alloc(t->arena, sizeof(*p))) == NULL)
		return -1;
	p->line = arena_copy_span(t->arena, line);
	*t->prepended_end = p;
	t->prepended_end = &p->next;
	return 0;
}

void
transaction_name(struct session *s)
{
	struct transaction *t = s->transaction;
	bool login = s->sasl_username != NULL, sender = t->sasl_sender.len > 0;
	char label[CLIENT_LABEL_SIZE];
	struct log log;

	t->id = queue_id_next(&s->smtpd->ids);
	(void)queue_id_format(t->id, t->id_text);
	log = session_log(s);
	log_info(&log, "client=%s%s%s%s%s%s%.*s", session_label(s, label), login ? ", sasl_method=" : "",
	    login ? s->sasl_method : "", login ? ", sasl_username=" : "", login ? s->sasl_username : "",
	    sender ? ", sasl_sender=" : "", SPAN_ARG(t->sasl_sender));
}
