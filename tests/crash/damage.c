/*
 * damage: files of a spool are found damaged, one place at a time, and a queue is started on them.
 *
 *   damage [rounds [seed]]     default: as many as 8 seconds are enough for
 *
 * The index deleted, cut, flipped in one bit, of another version: it is made anew, nothing is lost, and nothing is tried again
 * of which the outcome was known. A segment flipped in one bit: what lies there is set aside and reported, and everything
 * else is delivered.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "tests/crash/load.h"

enum way { INDEX_DELETED, INDEX_CUT, INDEX_FLIPPED, INDEX_NOISE, SEGMENT_FLIPPED, WAYS };

static const char *const way_names[WAYS] = {
    [INDEX_DELETED] = "a file of the index is deleted",
    [INDEX_CUT] = "a file of the index is cut",
    [INDEX_FLIPPED] = "a bit of the index is flipped",
    [INDEX_NOISE] = "a file of the index is something else",
    [SEGMENT_FLIPPED] = "a bit of a segment is flipped",
};

static char top[64];
static struct recorder *trace;
static struct ledger ledger;

static uint64_t
below(uint64_t n)
{
	return n ? ((uint64_t)random() << 31 ^ (uint64_t)random()) % n : 0;
}

/* ---- a spool with mail in all states, as a stop or a kill leaves it ---- */

static void
make_spool(const char *dir)
{
	int status;

	mkdir(dir, 0700);
	trace->on = true;
	if (fork() == 0) {
		recorder = trace;
		load_run(dir, LOAD_FIRST, NULL);
		_exit(0);
	}
	wait(&status);
	if (status != 0)
		exit(1);
	for (const struct operation *o = recorder_next(trace, NULL); o; o = recorder_next(trace, o))
		ledger_apply(&ledger, o);
}

static void
copy_file(int from, int to, const char *name)
{
	static char bytes[1 << 20];
	int in = openat(from, name, O_RDONLY), out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			exit(1);
	close(in);
	close(out);
}

static void
copy_folder(const char *from, const char *to)
{
	char below_from[300], below_to[300];
	DIR *d = opendir(from);
	struct dirent *e;
	int out;

	mkdir(to, 0700);
	out = open(to, O_RDONLY | O_DIRECTORY);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(below_from, sizeof(below_from), "%s/%s", from, e->d_name);
		snprintf(below_to, sizeof(below_to), "%s/%s", to, e->d_name);
		if (e->d_type == DT_DIR)
			copy_folder(below_from, below_to);
		else
			copy_file(dirfd(d), out, e->d_name);
	}
	if (d)
		closedir(d);
	close(out);
}

/* ---- damage ---- */

/* One of the folder's files, by the dice. */
static int
choose_file(const char *dir, const char *folder, char name[256])
{
	char path[300];
	DIR *d;
	struct dirent *e;
	uint64_t seen = 0;
	int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", dir, folder);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_type == DT_REG && below(++seen) == 0)
			snprintf(name, 256, "%s", e->d_name);
	if (d && seen > 0)
		fd = openat(dirfd(d), name, O_RDWR);
	if (d)
		closedir(d);
	return fd;
}

static void
flip(int fd, off_t at)
{
	uint8_t byte;

	if (pread(fd, &byte, 1, at) != 1)
		return;
	byte ^= (uint8_t)(1 << below(8));
	if (pwrite(fd, &byte, 1, at) != 1)
		exit(1);
}

/* Half of the time where something is written, and not zeros. */
static off_t
choose_place(int fd, off_t size)
{
	uint8_t byte = 0;
	off_t at = 0;

	for (int i = 0; i < 200 && byte == 0; i++) {
		at = (off_t)below((uint64_t)size);
		if (pread(fd, &byte, 1, at) != 1)
			break;
	}
	return at;
}

