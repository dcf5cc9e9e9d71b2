#include "services/pickup/drop_dir.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "services/pickup/drop_file.h"
#include "services/pickup/intake.h"

enum { AT_ONCE = 4, RETRY_SECONDS = 1, RETRY_SECONDS_MOST = 20, PUT_OFF_MAX = 10000, READ_BYTES = 32768 };

/* A message that is being taken in. */
struct job {
	struct drop_dir *d;
	bool busy;
	char name[256];
	struct arena *arena;
	struct drop_file file;
	struct intake *intake;
};

struct drop_dir {
	struct pickup *p;
	int directory, inotify;
	struct event *changed, *soon, *retry;
	struct job jobs[AT_ONCE];
	struct table *put_off; /* names that were tried in vain; the others go on until all are tried again */
	long retry_seconds; /* the next pause before that */
	int64_t put_off_us; /* when the last one was */
	bool scanning, stopped;
};

static const struct log own = {.ident = "pickup"};

static void
scan_soon(struct drop_dir *d)
{
	const struct timeval now = {0};

	if (!d->stopped)
		event_add(d->soon, &now);
}

/* Trouble that lasts is looked at less and less often. */
static void
retry_later(struct drop_dir *d)
{
	struct timeval wait;

	if (d->stopped || event_pending(d->retry, EV_TIMEOUT, NULL))
		return;
	if (clock_mono_us() - d->put_off_us > 2 * RETRY_SECONDS_MOST * US_PER_SECOND)
		d->retry_seconds = RETRY_SECONDS;
	wait = (struct timeval){.tv_sec = d->retry_seconds};
	d->retry_seconds =
	    d->retry_seconds < RETRY_SECONDS_MOST / 2 ? 2 * d->retry_seconds : RETRY_SECONDS_MOST;
	event_add(d->retry, &wait);
}

/* False if no more names can be kept: then nothing is looked for until all are tried again. */
static bool
put_off(struct drop_dir *d, const char *name)
{
	static char mark;

	retry_later(d);
	d->put_off_us = clock_mono_us();
	return table_put(d->put_off, span_of(name), &mark) == 0;
}

/* Out of the way, for an administrator to look at. The directory is ours, so that the name may be changed. */
static void
set_aside(struct drop_dir *d, const char *name, const char *why)
{
	char aside[300];

	snprintf(aside, sizeof(aside), "bad-%s", name);
	log_warning(&own, "maildrop/%s: %s; renamed to %s", name, why, aside);
	if (renameat(d->directory, name, d->directory, aside) < 0)
		log_warning(&own, "maildrop/%s: rename: %s", name, strerror(errno));
}

static void
remove_file(struct drop_dir *d, const char *name)
{
	if (unlinkat(d->directory, name, 0) < 0 && errno != ENOENT)
		log_warning(&own, "maildrop/%s: unlink: %s", name, strerror(errno));
}

static void
job_end(struct job *job)
{
	drop_file_close(&job->file);
	arena_free(&job->arena);
	job->busy = false;
}

static void
on_done(void *context, int status, uint64_t id, struct span text)
{
	struct job *job = context;
	struct drop_dir *d = job->d;
	bool more = true;
	char why[300];

	(void)id;
	job->intake = NULL;
	span_copy(text, why, sizeof(why));
	if (status == EX_OK)
		remove_file(d, job->name);
	else if (status == EX_DATAERR || status == EX_NOPERM)
		set_aside(d, job->name, why);
	else {
		log_warning(&own, "maildrop/%s: deferred: %s", job->name, why);
		more = put_off(d, job->name);
	}
	job_end(job);
	if (more)
		scan_soon(d);
}

