#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/filter.h"
#include "queue/index/dictionary.h"
#include "queue/index/index_db.h"
#include "queue/index/query.h"
#include "queue/message.h"
#include "queue/spool_clock.h"
#include "tests/unit/queue/index_model.h"

enum { BATCH = 20 };

uint64_t model_seed;
int64_t model_base_us;

unsigned
model_any(unsigned n)
{
	model_seed = model_seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(model_seed >> 33) % n;
}

uint64_t
model_id(unsigned i)
{
	return ((uint64_t)i + 1) << 12;
}

static const char *const domains[] = {"one.test", "Two.test", "three.example", "4.test", ""};
/* Its numbers are too long for a summary. */
#define DIGITS "1234567890123456789012345678901234567890 "
#define LONG_REASON DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
static const char *const reasons[] = {"", "connect to mx%u.one.test[192.0.2.%u]:25: Connection refused",
    "host mx.two.test[2001:db8::%u] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command) %u",
    "host mx[192.0.2.9] said: 450 4.7.1 <u%u@one.test>: Greylisted for %u seconds",
    "id 5b1f17b18%u-abc%u was not found", "no digits here", LONG_REASON "%u refused %u"};

static struct span
text(char *bytes, size_t size, const char *format, unsigned a, unsigned b)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(bytes, size, format, a, b);
#pragma GCC diagnostic pop
	return span_of(bytes);
}

static void
make_recipient(struct buf *out, uint32_t index)
{
	char address[100], why[400], hop[100], owner[100], original[100];
	const char *domain = domains[model_any(5)];
	struct part_recipient p = {.index = index,
	    .transport = model_any(5) ? SPAN_LIT("smtp") : SPAN_LIT("lmtp"),
	    .state = model_any(8) ? RECIPIENT_QUEUED : RECIPIENT_DONE,
	    .due_spool_us = model_any(100) * US_PER_SECOND};

	snprintf(address, sizeof(address), "%c%u%s%s", model_any(2) ? 'r' : 'R', model_any(9),
	    *domain ? "@" : "", domain);
	snprintf(hop, sizeof(hop), model_any(3) ? "%s" : "[%s]:2525",
	    model_any(2) ? domains[model_any(4)] : "relay.test");
	p.recipient = span_of(address);
	p.nexthop = span_of(hop);
	snprintf(owner, sizeof(owner), "owner-%c@%s", model_any(2) ? 'a' : 'B',
	    model_any(2) ? "lists.test" : "Two.test");
	p.own_sender = model_any(4) == 0;
	if (p.own_sender && model_any(4))
		p.sender = span_of(owner);
	snprintf(original, sizeof(original), "%c%u@%s", model_any(2) ? 'o' : 'R', model_any(9),
	    model_any(2) ? "alias.test" : "Two.test");
	if (model_any(6) == 0)
		p.orig_to = span_of(original);
	p.text = text(why, sizeof(why), reasons[model_any(7)], model_any(12), model_any(300));
	assert_int_equal(part_encode_recipient(out, &p), 0);
}

void
model_payload(struct buf *out)
{
	uint32_t count = model_any(30) ? 1 + model_any(3) : 33 + model_any(60);
	uint8_t le[4] = {(uint8_t)count, 0, 0, 0};
	char sender[100], why[100];
	struct part_envelope e = {
	    .arrival_spool_us = model_base_us - (int64_t)model_any(7200) * US_PER_SECOND,
	    .content_len = model_any(5000),
	    .next_index = count,
	    .held = model_any(4) == 0};

	snprintf(sender, sizeof(sender), "s%u@%s", model_any(7), domains[model_any(4)]);
	if (model_any(6))
		e.sender = span_of(sender);
	if (e.held)
		e.hold_reason = text(why, sizeof(why), "held: %u refused %u", model_any(3), model_any(3));
	buf_clear(out);
	assert_int_equal(part_encode_envelope(out, &e), 0);
	buf_append(out, le, sizeof(le));
	for (uint32_t i = 0; i < count; i++)
		make_recipient(out, i);
}

