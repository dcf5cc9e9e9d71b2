/* virtual(8): from lookup's answers to a mailbox; what is wrong in tables; a lookup service that dies or is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conf/conf.h"
#include "common/mail/outcome.h"
#include "delivery/local/local.h"

enum { ASKS = 3 };

/* What lookup says to each question, and what came of it. */
static struct world {
	struct event_base *base;
	struct ipc_channel *local, *lookup;
	struct conf *conf;
	struct local root;
	bool dies, silent;
	struct msg_map_answer answers[ASKS];
	char tables[ASKS][64];
	unsigned asked;

	struct target *user;
	char outcome[300];
	struct target written;
	unsigned writes, finishes;
	int64_t size_limit;
	char locks[40];
	unsigned flags;
} world;

/* ---- what stands around virtual.c ---- */

struct local *
job_local(const struct job *job)
{
	(void)job;
	return &world.root;
}

const struct conf_values *
job_values(const struct job *job)
{
	(void)job;
	return world.conf->values;
}

struct ipc_channel *
server_peer(struct server *s, enum role role, uint32_t index)
{
	(void)s;
	(void)index;
	return role == ROLE_LOOKUP ? world.local : NULL;
}

void
job_finish(
    struct job_recipient *r, enum outcome_class class, struct span code, struct span text, uint32_t flags)
{
	(void)r;
	(void)flags;
	world.finishes++;
	snprintf(world.outcome, sizeof(world.outcome), "%s %.*s %.*s", outcome_word(class), SPAN_ARG(code),
	    SPAN_ARG(text));
}

void
job_finishf(struct job_recipient *r, enum outcome_class class, const char *code, const char *format, ...)
{
	char text[250];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	job_finish(r, class, span_of(code), span_of(text), 0);
}

void
job_finish_as_told(void *context, enum outcome_class class, struct span status, struct span text)
{
	job_finish(context, class, status, text, 0);
}

void
recipient_does(struct job_recipient *r, const char *doing)
{
	r->doing = doing;
}

void
recipient_fill_letter(struct job_recipient *r, const char *kind)
{
	assert_null(kind);
	r->letter.recipient = r->recipient;
}

void
writers_deliver(struct pool *pool, const struct conf_values *v, const struct writers_request *request,
    writers_done *done, void *context)
{
	(void)pool;
	(void)v;
	world.writes++;
	world.written = *request->target;
	world.size_limit = request->size_limit;
	world.flags = request->letter->flags;
	snprintf(world.locks, sizeof(world.locks), "%s", request->locks);
	assert_null(request->command);
	done(context, OUTCOME_DELIVERED, SPAN_LIT("2.0.0"), SPAN_LIT("delivered"));
}

/* ---- lookup ---- */

static int
handle_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	unsigned n = world.asked++;

	(void)context;
	(void)err;
	assert_true(n < ASKS);
	assert_int_equal(frame->map_ask.form, LOOKUP_VIRTUAL);
	assert_true(span_is(frame->map_ask.key, "u@virt.test"));
	span_copy(frame->map_ask.tables, world.tables[n], sizeof(world.tables[n]));
	if (world.dies)
		ipc_channel_close(&channel);
	else if (!world.silent)
		ipc_send(channel, IPC_MAP_ANSWER, frame->call, &world.answers[n]);
	return 0;
}

static void
on_down(struct ipc_channel *channel, void *context)
{
	(void)context;
	if (channel == world.local)
		world.local = NULL;
	if (channel == world.lookup)
		world.lookup = NULL;
}

static void
begin(const char *settings)
{
	static const struct ipc_permit permits[] = {{IPC_MAP_ASK, ROLE_BIT(ROLE_LOCAL), handle_ask}};
	static const struct ipc_callbacks callbacks = {permits, 1, NULL, on_down, NULL};
	char text[600];
	struct error err;
	int pair[2];

	memset(&world, 0, sizeof(world));
	snprintf(text, sizeof(text),
	    "virtual_mailbox_base = /v\nvirtual_mailbox_maps = inline:{a=b}\nvirtual_uid_maps = "
	    "inline:{c=d}\n"
	    "virtual_gid_maps = inline:{e=f}\nvirtual_mailbox_limit = 77000\nmessage_size_limit = 7000\n"
	    "virtual_mailbox_lock = dotlock\n%s",
	    settings);
	world.conf = conf_from_text(text, &err);
	if (!world.conf)
		fail_msg("%s", err.text);
	world.root.finder.privileged = true;
	world.base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	world.local = ipc_channel_new(world.base, pair[0], ROLE_LOCAL, 0, ROLE_LOOKUP, 0, &callbacks);
	world.lookup = ipc_channel_new(world.base, pair[1], ROLE_LOOKUP, 0, ROLE_LOCAL, 4, &callbacks);
}

