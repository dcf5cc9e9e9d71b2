#include "tools/queue_drops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tools/queue_care.h"

/* Its output, or NULL with an exit status. */
static FILE *
begin(struct tool *tool, const char *verb, const char *argument, pid_t *pid, int *status)
{
	int ends[2];
	FILE *from;

	*status = tool_conf(tool) ? 0 : EX_CONFIG;
	if (*status != 0 || access(tool_path(tool, "maildrop"), R_OK) < 0)
		return NULL;
	if (pipe(ends) < 0 || !(from = fdopen(ends[0], "r"))) {
		*status = tool_fail(tool, EX_OSERR, "pipe: %s", strerror(errno));
		return NULL;
	}
	*pid = queue_care_start(tool, verb, "maildrop", argument, -1, ends);
	close(ends[1]);
	if (*pid > 0)
		return from;
	fclose(from);
	*status = tool_fail(tool, EX_OSERR, "fork: %s", strerror(errno));
	return NULL;
}

int
queue_drops_list(
    struct tool *tool, const char *filter, void (*row)(void *context, struct span line), void *context)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int status;
	pid_t pid;
	FILE *from = begin(tool, "drops", filter, &pid, &status);

	if (!from)
		return status;
	while ((len = getline(&line, &cap, from)) > 0)
		row(context, span_make(line, (size_t)len - 1));
	free(line);
	fclose(from);
	return queue_care_wait(pid);
}

static int
undrop(struct tool *tool, const char *verb, const char *which, uint64_t *count)
{
	char line[32] = "";
	int status;
	pid_t pid;
	FILE *from = begin(tool, verb, which, &pid, &status);

	*count = 0;
	if (!from && status == 0 && errno == EACCES)
		return tool_fail(tool, EX_NOPERM, "permission denied");
	if (!from)
		return status;
	if (fgets(line, sizeof(line), from))
		number_parse(span_trim(span_of(line)), 0, UINT64_MAX, count);
	fclose(from);
	return queue_care_wait(pid);
}

int
queue_drops_delete(struct tool *tool, const char *name, uint64_t *count)
{
	return undrop(tool, "undrop", name, count);
}

int
queue_drops_delete_by(struct tool *tool, const char *filter, uint64_t *count)
{
	return undrop(tool, "undrop-by", filter, count);
}
