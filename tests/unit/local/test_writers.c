/*
 * Letters and the processes that write mailboxes, of which this program, executed again, plays one that dies, lies or
 * hands back: each letter gets one outcome, and the mailbox's next letter a process that works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/outcome.h"
#include "delivery/local/writer.h"
#include "delivery/local/writers.h"

enum { DIES_OF_ITSELF = 7, MOST = 8, WAIT_S = 20 };

/* ---- the process, by the name of the mailbox that it is told ---- */

static struct ipc_channel *root;
static char part[200];
static unsigned letters;
static size_t octets;
static bool mute, moved;

/* The first process of that mailbox, or a later one. */
static bool
is_first(void)
{
	char path[250];
	int fd;

	snprintf(path, sizeof(path), "%s.was", part);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	return fd >= 0;
}

static bool
plays(const char *what)
{
	return strstr(part, what) != NULL;
}

static int
handle_setup(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)context;
	(void)err;
	span_copy(frame->mailbox_setup.path, part, sizeof(part));
	if (plays("dies-at-setup") && is_first())
		_exit(DIES_OF_ITSELF);
	if (plays("killed-at-setup") && is_first())
		raise(SIGKILL);
	return 0;
}

static int
handle_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)frame;
	(void)context;
	(void)err;
	letters++;
	octets = 0;
	if (plays("dies-at-open") && is_first())
		_exit(DIES_OF_ITSELF);
	if (plays("dies-at-third") && letters == 3)
		_exit(DIES_OF_ITSELF);
	return 0;
}

static int
handle_data(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)context;
	(void)err;
	octets += frame->mailbox_data.bytes.len;
	if (plays("dies-at-data") && is_first())
		_exit(DIES_OF_ITSELF);
	return 0;
}

static int
handle_go(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	char text[60];
	struct msg_mailbox_done done = {.status = SPAN_LIT("2.0.0")};
	struct msg_mailbox_waits waits = {0};

	(void)context;
	(void)err;
	if (plays("dies-at-go") && is_first())
		_exit(DIES_OF_ITSELF);
	mute = mute || (plays("silent") && is_first());
	if (mute)
		return 0;
	snprintf(text, sizeof(text), "%zu octets", octets);
	done.text = span_of(text);
	if (plays("nonsense") && is_first())
		done.class = 9;
	moved = moved || (plays("moves-once") && is_first());
	if (moved || plays("moves-always"))
		done = (struct msg_mailbox_done){
		    OUTCOME_DEFERRED, true, SPAN_LIT("4.2.0"), SPAN_LIT("it moved")};
	ipc_send(channel, IPC_MAILBOX_WAITS, frame->call, &waits);
	ipc_send(channel, IPC_MAILBOX_DONE, frame->call, &done);
	if (plays("says-it-twice"))
		ipc_send(channel, IPC_MAILBOX_DONE, frame->call, &done);
	return 0;
}

static void
root_down(struct ipc_channel *channel, void *context)
{
	(void)channel;
	event_base_loopbreak(context);
	root = NULL;
}

static int
play(void)
{
	static const struct ipc_permit permits[] = {
	    {IPC_MAILBOX_SETUP, ROLE_BIT(ROLE_LOCAL), handle_setup},
	    {IPC_MAILBOX_OPEN, ROLE_BIT(ROLE_LOCAL), handle_open},
	    {IPC_MAILBOX_DATA, ROLE_BIT(ROLE_LOCAL), handle_data},
	    {IPC_MAILBOX_GO, ROLE_BIT(ROLE_LOCAL), handle_go},
	};
	struct event_base *base = event_base_new();
	struct ipc_callbacks callbacks = {permits, sizeof(permits) / sizeof(*permits), NULL, root_down, base};

	alarm(WAIT_S);
	fcntl(WRITER_FD, F_SETFL, O_NONBLOCK);
	root = ipc_channel_new(base, WRITER_FD, ROLE_LOCAL, 0, ROLE_LOCAL, WRITER_CREDIT, &callbacks);
	while (root) {
		ipc_flush_all();
		if (event_base_loop(base, EVLOOP_ONCE) != 0)
			break;
	}
	return 0;
}

/* ---- the root part ---- */

static struct world {
	struct event_base *base;
	struct pool *pool;
	struct conf *conf;
	char dir[64];
	unsigned done;
	int ends[MOST]; /* how often each letter had one */
	char outcomes[MOST][200];
} world;

static int64_t ahead_s;

/* In the C library's place: the event loop's timers follow, too. */
int
clock_gettime(clockid_t id, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, id, now);

	if (id != CLOCK_REALTIME)
		now->tv_sec += ahead_s;
	return result;
}

static void
on_done(void *context, enum outcome_class class, struct span status, struct span text)
{
	int n = (int)(intptr_t)context;

	world.done++;
	world.ends[n]++;
	snprintf(world.outcomes[n], sizeof(world.outcomes[n]), "%s %.*s %.*s", outcome_word(class),
	    SPAN_ARG(status), SPAN_ARG(text));
}

static void
discard(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)text;
	(void)len;
	(void)context;
}

