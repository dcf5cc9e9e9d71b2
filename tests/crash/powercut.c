/*
 * powercut: a queue works while every write and sync of its spool is recorded, its own and Berkeley DB's; then a queue is
 * started on many of the states in which a cut of the power may have left the disk at any place of that record.
 *
 *   powercut [states [seed]]     default: as many as 12 seconds are enough for
 *   powercut again DIRECTORY CUT POLICY SEED HOW     the state of an earlier run that was bad, as that run printed it
 *
 * "all N" tries each choice of what was not synced, for one message from its arrival to its end, where those are at most
 * 2^N.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/crash/disk_states.h"
#include "tests/crash/load.h"

enum { PASS = 60, AT_ONCE = 2, WITHOUT_INDEX = 1 << 8 };

#define TRACE_ROOM (1ULL << 30)

static char top[64];
static struct recorder *trace;
static unsigned states, bad;

/* One state to look at. */
struct sample {
	uint64_t cut; /* so many operations were done */
	enum disk_policy policy;
	uint64_t seed;
	int64_t choice;
	unsigned how;
};

static const char *const policy_names[DISK_POLICIES] = {
    [DISK_NOTHING] = "nothing unsynced is kept",
    [DISK_ALL] = "all is kept",
    [DISK_NAMES] = "names are kept, data is not",
    [DISK_DATA] = "data is kept, names are not",
    [DISK_WRITES] = "some writes and names are kept",
    [DISK_SECTORS] = "some sectors and names are kept",
    [DISK_TORN] = "the last writes are torn",
};

/* ---- the recording ---- */

static void
read_ledger(struct ledger *l)
{
	for (const struct operation *o = recorder_next(trace, NULL); o; o = recorder_next(trace, o))
		ledger_apply(l, o);
}

static void
run_phase(const char *dir, enum load_phase phase)
{
	static struct ledger l;
	int status;
	pid_t pid;

	trace->lock = 0; /* the process before may have been killed with it */
	pid = fork();
	if (pid == 0) {
		recorder = trace;
		if (chdir(dir) < 0)
			_exit(1);
		if (trace->count == 0)
			recorder_root();
		read_ledger(&l);
		trace->on = true;
		load_run(dir, phase, &l);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "the recorded queue itself ended with status %x in phase %d\n",
		    (unsigned)status, (int)phase);
		exit(1);
	}
}

/* ---- one state ---- */

static void
make_state(struct disk_model *d, const struct sample *s, const char *dir)
{
	char path[200];

	world_remove(dir);
	if (mkdir(dir, 0700) < 0) {
		perror(dir);
		exit(1);
	}
	disk_model_build(d, dir, s->policy, s->seed, s->choice);
	if (s->how & WITHOUT_INDEX) {
		snprintf(path, sizeof(path), "%s/index", dir);
		world_remove(path);
	}
}

struct running {
	pid_t pid;
	char dir[100];
	struct sample s;
} running[AT_ONCE];

static pid_t
start_check(const struct ledger *l, const char *dir, unsigned how)
{
	char path[200];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(path, sizeof(path), "%s.said", dir);
	if (!freopen(path, "w", stderr) || dup2(fileno(stderr), STDERR_FILENO) < 0)
		_exit(1);
	setenv("WORLD_LOG", "1", 1);
	_exit(ledger_check(l, dir, how) == 0 ? 0 : 1);
}

/* What the queue and the check said, less what is usual. */
static void
show_said(const char *dir)
{
	char path[200], line[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s.said", dir);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strstr(line, ": removed") && !strstr(line, "from=<"))
			printf("    %s", line);
	if (f)
		fclose(f);
}

/* What led there, for powercut again. */
static void
save_trace(void)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", top);
	if (access(path, F_OK) == 0)
		return;
	f = fopen(path, "w");
	if (!f || fwrite(trace, 1, sizeof(*trace) + trace->used, f) == 0 || fclose(f) != 0)
		perror(path);
}

static int
load_trace(const char *dir)
{
	char path[200];
	size_t got = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", dir);
	f = fopen(path, "r");
	if (f) {
		got = fread(trace, 1, sizeof(*trace) + TRACE_ROOM, f);
		fclose(f);
	}
	if (got > sizeof(*trace) && got == sizeof(*trace) + trace->used)
		return 0;
	fprintf(stderr, "%s is no trace\n", path);
	return -1;
}

static void
wait_one(void)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);

	for (size_t i = 0; i < AT_ONCE; i++) {
		if (running[i].pid != pid)
			continue;
		running[i].pid = 0;
		states++;
		if (status == 0)
			continue;
		bad++;
		save_trace();
		printf("BAD (again %s %llu %u %llu %u), status %x: cut behind operation %llu, %s, seed %llu, "
		       "choice %lld%s%s%s\n",
		    top, (unsigned long long)running[i].s.cut, (unsigned)running[i].s.policy,
		    (unsigned long long)running[i].s.seed, running[i].s.how, (unsigned)status,
		    (unsigned long long)running[i].s.cut, policy_names[running[i].s.policy],
		    (unsigned long long)running[i].s.seed, (long long)running[i].s.choice,
		    running[i].s.how & WITHOUT_INDEX ? ", index deleted" : "",
		    running[i].s.how & CHECK_AGAIN ? ", started twice" : "",
		    running[i].s.how & CHECK_CLEANING ? ", cleaning" : "");
		fflush(stdout);
		show_said(running[i].dir);
	}
}

static void
check_state(struct disk_model *d, const struct ledger *l, const struct sample *s)
{
	size_t i = 0;

	while (i < AT_ONCE && running[i].pid != 0)
		i++;
	if (i == AT_ONCE) {
		wait_one();
		check_state(d, l, s);
		return;
	}
	snprintf(running[i].dir, sizeof(running[i].dir), "%s/state%zu", top, i);
	running[i].s = *s;
	make_state(d, s, running[i].dir);
	running[i].pid = start_check(l, running[i].dir, s->how);
}

