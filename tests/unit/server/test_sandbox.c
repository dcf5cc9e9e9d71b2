/* The sandbox engine: each need alone gives what it says and nothing else. What each role lacks is proved by prove_roles.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/server/sandbox.h"
#include "config.h"

static char top[] = "/tmp/postern-sandbox-XXXXXX";
static char inside[64], outside[64];

enum outcome { WORKED = 0, DENIED = 1, KILLED = 2, OTHER = 3 };

static enum outcome
denied_if(bool failed)
{
	return failed ? DENIED : WORKED;
}

static enum outcome
do_read(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", inside);
	return denied_if(open(path, O_RDONLY) < 0);
}

static enum outcome
do_read_outside(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", outside);
	return denied_if(open(path, O_RDONLY) < 0);
}

static enum outcome
do_create(void)
{
	char path[128], other[128];
	int fd;

	snprintf(path, sizeof(path), "%s/new", inside);
	snprintf(other, sizeof(other), "%s/renamed", inside);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	return denied_if(fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) < 0 || rename(path, other) < 0 ||
			 unlink(other) < 0);
}

static enum outcome
do_truncate(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", inside);
	return denied_if(truncate(path, 0) < 0);
}

static enum outcome
do_inet(void)
{
	return denied_if(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) < 0);
}

static enum outcome
do_udp(void)
{
	return denied_if(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0);
}

static enum outcome
do_unix(void)
{
	return denied_if(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0);
}

static enum outcome
do_sync_many(void)
{
	aio_context_t context = 0;

	return denied_if(syscall(SYS_io_setup, 1, &context) < 0 ||
			 syscall(SYS_io_submit, context, 0L, NULL) < 0 ||
			 syscall(SYS_io_getevents, context, 0L, 0L, NULL, NULL) < 0 ||
			 syscall(SYS_io_destroy, context) < 0);
}

static void *
thread(void *context)
{
	*(int *)context = 1;
	return NULL;
}

static enum outcome
do_thread(void)
{
	pthread_t t;
	int ran = 0;

	if (pthread_create(&t, NULL, thread, &ran) != 0)
		return DENIED;
	pthread_join(t, NULL);
	return denied_if(!ran);
}

static enum outcome
do_exec(void)
{
	char name[] = "true", *argv[] = {name, NULL}, *envp[] = {NULL};

	execve("/bin/true", argv, envp);
	return DENIED;
}

/* What every process does all the time. */
static enum outcome
do_ordinary_things(void)
{
	struct timespec moment = {0, 1000};
	char bytes[16], *memory;
	int ends[2];

	if (pipe(ends) < 0 || write(ends[1], "x", 1) != 1 || read(ends[0], bytes, 1) != 1 ||
	    nanosleep(&moment, NULL) < 0)
		return DENIED;
	memory = malloc(64 << 20);
	if (memory == NULL || getentropy(bytes, sizeof(bytes)) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return DENIED;
	memset(memory, 1, 64 << 20);
	memory = realloc(memory, 128 << 20);
	free(memory);
	return denied_if(time(NULL) == 0 || clock() == (clock_t)-1);
}

static enum outcome
do_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return OTHER;
	limit.rlim_cur--;
	return denied_if(setrlimit(RLIMIT_NOFILE, &limit) < 0);
}