static int
begin(void **state)
{
	struct error err;

	(void)state;
	world.done = 0;
	memset(world.ends, 0, sizeof(world.ends));
	ahead_s = 0;
	log_set_sink(discard, NULL);
	snprintf(world.dir, sizeof(world.dir), "/tmp/test_writers.XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	if (world.pool)
		return 0;
	world.base = event_base_new();
	world.conf = conf_from_text("mailbox_delivery_workers = 1\ndeliver_lock_attempts = 1\n", &err);
	world.pool = pool_new(world.base, false, &err);
	return world.conf && world.pool ? 0 : -1;
}

static int
end(void **state)
{
	char command[100];

	(void)state;
	log_set_sink(NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", world.dir);
	return system(command);
}

static void
deliver(int n, const char *mailbox, struct letter *letter)
{
	struct target target = {.kind = MAILBOX_MBOX, .uid = getuid(), .gid = getgid()};
	struct writers_request request = {.target = &target, .letter = letter, .locks = "dotlock"};

	snprintf(target.path, sizeof(target.path), "%s/%s", world.dir, mailbox);
	writers_deliver(world.pool, world.conf->values, &request, on_done, (void *)(intptr_t)n);
}

static void
turn(void)
{
	static const struct timeval tick = {0, 5000};

	ipc_flush_all();
	event_base_loopexit(world.base, &tick);
	event_base_loop(world.base, 0);
}

static void
wait_for(unsigned done)
{
	int64_t until = clock_mono_us() + WAIT_S * US_PER_SECOND;

	while (world.done < done && clock_mono_us() < until)
		turn();
	assert_int_equal(world.done, done);
	for (unsigned n = 0; n < done; n++)
		assert_int_equal(world.ends[n], 1);
}

static struct letter
letter_of(size_t len)
{
	struct letter l = {.sender = SPAN_LIT("s@x.example"), .recipient = SPAN_LIT("u@y.example"), .fd = -1};

	buf_init(&l.content, 1 << 20);
	for (size_t i = 0; i < len; i++)
		buf_append(&l.content, "x", 1);
	l.content_len = len;
	return l;
}

static void
one_that_dies_costs_its_letter_a_delay(void **state)
{
	static const char *const mailboxes[] = {
	    "dies-at-setup", "killed-at-setup", "dies-at-open", "dies-at-data", "dies-at-go"};
	struct letter l = letter_of(100000);

	(void)state;
	for (size_t i = 0; i < sizeof(mailboxes) / sizeof(*mailboxes); i++) {
		world.done = 0;
		memset(world.ends, 0, sizeof(world.ends));
		deliver(0, mailboxes[i], &l);
		assert_int_equal(world.done, 0);
		wait_for(1);
		assert_string_equal(world.outcomes[0], "deferred 4.3.0 the mailbox's writer did not answer");
		deliver(1, mailboxes[i], &l);
		wait_for(2);
		assert_string_equal(world.outcomes[1], "sent 2.0.0 100000 octets");
	}
	buf_free(&l.content);
}

/* What it had done stays done; another mailbox's letters, which waited for a place, go on. */
static void
one_that_dies_takes_no_other_letter_along(void **state)
{
	struct letter l = letter_of(10);

	(void)state;
	for (int n = 0; n < 4; n++)
		deliver(n, "dies-at-third", &l);
	deliver(4, "another", &l);
	deliver(5, "another", &l);
	wait_for(6);
	assert_string_equal(world.outcomes[2], "deferred 4.3.0 the mailbox's writer did not answer");
	assert_string_equal(world.outcomes[3], "deferred 4.3.0 the mailbox's writer did not answer");
	assert_string_equal(world.outcomes[4], "sent 2.0.0 10 octets");
	assert_string_equal(world.outcomes[5], "sent 2.0.0 10 octets");
	buf_free(&l.content);
}

static void
nonsense_costs_the_connection(void **state)
{
	struct letter l = letter_of(10);

	(void)state;
	deliver(0, "nonsense", &l);
	wait_for(1);
	assert_string_equal(world.outcomes[0], "deferred 4.3.0 the mailbox's writer answered nonsense");
	deliver(1, "nonsense", &l);
	wait_for(2);
	assert_string_equal(world.outcomes[1], "sent 2.0.0 10 octets");
	deliver(2, "says-it-twice", &l);
	wait_for(3);
	assert_string_equal(world.outcomes[2], "sent 2.0.0 10 octets");
	deliver(3, "says-it-twice", &l);
	wait_for(4);
	buf_free(&l.content);
}

static void
a_letter_that_is_handed_back_goes_to_another_once(void **state)
{
	struct letter l = letter_of(10);

	(void)state;
	deliver(0, "moves-once", &l);
	wait_for(1);
	assert_string_equal(world.outcomes[0], "sent 2.0.0 10 octets");
	deliver(1, "moves-always", &l);
	wait_for(2);
	assert_string_equal(world.outcomes[1], "deferred 4.2.0 it moved");
	buf_free(&l.content);
}

/* Its time is over: it is killed, and its place is free. */
static void
one_that_never_answers_is_killed(void **state)
{
	struct letter l = letter_of(10);
	char path[100];

	(void)state;
	deliver(0, "silent", &l);
	snprintf(path, sizeof(path), "%s/silent.was", world.dir);
	for (unsigned i = 0; i < 1000 && access(path, F_OK) < 0; i++)
		turn();
	assert_int_equal(world.done, 0);
	ahead_s += 59;
	turn();
	assert_int_equal(world.done, 0);
	ahead_s += 6;
	wait_for(1);
	assert_string_equal(world.outcomes[0], "deferred 4.3.0 the mailbox's writer did not answer");
	deliver(1, "silent", &l);
	wait_for(2);
	assert_string_equal(world.outcomes[1], "sent 2.0.0 10 octets");
	buf_free(&l.content);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(one_that_dies_costs_its_letter_a_delay, begin, end),
	    cmocka_unit_test_setup_teardown(one_that_dies_takes_no_other_letter_along, begin, end),
	    cmocka_unit_test_setup_teardown(nonsense_costs_the_connection, begin, end),
	    cmocka_unit_test_setup_teardown(a_letter_that_is_handed_back_goes_to_another_once, begin, end),
	    cmocka_unit_test_setup_teardown(one_that_never_answers_is_killed, begin, end),
	};

	if (argc > 1 && strcmp(argv[1], WRITER_ARGUMENT) == 0)
		return play();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
