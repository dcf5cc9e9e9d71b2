/*
 * The index against a model: thousands of random changes, every kind of filter, texts swept and pages joined in between,
 * the process killed between and in transactions.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/filter.h"
#include "queue/index/compact.h"
#include "queue/index/dictionary.h"
#include "queue/index/index_db.h"
#include "queue/index/query.h"
#include "queue/index/sweep.h"
#include "queue/log/disk.h"
#include "queue/message.h"
#include "queue/spool_clock.h"

enum { MESSAGES = 400, BATCH = 20, PAYLOAD_MAX = 4 << 20, ROWS_A_ZONE = 8 };

static uint64_t seed;
static char dir[64];
static int64_t base_us; /* one for the killed process and for who looks afterwards */

static unsigned
any(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

/* ---- the model: payloads by id, NULL where there is none ---- */

struct model {
	struct buf rows[MESSAGES];
	bool there[MESSAGES];
};

static uint64_t
id_of(unsigned i)
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
	char address[100], why[400], hop[100], owner[100];
	const char *domain = domains[any(5)];
	struct part_recipient p = {.index = index,
	    .transport = any(5) ? SPAN_LIT("smtp") : SPAN_LIT("lmtp"),
	    .state = any(8) ? RECIPIENT_QUEUED : RECIPIENT_DONE,
	    .due_spool_us = any(100) * US_PER_SECOND};

	snprintf(
	    address, sizeof(address), "%c%u%s%s", any(2) ? 'r' : 'R', any(9), *domain ? "@" : "", domain);
	snprintf(hop, sizeof(hop), any(3) ? "%s" : "[%s]:2525", any(2) ? domains[any(4)] : "relay.test");
	p.recipient = span_of(address);
	p.nexthop = span_of(hop);
	snprintf(owner, sizeof(owner), "owner-%c@%s", any(2) ? 'a' : 'B', any(2) ? "lists.test" : "Two.test");
	p.own_sender = any(4) == 0;
	if (p.own_sender && any(4))
		p.sender = span_of(owner);
	p.text = text(why, sizeof(why), reasons[any(7)], any(12), any(300));
	assert_int_equal(part_encode_recipient(out, &p), 0);
}

static void
make_payload(struct buf *out)
{
	uint32_t count = any(30) ? 1 + any(3) : 33 + any(60);
	uint8_t le[4] = {(uint8_t)count, 0, 0, 0};
	char sender[100], why[100];
	struct part_envelope e = {.arrival_spool_us = base_us - (int64_t)any(7200) * US_PER_SECOND,
	    .content_len = any(5000),
	    .next_index = count,
	    .held = any(4) == 0};

	snprintf(sender, sizeof(sender), "s%u@%s", any(7), domains[any(4)]);
	if (any(6))
		e.sender = span_of(sender);
	if (e.held)
		e.hold_reason = text(why, sizeof(why), "held: %u refused %u", any(3), any(3));
	buf_clear(out);
	assert_int_equal(part_encode_envelope(out, &e), 0);
	buf_append(out, le, sizeof(le));
	for (uint32_t i = 0; i < count; i++)
		make_recipient(out, i);
}

/* One transaction of changes that the seed decides. */
static void
change(struct model *m, struct index *x, uint64_t position)
{
	struct index_change changes[BATCH];
	struct error err;

	for (unsigned n = 0; n < BATCH; n++) {
		unsigned i = any(MESSAGES);
		bool again = false;

		for (unsigned k = 0; k < n; k++)
			again = again || changes[k].id == id_of(i);
		if (again) {
			n--;
			continue;
		}
		m->there[i] = any(3) != 0;
		changes[n] =
		    (struct index_change){.id = id_of(i), .position = 4096 + i, .segment = any(3) * 4096};
		if (!m->there[i])
			continue;
		make_payload(&m->rows[i]);
		changes[n].row = buf_span(&m->rows[i]);
	}
	if (x && index_apply(x, changes, BATCH, position, &err) < 0)
		fail_msg("%s", err.text);
}

