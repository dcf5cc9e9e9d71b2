#include "queue/index/derive.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "queue/filter.h"
#include "queue/index/dictionary.h"
#include "queue/index/mask.h"
#include "queue/index/summary.h"
#include "queue/log/record.h"
#include "queue/message.h"

enum { TEXT_MAX = 4096 };

void
derived_init(struct derived *d)
{
	key_list_init(&d->keys);
	key_list_init(&d->summaries);
	d->parts = 0;
}

void
derived_free(struct derived *d)
{
	key_list_free(&d->keys);
	key_list_free(&d->summaries);
}

/* On their way: one row of summaries is being filled. */
struct deriving {
	struct index *x;
	DB_TXN *txn;
	struct derived *d;
	struct summary head;
	struct buf recipients;
	struct error *err;
};

static int
domain_number(struct deriving *v, struct span address, uint32_t *number)
{
	char domain[1000];
	struct span text = span_sub(filter_domain_of(address), 0, sizeof(domain));

	if (text.len > 0)
		memcpy(domain, text.ptr, text.len);
	text_lower(domain, text.len);
	return dictionary_number(
	    v->x, v->txn, DICTIONARY_DOMAIN, span_make(domain, text.len), number, v->err);
}

static void
end_part(struct deriving *v)
{
	struct buf *out = &v->d->summaries.bytes;

	if (v->txn) {
		summary_begin(out, &v->head);
		buf_append_span(out, buf_span(&v->recipients));
		key_list_end(&v->d->summaries);
	}
	v->d->parts++;
	v->head.count = 0;
	buf_clear(&v->recipients);
}

static uint64_t
own_sender(const struct deriving *v, const struct part_recipient *p)
{
	return p->own_sender ? dictionary_hash(v->x, p->sender) : 0;
}

/* Whether it is a recipient of the part that is being filled. */
static bool
has_sender(const struct deriving *v, const struct part_recipient *p)
{
	return !(v->head.flags & SUMMARY_OWN_SENDER) == !p->own_sender &&
	       v->head.own_sender == own_sender(v, p);
}

static int
set_sender(struct deriving *v, const struct part_recipient *p)
{
	v->head.own_sender = own_sender(v, p);
	v->head.flags &= (uint8_t)~SUMMARY_OWN_SENDER;
	if (!p->own_sender)
		return 0;
	v->head.flags |= SUMMARY_OWN_SENDER;
	return v->txn ? domain_number(v, p->sender, &v->head.own_domain) : 0;
}

static int
add_to_summary(struct deriving *v, const struct part_recipient *p, uint32_t hop)
{
	char template_bytes[TEXT_MAX], variable_bytes[TEXT_MAX];
	struct buf template = {.mem = template_bytes, .cap = TEXT_MAX, .max = TEXT_MAX};
	struct buf variables = {.mem = variable_bytes, .cap = TEXT_MAX, .max = TEXT_MAX};
	struct summary_recipient r = {.hop = hop};
	char shown[MEMBER_SHOWN_SIZE];
	struct span original = filter_original(p);
	bool wider = original.len > 0 && !(v->head.flags & SUMMARY_ORIGINALS);

	if (v->head.count == SUMMARY_RECIPIENTS || (v->head.count > 0 && (wider || !has_sender(v, p))))
		end_part(v);
	if (wider) /* what follows in this message has room for one, too */
		v->head.flags |= SUMMARY_ORIGINALS;
	if (v->head.count == 0 && set_sender(v, p) < 0)
		return -1;
	v->head.count++;
	if (!v->txn)
		return 0;
	r.address = dictionary_hash(v->x, recipient_shown(p, shown));
	mask_split(p->text, &template, &variables);
	if (domain_number(v, p->recipient, &r.domain) < 0 ||
	    dictionary_number(v->x, v->txn, DICTIONARY_REASON, buf_span(&template), &r.reason, v->err) < 0)
		return -1;
	if (original.len > 0) {
		r.original = dictionary_hash(v->x, original);
		if (domain_number(v, original, &r.original_domain) < 0)
			return -1;
	}
	r.variables = buf_span(&variables);
	summary_add(&v->recipients, v->head.flags, &r);
	return 0;
}

static int
add_recipient(struct deriving *v, uint64_t id, bool held, const struct part_recipient *p)
{
	char key_bytes[600];
	struct buf key = {.mem = key_bytes, .cap = sizeof(key_bytes), .max = sizeof(key_bytes)};
	uint32_t hop;

	hop_key(&key, p->transport, p->nexthop);
	if (dictionary_number(v->x, v->txn, DICTIONARY_HOP, buf_span(&key), &hop, v->err) < 0)
		return -1;
	if (!held)
		key_list_add_due(&v->d->keys, hop, p->due_spool_us, id);
	return add_to_summary(v, p, hop);
}

static int
begin(struct deriving *v, const struct index_row *row, const struct part_envelope *e)
{
	v->head = (struct summary){
	    .flags = (uint8_t)((e->held ? SUMMARY_HELD : 0) | (e->in_file ? SUMMARY_IN_FILE : 0)),
	    .sender = dictionary_hash(v->x, e->sender),
	    .arrival_s = (uint32_t)(e->arrival_spool_us / US_PER_SECOND),
	    .size = e->content_len,
	    .position = row->position};
	key_list_add_segment(&v->d->keys, row->segment, row->id);
	if (!v->txn)
		return 0;
	if (domain_number(v, e->sender, &v->head.sender_domain) < 0)
		return -1;
	return e->held ? dictionary_number(
			     v->x, v->txn, DICTIONARY_REASON, e->hold_reason, &v->head.hold_reason, v->err)
		       : 0;
}

int
derive(struct index *x, DB_TXN *txn, const struct index_row *row, struct derived *d, struct error *err)
{
	struct record record = {.type = RECORD_SNAPSHOT, .id = row->id, .payload = row->payload};
	struct deriving v = {.x = x, .txn = txn, .d = d, .err = err};
	struct part_envelope e;
	struct part_recipient p;
	struct record_reader reader;
	int more = 0, status;

	if (record_open(&record, &e, &reader, err) < 0)
		return -1;
	buf_init(&v.recipients, 1 << 20);
	status = begin(&v, row, &e);
	while (status == 0 && (more = record_next(&record, &reader, &p)) > 0)
		if (p.state != RECIPIENT_DONE)
			status = add_recipient(&v, row->id, e.held, &p);
	if (status == 0 && more < 0)
		status = error_set(err, "malformed recipient");
	end_part(&v);
	buf_free(&v.recipients);
	key_list_sort(&d->keys);
	return status;
}
