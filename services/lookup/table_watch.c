#include "services/lookup/table_watch.h"

#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/table.h"

enum { NAMES_MAX = 10000 };

struct table_watch {
	int fd; /* -1: the kernel gives none */
	struct table *names; /* of the files, without their directories */
	struct event *event;
	void (*changed)(void *context);
	void *context;
};

struct table_watch *
table_watch_open(void)
{
	struct table_watch *w = mem_alloc(sizeof(*w));

	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	w->names = table_new(NAMES_MAX, NULL);
	return w;
}

static bool
concerns(const struct table_watch *w, const struct inotify_event *e)
{
	return (e->mask & IN_Q_OVERFLOW) || (e->len > 0 && table_get(w->names, span_of(e->name)) != NULL);
}

static void
on_event(evutil_socket_t fd, short what, void *context)
{
	union {
		struct inotify_event first;
		char bytes[8192];
	} buffer;
	struct table_watch *w = context;
	bool any = false;
	ssize_t count;

	(void)what;
	while ((count = read(fd, buffer.bytes, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < count;) {
			const struct inotify_event *e =
			    (const struct inotify_event *)(const void *)(buffer.bytes + at);
			any = any || concerns(w, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	if (any)
		w->changed(w->context);
}

void
table_watch_start(
    struct table_watch *w, struct event_base *base, void (*changed)(void *context), void *context)
{
	w->changed = changed;
	w->context = context;
	if (w->fd < 0)
		return;
	w->event = event_new(base, w->fd, EV_READ | EV_PERSIST, on_event, w);
	if (w->event != NULL)
		(void)event_add(w->event, NULL);
}

void
table_watch_clear(struct table_watch *w)
{
	table_free(&w->names);
	w->names = table_new(NAMES_MAX, NULL);
}

void
table_watch_add(struct table_watch *w, const char *path)
{
	static char present;
	char directory[PATH_MAX];
	struct span whole = span_of(path);
	ptrdiff_t slash = span_find_last(whole, '/');

	if (w->fd < 0 || slash < 0 ||
	    !span_copy(span_sub(whole, 0, slash > 0 ? (size_t)slash : 1), directory, sizeof(directory)))
		return;
	if (inotify_add_watch(
		w->fd, directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE) >= 0)
		(void)table_put(w->names, span_from(whole, (size_t)slash + 1), &present);
}