/* A transaction that fails at its end: nothing of it counts. */
static void
fail_to_change(struct index *x)
{
	struct index_change changes[2] = {
	    {.id = id_of(any(MESSAGES)), .position = 4096}, {.id = id_of(MESSAGES), .position = 4096}};
	struct buf row;
	struct error err;

	buf_init(&row, PAYLOAD_MAX);
	make_payload(&row);
	if (any(2))
		changes[0].row = buf_span(&row);
	changes[1].row = SPAN_LIT("none");
	assert_int_equal(index_apply(x, changes, 2, 1, &err), -1);
	buf_free(&row);
}

static struct model *
model_new(void)
{
	struct model *m = mem_alloc(sizeof(*m));

	for (unsigned i = 0; i < MESSAGES; i++)
		buf_init(&m->rows[i], PAYLOAD_MAX);
	return m;
}

static void
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
	message = message_from_payload(id_of(i), mem_strndup(row.ptr, row.len), 0, row.len, &err);
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
	if (any(3) == 0)
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
		if (query_each_match(x, plan, &after, 1 + any(100), take, NULL, &found, &more, &err) < 0)
			fail_msg("%s", err.text);
	for (unsigned i = 0; i < MESSAGES; i++) {
		bool wanted = model_match(m, i, &f), got = at < found.count && found.ids[at] == id_of(i);

		at += got;
		if (wanted != got)
			fail_msg("message %u %s by:\n%s", i, wanted ? "is missed" : "is found", args);
	}
	assert_int_equal(at, found.count);
	for (after = 0, more = true; more;)
		if (query_each_match(
			x, plan, &after, 1 + any(100), take_number, take_whole, &found, &more, &err) < 0)
			fail_msg("%s", err.text);
	assert_int_equal(found.messages, found.count);
	query_plan_free(&plan);
	filter_free(&f);
}

static const char *const filters[][4] = {
    {"from", "s1@one.test", "@TWO.test", "<>"},
    {"from", "Owner-a@lists.test", "@LISTS.test", "owner-b@two.test"},
    {"to", "R3@one.test", "@two.test", "@"},
    {"nexthop", "one.test", "relay.test", "lmtp"},
    {"reason", "refused", "192.0.2.1", "5B1F17b183"},
    {"reason", "2001:db8::7", "452 4.2.2 mailbox", "u3@one"},
    {"reason", "1", ".", "no digits here"},
    {"state", "deferred", "hold", "active"},
    {"older-than", "0", "3000", "9000"},
    {"newer-than", "0", "3000", "9000"},
    {"larger-than", "0", "2500", "4999"},
};

static void
check_all(struct model *m, struct index *x)
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
			if (any(4) == 0)
				len += (size_t)snprintf(args + len, sizeof(args) - len, "%s=%s\n",
				    filters[i][0], filters[i][1 + any(3)]);
		check_filter(m, x, args);
	}
}

/* Every number leads to a text, every row to a message. */
static bool
check_row(const struct summary *row, void *context)
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
		assert_int_equal(dictionary_text(x, DICTIONARY_REASON, r.reason, &out, &err), 1);
		assert_int_equal(dictionary_text(x, DICTIONARY_HOP, r.hop, &out, &err), 1);
	}
	assert_int_equal(got, 0);
	buf_free(&out);
	return true;
}

static bool
count_text(uint32_t number, struct span text, void *context)
{
	(void)number;
	(void)text;
	++*(unsigned *)context;
	return true;
}

static unsigned
texts(struct index *x)
{
	unsigned count = 0;
	struct error err;

	assert_int_equal(dictionary_each(x, DICTIONARY_REASON, 0, count_text, &count, &err), 0);
	return count;
}

static struct index *
open_index(void)
{
	struct error err;
	struct index *x = index_open(dir, 1 << 20, 256 << 10, &err);

	if (!x)
		fail_msg("%s", err.text);
	zones_fini(&x->zones);
	zones_init(&x->zones, ROWS_A_ZONE);
	return x;
}

