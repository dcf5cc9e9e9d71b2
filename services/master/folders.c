#include "services/master/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/master/master.h"

/* common/tls/trust.c takes as much. */
enum { OCTETS_MAX = 16 << 20, FILES_MAX = 20000 };

static const char *const parameters[] = {"smtp_tls_CApath", "lmtp_tls_CApath"};
enum { PARAMETERS = sizeof(parameters) / sizeof(parameters[0]) };

/* In the order of folder_path(). */
static struct folder {
	int watch; /* -1: none */
	bool changed;
} * folders;
static size_t folder_count;

/* Behind the parameters of the clients come those of the listeners. NULL: that one names none. */
static const char *
folder_path(const struct master *m, size_t i)
{
	const char *path = i < PARAMETERS ? conf_lookup(m->conf->values, parameters[i])
					  : m->conf->sections[i - PARAMETERS].values->smtpd_tls_CApath;

	return path && path[0] == '/' ? path : NULL;
}

static enum role
folder_role(size_t i)
{
	return i < PARAMETERS ? ROLE_DELIVERY : ROLE_SMTPD;
}

/* Listeners often have the same one. */
static bool
is_repeated(const struct master *m, size_t i)
{
	const char *path = folder_path(m, i);

	for (size_t n = 0; n < i; n++) {
		const char *earlier = folder_path(m, n);

		if (earlier && folder_role(n) == folder_role(i) && strcmp(earlier, path) == 0)
			return true;
	}
	return false;
}

/* ---- gathering ---- */

static int
copy(int from, int to, size_t *room, struct error *err)
{
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, *room + 1);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "sendfile");
		if ((size_t)n > *room)
			return error_set(err, "more than %d octets", OCTETS_MAX);
		*room -= (size_t)n;
	}
	return 0;
}

/* A NUL stands behind each file: none of PEM has one. What is no file is passed over, and so is what may not be read. */
static int
add_file(int folder, const char *name, int to, size_t *room, struct error *err)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result = 0;
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		result = copy(fd, to, room, err);
		if (result == 0 && io_write_all(to, "", 1) < 0)
			result = error_errno(err, "write");
	}
	(void)io_close(&fd);
	return result;
}

static int
add_all(DIR *directory, int to, struct error *err)
{
	size_t room = OCTETS_MAX - FILES_MAX, files = 0;
	struct dirent *entry;
	int result = 0;

	while (result == 0 && files < FILES_MAX && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		files++;
		result = add_file(dirfd(directory), entry->d_name, to, &room, err);
	}
	return result;
}

/* -1 with err. */
static int
gather(const char *path, struct error *err)
{
	DIR *directory = opendir(path);
	int fd = -1;

	if (directory == NULL)
		return error_errno(err, "%s", path);
	fd = memfd_create("authorities", MFD_CLOEXEC);
	if (fd < 0) {
		error_errno(err, "memfd_create");
	} else if (add_all(directory, fd, err) < 0) {
		error_while(err, "%s", path);
		(void)io_close(&fd);
	}
	(void)closedir(directory);
	return fd;
}

static void
send_to(struct master *m, size_t i, struct child *only)
{
	struct msg_watched_file message = {.path = span_of(folder_path(m, i))};
	struct error err;

	message.fd = gather(folder_path(m, i), &err);
	if (message.fd < 0)
		log_warning(NULL, "the old authorities go on: %s", err.text);
	for (size_t n = 0; message.fd >= 0 && n < m->child_count; n++) {
		struct child *c = m->children[n];

		if (c->control && c->role == folder_role(i) && (only == NULL || only == c))
			ipc_send(c->control, IPC_WATCHED_FILE, 0, &message);
	}
	(void)io_close(&message.fd);
}

/* ---- watching ---- */

void
folders_watch(struct master *m, int inotify_fd)
{
	size_t count = PARAMETERS + m->conf->section_count;

	if (count != folder_count) {
		free(folders);
		folders = mem_alloc_array(count, sizeof(*folders));
		folder_count = count;
	}
	for (size_t i = 0; i < count; i++) {
		const char *path = folder_path(m, i);

		folders[i].watch = path ? inotify_add_watch(inotify_fd, path,
					      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
						  IN_DELETE | IN_ONLYDIR)
					: -1;
	}
}

bool
folders_concern(const struct inotify_event *e)
{
	bool any = false;

	for (size_t i = 0; i < folder_count; i++) {
		if (folders[i].watch >= 0 && ((e->mask & IN_Q_OVERFLOW) || folders[i].watch == e->wd))
			folders[i].changed = any = true;
	}
	return any;
}

void
folders_tell(struct master *m)
{
	for (size_t i = 0; i < folder_count && i < PARAMETERS + m->conf->section_count; i++) {
		if (folders[i].changed && folder_path(m, i) && !is_repeated(m, i))
			send_to(m, i, NULL);
		folders[i].changed = false;
	}
}

void
folders_ship(struct master *m, struct child *c)
{
	for (size_t i = 0; i < PARAMETERS + m->conf->section_count; i++) {
		if (folder_path(m, i) && folder_role(i) == c->role && !is_repeated(m, i))
			send_to(m, i, c);
	}
}
