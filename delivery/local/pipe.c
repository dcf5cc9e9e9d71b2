/*
 * pipe(8): a transport of transport_services gives messages to a command. One run serves all recipients of a job,
 * unless the letter says whom it is for (flags D and O): then each has its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/conf/transports.h"
#include "common/mail/queue_id.h"
#include "common/mail/way.h"
#include "delivery/local/pipe_argv.h"
#include "delivery/local/surroundings.h"

enum { ARGV_MAX = 30000 };

struct pipe_run {
	struct pipe_settings settings;
	struct job_recipient **recipients;
	size_t count;
	struct letter letter;
	struct command command;
};

static void
finish_all(struct pipe_run *run, enum outcome_class class, struct span code, struct span text)
{
	/* The last one may end the job, and this run with it. */
	struct job_recipient **list = run->recipients;
	size_t count = run->count;

	for (size_t i = 0; i < count; i++)
		job_finish(list[i], class, code, text, 0);
}

static void
on_done(void *context, enum outcome_class class, struct span status, struct span text)
{
	struct pipe_run *run = context;

	/* Without X somebody else delivers in the end: no report of success can be given here. */
	if (class == OUTCOME_DELIVERED && !(run->settings.flags & PIPE_FINAL))
		class = OUTCOME_RELAYED;
	finish_all(run, class, status, text);
}

static void
fill_letter(struct pipe_run *run, const struct job *job)
{
	static const struct {
		unsigned pipe, letter;
		bool when_set;
	} rows[] = {
	    {PIPE_BLANK, LETTER_BLANK, true},
	    {PIPE_FROM, LETTER_FROM_LINE, true},
	    {PIPE_DOTS, LETTER_QUOTE_DOTS, true},
	    {PIPE_QUOTE_FROM, LETTER_QUOTE_FROM, true},
	    {PIPE_ORIGINAL, LETTER_ALWAYS_ORIGINAL, true},
	    {PIPE_RETURN_PATH, LETTER_NO_RETURN_PATH, false},
	    {PIPE_DELIVERED, LETTER_NO_DELIVERED, false},
	};
	const struct job_recipient *first = run->recipients[0];
	unsigned flags = run->settings.flags;

	job_fill_letter(job, &run->letter);
	if (run->letter.sender.len == 0)
		run->letter.sender = run->settings.null_sender;
	run->letter.recipient = run->letter.delivered_to = first->recipient;
	run->letter.way = way_behind(job_way(job));
	run->letter.orig_to = first->orig_to;
	run->letter.header_name = flags & PIPE_ORIGINAL ? SPAN_LIT("X-Original-To") : SPAN_LIT("");
	run->letter.flags = run->settings.crlf ? LETTER_CRLF : 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (((flags & rows[i].pipe) != 0) == rows[i].when_set)
			run->letter.flags |= rows[i].letter;
}

static int
fill_argv(struct pipe_run *run, const struct job *job, struct error *err)
{
	const struct conf_values *v = job_values(job);
	const struct job_origin *o = job_origin(job);
	struct arena *a = job_arena(job);
	struct pipe_recipient *list = arena_alloc(a, run->count * sizeof(*list));
	char id[QUEUE_ID_SIZE], port[12];
	struct pipe_message m = {
	    .sender = job_sender(job),
	    .nexthop = job_nexthop(job),
	    .queue_id = span_of(queue_id_format(job_id(job), id)),
	    .envid = o->envid,
	    .client_address = o->client_address,
	    .client_helo = o->helo,
	    .client_hostname = o->client_name,
	    .client_protocol = o->protocol,
	    .sasl_method = o->sasl_method,
	    .sasl_username = o->sasl_username,
	    .sasl_sender = o->sasl_sender,
	    .size = job_content_len(job),
	    .delimiters = v->recipient_delimiter,
	    .allow_min = v->allow_min_user,
	};
	struct buf argv;
	int rc;

	if (o->client_port) {
		snprintf(port, sizeof port, "%u", o->client_port);
		m.client_port = span_of(port);
	}
	if (!list)
		return error_set(err, "too many recipients");
	for (size_t i = 0; i < run->count; i++) {
		const struct job_recipient *r = run->recipients[i];

		list[i].recipient = r->recipient;
		list[i].original_recipient = r->orig_to.len > 0 ? r->orig_to : r->recipient;
	}
	buf_init(&argv, ARGV_MAX);
	rc = pipe_argv(&argv, &run->settings, &m, list, run->count, err);
	run->command.argv = arena_copy_span(a, buf_span(&argv));
	buf_free(&argv);
	return rc;
}