static int
set_up(void **state)
{
	(void)state;
	seed = 1;
	spool_clock_start(0, clock_wall_us());
	base_us = spool_clock_now();
	snprintf(dir, sizeof(dir), "/tmp/postern-index-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct error err;

	(void)state;
	index_wipe(dir, &err);
	return rmdir(dir);
}

/* ---- tests ---- */

static void
test_filters_find_what_the_model_has(void **state)
{
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;
	uint64_t after = 0;
	bool more;

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned n = 0; n < 40; n++) {
			change(m, x, 1);
			/* A sweep and a compaction that transactions go on beside. */
			assert_true(sweep_step(x, &err) >= 0);
			assert_true(compact_step(x, &err) >= 0);
			if (any(3) == 0)
				assert_true(zones_step(x, &err) >= 0);
			if (any(8) == 0)
				fail_to_change(x);
		}
		/* Some zones are known when the questions come, or all, or none. */
		while (round % 4 == 1 && zones_step(x, &err) > 0)
			;
		if (round % 3 == 2) {
			index_close(&x);
			x = open_index();
		}
		check_all(m, x);
		after = 0;
		assert_int_equal(rows_each(x, &after, UINT64_MAX, 1000000, check_row, x, &more, &err), 0);
		assert_false(more);
	}
	index_close(&x);
	model_free(m);
}

/* The file of cards cannot be written, or read: what is known without it is the same. */
static ssize_t
no_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	(void)fd;
	(void)bytes;
	(void)len;
	(void)offset;
	errno = ENOSPC;
	return -1;
}

static ssize_t
no_pread(int fd, void *bytes, size_t len, off_t offset)
{
	(void)fd;
	(void)bytes;
	(void)len;
	(void)offset;
	errno = EIO;
	return -1;
}

static bool
has_image(const struct index *x)
{
	for (size_t i = 0; i < x->zones.count; i++)
		if (x->zones.all[i]->image.there)
			return true;
	return false;
}

static void
test_a_disk_without_room_for_cards(void **state)
{
	const struct disk whole = disk;
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < 40; n++)
			change(m, x, 1);
		while (zones_step(x, &err) > 0)
			;
		assert_true(has_image(x));
		if (round == 0)
			disk.pwrite = no_pwrite;
		if (round == 1)
			disk.pread = no_pread;
		if (round != 1)
			change(m, x, 1);
		check_all(m, x);
		assert_int_equal(has_image(x), round == 2);
		disk = whole;
		x->zones.images.open_after_us = 0;
	}
	index_close(&x);
	model_free(m);
}

static void
test_texts_that_nothing_uses_are_swept(void **state)
{
	struct index *x = open_index();
	struct model *m = model_new();
	struct index_change gone[MESSAGES];
	struct error err;
	unsigned before;
	int got;

	(void)state;
	for (unsigned n = 0; n < 20; n++)
		change(m, x, 1);
	before = texts(x);
	assert_true(before > 5);
	while ((got = sweep_step(x, &err)) > 0)
		;
	assert_int_equal(got, 0);
	assert_true(texts(x) <= before);
	check_all(m, x);
	for (unsigned i = 0; i < MESSAGES; i++) {
		gone[i] = (struct index_change){.id = id_of(i)};
		m->there[i] = false;
	}
	assert_int_equal(index_apply(x, gone, MESSAGES, 2, &err), 0);
	while ((got = sweep_step(x, &err)) > 0)
		;
	assert_int_equal(got, 0);
	assert_int_equal(texts(x), 0);
	/* A text that comes again has a number again. */
	for (unsigned n = 0; n < 5; n++)
		change(m, x, 3);
	check_all(m, x);
	index_close(&x);
	model_free(m);
}

static uint64_t
octets_on_disk(void)
{
	static const char *const tables[] = {"messages.db", "summaries.db", "keys.db"};
	uint64_t octets = 0;
	struct stat st;
	char path[100];

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, tables[i]);
		assert_int_equal(stat(path, &st), 0);
		octets += (uint64_t)st.st_size;
	}
	return octets;
}

