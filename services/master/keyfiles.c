#include "services/master/keyfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/keys/sources.h"
#include "services/master/master.h"
#include "services/master/seen.h"

/* As many as a child remembers (common/server). */
enum { FILES_MAX = 2000 };

/* What was sent last. */
static struct seen_file *files;
static size_t file_count;

static void
forget(void)
{
	for (size_t i = 0; i < file_count; i++)
		seen_clear(&files[i]);
	file_count = 0;
}

static void
add(const char *path, void *context)
{
	(void)context;
	for (size_t i = 0; i < file_count; i++) {
		if (strcmp(files[i].path, path) == 0)
			return;
	}
	if (files == NULL)
		files = mem_alloc_array(FILES_MAX, sizeof(*files));
	if (file_count == FILES_MAX) {
		log_warning(
		    NULL, "more than %d files of keys and certificates: %s is left out", FILES_MAX, path);
		return;
	}
	files[file_count++] = (struct seen_file){.path = mem_strdup(path)};
}

static void
send_file(struct child *c, const char *path)
{
	struct msg_watched_file m = {.path = span_of(path)};

	m.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	m.error = m.fd < 0 ? (uint32_t)errno : 0;
	ipc_send(c->control, IPC_WATCHED_FILE, 0, &m);
	io_close(&m.fd);
}

void
keyfiles_ship(struct master *m, struct child *c, void (*watch)(const char *path))
{
	struct msg_watched_end end = {.files = 0};

	forget();
	key_files_each(m->conf, add, NULL);
	for (size_t i = 0; i < file_count; i++) {
		/* First the watch: what changes from here on is seen. */
		watch(files[i].path);
		seen_look(&files[i], files[i].path);
		if (files[i].target)
			watch(files[i].target);
		send_file(c, files[i].path);
	}
	end.files = (uint32_t)file_count;
	ipc_send(c->control, IPC_WATCHED_END, 0, &end);
}

void
keyfiles_look(struct master *m, void (*watch)(const char *path))
{
	bool same = true;

	for (size_t i = 0; same && i < file_count; i++)
		same = seen_same(&files[i]);
	for (size_t i = 0; !same && i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (c->role == ROLE_KEYS && c->control)
			keyfiles_ship(m, c, watch);
	}
}

bool
keyfiles_is_named(const char *name)
{
	for (size_t i = 0; i < file_count; i++) {
		if (seen_is_named(&files[i], name))
			return true;
	}
	return false;
}
