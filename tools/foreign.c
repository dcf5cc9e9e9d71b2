#include "tools/foreign.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const foreign_parameters[] = {"daemon_directory", "queue_directory", "data_directory", NULL};

static bool
has(const char *directory, const char *name)
{
	char path[4096];

	return (size_t)snprintf(path, sizeof path, "%s/%s", directory, name) < sizeof path &&
	       access(path, F_OK) == 0;
}

/* Its own master would be started. That of an installation that is broken is found out file by file. */
static bool
is_daemons(const struct conf_values *v)
{
	const char *path = v->daemon_directory;

	return strcmp(path, POSTERN_LIBEXECDIR) != 0 && !has(path, "queue") && !has(path, "delivery") &&
	       !has(path, "lookup");
}

static bool
is_queue(const struct conf_values *v)
{
	const char *path = v->queue_directory;

	return has(path, "active") && has(path, "incoming") && has(path, "deferred") && !has(path, "spool");
}

bool
foreign_is(const struct conf_values *v, const char *parameter, struct error *err)
{
	if (strcmp(parameter, "daemon_directory") == 0 && is_daemons(v)) {
		error_set(err, "%s: Postern's programs are not there (leave the line out: they are in %s)",
		    v->daemon_directory, POSTERN_LIBEXECDIR);
		return true;
	}
	if (strcmp(parameter, "queue_directory") == 0 && is_queue(v)) {
		error_set(
		    err, "%s: this is Postfix's (leave the line out, or name another)", v->queue_directory);
		return true;
	}
	if (strcmp(parameter, "data_directory") == 0 && has(v->data_directory, "master.lock")) {
		error_set(
		    err, "%s: this is Postfix's (leave the line out, or name another)", v->data_directory);
		return true;
	}
	return false;
}

bool
foreign_any(const struct conf_values *v, struct error *err)
{
	for (size_t i = 0; foreign_parameters[i]; i++) {
		if (foreign_is(v, foreign_parameters[i], err)) {
			error_while(err, "%s", foreign_parameters[i]);
			return true;
		}
	}
	return false;
}