static void
deliver(void)
{
	struct job_recipient r = {.recipient = SPAN_LIT("u@virt.test")};

	virtual_start(&r);
	for (unsigned i = 0; i < 60; i++) {
		ipc_flush_all();
		event_base_loop(world.base, EVLOOP_NONBLOCK);
	}
	if (world.silent)
		ipc_channel_close(&world.lookup);
	for (unsigned i = 0; i < 20; i++) {
		ipc_flush_all();
		event_base_loop(world.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(world.finishes, 1);
	free(r.user);
	ipc_channel_close(&world.local);
	ipc_channel_close(&world.lookup);
	event_base_free(world.base);
	conf_unref(&world.conf);
}

static void
answers(const char *path, const char *uid, const char *gid)
{
	const char *const values[] = {path, uid, gid};

	for (size_t i = 0; i < ASKS; i++)
		world.answers[i] =
		    values[i] ? (struct msg_map_answer){.status = LOOKUP_FOUND, .value = span_of(values[i])}
			      : (struct msg_map_answer){.status = LOOKUP_NOT_FOUND};
}

/* ---- tests ---- */

static void
a_mailbox_has_a_path_a_user_and_a_group(void **state)
{
	(void)state;
	begin("");
	answers(" virt.test/u/ ", "1234", " 2345\t");
	deliver();
	assert_string_equal(world.outcome, "sent 2.0.0 delivered");
	assert_string_equal(world.tables[0], "inline:{a=b}");
	assert_string_equal(world.tables[1], "inline:{c=d}");
	assert_string_equal(world.tables[2], "inline:{e=f}");
	assert_string_equal(world.written.path, "/v/virt.test/u/");
	assert_int_equal(world.written.kind, MAILBOX_MAILDIR);
	assert_int_equal(world.written.uid, 1234);
	assert_int_equal(world.written.gid, 2345);
	assert_int_equal(world.written.group_count, 1);
	assert_int_equal(world.written.groups[0], 2345);
	assert_int_equal(world.size_limit, 77000);
	assert_string_equal(world.locks, "dotlock");
	assert_true(world.flags & LETTER_MAY_RETURN);

	begin("virtual_mailbox_base =\n");
	answers("/m/u..x", "100", "1");
	deliver();
	assert_string_equal(world.written.path, "/m/u..x");
	assert_int_equal(world.written.kind, MAILBOX_MBOX);
	assert_int_equal(world.written.uid, 100);
}

static void
an_ordinary_user_writes_it_itself(void **state)
{
	(void)state;
	begin("");
	world.root.finder.privileged = false;
	world.root.finder.own_uid = world.root.finder.own_gid = 4321;
	answers("u", "1234", "2345");
	deliver();
	assert_int_equal(world.written.uid, 4321);
	assert_int_equal(world.written.gid, 4321);
	assert_int_equal(world.written.groups[0], 4321);
}

static void
what_is_wrong_in_tables_is_written_nowhere(void **state)
{
	static char longest[1300];
	static const struct {
		const char *path, *uid, *gid, *settings, *outcome;
		unsigned asked;
	} rows[] = {
	    {NULL, "1", "1", "", "bounced 5.1.1 unknown user: \"u@virt.test\"", 1},
	    {"u", NULL, "5", "",
		"deferred 4.3.5 mail system configuration error: recipient u@virt.test: no uid is known", 2},
	    {"u", "500", NULL, "",
		"deferred 4.3.5 mail system configuration error: recipient u@virt.test: no gid is known", 3},
	    {"", "500", "5", "",
		"deferred 4.3.5 mail system configuration error: bad mailbox path \"\" for u@virt.test", 1},
	    {"../u", "500", "5", "",
		"deferred 4.3.5 mail system configuration error: bad mailbox path \"../u\" for u@virt.test",
		1},
	    {"a/../u", "500", "5", "",
		"deferred 4.3.5 mail system configuration error: bad mailbox path \"a/../u\" for u@virt.test",
		1},
	    {"a/..", "500", "5", "",
		"deferred 4.3.5 mail system configuration error: bad mailbox path \"a/..\" for u@virt.test",
		1},
	    {"u", "500", "5", "virtual_mailbox_base =\n",
		"deferred 4.3.5 mail system configuration error: bad mailbox path \"u\" for u@virt.test", 1},
	    {longest, "500", "5", "", "deferred 4.3.5 mail system configuration error: bad mailbox path \"",
		1},
	    {"u", "0", "5", "",
		"deferred 4.3.5 mail system configuration error: bad uid \"0\" for u@virt.test", 2},
	    {"u", "-1", "5", "",
		"deferred 4.3.5 mail system configuration error: bad uid \"-1\" for u@virt.test", 2},
	    {"u", "4294967296", "5", "",
		"deferred 4.3.5 mail system configuration error: bad uid \"4294967296\" for u@virt.test", 2},
	    {"u", "alice", "5", "",
		"deferred 4.3.5 mail system configuration error: bad uid \"alice\" for u@virt.test", 2},
	    {"u", "99", "5", "",
		"deferred 4.3.5 mail system configuration error: uid below virtual_minimum_uid \"99\" for "
		"u@virt.test",
		2},
	    {"u", "999", "5", "virtual_minimum_uid = 1000\n",
		"deferred 4.3.5 mail system configuration error: uid below virtual_minimum_uid \"999\" for "
		"u@virt.test",
		2},
	    {"u", "500", "0", "",
		"deferred 4.3.5 mail system configuration error: bad gid \"0\" for u@virt.test", 3},
	    {"u", "500", "5 6", "",
		"deferred 4.3.5 mail system configuration error: bad gid \"5 6\" for u@virt.test", 3},
	};

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].settings);
		answers(rows[i].path, rows[i].uid, rows[i].gid);
		deliver();
		if (strncmp(world.outcome, rows[i].outcome, strlen(rows[i].outcome)) != 0)
			fail_msg("row %zu: %s", i, world.outcome);
		assert_int_equal(world.writes, 0);
		assert_int_equal(world.asked, rows[i].asked);
	}
}