static enum outcome
attempt(const struct sandbox_spec *spec, enum outcome (*what)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct sandbox sandbox;
		struct error err;

		if (sandbox_prepare(&sandbox, spec, NULL, &err) < 0 || sandbox_close(&sandbox, &err) < 0) {
			dprintf(STDERR_FILENO, "%s\n", err.text);
			_exit(OTHER);
		}
		_exit((int)what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : OTHER;
	return (enum outcome)WEXITSTATUS(status);
}

static void
needs_give_what_they_say(void **state)
{
	static struct sandbox_path none[] = {{NULL, NULL}};
	static struct sandbox_path reading[] = {{inside, "r"}, {NULL, NULL}};
	static struct sandbox_path writing[] = {{inside, "rwc"}, {NULL, NULL}};
	const struct {
		const char *why;
		unsigned needs;
		const struct sandbox_path *paths;
		enum outcome (*what)(void);
		enum outcome expected;
	} rows[] = {
	    {"nothing: lives", 0, none, do_ordinary_things, WORKED},
	    {"nothing: no file", 0, none, do_read, DENIED},
	    {"nothing: not even below a path", 0, reading, do_read, DENIED},
	    {"nothing: no sockets", 0, none, do_inet, DENIED},
	    {"nothing: no UNIX sockets", 0, none, do_unix, DENIED},
	    {"nothing: no threads", 0, none, do_thread, DENIED},
	    {"nothing: no exec", 0, none, do_exec, KILLED},
	    {"nothing: limits stay", 0, none, do_raise_limit, DENIED},
	    {"files: below a path", SANDBOX_FILES, reading, do_read, WORKED},
	    {"files: nowhere else", SANDBOX_FILES, reading, do_read_outside, DENIED},
	    {"files: no path at all", SANDBOX_FILES, none, do_read, DENIED},
	    {"files: not written", SANDBOX_FILES, writing, do_create, DENIED},
	    {"written files: below a path", SANDBOX_FILES_WRITE, writing, do_create, WORKED},
	    {"written files: not where it may read only", SANDBOX_FILES_WRITE, reading, do_create, DENIED},
	    {"written files: nor truncated there", SANDBOX_FILES_WRITE, reading, do_truncate, DENIED},
	    {"written files: not run", SANDBOX_FILES_WRITE, writing, do_exec, KILLED},
	    {"connect: TCP", SANDBOX_CONNECT, none, do_inet, WORKED},
	    {"connect: no UDP", SANDBOX_CONNECT, none, do_udp, DENIED},
	    {"connect: no UNIX", SANDBOX_CONNECT, none, do_unix, DENIED},
	    {"UDP: yes", SANDBOX_UDP, none, do_udp, WORKED},
	    {"UDP: no TCP", SANDBOX_UDP, none, do_inet, DENIED},
	    {"UNIX: yes", SANDBOX_UNIX_CONNECT, none, do_unix, WORKED},
	    {"UNIX: no TCP", SANDBOX_UNIX_CONNECT, none, do_inet, DENIED},
	    {"threads: yes", SANDBOX_THREADS, none, do_thread, WORKED},
	    {"threads: no processes", SANDBOX_THREADS, none, do_exec, KILLED},
	    {"accept: no new sockets", SANDBOX_ACCEPT, none, do_inet, DENIED},
	    {"written files: not side by side", SANDBOX_FILES_WRITE, writing, do_sync_many, DENIED},
	    {"synced side by side: as here without a sandbox", SANDBOX_SYNC_MANY, none, do_sync_many,
		do_sync_many()},
	    {"synced side by side: no file", SANDBOX_SYNC_MANY, writing, do_read, DENIED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sandbox_spec spec = {
		    .root = SANDBOX_ROOT_NONE, .needs = rows[i].needs, .paths = rows[i].paths};
		enum outcome got = attempt(&spec, rows[i].what);

		if (got != rows[i].expected)
			fail_msg("%s: %d instead of %d", rows[i].why, (int)got, (int)rows[i].expected);
	}
}

static void
paths_are_expanded(void **state)
{
	const struct {
		const char *path, *expected;
	} rows[] = {
	    {"/etc", "/etc"},
	    {"$queue_directory", "/q"},
	    {"$queue_directory/spool", "/q/spool"},
	    {"/var/log/mail.log/..", "/var/log"},
	    {"/mail.log/..", "/"},
	    {"$maillog_file/..", ""},
	    {"$no_such_parameter/x", NULL},
	    {"$smtpd_workers", NULL},
	};
	struct error err;
	struct conf *conf = conf_from_text("queue_directory = /q\n", &err);
	char out[100];

	(void)state;
	assert_non_null(conf);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int result = sandbox_expand(rows[i].path, conf, out, sizeof(out), &err);

		assert_int_equal(result, rows[i].expected ? 0 : -1);
		if (rows[i].expected)
			assert_string_equal(out, rows[i].expected);
	}
	conf_unref(&conf);
}

static void
becoming_a_user_is_for_good(void **state)
{
	struct error err;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		if (sandbox_become(65534, 65534, &err) < 0)
			_exit(2);
		_exit(setuid(0) == 0 || setgid(0) == 0 || getuid() != 65534 ||
		      access("/etc/shadow", R_OK) == 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
set_up(void **state)
{
	char path[128];

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(inside, sizeof(inside), "%s/inside", top);
	snprintf(outside, sizeof(outside), "%s/outside", top);
	for (int i = 0; i < 2; i++) {
		int fd;

		assert_int_equal(mkdir(i ? inside : outside, 0700), 0);
		snprintf(path, sizeof(path), "%s/file", i ? inside : outside);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	return 0;
}

static int
tear_down(void **state)
{
	char path[128];

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/file", i ? inside : outside);
		unlink(path);
		rmdir(i ? inside : outside);
	}
	return rmdir(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(needs_give_what_they_say),
	    cmocka_unit_test(paths_are_expanded),
	    cmocka_unit_test(becoming_a_user_is_for_good),
	};

#ifdef WITH_SANITIZERS
	return 77; /* the filter is relaxed for them */
#endif
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