/* One transaction of changes that the model_seed decides. */
void
model_change(struct model *m, struct index *x, uint64_t position)
{
	struct index_change changes[BATCH];
	struct error err;

	for (unsigned n = 0; n < BATCH; n++) {
		unsigned i = model_any(MESSAGES);
		bool again = false;

		for (unsigned k = 0; k < n; k++)
			again = again || changes[k].id == model_id(i);
		if (again) {
			n--;
			continue;
		}
		m->there[i] = model_any(3) != 0;
		changes[n] = (struct index_change){
		    .id = model_id(i), .position = 4096 + i, .segment = model_any(3) * 4096};
		if (!m->there[i])
			continue;
		model_payload(&m->rows[i]);
		changes[n].row = buf_span(&m->rows[i]);
	}
	if (x && index_apply(x, changes, BATCH, position, &err) < 0)
		fail_msg("%s", err.text);
}

/* A transaction that fails at its end: nothing of it counts. */
void
model_fail_to_change(struct index *x)
{
	struct index_change changes[2] = {{.id = model_id(model_any(MESSAGES)), .position = 4096},
	    {.id = model_id(MESSAGES), .position = 4096}};
	struct buf row;
	struct error err;

	buf_init(&row, PAYLOAD_MAX);
	model_payload(&row);
	if (model_any(2))
		changes[0].row = buf_span(&row);
	changes[1].row = SPAN_LIT("none");
	assert_int_equal(index_apply(x, changes, 2, 1, &err), -1);
	buf_free(&row);
}

struct model *
model_new(void)
{
	struct model *m = mem_alloc(sizeof(*m));

	for (unsigned i = 0; i < MESSAGES; i++)
		buf_init(&m->rows[i], PAYLOAD_MAX);
	return m;
}

void
model_free(struct model *m)
{
	for (unsigned i = 0; i < MESSAGES; i++)
		buf_free(&m->rows[i]);
	free(m);
}

static bool
model_match(const struct model *m, unsigned i, const struct filter *f)
{
	struct span row = buf_span(&m->rows[i]);
	struct error err;
	struct message *message;
	bool match;

	if (!m->there[i])
		return false;
	message = message_from_payload(model_id(i), mem_strndup(row.ptr, row.len), 0, row.len, &err);
	assert_non_null(message);
	match = message->open > 0 && filter_match(f, message);
	message_free(&message);
	return match;
}

/* ---- asking ---- */

struct found {
	uint64_t ids[MESSAGES];
	size_t count;
	uint64_t last; /* that was counted */
	uint64_t messages;
};

static bool
take_number(const struct summary *s, const struct summary_recipient *r, void *context)
{
	struct found *f = context;

	(void)r;
	f->messages += s->id != f->last;
	f->last = s->id;
	return true;
}

static bool
take_whole(uint64_t first, uint64_t last, uint64_t messages, void *context)
{
	struct found *f = context;

	assert_true(first > f->last && first <= last);
	if (model_any(3) == 0)
		return false;
	f->messages += messages;
	return true;
}

static bool
take(const struct summary *s, const struct summary_recipient *r, void *context)
{
	struct found *f = context;

	(void)r;
	if (f->count > 0 && f->ids[f->count - 1] == s->id)
		return true;
	assert_true(f->count < MESSAGES);
	f->ids[f->count++] = s->id;
	return true;
}