static void
trouble_with_a_table_defers(void **state)
{
	(void)state;
	for (unsigned at = 0; at < ASKS; at++) {
		begin("");
		answers("u", "1234", "2345");
		world.answers[at] = (struct msg_map_answer){
		    .status = LOOKUP_TEMPORARY, .value = SPAN_LIT("u"), .reason = SPAN_LIT("no server")};
		deliver();
		assert_string_equal(world.outcome, "deferred 4.3.0 virtual mailbox lookup error: no server");
		assert_int_equal(world.asked, at + 1);

		/* A number that no lookup gives. */
		begin("");
		answers("u", "1234", "2345");
		world.answers[at].status = 200;
		deliver();
		assert_string_equal(world.outcome, "deferred 4.3.0 virtual mailbox lookup error: ");
		assert_int_equal(world.writes, 0);
	}
}

static void
a_lookup_that_dies_defers(void **state)
{
	(void)state;
	begin("");
	world.dies = true;
	deliver();
	assert_string_equal(world.outcome, "deferred 4.3.0 virtual mailbox lookup error");

	begin("");
	world.silent = true;
	deliver();
	assert_string_equal(world.outcome, "deferred 4.3.0 virtual mailbox lookup error");

	begin("");
	ipc_channel_close(&world.local);
	deliver();
	assert_string_equal(world.outcome, "deferred 4.3.0 the lookup service is not there");
	assert_int_equal(world.asked, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_mailbox_has_a_path_a_user_and_a_group),
	    cmocka_unit_test(an_ordinary_user_writes_it_itself),
	    cmocka_unit_test(what_is_wrong_in_tables_is_written_nowhere),
	    cmocka_unit_test(trouble_with_a_table_defers),
	    cmocka_unit_test(a_lookup_that_dies_defers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