/* As whom, and in which root directory: that is looked at here, where everything can be seen. */
static bool
find_helper(
    const struct pipe_run *run, const struct target_finder *f, struct target *helper, char reason[200])
{
	struct span root = run->settings.root;
	struct stat st;

	if (target_named(f, run->settings.user, helper, reason) != TARGET_FOUND)
		return false;
	if (root.len == 0)
		return true;
	if (!f->privileged || !span_copy(root, helper->path, sizeof(helper->path)))
		snprintf(reason, 200, "mail system configuration error: chroot= %s",
		    f->privileged ? "is too long" : "needs Postern to be started by root");
	else if (stat(helper->path, &st) < 0 || (!S_ISDIR(st.st_mode) && (errno = ENOTDIR)))
		snprintf(reason, 200, "cannot change root to %.100s: %.60s", helper->path, strerror(errno));
	else
		return true;
	return false;
}

static void
run_start(struct pipe_run *run, const struct job *job, unsigned processes, int64_t time_limit_us)
{
	struct local *l = job_local(job);
	const struct conf_values *v = job_values(job);
	struct writers_request request = {.letter = &run->letter, .command = &run->command};
	struct target helper;
	struct error err = {0};
	char reason[200] = "";
	struct buf environment;

	if (!find_helper(run, &l->finder, &helper, reason)) {
		finish_all(run, OUTCOME_DEFERRED, SPAN_LIT("4.3.5"), span_of(reason));
		return;
	}
	if (fill_argv(run, job, &err) < 0) {
		bool bad_address = err.number == EINVAL;

		finish_all(run, bad_address ? OUTCOME_BOUNCED : OUTCOME_DEFERRED,
		    bad_address ? SPAN_LIT("5.1.3") : SPAN_LIT("4.3.5"), span_of(err.text));
		return;
	}
	buf_init(&environment, SURROUNDINGS_MAX);
	surroundings_export(v, &environment);
	run->command.environment = arena_copy_span(job_arena(job), buf_span(&environment));
	buf_free(&environment);
	run->command.directory = run->settings.directory;
	run->command.service = job_transport(job);
	run->command.time_limit_us = time_limit_us;
	run->command.at_once = processes ? processes : TRANSPORT_PROCESSES;
	fill_letter(run, job);
	request.target = &helper;
	for (size_t i = 0; i < run->count; i++)
		recipient_does(run->recipients[i], "running a command");
	writers_deliver(l->pool, v, &request, on_done, run);
}

static int64_t
time_limit(const struct job *job)
{
	char name[CONF_NAME_MAX + 1];
	int64_t limit;

	snprintf(name, sizeof(name), "%.*s_time_limit",
	    (int)(job_transport(job).len < 40 ? job_transport(job).len : 40), job_transport(job).ptr);
	limit = conf_lookup_number(job_values(job), name);
	return limit > 0 ? limit : job_values(job)->command_time_limit;
}

void
pipe_start(struct job *job, struct span name, struct span arguments, unsigned processes)
{
	struct arena *a = job_arena(job);
	struct pipe_settings settings;
	struct job_recipient *list, **all;
	size_t count = job_recipients(job, &list), runs;
	struct pipe_run *run;
	int64_t limit = time_limit(job);
	struct error err;
	bool bad = pipe_settings_parse(arguments, &settings, &err) < 0;

	runs = !bad && (settings.flags & (PIPE_DELIVERED | PIPE_ORIGINAL)) ? count : 1;
	run = arena_alloc(a, runs * sizeof(*run));
	all = arena_alloc(a, count * sizeof(struct job_recipient *));
	if (!run || !all)
		panic("a job's arena is too small for its recipients");
	for (size_t i = 0; i < count; i++)
		all[i] = &list[i];
	for (size_t i = 0; i < runs; i++) {
		run[i].settings = settings;
		run[i].recipients = all + i;
		run[i].count = runs == 1 ? count : 1;
	}
	if (bad) {
		error_while(&err, "mail system configuration error: transport %.*s", SPAN_ARG(name));
		finish_all(run, OUTCOME_DEFERRED, SPAN_LIT("4.3.5"), span_of(err.text));
		return;
	}
	if (settings.size > 0 && job_content_len(job) > settings.size) {
		run->count = count;
		finish_all(run, OUTCOME_BOUNCED, SPAN_LIT("5.2.3"),
		    SPAN_LIT("message size exceeds size limit of the transport"));
		return;
	}
	/* The last one to end may end the job at once. */
	for (size_t i = 0; i < runs; i++)
		run_start(&run[i], job, processes, limit);
}
