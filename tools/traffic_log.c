#include "tools/traffic_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static FILE *file;
static bool in_line;

int
traffic_log_open(const char *path, struct error *err)
{
	/* Not a FIFO that nobody reads: nothing is to wait for it. */
	int fd =
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

	file = fd < 0 ? NULL : fdopen(fd, "a");
	in_line = false;
	if (file != NULL)
		return 0;
	error_errno(err, "-X %s", path);
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static void
end_line(void)
{
	if (in_line)
		fputc('\n', file);
	in_line = false;
}

void
traffic_log_close(void)
{
	if (file == NULL)
		return;
	end_line();
	(void)fclose(file);
	file = NULL;
}

void
traffic_log_in(struct span bytes)
{
	for (size_t i = 0; file != NULL && i < bytes.len; i++) {
		if (!in_line)
			fprintf(file, "%05d <<< ", (int)getpid());
		in_line = true;
		if (bytes.ptr[i] == '\n')
			end_line();
		else if (bytes.ptr[i] != '\r')
			fputc(bytes.ptr[i], file);
	}
}

void
traffic_log_out(struct span line)
{
	if (file == NULL)
		return;
	end_line();
	fprintf(file, "%05d >>> %.*s\n", (int)getpid(), SPAN_ARG(line));
}
