#include "tools/queue_taker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"

enum { LINE_MAX_SIZE = 4600 };

static const char file_name[] = "importing";

static int
write_line(struct move *m, const char *line)
{
	int fd = openat(m->dir, file_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600),
	    status;

	if (fd < 0)
		return -1;
	status = io_write_all(fd, line, strlen(line)) < 0 || fsync(fd) < 0 ? -1 : 0;
	if (io_close(&fd) < 0 || status < 0)
		return -1;
	return fsync(m->dir);
}

int
queue_taker_begin(struct move *m)
{
	const struct conf_values *v = tool_conf(m->tool)->values;
	char own[LINE_MAX_SIZE], there[LINE_MAX_SIZE] = "";
	int fd = openat(m->dir, file_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t len = fd < 0 ? 0 : io_pread_all(fd, there, sizeof(there) - 1, 0);

	if (fd >= 0)
		io_close(&fd);
	snprintf(own, sizeof(own), "%s:%s\n", v->myhostname, v->queue_directory);
	/* One without an end was not written to the end, so nothing was taken. */
	if (len > 0 && there[len - 1] == '\n' && strcmp(own, there) != 0)
		return tool_fail(m->tool, EX_TEMPFAIL,
		    "%s: an import into %.*s was interrupted: run it again there, or remove %s/%s if that "
		    "queue is lost",
		    m->path, (int)len - 1, there, m->path, file_name);
	if (strcmp(own, there) != 0 && write_line(m, own) < 0)
		return tool_fail(m->tool, EX_IOERR, "%s/%s: %s", m->path, file_name, strerror(errno));
	return 0;
}

void
queue_taker_end(struct move *m)
{
	/* Of one that comes back after a crash it is known that nothing is missing: whoever wrote it can run again. */
	(void)unlinkat(m->dir, file_name, 0);
}