static void
wait_all(void)
{
	for (size_t i = 0; i < AT_ONCE; i++)
		while (running[i].pid != 0)
			wait_one();
}

/* ---- choosing ---- */

static uint64_t dice;

static uint64_t
roll(uint64_t below)
{
	dice = dice * 6364136223846793005U + 1442695040888963407U;
	return (dice >> 33) % below;
}

static int
compare_cuts(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return x->cut < y->cut ? -1 : x->cut > y->cut;
}

static void
choose(struct sample *s)
{
	unsigned how = (unsigned)roll(8);

	*s = (struct sample){.cut = 1 + roll(trace->count), .seed = roll(1 << 30), .choice = -1};
	s->policy = (enum disk_policy)roll(DISK_POLICIES);
	if (how < 2)
		s->how = WITHOUT_INDEX;
	else if (how < 4)
		s->how = CHECK_AGAIN;
	else if (roll(20) == 0)
		s->how = CHECK_CLEANING | CHECK_AGAIN;
}

/* The trace from its beginning, with a look at each sample's state. */
static void
walk(struct sample *samples, size_t count)
{
	static struct ledger l;
	struct disk_model *d = disk_model_new();
	uint64_t done = 0;
	size_t next = 0;

	memset(&l, 0, sizeof(l));
	qsort(samples, count, sizeof(*samples), compare_cuts);
	for (const struct operation *o = recorder_next(trace, NULL); o && next < count;
	     o = recorder_next(trace, o)) {
		disk_model_apply(d, o);
		ledger_apply(&l, o);
		for (done++; next < count && samples[next].cut == done; next++)
			check_state(d, &l, &samples[next]);
	}
	wait_all();
	disk_model_free(&d);
}

static void
sample_states(uint64_t wanted, int64_t until_us)
{
	struct sample samples[PASS];

	while ((wanted == 0 || states < wanted) && (wanted != 0 || clock_mono_us() < until_us) && bad < 20) {
		for (size_t i = 0; i < PASS; i++)
			choose(&samples[i]);
		walk(samples, PASS);
	}
}

static void
all_states(unsigned bits)
{
	static struct ledger l;
	struct disk_model *d = disk_model_new();
	uint64_t done = 0;

	for (const struct operation *o = recorder_next(trace, NULL); o && bad < 20;
	     o = recorder_next(trace, o)) {
		unsigned pending;

		disk_model_apply(d, o);
		ledger_apply(&l, o);
		done++;
		pending = disk_model_pending(d);
		if (pending > bits)
			continue;
		for (int64_t choice = 0; choice < (int64_t)1 << pending; choice++) {
			struct sample s = {.cut = done, .policy = DISK_WRITES, .choice = choice};

			check_state(d, &l, &s);
		}
	}
	wait_all();
	disk_model_free(&d);
}

static int
again(char **argv)
{
	uint64_t cut, policy, seed, how;
	struct sample s = {.choice = -1};

	if (number_parse(span_of(argv[3]), 1, UINT32_MAX, &cut) < 0 ||
	    number_parse(span_of(argv[4]), 0, DISK_POLICIES - 1, &policy) < 0 ||
	    number_parse(span_of(argv[5]), 0, UINT32_MAX, &seed) < 0 ||
	    number_parse(span_of(argv[6]), 0, UINT32_MAX, &how) < 0)
		return 64;
	if (load_trace(argv[2]) < 0)
		return 1;
	s.cut = cut;
	s.policy = (enum disk_policy)policy;
	s.seed = seed;
	s.how = (unsigned)how;
	walk(&s, 1);
	printf("%u states of the disk, %u bad\n", states, bad);
	return bad > 0;
}

int
main(int argc, char **argv)
{
	bool all = argc > 2 && strcmp(argv[1], "all") == 0;
	bool repeat = argc == 7 && strcmp(argv[1], "again") == 0;
	uint64_t number = 0, seed = 1;
	char dir[100];

#ifdef __SANITIZE_ADDRESS__
	if (argc == 1) /* the same code as without, many times slower */
		return 77;
#endif
	if (!repeat && ((argc > 1 && number_parse(span_of(argv[all ? 2 : 1]), 0, 1 << 30, &number) < 0) ||
			   (argc > 2 && !all && number_parse(span_of(argv[2]), 0, 1 << 30, &seed) < 0))) {
		fprintf(stderr, "usage: powercut [states [seed]] | powercut all bits | "
				"powercut again DIRECTORY CUT POLICY SEED HOW\n");
		return 64;
	}
	snprintf(top, sizeof(top), "%s/postern-powercut-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(top))
		return 1;
	snprintf(dir, sizeof(dir), "%s/recorded", top);
	mkdir(dir, 0700);
	dice = seed;
	trace = recorder_new(TRACE_ROOM);
	if (repeat)
		return again(argv);
	if (all) {
		run_phase(dir, LOAD_ONE);
	} else {
		run_phase(dir, LOAD_FIRST);
		run_phase(dir, LOAD_AGAIN);
		run_phase(dir, LOAD_AFTER);
	}
	printf("%llu operations recorded, %llu MB\n", (unsigned long long)trace->count,
	    (unsigned long long)trace->used >> 20);
	fflush(stdout);
	if (trace->full)
		return 1;
	if (all)
		all_states((unsigned)number);
	else
		sample_states(number, clock_mono_us() + 12 * US_PER_SECOND);
	printf("%u states of the disk, %u bad\n", states, bad);
	if (bad == 0)
		world_remove(top);
	return bad > 0;
}
