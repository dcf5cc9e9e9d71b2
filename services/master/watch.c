/*
 * Files that change while Postern runs: master opens them and passes the descriptors on, reading no byte of them.
 * The log file is one of them: it is written, and its name gets a new one when it was rotated away.
 *
 * The directories are watched, since such files are replaced by rename; a link's target lies in another one.
 */
#include "config.h"

#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/master/folders.h"
#include "services/master/keyfiles.h"
#include "services/master/logfile.h"
#include "services/master/master.h"
#include "services/master/seen.h"

static const struct {
	const char *path;
	unsigned roles;
} files[] = {
    {"/etc/resolv.conf", ROLE_BIT(ROLE_RESOLVER)},
    {"/etc/hosts", ROLE_BIT(ROLE_RESOLVER)},
    {SYSTEM_AUTHORITIES, ROLE_BIT(ROLE_DELIVERY) | ROLE_BIT(ROLE_SMTPD)},
};

/* Authorities that others believe: parameters that name a file. */
static const struct {
	const char *parameter;
	unsigned roles;
} authorities[] = {
    {"smtp_tls_CAfile", ROLE_BIT(ROLE_DELIVERY)},
    {"smtp_tls_trust_anchor_file", ROLE_BIT(ROLE_DELIVERY)},
    {"lmtp_tls_CAfile", ROLE_BIT(ROLE_DELIVERY)},
    {"lmtp_tls_trust_anchor_file", ROLE_BIT(ROLE_DELIVERY)},
};

enum {
	FIXED_COUNT = sizeof(files) / sizeof(*files),
	FILE_COUNT = FIXED_COUNT + sizeof(authorities) / sizeof(*authorities)
};

/* Behind them comes the smtpd_tls_CAfile of each listener. */
static size_t
file_count(const struct master *m)
{
	return FILE_COUNT + m->conf->section_count;
}

/* NULL: that parameter names none. */
static const char *
path_of(const struct master *m, size_t i)
{
	const char *path = i < FIXED_COUNT ? files[i].path
			   : i < FILE_COUNT
			       ? conf_lookup(m->conf->values, authorities[i - FIXED_COUNT].parameter)
			       : m->conf->sections[i - FILE_COUNT].values->smtpd_tls_CAfile;

	return path && path[0] == '/' ? path : NULL;
}

static unsigned
roles_of(size_t i)
{
	return i < FIXED_COUNT  ? files[i].roles
	       : i < FILE_COUNT ? authorities[i - FIXED_COUNT].roles
				: ROLE_BIT(ROLE_SMTPD);
}

/* As they were when those who have a part in them were last told, in the same order. */
static struct {
	struct seen_file *files;
	size_t count;
	uint64_t generation; /* of the configuration that names them */
} noted;

static struct {
	char *path; /* NULL: none yet */
	int fd;
} logfile = {.fd = -1};

static int inotify_fd = -1;
static struct event *changed, *settled;

static void
send_file(struct child *c, const char *path)
{
	struct msg_watched_file m = {.path = span_of(path)};

	m.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ipc_send(c->control, IPC_WATCHED_FILE, 0, &m);
	if (m.fd >= 0)
		close(m.fd);
}

static void
send_logfile(struct child *c)
{
	struct msg_watched_file m = {.path = span_of(logfile.path), .fd = logfile.fd};

	ipc_send(c->control, IPC_WATCHED_FILE, 0, &m);
}

static void
watch_directory_of(const char *path)
{
	char directory[PATH_MAX];
	ptrdiff_t slash = span_find_last(span_of(path), '/');

	if (slash < 0 ||
	    !span_copy(span_make(path, slash > 0 ? (size_t)slash : 1), directory, sizeof(directory)))
		return;
	inotify_add_watch(
	    inotify_fd, directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE);
}

static void
watch_file(const struct seen_file *f)
{
	if (f->path)
		watch_directory_of(f->path);
	if (f->target)
		watch_directory_of(f->target);
}

/* Listeners often have the same authorities: those who read them are told once. */
static bool
is_noted(const char *path, size_t before)
{
	for (size_t i = 0; i < before; i++) {
		if (noted.files[i].path && roles_of(i) == roles_of(before) &&
		    strcmp(noted.files[i].path, path) == 0)
			return true;
	}
	return false;
}

/* First the watch: what changes from here on is seen. */
static void
note(const struct master *m, size_t i)
{
	const char *path = path_of(m, i);

	if (!path || is_noted(path, i))
		return;
	watch_directory_of(path);
	seen_look(&noted.files[i], path);
	watch_file(&noted.files[i]);
}