static void
check_filter(struct model *m, struct index *x, const char *args)
{
	struct found found = {.count = 0};
	struct query_plan *plan;
	struct filter f;
	struct error err;
	uint64_t after = 0;
	size_t at = 0;
	bool more = true;

	assert_int_equal(filter_parse(&f, span_of(args), &err), 0);
	plan = query_plan_new(&f);
	while (more)
		if (query_each_match(x, plan, &after, 1 + model_any(100), take, NULL, &found, &more, &err) <
		    0)
			fail_msg("%s", err.text);
	for (unsigned i = 0; i < MESSAGES; i++) {
		bool wanted = model_match(m, i, &f), got = at < found.count && found.ids[at] == model_id(i);

		at += got;
		if (wanted != got)
			fail_msg("message %u %s by:\n%s", i, wanted ? "is missed" : "is found", args);
	}
	assert_int_equal(at, found.count);
	for (after = 0, more = true; more;)
		if (query_each_match(x, plan, &after, 1 + model_any(100), take_number, take_whole, &found,
			&more, &err) < 0)
			fail_msg("%s", err.text);
	assert_int_equal(found.messages, found.count);
	query_plan_free(&plan);
	filter_free(&f);
}

static const char *const filters[][4] = {
    {"from", "s1@one.test", "@TWO.test", "<>"},
    {"from", "Owner-a@lists.test", "@LISTS.test", "owner-b@two.test"},
    {"to", "R3@one.test", "@two.test", "@"},
    {"to", "o3@alias.test", "@Alias.test", "<>"},
    {"nexthop", "one.test", "relay.test", "lmtp"},
    {"reason", "refused", "192.0.2.1", "5B1F17b183"},
    {"reason", "2001:db8::7", "452 4.2.2 mailbox", "u3@one"},
    {"reason", "1", ".", "no digits here"},
    {"state", "deferred", "hold", "active"},
    {"older-than", "0", "3000", "9000"},
    {"newer-than", "0", "3000", "9000"},
    {"larger-than", "0", "2500", "4999"},
};

void
model_check(struct model *m, struct index *x)
{
	enum { KINDS = sizeof(filters) / sizeof(filters[0]) };
	char args[1000];

	check_filter(m, x, "");
	for (unsigned i = 0; i < KINDS; i++)
		for (unsigned k = 1; k < 4; k++) {
			snprintf(args, sizeof(args), "%s=%s\n", filters[i][0], filters[i][k]);
			check_filter(m, x, args);
		}
	for (unsigned n = 0; n < 40; n++) {
		size_t len = 0;

		args[0] = '\0';
		for (unsigned i = 0; i < KINDS; i++)
			if (model_any(4) == 0)
				len += (size_t)snprintf(args + len, sizeof(args) - len, "%s=%s\n",
				    filters[i][0], filters[i][1 + model_any(3)]);
		check_filter(m, x, args);
	}
}

bool
model_check_row(const struct summary *row, void *context)
{
	struct index *x = context;
	struct summary s = *row;
	struct summary_recipient r;
	struct index_row found;
	struct error err;
	struct buf out;
	int got;

	buf_init(&out, PAYLOAD_MAX);
	assert_int_equal(index_load(x, s.id, &out, &found, &err), 1);
	assert_int_equal(dictionary_text(x, DICTIONARY_DOMAIN, s.sender_domain, &out, &err), 1);
	assert_int_equal(dictionary_text(x, DICTIONARY_DOMAIN, s.own_domain, &out, &err), 1);
	assert_int_equal(dictionary_text(x, DICTIONARY_REASON, s.hold_reason, &out, &err), 1);
	while ((got = summary_next(&s, &r)) > 0) {
		assert_int_equal(dictionary_text(x, DICTIONARY_DOMAIN, r.domain, &out, &err), 1);
		assert_int_equal(dictionary_text(x, DICTIONARY_DOMAIN, r.original_domain, &out, &err), 1);
		assert_int_equal(dictionary_text(x, DICTIONARY_REASON, r.reason, &out, &err), 1);
		assert_int_equal(dictionary_text(x, DICTIONARY_HOP, r.hop, &out, &err), 1);
	}
	assert_int_equal(got, 0);
	buf_free(&out);
	return true;
}
