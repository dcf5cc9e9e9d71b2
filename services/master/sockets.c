#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "services/master/address.h"
#include "services/master/master.h"

enum { BACKLOG = 4096 };

/* Sockets below queue_directory that any local user, or only Postern's own tools, may connect to. */
static const struct {
	const char *address, *path;
	unsigned roles;
} unix_sockets[] = {
    {"unix:queue", "public/queue", ROLE_BIT(ROLE_QUEUE)},
    {"unix:pickup", "public/pickup", ROLE_BIT(ROLE_PICKUP)},
};

static struct socket_row *
find_row(struct master *m, struct span section, const char *address)
{
	for (size_t i = 0; i < m->socket_count; i++) {
		if (span_is(section, m->sockets[i].section) && strcmp(m->sockets[i].address, address) == 0)
			return &m->sockets[i];
	}
	return NULL;
}

static void
add_row(struct master *m, const char *section, const char *address, const char *path, int fd, unsigned roles)
{
	m->sockets[m->socket_count++] = (struct socket_row){
	    .section = mem_strdup(section),
	    .address = mem_strdup(address),
	    .path = path ? mem_strdup(path) : NULL,
	    .fd = fd,
	    .roles = roles,
	    .named = true,
	};
}

static bool
has_port_of(int fd, const struct listen_address *a)
{
	struct sockaddr_storage bound = {0};
	socklen_t len = sizeof(bound);

	if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0 || bound.ss_family != a->address.ss_family)
		return false;
	/* Ports stand at the same place in both families. */
	return ((const struct sockaddr_in *)(const void *)&bound)->sin_port ==
	       ((const struct sockaddr_in *)(const void *)&a->address)->sin_port;
}

/*
 * A listener that goes with this reload shares its port meanwhile, so that "0.0.0.0:25" can become "192.0.2.1:25" (and
 * the other way round) without a moment in which nobody listens. Returns false if there is none.
 */
static bool
lend_port(struct master *m, const struct listen_address *a, int on)
{
	bool found = false;

	for (size_t i = 0; i < m->socket_count; i++) {
		struct socket_row *row = &m->sockets[i];

		if (row->path || row->named || !has_port_of(row->fd, a))
			continue;
		found = setsockopt(row->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 || found;
		row->lent = true;
	}
	return found;
}

static int
bind_tcp(struct master *m, int fd, const struct listen_address *a)
{
	int on = 1, off = 0, result, saved;

	if (bind(fd, (const struct sockaddr *)&a->address, a->len) == 0)
		return listen(fd, BACKLOG);
	saved = errno;
	result = -1;
	if (saved == EADDRINUSE && lend_port(m, a, on)) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		result = bind(fd, (const struct sockaddr *)&a->address, a->len);
		if (result == 0)
			result = listen(fd, BACKLOG);
		saved = errno;
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
		lend_port(m, a, off);
	}
	errno = saved;
	return result;
}

static int
open_tcp(struct master *m, const struct listen_address *a, struct error *err)
{
	int on = 1, fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_errno(err, "socket for %s", a->text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind_tcp(m, fd, a) < 0) {
		error_errno(err, "listen on %s", a->text);
		io_close(&fd);
	}
	return fd;
}

