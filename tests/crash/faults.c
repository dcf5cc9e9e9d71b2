/*
 * faults: one system call of the storage code fails, in the whole life of some messages: the n-th, for one n after the other.
 *
 *   faults [every-n-th]     default: as many as 10 seconds are enough for, spread over all
 *
 * Queue's own calls and Berkeley DB's. The way of failing goes round: EIO, ENOSPC, EINTR, less than was asked for; a sync
 * that fails loses what it should have kept. A queue that ends itself is started anew, as master would do it; a message
 * that was acknowledged is there then, one that was refused is not, and what was known to be delivered is not tried again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "tests/crash/load.h"

enum { WORKERS = 2, LIFE_SECONDS = 60 };

static const int ways[] = {EIO, ENOSPC, EINTR, 0};
static const char *const kind_names[] = {"write", "sync", "open", "read", "name", "length", "close"};

static struct recorder *trace;

/* A new one for each try: notes are all that is wanted of it. */
static void
rewind_trace(int64_t fail_at, int number)
{
	struct recorder fresh = {.on = true,
	    .kinds = CALL_ANY & ~(unsigned)CALL_CLOSE,
	    .fail_at = fail_at,
	    .fail_errno = number,
	    .room = trace->room};

	*trace = fresh;
}

static int
in_child(const char *dir, const char *said, const struct ledger *l)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!freopen(said, "a", stderr) || dup2(fileno(stderr), STDERR_FILENO) < 0)
			_exit(1);
		setenv("WORLD_LOG", "1", 1);
		alarm(LIFE_SECONDS);
		if (l)
			_exit(ledger_check(l, dir, CHECK_ONCE) == 0 ? 0 : 1);
		recorder = trace;
		load_run(dir, LOAD_LIFE, NULL);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void
show(const char *said)
{
	char line[600];
	FILE *f = fopen(said, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strstr(line, ": removed") && !strstr(line, "from=<"))
			printf("    %s", line);
	if (f)
		fclose(f);
}

/* False if something is wrong. *done: there is no n-th call. */
static bool
try_one(const char *top, int64_t n, int number, bool *done)
{
	static struct ledger l;
	char dir[100], said[120];
	int life, rest;

	snprintf(dir, sizeof(dir), "%s/spool", top);
	snprintf(said, sizeof(said), "%s/said", top);
	world_remove(dir);
	unlink(said);
	mkdir(dir, 0700);
	rewind_trace(n, number);
	life = in_child(dir, said, NULL);
	*done = trace->failed == 0;
	memset(&l, 0, sizeof(l));
	for (const struct operation *o = recorder_next(trace, NULL); o; o = recorder_next(trace, o))
		ledger_apply(&l, o);
	rest = in_child(dir, said, &l);
	/* It may end itself, with a word of why; it may not fall over, nor hang. */
	if (rest == 0 && (life == 0 || (WIFSIGNALED(life) && WTERMSIG(life) == SIGABRT)))
		return true;
	printf("BAD: call %lld (%s), %s: life ended with %x, start after it with %x\n", (long long)n,
	    trace->failed ? kind_names[__builtin_ctzll((uint64_t)trace->failed)] : "none",
	    number ? strerror(number) : "short", (unsigned)life, (unsigned)rest);
	show(said);
	fflush(stdout);
	return false;
}

static int64_t
count_calls(const char *top)
{
	bool done;

	if (!try_one(top, 0, EIO, &done))
		exit(1);
	return trace->calls;
}

static int
work(unsigned worker, int64_t calls, int64_t step, int64_t until_us)
{
	char top[] = "/dev/shm/postern-faults-XXXXXX";
	unsigned tried = 0, bad = 0;
	bool done = false;

	if (!mkdtemp(top))
		return 1;
	trace = recorder_new(64 << 20);
	/* 0: at random places, until the time is over. */
	for (int64_t n = 1 + worker; bad < 5; n += step ? WORKERS * step : 0) {
		if (step ? n > calls : clock_mono_us() > until_us)
			break;
		bad += !try_one(top, step ? n : 1 + random() % calls, ways[(unsigned)random() % 4], &done);
		tried++;
	}
	printf("%u failing calls of %lld, %u bad\n", tried, (long long)calls, bad);
	fflush(stdout);
	world_remove(top);
	return bad > 0;
}

int
main(int argc, char **argv)
{
	char top[] = "/dev/shm/postern-faults-XXXXXX";
	uint64_t step = 0;
	int64_t calls;
	int status, bad = 0;

#ifdef __SANITIZE_ADDRESS__
	if (argc == 1) /* the same code as without, many times slower */
		return 77;
#endif
	if (argc > 1 && number_parse(span_of(argv[1]), 1, 100000, &step) < 0) {
		fprintf(stderr, "usage: faults [every-n-th]\n");
		return 64;
	}
	if (!mkdtemp(top))
		return 1;
	trace = recorder_new(64 << 20);
	calls = count_calls(top);
	world_remove(top);
	for (unsigned w = 0; w < WORKERS; w++)
		if (fork() == 0) {
			srandom(w + 1);
			_exit(work(w, calls, (int64_t)step, clock_mono_us() + 10 * US_PER_SECOND));
		}
	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}
