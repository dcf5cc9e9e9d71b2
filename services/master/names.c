#include "services/master/names.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"

enum { WAIT_MS = 5000 };

/* After fork(). */
static _Noreturn void
run(const char *program, const char *host, const char *families, int fd)
{
	if (dup2(fd, NAMES_FD) == NAMES_FD && close_range(NAMES_FD + 1, ~0U, 0) == 0)
		execl(program, "resolver", NAMES_ARGUMENT, host, families, (char *)NULL);
	_exit(127);
}

/* Less than a pipe takes at once, so it comes whole or not at all. */
static bool
read_answer(int fd, struct name_answer *a)
{
	int64_t until = clock_mono_us() + (int64_t)WAIT_MS * 1000;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int ready;

	do {
		int64_t left = (until - clock_mono_us()) / 1000;
		ready = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0 || read(fd, a, sizeof(*a)) != (ssize_t)sizeof(*a))
		return false;
	a->trouble[sizeof(a->trouble) - 1] = '\0';
	return a->count >= 0 && a->count <= NAME_ADDRESSES_MAX;
}

int
names_look_up(const char *host, bool ipv4, bool ipv6, const char *programs,
    struct name_address list[NAME_ADDRESSES_MAX], struct error *err)
{
	char program[4096];
	struct name_answer a;
	int ends[2];

	if (snprintf(program, sizeof(program), "%s/resolver", programs) >= (int)sizeof(program) ||
	    pipe(ends) < 0)
		return error_set(err, "host %s cannot be looked up", host);
	pid_t pid = fork();
	if (pid == 0)
		run(program, host, ipv4 && ipv6 ? "46" : ipv6 ? "6" : "4", ends[1]);
	io_close(&ends[1]);
	bool answered = pid > 0 && read_answer(ends[0], &a);
	io_close(&ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (!answered)
		return error_set(err, "%s: host not found: no answer", host);
	if (a.count == 0)
		return error_set(
		    err, "%s: host not found: %s", host, a.trouble[0] != '\0' ? a.trouble : "no address");
	memcpy(list, a.list, sizeof(a.list));
	return a.count;
}