/* Nine of ten messages go, whichever; then so does what the index takes on the disk. */
static void
test_space_of_removed_messages_is_given_back(void **state)
{
	enum { COUNT = 20000, AT_ONCE = 250 };
	struct index *x = open_index();
	struct index_change changes[AT_ONCE];
	struct buf rows[AT_ONCE];
	uint64_t before;
	struct error err;

	(void)state;
	for (unsigned k = 0; k < AT_ONCE; k++)
		buf_init(&rows[k], PAYLOAD_MAX);
	for (unsigned n = 0; n < COUNT; n += AT_ONCE) {
		for (unsigned k = 0; k < AT_ONCE; k++) {
			do
				make_payload(&rows[k]);
			while (rows[k].len > 1000);
			changes[k] = (struct index_change){
			    .id = id_of(n + k), .position = 4096, .segment = 4096, .row = buf_span(&rows[k])};
		}
		assert_int_equal(index_apply(x, changes, AT_ONCE, 1, &err), 0);
	}
	assert_int_equal(index_checkpoint(x, &err), 0);
	before = octets_on_disk();
	for (unsigned n = 0; n < COUNT; n += AT_ONCE) {
		size_t count = 0;

		for (unsigned k = 0; k < AT_ONCE; k++)
			if (any(10) > 0)
				changes[count++] = (struct index_change){.id = id_of(n + k)};
		assert_int_equal(index_apply(x, changes, count, 1, &err), 0);
		if (compact_is_due(x))
			assert_true(compact_step(x, &err) >= 0);
	}
	assert_true(compact_is_due(x));
	index_busy(x, true);
	assert_false(compact_is_due(x));
	index_busy(x, false);
	while (compact_is_due(x))
		assert_true(compact_step(x, &err) >= 0);
	assert_int_equal(index_checkpoint(x, &err), 0);
	assert_in_range(octets_on_disk(), before / 20, before / 4);
	for (unsigned k = 0; k < AT_ONCE; k++)
		buf_free(&rows[k]);
	index_close(&x);
}

/* The child is killed at any instant; what is there afterwards is the model after so many transactions. */
static void
test_a_killed_process_leaves_whole_transactions(void **state)
{
	struct error err;

	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		struct model *m;
		struct index *x;
		uint64_t position;
		pid_t child = fork();

		if (child == 0) {
			m = model_new();
			x = open_index();
			seed = round;
			for (uint64_t n = 1;; n++)
				change(m, x, n);
		}
		usleep(20000 + round * 9000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		m = model_new();
		x = open_index();
		seed = round;
		position = index_position(x);
		for (uint64_t n = 1; n <= position; n++)
			change(m, NULL, n);
		check_all(m, x);
		index_close(&x);
		model_free(m);
		index_wipe(dir, &err);
	}
}

/* Recovery of a damaged log may end early: what left memory since would be nowhere. */
static void
test_an_index_that_knows_less_than_it_did_is_refused(void **state)
{
	struct model *m = model_new();
	struct index *x = open_index();
	struct error err;
	char first[sizeof(dir)];

	(void)state;
	change(m, x, 1);
	index_close(&x);
	snprintf(first, sizeof(first), "%s", dir);
	snprintf(dir, sizeof(dir), "/tmp/postern-index-XXXXXX");
	assert_non_null(mkdtemp(dir));
	x = open_index();
	for (uint64_t n = 1; n < 6; n++)
		change(m, x, n);
	assert_int_equal(index_reopen(x, &err), 0);
	/* As if it had gone back to its first transaction. */
	for (int i = 0; i < 2; i++) {
		char latest[sizeof(dir)];

		snprintf(latest, sizeof(latest), "%s", dir);
		snprintf(dir, sizeof(dir), "%s", first);
		assert_int_equal(index_reopen(x, &err), -1);
		assert_int_equal(err.number, 0);
		snprintf(dir, sizeof(dir), "%s", latest);
		assert_int_equal(index_reopen(x, &err), 0);
	}
	assert_int_equal(index_renew(x, &err), 0);
	assert_int_equal(index_position(x), 0);
	change(m, x, 1);
	assert_int_equal(index_reopen(x, &err), 0);
	index_close(&x);
	index_wipe(first, &err);
	rmdir(first);
	model_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_filters_find_what_the_model_has, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_disk_without_room_for_cards, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_texts_that_nothing_uses_are_swept, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_space_of_removed_messages_is_given_back, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_a_killed_process_leaves_whole_transactions, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_an_index_that_knows_less_than_it_did_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
