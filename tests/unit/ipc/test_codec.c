#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/ipc/codec.h"
#include "common/ipc/outqueue.h"

/* What a field is given, so that no two fields of a message are alike. */
struct filler {
	unsigned number;
	size_t text_len; /* each text and BYTES has that many octets, at most its maximum */
};

static char many[65536];

static uint64_t
next(struct filler *f)
{
	return 0x0123456789abcdefull * ++f->number;
}

static struct span
next_text(struct filler *f, size_t max)
{
	size_t len = f->text_len < max ? f->text_len : max;

	return span_make(many + ++f->number, len);
}

/* fill_NAME() and same_NAME() for each message of the table. */
#define MESSAGE(NAME, name, kind)                                                                            \
	static void fill_##name(struct msg_##name *m, struct filler *filler)                                 \
	{                                                                                                    \
		(void)filler;
#define U8(message, field) m->field = (uint8_t)next(filler);
#define U32(message, field) m->field = (uint32_t)next(filler);
#define U64(message, field) m->field = next(filler);
#define I64(message, field) m->field = (int64_t)next(filler);
#define TEXT(message, field, max) m->field = next_text(filler, max);
#define BYTES(message, field, max) m->field = next_text(filler, max);
#define FD(message, field) m->field = -1;
#define END(name) }
#include "common/ipc/messages.def"

#define MESSAGE(NAME, name, kind)                                                                            \
	static void same_##name(const struct msg_##name *a, const struct msg_##name *b)                      \
	{
#define U8(message, field) assert_int_equal(a->field, b->field);
#define U32(message, field) assert_int_equal(a->field, b->field);
#define U64(message, field) assert_true(a->field == b->field);
#define I64(message, field) assert_true(a->field == b->field);
#define TEXT(message, field, max) assert_true(span_equal(a->field, b->field));
#define BYTES(message, field, max) assert_true(span_equal(a->field, b->field));
#define FD(message, field) assert_int_equal(a->field, b->field);
#define END(name) }
#include "common/ipc/messages.def"

static void
check_round_trip(enum ipc_type type, const void *message, struct ipc_frame *frame)
{
	uint32_t call = codec_kind(type) == IPC_KIND_NOTE ? 0 : 77;
	struct error err;
	bool has_fd = true;
	struct buf out;

	buf_init(&out, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode(&out, type, call, message), 0);
	for (size_t cut = 0; cut < out.len; cut += cut < 300 ? 1 : 997)
		assert_int_equal(ipc_decode(span_sub(buf_span(&out), 0, cut), frame, &has_fd, &err), 0);
	assert_int_equal(ipc_decode(buf_span(&out), frame, &has_fd, &err), out.len);
	assert_int_equal(frame->type, type);
	assert_int_equal(frame->call, call);
	assert_false(has_fd);
	/* The memory must live while it is compared. */
	static struct buf kept;
	buf_free(&kept);
	kept = out;
}

static void
round_trip_of_every_type(void **state)
{
	static const size_t lengths[] = {0, 1, 63, 65535};
	static struct ipc_frame frame;

	(void)state;
	memset(many, 'x', sizeof(many));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct filler filler = {0, lengths[i]};
#define MESSAGE(NAME, name, kind)                                                                            \
	{                                                                                                    \
		struct msg_##name m;                                                                         \
		fill_##name(&m, &filler);                                                                    \
		check_round_trip(IPC_##NAME, &m, &frame);                                                    \
		same_##name(&m, &frame.name);                                                                \
	}
#include "common/ipc/messages.def"
	}
}

static void
every_reply_has_its_question(void **state)
{
	(void)state;
	for (unsigned type = 0; type < IPC_TYPE_COUNT; type++) {
		enum ipc_kind kind = codec_kind((enum ipc_type)type);
		bool replies = false;

		for (unsigned asked = 0; asked < IPC_TYPE_COUNT; asked++) {
			if (!codec_replies((enum ipc_type)type, (enum ipc_type)asked))
				continue;
			replies = true;
			assert_int_equal(codec_kind((enum ipc_type)asked), IPC_KIND_ASK);
		}
		assert_int_equal(replies, kind == IPC_KIND_PART || kind == IPC_KIND_ANSWER);
	}
}

/* A frame whose length is right by its header but not by its fields. */
static void
wrong_length_is_malformed(void **state)
{
	struct msg_dns_ask m = {.name = SPAN_LIT("mx.example"), .type = 15};
	struct ipc_frame frame;
	struct error err;
	struct buf out;
	bool has_fd;

	(void)state;
	for (int delta = -30; delta <= 30; delta++) {
		uint32_t length;

		buf_init(&out, 1000);
		ipc_encode(&out, IPC_DNS_ASK, 1, &m);
		length = (uint32_t)((int)out.len + delta);
		buf_append(&out, many, 100);
		memcpy(buf_reserve(&out, 0) - out.len, &length, sizeof(length));
		assert_int_equal(
		    ipc_decode(buf_span(&out), &frame, &has_fd, &err), delta == 0 ? (int)length : -1);
		buf_free(&out);
	}
}

static void
bounds_hold_at_both_ends(void **state)
{
	struct msg_dns_ask m = {.name = span_make(many, 256)};
	char raw[400];
	uint16_t len = 256;
	uint32_t header[3] = {0, IPC_DNS_ASK, 1};
	struct ipc_frame frame;
	struct error err;
	struct buf out;
	bool has_fd;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(ipc_encode(&out, IPC_DNS_ASK, 1, &m), -1);
	assert_int_equal(out.len, 0);
	m.name = SPAN_LIT("a\0b");
	assert_int_equal(ipc_encode(&out, IPC_DNS_ASK, 1, &m), -1);
	m.name.len = 1;
	assert_int_equal(ipc_encode(&out, IPC_DNS_ASK, 1, &m), 0);
	buf_free(&out);

	/* 256 octets where 255 may be */
	memset(raw, 'x', sizeof(raw));
	header[0] = sizeof(header) + 2 + 256 + 4 + 8 + 4;
	memcpy(raw, header, sizeof(header));
	memcpy(raw + 12, &len, sizeof(len));
	assert_int_equal(ipc_decode(span_make(raw, sizeof(raw)), &frame, &has_fd, &err), -1);
	/* the same with 255 is well-formed */
	len = 255;
	header[0]--;
	memcpy(raw, header, sizeof(header));
	memcpy(raw + 12, &len, sizeof(len));
	assert_int_equal(ipc_decode(span_make(raw, sizeof(raw)), &frame, &has_fd, &err), header[0]);
	/* and with a NUL in it is not */
	raw[100] = '\0';
	assert_int_equal(ipc_decode(span_make(raw, sizeof(raw)), &frame, &has_fd, &err), -1);
}

static void
headers_that_are_none(void **state)
{
	static const struct {
		const char *why;
		uint32_t header[3];
	} rows[] = {
	    {"shorter than a header", {11, IPC_PING, 0}},
	    {"longer than a frame may be", {IPC_FRAME_MAX + 1, IPC_PING, 0}},
	    {"type 0", {20, 0, 0}},
	    {"type after the last", {20, IPC_TYPE_COUNT, 0}},
	    {"unknown bits", {20, IPC_PING | 0x20000, 0}},
	    {"a note in a conversation", {20, IPC_PING, 1}},
	    {"a question outside of any", {20, IPC_DNS_ASK, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char raw[64] = {0};
		struct ipc_frame frame;
		struct error err;
		bool has_fd;

		memcpy(raw, rows[i].header, sizeof(rows[i].header));
		if (ipc_decode(span_make(raw, sizeof(raw)), &frame, &has_fd, &err) != -1)
			fail_msg("%s was accepted", rows[i].why);
	}
}

static void
print_shows_no_content(void **state)
{
	struct ipc_frame frame = {
	    .type = IPC_DNS_ASK, .call = 5, .dns_ask = {.name = SPAN_LIT("secret"), .type = 15}};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	ipc_print(&out, &frame);
	assert_string_equal(buf_text(&out), "DNS_ASK call=5 name=[6] type=15 asker=0 flags=0");
	buf_free(&out);
}

static void
a_secret_has_no_length_either(void **state)
{
	struct ipc_frame frame = {.type = IPC_PASSWORD_ASK,
	    .call = 5,
	    .password_ask = {.user = SPAN_LIT("alice"), .password = SPAN_LIT("secret")}};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	ipc_print(&out, &frame);
	assert_string_equal(buf_text(&out),
	    "PASSWORD_ASK call=5 section=[0] user=[5] password=[secret] mechanism=[0] client_address=[0]");
	buf_free(&out);
	assert_true(codec_secret(IPC_PASSWORD_ASK));
	assert_false(codec_secret(IPC_PASSWORD_ANSWER));
}

/* The block of a queue is used again: what was in it is not. */
static void
a_sent_secret_leaves_nothing(void **state)
{
	static const char password[] = "correct horse battery staple";
	struct outqueue q = {0};

	(void)state;
	for (int secret = 0; secret < 2; secret++) {
		char *at = outqueue_add(&q, sizeof(password), -1);

		memcpy(at, password, sizeof(password));
		if (secret)
			outqueue_secret(&q);
		outqueue_clear(&q);
		assert_ptr_equal(outqueue_add(&q, sizeof(password), -1), at);
		assert_int_equal(memcmp(at, password, sizeof(password)) == 0, !secret);
		outqueue_clear(&q);
	}
}

/* Waiting for credit means another queue. */
static void
a_moved_secret_stays_one(void **state)
{
	static const uint32_t frame[] = {16, IPC_PASSWORD_ASK, 1, 0x12345678};
	struct outqueue q = {0}, waiting = {.small = true};

	(void)state;
	memcpy(outqueue_add(&waiting, sizeof(frame), -1), frame, sizeof(frame));
	outqueue_secret(&waiting);
	outqueue_move(&q, &waiting);
	outqueue_clear(&q);
	assert_memory_not_equal(outqueue_add(&q, sizeof(frame), -1), frame, sizeof(frame));
	outqueue_clear(&q);
}

static void
a_frame_that_is_not_whole_may_be_secret(void **state)
{
	static const uint32_t secret[] = {200, IPC_PASSWORD_ASK, 1}, other[] = {200, IPC_DNS_ASK, 1};

	(void)state;
	assert_false(codec_may_be_secret(span_make(NULL, 0)));
	assert_true(codec_may_be_secret(span_make(secret, 3)));
	assert_true(codec_may_be_secret(span_make(secret, 8)));
	assert_true(codec_may_be_secret(span_make(secret, sizeof(secret))));
	assert_false(codec_may_be_secret(span_make(other, sizeof(other))));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip_of_every_type),
	    cmocka_unit_test(every_reply_has_its_question),
	    cmocka_unit_test(wrong_length_is_malformed),
	    cmocka_unit_test(bounds_hold_at_both_ends),
	    cmocka_unit_test(headers_that_are_none),
	    cmocka_unit_test(print_shows_no_content),
	    cmocka_unit_test(a_secret_has_no_length_either),
	    cmocka_unit_test(a_sent_secret_leaves_nothing),
	    cmocka_unit_test(a_moved_secret_stays_one),
	    cmocka_unit_test(a_frame_that_is_not_whole_may_be_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
