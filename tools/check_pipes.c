#include "tools/check_pipes.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/conf/pipe_settings.h"
#include "common/conf/transports.h"

enum { TEXT_SIZE = 700, NAME_SIZE = 256, PATH_SIZE = 4096 };

struct pipes {
	struct span transport;
	check_pipes_tell *tell;
	void *context;
};

static void complain(const struct pipes *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
complain(const struct pipes *p, const char *format, ...)
{
	char text[TEXT_SIZE], line[TEXT_SIZE + NAME_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)snprintf(line, sizeof(line), "transport %.*s: %s",
	    (int)(p->transport.len < NAME_SIZE / 2 ? p->transport.len : NAME_SIZE / 2), p->transport.ptr,
	    text);
	p->tell(line, p->context);
}

bool
check_account(struct span both, char *trouble, size_t size)
{
	ptrdiff_t colon = span_find(both, ':');
	char user[NAME_SIZE] = "", group[NAME_SIZE] = "";
	const struct passwd *pw;
	const struct group *gr = NULL;

	span_copy(colon < 0 ? both : span_sub(both, 0, (size_t)colon), user, sizeof(user));
	if (colon >= 0)
		span_copy(span_from(both, (size_t)colon + 1), group, sizeof(group));
	pw = getpwnam(user);
	if (pw == NULL)
		(void)snprintf(trouble, size, "there is no user %s", user);
	else if (colon >= 0 && (gr = getgrnam(group)) == NULL)
		(void)snprintf(trouble, size, "there is no group %s", group);
	else if (pw->pw_uid == 0 || (gr != NULL ? gr->gr_gid : pw->pw_gid) == 0)
		(void)snprintf(trouble, size, "%.*s has the rights of root", SPAN_ARG(both));
	else
		return true;
	return false;
}

static void
check_directory(const struct pipes *p, const char *what, struct span directory)
{
	char path[PATH_SIZE];
	struct stat st;

	if (directory.len == 0 || !span_copy(directory, path, sizeof(path)))
		return;
	if (stat(path, &st) < 0)
		complain(p, "%s=%s: %s", what, path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		complain(p, "%s=%s: %s", what, path, strerror(ENOTDIR));
}

/* A name without a slash is searched for when it is run, and so is one below another root. */
static void
check_program(const struct pipes *p, struct span argv)
{
	char path[PATH_SIZE];
	struct span word;
	struct stat st;

	if (!transport_argument_next(&argv, &word) || word.len == 0 || word.ptr[0] != '/' ||
	    span_find(word, '$') >= 0 || !span_copy(word, path, sizeof(path)))
		return;
	if (stat(path, &st) < 0)
		complain(p, "argv=%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		complain(p, "argv=%s: this is no program", path);
}

void
check_pipes(const struct conf_values *values, check_pipes_tell *tell, void *context)
{
	struct span rest = span_of(values->transport_services);
	struct pipes p = {.tell = tell, .context = context};
	struct transport_service service;
	struct pipe_settings settings;
	struct error ignored;
	char trouble[TEXT_SIZE];
	int status;

	/* What makes no sense in itself has been told with the other parameters. */
	while ((status = transport_service_next(&rest, &service, &ignored)) != 0) {
		if (status < 0 || service.kind != TRANSPORT_PIPE ||
		    pipe_settings_parse(service.arguments, &settings, &ignored) < 0)
			continue;
		p.transport = service.name;
		if (!check_account(settings.user, trouble, sizeof(trouble)))
			complain(&p, "%s", trouble);
		check_directory(&p, "chroot", settings.root);
		if (settings.root.len > 0)
			continue;
		check_directory(&p, "directory", settings.directory);
		check_program(&p, settings.argv);
	}
}
