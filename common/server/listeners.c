#include "common/server/process.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/mem.h"

static void
listener_free(struct listener *l)
{
	io_close(&l->shown.fd);
	free(l->section_name);
	free(l->address);
	free(l);
}

int
listeners_add(struct server *s, struct span section, struct span address, int fd, struct error *err)
{
	struct listener *l;
	struct stat st;

	if (fstat(fd, &st) < 0 || s->listener_count == MOST_LISTENERS) {
		io_close(&fd);
		return error_set(err, "a listener more than %d, or none", MOST_LISTENERS);
	}
	for (size_t i = 0; i < s->listener_count; i++) {
		l = s->listeners[i];
		if (span_is(section, l->section_name) && span_is(address, l->address) &&
		    l->inode == st.st_ino) {
			l->named = true;
			io_close(&fd);
			return 0;
		}
	}
	l = mem_alloc(sizeof(*l));
	l->section_name = mem_strndup(section.ptr, section.len);
	l->address = mem_strndup(address.ptr, address.len);
	l->shown = (struct server_listener){NULL, l->address, fd};
	l->inode = st.st_ino;
	l->named = true;
	l->fresh = true;
	io_set_nonblocking(fd);
	s->listeners[s->listener_count++] = l;
	return 0;
}

void
listeners_end(struct server *s)
{
	struct listener *gone[MOST_LISTENERS];
	struct conf *old = s->conf;
	size_t gone_count = 0, kept = 0;

	s->conf = s->next_conf;
	s->next_conf = NULL;
	for (size_t i = 0; i < s->listener_count; i++) {
		struct listener *l = s->listeners[i];

		if (!l->named) {
			gone[gone_count++] = l;
			continue;
		}
		l->named = false;
		l->fresh = false;
		l->shown.section = conf_section_find(s->conf, span_of(l->section_name));
		s->listeners[kept++] = l;
	}
	s->listener_count = kept;
	if (s->started && s->program->configured)
		s->program->configured(s);
	/* The program takes its events off those that are gone before their descriptors are closed. */
	if (s->started && s->program->listeners_changed)
		s->program->listeners_changed(s);
	for (size_t i = 0; i < gone_count; i++)
		listener_free(gone[i]);
	conf_unref(&old);
}

/* Those that were just received are not shown before the configuration that they belong to is in force. */
size_t
server_listener_count(struct server *s)
{
	size_t count = 0;

	while (count < s->listener_count && !s->listeners[count]->fresh)
		count++;
	return count;
}

const struct server_listener *
server_listener_at(struct server *s, size_t i)
{
	return i < server_listener_count(s) ? &s->listeners[i]->shown : NULL;
}