static void
damage(const char *dir, enum way way, char what[400])
{
	char name[256] = "", path[700];
	int fd = choose_file(dir, way == SEGMENT_FLIPPED ? "segments" : "index", name);
	struct stat st;
	off_t at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		exit(1);
	switch (way) {
	case INDEX_DELETED:
		snprintf(path, sizeof(path), "%s/index/%s", dir, name);
		unlink(path);
		break;
	case INDEX_CUT:
		at = (off_t)below((uint64_t)st.st_size);
		if (ftruncate(fd, at) < 0)
			exit(1);
		break;
	case INDEX_NOISE:
		for (off_t i = 0; i < st.st_size && i < 65536; i += 7)
			flip(fd, i);
		break;
	default:
		at = choose_place(fd, st.st_size);
		flip(fd, at);
		break;
	}
	close(fd);
	snprintf(
	    what, 400, "%s: %s at %lld of %lld", way_names[way], name, (long long)at, (long long)st.st_size);
}

/* ---- a round ---- */

static unsigned
count_lost(const char *said, bool *reported)
{
	char line[600];
	unsigned lost = 0;
	FILE *f = fopen(said, "r");

	*reported = false;
	while (f && fgets(line, sizeof(line), f)) {
		lost += strncmp(line, "lost: ", 6) == 0 || strncmp(line, "held mail is lost", 17) == 0;
		*reported = *reported || strstr(line, "damaged") || strstr(line, "set aside") ||
			    strstr(line, "unreadable");
	}
	if (f)
		fclose(f);
	return lost;
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

static bool
round_is_good(const char *good, enum way way)
{
	char dir[100], said[100], what[400];
	unsigned lost;
	bool reported;
	int status;

	snprintf(dir, sizeof(dir), "%s/state", top);
	snprintf(said, sizeof(said), "%s/said", top);
	world_remove(dir);
	unlink(said);
	copy_folder(good, dir);
	damage(dir, way, what);
	if (fork() == 0) {
		if (!freopen(said, "w", stderr) || dup2(fileno(stderr), STDERR_FILENO) < 0)
			_exit(2);
		setenv("WORLD_LOG", "1", 1);
		alarm(60);
		_exit(ledger_check(
			  &ledger, dir, CHECK_AGAIN | (way == SEGMENT_FLIPPED ? CHECK_DAMAGED : 0)) == 0
			  ? 0
			  : 1);
	}
	wait(&status);
	lost = count_lost(said, &reported);
	if (status == 0 && lost == 0)
		return true;
	/* What lay in that place is one message, and was said to be damaged. */
	if (way == SEGMENT_FLIPPED && WIFEXITED(status) && WEXITSTATUS(status) == 1 && lost <= 1 && reported)
		return true;
	printf("BAD (%x): %s; %u lost, %s\n", (unsigned)status, what, lost,
	    reported ? "reported" : "not reported");
	show(said);
	fflush(stdout);
	return false;
}

int
main(int argc, char **argv)
{
	uint64_t rounds = 0, seed = 1;
	unsigned done = 0, bad = 0;
	int64_t until;
	char good[100];

#ifdef __SANITIZE_ADDRESS__
	if (argc == 1) /* the same code as without, many times slower */
		return 77;
#endif
	if ((argc > 1 && number_parse(span_of(argv[1]), 0, 1 << 30, &rounds) < 0) ||
	    (argc > 2 && number_parse(span_of(argv[2]), 0, 1 << 30, &seed) < 0)) {
		fprintf(stderr, "usage: damage [rounds [seed]]\n");
		return 64;
	}
	snprintf(top, sizeof(top), "%s/postern-damage-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(top))
		return 1;
	snprintf(good, sizeof(good), "%s/good", top);
	trace = recorder_new(256 << 20);
	make_spool(good);
	srandom((unsigned)seed);
	until = clock_mono_us() + 8 * US_PER_SECOND;
	while (bad < 10 && (rounds ? done < rounds : clock_mono_us() < until)) {
		bad += !round_is_good(good, (enum way)(done % WAYS));
		done++;
	}
	printf("%u damaged spools, %u bad\n", done, bad);
	if (bad == 0)
		world_remove(top);
	return bad > 0;
}
