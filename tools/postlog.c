/*
 * postlog: what scripts want to say stands between the lines of Postern's processes, and looks like them.
 *
 * The log process takes lines of its peers alone, so this writes where it writes: to syslog, or to the end of the same
 * file, which whoever calls it must be allowed to. Works with the daemon stopped.
 */
#include "tools/postlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "services/log/destination.h"
#include "services/master/logfile.h"

enum { TAG_SIZE = 200, TEXT_MAX = 4000, STEP_MS = 20, STEPS = 100 };

struct severity {
	const char *name;
	enum log_level level;
	const char *prefix;
	bool
	    pauses; /* as any program that ends with such a line: who restarts it at once shall not fill the log */
};

static const struct severity severities[] = {
    {"info", LOG_LEVEL_INFO, "", false},
    {"warn", LOG_LEVEL_WARNING, "warning: ", false},
    {"warning", LOG_LEVEL_WARNING, "warning: ", false},
    {"error", LOG_LEVEL_ERROR, "error: ", false},
    {"fatal", LOG_LEVEL_FATAL, "fatal: ", true},
    {"panic", LOG_LEVEL_FATAL, "panic: ", true},
};

struct postlog {
	struct tool *tool;
	const struct severity *severity;
	const char *tag; /* NULL: the name of this program */
	char ident[TAG_SIZE];
	struct destination *destination;
};

static const struct severity *
find_severity(const char *name)
{
	for (size_t i = 0; i < sizeof(severities) / sizeof(severities[0]); i++)
		if (strcasecmp(severities[i].name, name) == 0)
			return &severities[i];
	return NULL;
}

static int
open_destination(struct postlog *p, const struct conf *conf)
{
	struct error err;
	int fd;

	p->destination = destination_new();
	if (conf->values->maillog_file[0] == '\0') {
		destination_to_syslog(p->destination, conf->values->syslog_facility);
		return 0;
	}
	fd = logfile_is_named(conf) ? logfile_open(conf->values->maillog_file, &err)
				    : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return tool_fail(p->tool, EX_CANTCREAT, "%s",
		    logfile_is_named(conf) ? err.text : "there is no standard output");
	destination_to_file(p->destination, fd);
	return 0;
}

static void
say(struct postlog *p, struct span said)
{
	struct buf text;

	buf_init(&text, TEXT_MAX * 2);
	buf_append_text(&text, p->severity->prefix);
	text_append_printable(&text, said, TEXT_MAX);
	destination_line(p->destination, (int)p->severity->level, clock_wall_us(), span_of(p->ident),
	    (uint32_t)getpid(), buf_span(&text));
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s: %s\n", p->tag ? p->tag : p->tool->program, buf_text(&text));
	buf_free(&text);
}

/* False if the log has not taken all of it after a while. */
static bool
written(struct postlog *p)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};

	for (int i = 0; i < STEPS; i++) {
		(void)destination_flush(p->destination);
		if (!destination_owes(p->destination))
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

static bool
say_words(struct postlog *p, char *const *words)
{
	struct buf text;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; words[i] != NULL && !text.full; i++)
		buf_printf(&text, "%s%s", i > 0 ? " " : "", words[i]);
	say(p, buf_span(&text));
	buf_free(&text);
	return written(p);
}

static bool
say_input(struct postlog *p)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	bool taken = true;

	while (taken && (len = getline(&line, &room, stdin)) >= 0) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			len--;
		say(p, span_make(line, (size_t)len));
		taken = written(p);
	}
	free(line);
	return taken;
}

static int
take_options(struct postlog *p, int argc, char **argv)
{
	int option;

	opterr = 0;
	while ((option = getopt(argc, argv, "c:ip:t:v")) != -1) {
		switch (option) {
		case 'c':
			p->tool->confdir = optarg;
			break;
		case 'p':
			p->severity = find_severity(optarg);
			if (p->severity == NULL)
				return tool_fail(p->tool, EX_USAGE,
				    "-p %s: info, warn, error, fatal or panic is meant", optarg);
			break;
		case 't':
			p->tag = optarg;
			break;
		case 'i':
		case 'v':
			break; /* the number of the process is always there */
		default:
			return tool_usage(p->tool, "postlog");
		}
	}
	return 0;
}

int
command_postlog(int argc, char **argv, struct tool *tool)
{
	struct postlog p = {.tool = tool, .severity = &severities[0]};
	int status = take_options(&p, argc, argv);
	const struct conf *conf;

	if (status != 0)
		return status;
	if ((conf = tool_conf(tool)) == NULL)
		return EX_CONFIG;
	if (p.tag)
		snprintf(p.ident, sizeof(p.ident), "%s", p.tag);
	else
		snprintf(p.ident, sizeof(p.ident), "%s/postlog", conf->values->syslog_name);
	status = open_destination(&p, conf);
	if (status == 0 && !(optind < argc ? say_words(&p, argv + optind) : say_input(&p)))
		status = tool_fail(tool, EX_UNAVAILABLE, "the log does not take it");
	if (status == 0 && p.severity->pauses)
		sleep(1);
	destination_close(&p.destination);
	return status;
}