static int
open_unix(const char *path, mode_t mode, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, "socket path %s is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "socket for %s", path);
	/* The pid file's lock says that nobody else listens there. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, mode) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		error_errno(err, "listen on %s", path);
		io_close(&fd);
	}
	return fd;
}

/* An address that another section had and that no section of the new configuration has named so far. */
static struct socket_row *
find_left_row(struct master *m, const char *address)
{
	for (size_t i = 0; i < m->socket_count; i++) {
		struct socket_row *row = &m->sockets[i];

		if (!row->path && !row->named && !row->moved && strcmp(row->address, address) == 0)
			return row;
	}
	return NULL;
}

/* The socket goes on under another section's name: nobody who is connecting notices. */
static int
take_over(struct socket_row *row, struct error *err)
{
	int fd = fcntl(row->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return error_errno(err, "listen on %s", row->address);
	row->moved = true;
	return fd;
}

/* Returns 1 with err if the host lacks that family and the other may be enough. */
static int
want_tcp(struct master *m, const char *section, const struct listen_address *a, struct error *err)
{
	struct socket_row *row = find_row(m, span_of(section), a->text);
	int fd;

	if (row && row->moved)
		return error_set(err, "listen on %s: two sections do", a->text);
	if (row) {
		row->named = true;
		return 0;
	}
	if (m->socket_count == MOST_SOCKETS)
		return error_set(err, "more than %d listeners", MOST_SOCKETS);
	row = find_left_row(m, a->text);
	fd = row ? take_over(row, err) : open_tcp(m, a, err);
	if (fd < 0)
		return a->wildcard && (err->number == EAFNOSUPPORT || err->number == EADDRNOTAVAIL) ? 1 : -1;
	add_row(m, section, a->text, NULL, fd, ROLE_BIT(ROLE_SMTPD));
	return 0;
}

static int
want_section(struct master *m, const struct conf_section *section, struct error *err)
{
	struct span rest = span_of(section->listen), word;
	struct listen_address list[LISTEN_ADDRESSES_MAX];
	unsigned opened = 0, missing = 0;

	while (conf_list_next(&rest, &word)) {
		int count = listen_address_parse(word, section->values, m->libexec, list, err);

		if (count < 0)
			return error_while(err, "section [%s]", section->name);
		for (int i = 0; i < count; i++) {
			int status = want_tcp(m, section->name, &list[i], err);

			if (status < 0)
				return error_while(err, "section [%s]", section->name);
			if (status == 0)
				opened++;
			else
				missing++;
		}
	}
	/* err still says what was missing last. */
	return missing > 0 && opened == 0 ? error_while(err, "section [%s]", section->name) : 0;
}

static int
want_unix(struct master *m, const struct conf *conf, struct error *err)
{
	char path[4096];

	for (size_t i = 0; i < sizeof(unix_sockets) / sizeof(*unix_sockets); i++) {
		struct socket_row *row = find_row(m, SPAN_LIT(""), unix_sockets[i].address);
		int fd;

		if (row) {
			row->named = true;
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", conf->values->queue_directory, unix_sockets[i].path);
		fd = open_unix(path, 0666, err);
		if (fd < 0)
			return -1;
		add_row(m, "", unix_sockets[i].address, path, fd, unix_sockets[i].roles);
	}
	return 0;
}

static void
close_row(struct socket_row *row)
{
	if (row->path)
		unlink(row->path);
	io_close(&row->fd);
	free(row->section);
	free(row->address);
	free(row->path);
}

/* Closes those from 'first' on whose 'named' is as given. */
static void
drop_rows(struct master *m, size_t first, bool named)
{
	size_t kept = first;

	for (size_t i = first; i < m->socket_count; i++) {
		if (m->sockets[i].named == named)
			close_row(&m->sockets[i]);
		else
			m->sockets[kept++] = m->sockets[i];
	}
	m->socket_count = kept;
}

/* Two that share a port were meant to do so only until one of them is closed. */
static int
check_lent(const struct master *m, size_t before, struct error *err)
{
	for (size_t i = 0; i < before; i++) {
		const struct socket_row *row = &m->sockets[i];

		if (row->lent && (row->named || row->moved))
			return error_set(err, "listen on %s: %s", row->address, strerror(EADDRINUSE));
	}
	return 0;
}

int
sockets_apply(struct master *m, const struct conf *conf, struct error *err)
{
	size_t before = m->socket_count;
	int result = 0;

	for (size_t i = 0; i < before; i++)
		m->sockets[i].named = m->sockets[i].moved = m->sockets[i].lent = false;
	for (size_t i = 0; i < conf->section_count && result == 0; i++)
		result = want_section(m, &conf->sections[i], err);
	if (result == 0)
		result = check_lent(m, before, err);
	if (result == 0)
		result = want_unix(m, conf, err);
	if (result < 0)
		drop_rows(m, before, true);
	else
		drop_rows(m, 0, false);
	return result;
}

void
sockets_take(struct master *m, int fd)
{
	add_row(m, "", m->alone_long ? IPC_ALONE_LONG : IPC_ALONE, NULL, fd, ROLE_BIT(ROLE_QUEUE));
}

void
sockets_close(struct master *m)
{
	while (m->socket_count > 0)
		close_row(&m->sockets[--m->socket_count]);
}

int
control_socket_open(const struct conf *conf, struct error *err)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/private/master", conf->values->queue_directory);
	return open_unix(path, 0600, err);
}