/* A reload may have named others. */
static void
note_all(const struct master *m)
{
	if (noted.files && noted.generation == m->conf->generation)
		return;
	for (size_t i = 0; i < noted.count; i++)
		seen_clear(&noted.files[i]);
	free(noted.files);
	noted.count = file_count(m);
	noted.files = mem_alloc_array(noted.count, sizeof(*noted.files));
	noted.generation = m->conf->generation;
	for (size_t i = 0; i < noted.count; i++)
		note(m, i);
}

void
watch_ship(struct master *m, struct child *c)
{
	if (c->role == ROLE_LOG && logfile_is_named(m->conf))
		send_logfile(c);
	if (c->role == ROLE_KEYS)
		keyfiles_ship(m, c, watch_directory_of);
	note_all(m);
	for (size_t i = 0; i < noted.count; i++) {
		if ((roles_of(i) & ROLE_BIT(c->role)) && noted.files[i].path)
			send_file(c, noted.files[i].path);
	}
	/* At its start it reads them itself. */
	folders_watch(m, inotify_fd);
	if (c->state == CHILD_READY)
		folders_ship(m, c);
}

void
watch_logfile(const char *path, int fd)
{
	free(logfile.path);
	io_close(&logfile.fd);
	logfile.path = mem_strdup(path);
	logfile.fd = fd;
	watch_directory_of(path);
}

void
watch_look(struct master *m)
{
	const char *path = m->conf->values->maillog_file;
	struct error err;
	int fd;

	keyfiles_look(m, watch_directory_of);
	if (!logfile_is_named(m->conf) || logfile_is_in_place(path, logfile.fd))
		return;
	fd = logfile_open(path, &err);
	if (fd < 0) {
		log_warning(NULL, "the old log file goes on: %s", err.text);
		return;
	}
	watch_logfile(path, fd);
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->role == ROLE_LOG && m->children[i]->control)
			send_logfile(m->children[i]);
	}
}

static void
tell(struct master *m, size_t i)
{
	for (size_t n = 0; n < m->child_count; n++) {
		struct child *c = m->children[n];

		if (c->control && (roles_of(i) & ROLE_BIT(c->role)))
			send_file(c, noted.files[i].path);
	}
}

/* Some time after the last change, for files are often written in several steps. */
static void
on_settled(evutil_socket_t fd, short what, void *context)
{
	struct master *m = context;

	(void)fd;
	(void)what;
	if (logfile.path)
		watch_directory_of(logfile.path);
	watch_look(m);
	note_all(m);
	folders_watch(m, inotify_fd);
	folders_tell(m);
	for (size_t i = 0; i < noted.count; i++) {
		/* The directory itself may be another one. */
		watch_file(&noted.files[i]);
		if (!noted.files[i].path || seen_same(&noted.files[i]))
			continue;
		note(m, i);
		tell(m, i);
	}
}

static bool
is_ours(const char *name)
{
	if (logfile.path && strcmp(strrchr(logfile.path, '/') + 1, name) == 0)
		return true;
	for (size_t i = 0; i < noted.count; i++) {
		if (seen_is_named(&noted.files[i], name))
			return true;
	}
	return keyfiles_is_named(name);
}

static void
on_changed(evutil_socket_t fd, short what, void *context)
{
	const struct timeval moment = {.tv_usec = 200000};
	union {
		struct inotify_event first;
		char bytes[8192];
	} buffer;
	const struct inotify_event *e;
	ssize_t n;

	(void)what;
	(void)context;
	while ((n = read(fd, buffer.bytes, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(const void *)(buffer.bytes + at);
			if (folders_concern(e) || (e->mask & IN_Q_OVERFLOW) ||
			    (e->len > 0 && is_ours(e->name)))
				event_add(settled, &moment);
		}
	}
}

int
watch_open(struct master *m, struct error *err)
{
	int fd;

	inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (inotify_fd < 0)
		return error_errno(err, "inotify_init1");
	changed = event_new(m->base, inotify_fd, EV_READ | EV_PERSIST, on_changed, m);
	settled = event_new(m->base, -1, 0, on_settled, m);
	event_add(changed, NULL);
	note_all(m);
	if (logfile_is_named(m->conf)) {
		fd = logfile_open(m->conf->values->maillog_file, err);
		if (fd < 0)
			return -1;
		watch_logfile(m->conf->values->maillog_file, fd);
	}
	return 0;
}
