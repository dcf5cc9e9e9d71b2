/*
 * Reload: the configuration is read anew, sent to all, and said to be in force when all have said so.
 *
 * Each process answers a PING that was sent behind the configuration after it has switched. What those that switched
 * told each other then (lookup: "tables have changed") may still be under way: a second PING comes behind that too.
 */
#include "config.h"

#include <event2/event.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "services/master/logfile.h"
#include "services/master/master.h"

enum { ROUNDS = 2, LONGEST_SECONDS = 5, MOST_WAITING = 64 };

static struct {
	struct ipc_channel *tool;
	uint32_t call;
} waiting[MOST_WAITING];

static size_t waiting_count;
static unsigned rounds_left; /* 0: no reload is under way */
static struct event *longest;

struct conf *
configuration_load(const struct master *m, struct error *err)
{
	struct conf_report *report = conf_report_new();
	struct conf *conf = conf_load(m->confdir, report, err);

	for (size_t i = 0; i < conf_report_count(report, 'w'); i++) {
		const struct conf_complaint *c = conf_report_at(report, i);

		log_warning(NULL, "%s:%u: %s", c->file, c->line, c->text);
	}
	conf_report_free(&report);
	if (conf && !m->foreground && !m->alone && strcmp(conf->values->maillog_file, "/dev/stdout") == 0) {
		error_set(err, "maillog_file = /dev/stdout works only with start-fg");
		conf_unref(&conf);
	}
	return conf;
}

/* ---- until all have it ---- */

static void
finish(void)
{
	struct msg_master_done m = {.text = SPAN_LIT("")};

	rounds_left = 0;
	event_del(longest);
	for (size_t i = 0; i < waiting_count; i++)
		ipc_send(waiting[i].tool, IPC_MASTER_DONE, waiting[i].call, &m);
	waiting_count = 0;
}

static void
on_longest(evutil_socket_t fd, short what, void *context)
{
	struct master *m = context;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (c->awaited != 0)
			log_warning(NULL, "%s[%d] has not taken the new configuration yet",
			    role_name(c->role), (int)c->pid);
		c->awaited = 0;
	}
	finish();
}

void
reload_check(struct master *m)
{
	while (rounds_left > 0) {
		for (size_t i = 0; i < m->child_count; i++) {
			if (m->children[i]->awaited != 0)
				return;
		}
		if (--rounds_left > 0)
			children_ask(m);
		else
			finish();
	}
}

int
reload_when_done(struct ipc_channel *tool, uint32_t call)
{
	if (rounds_left == 0 || waiting_count == MOST_WAITING)
		return -1;
	waiting[waiting_count].tool = tool;
	waiting[waiting_count++].call = call;
	return 0;
}

void
reload_tool_gone(const struct ipc_channel *tool)
{
	size_t kept = 0;

	for (size_t i = 0; i < waiting_count; i++) {
		if (waiting[i].tool != tool)
			waiting[kept++] = waiting[i];
	}
	waiting_count = kept;
}

/* ---- the reload ---- */

static struct conf *
load_usable(struct master *m, struct error *err)
{
	struct conf *fresh = configuration_load(m, err);
	int fd = -1;

	if (fresh && strcmp(fresh->values->queue_directory, m->conf->values->queue_directory) != 0) {
		error_set(err, "queue_directory changes only with a restart");
		conf_unref(&fresh);
	}
	if (fresh && logfile_is_named(fresh)) {
		fd = logfile_open(fresh->values->maillog_file, err);
		if (fd < 0)
			conf_unref(&fresh);
	}
	if (fresh && sockets_apply(m, fresh, err) < 0) {
		io_close(&fd);
		conf_unref(&fresh);
	}
	if (fd >= 0)
		watch_logfile(fresh->values->maillog_file, fd);
	return fresh;
}

int
master_reload(struct master *m, struct error *err)
{
	const struct timeval wait = {.tv_sec = LONGEST_SECONDS};
	struct conf *fresh = load_usable(m, err), *old = m->conf;

	if (fresh == NULL) {
		log_error(NULL, "reload refused, the old configuration goes on: %s", err->text);
		return -1;
	}
	fresh->generation = old->generation + 1;
	m->conf = fresh;
	children_configure(m);
	plan_children(m);
	if (children_start(m, err) < 0)
		log_error(NULL, "%s", err->text);
	conf_unref(&old);
	log_info(NULL, "reload -- version %s, configuration %s", PACKAGE_VERSION, m->confdir);
	if (longest == NULL)
		longest = event_new(m->base, -1, 0, on_longest, m);
	event_add(longest, &wait);
	rounds_left = ROUNDS;
	children_ask(m);
	reload_check(m);
	return 0;
}