static void
on_room(void *context)
{
	struct job *job = context;
	char bytes[READ_BYTES];

	while (job->intake != NULL) {
		size_t room = intake_room(job->intake);
		ssize_t n;
		if (room == 0)
			return;
		n = drop_file_read(&job->file, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
		if (n > 0) {
			intake_write(job->intake, span_make(bytes, (size_t)n));
			continue;
		}
		if (n < 0) {
			intake_abort(&job->intake);
			on_done(job, EX_DATAERR, 0, SPAN_LIT("the file is not whole"));
		} else
			intake_close(job->intake);
		return;
	}
}

/* Returns false if the mail system is not ready: later. */
static bool
begin(struct drop_dir *d, struct job *job, const char *name)
{
	const struct intake_callbacks callbacks = {on_room, on_done, job, true};
	struct error err;
	enum drop_file_status status;

	*job = (struct job){.d = d, .arena = arena_new(DROP_ENVELOPE_MAX)};
	snprintf(job->name, sizeof(job->name), "%s", name);
	status = drop_file_open(&job->file, d->directory, name, job->arena, &err);
	if (status == DROP_FILE_OK) {
		job->busy = true;
		job->intake = intake_new(d->p, &job->file.envelope, job->file.uid, &callbacks);
		if (job->intake == NULL)
			job_end(job);
		return job->intake != NULL;
	}
	if (status == DROP_FILE_BAD)
		set_aside(d, name, err.text);
	else if (status == DROP_FILE_STALE)
		remove_file(d, name);
	arena_free(&job->arena);
	return true;
}

static struct job *
free_job(struct drop_dir *d)
{
	for (size_t i = 0; i < AT_ONCE; i++)
		if (!d->jobs[i].busy)
			return &d->jobs[i];
	return NULL;
}

static bool
in_work(const struct drop_dir *d, const char *name)
{
	for (size_t i = 0; i < AT_ONCE; i++)
		if (d->jobs[i].busy && strcmp(d->jobs[i].name, name) == 0)
			return true;
	return false;
}

static bool
is_candidate(const struct drop_dir *d, const char *name)
{
	return name[0] != '.' && strncmp(name, "bad-", 4) != 0 && strlen(name) < 250 && !in_work(d, name) &&
	       table_get(d->put_off, span_of(name)) == NULL;
}

static void
scan(struct drop_dir *d)
{
	int fd = openat(d->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct job *job;

	if (dir == NULL) {
		log_warning(&own, "the drop directory cannot be read: %s", strerror(errno));
		io_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (!is_candidate(d, entry->d_name))
			continue;
		job = free_job(d);
		if (job == NULL)
			break; /* the end of one of them looks again */
		if (!begin(d, job, entry->d_name)) {
			retry_later(d);
			break;
		}
	}
	closedir(dir);
}

static void
look(struct drop_dir *d)
{
	if (d->stopped || d->scanning)
		return;
	d->scanning = true;
	scan(d);
	d->scanning = false;
}

void
drop_dir_scan(struct drop_dir *d)
{
	table_free(&d->put_off);
	d->put_off = table_new(PUT_OFF_MAX, NULL);
	look(d);
}

static void
on_soon(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look(context);
}

static void
on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	drop_dir_scan(context);
}

/* What changed is of no interest: the directory is. */
static void
on_changed(evutil_socket_t fd, short what, void *context)
{
	char events[4096];

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		;
	look(context);
}

void
drop_dir_stop(struct drop_dir *d)
{
	d->stopped = true;
	event_del(d->changed);
	event_del(d->soon);
	event_del(d->retry);
}

struct drop_dir *
drop_dir_open(struct pickup *p, struct error *err)
{
	struct drop_dir *d = mem_alloc(sizeof(*d));
	char path[4096];

	snprintf(path, sizeof(path), "%s/maildrop", pickup_values(p)->queue_directory);
	d->p = p;
	d->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (d->directory < 0 || d->inotify < 0 ||
	    inotify_add_watch(d->inotify, path, IN_ATTRIB | IN_MOVED_TO | IN_ONLYDIR) < 0) {
		error_errno(err, "%s", path);
		io_close(&d->directory);
		io_close(&d->inotify);
		free(d);
		return NULL;
	}
	d->changed = event_new(server_base(p->server), d->inotify, EV_READ | EV_PERSIST, on_changed, d);
	d->soon = event_new(server_base(p->server), -1, 0, on_soon, d);
	d->retry = event_new(server_base(p->server), -1, 0, on_retry, d);
	d->put_off = table_new(PUT_OFF_MAX, NULL);
	d->retry_seconds = RETRY_SECONDS;
	event_add(d->changed, NULL);
	return d;
}
