#include "common/map/netclient.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/clients.h"

struct netclient {
	int fd;
};

/* -1 with err. */
static int
connect_to(
    const struct sockaddr *address, socklen_t len, const char *place, int64_t deadline_us, struct error *err)
{
	int number = 0;
	socklen_t size = sizeof(number);

	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "connect to %s", place);
	if (connect(fd, address, len) < 0) {
		if (errno != EINPROGRESS) {
			(void)error_errno(err, "connect to %s", place);
			goto failed;
		}
		if (!client_wait(fd, true, deadline_us)) {
			(void)error_set(err, "connect to %s: no answer in time", place);
			goto failed;
		}
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
		if (number != 0) {
			errno = number;
			(void)error_errno(err, "connect to %s", place);
			goto failed;
		}
	}
	return fd;
failed:
	(void)io_close(&fd);
	return -1;
}

static int
connect_unix(const char *path, int64_t deadline_us, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!span_copy(span_of(path), address.sun_path, sizeof(address.sun_path)))
		return error_set(err, "connect to %s: the path is too long", path);
	return connect_to((struct sockaddr *)&address, sizeof(address), path, deadline_us, err);
}

static int
connect_inet(const struct client_place *where, const char *text, int64_t deadline_us, struct error *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int fd = -1;

	int status = getaddrinfo(where->host, where->port, &hints, &list);
	if (status != 0)
		return error_set(err, "%s: %s", text, gai_strerror(status));
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_addr, a->ai_addrlen, text, deadline_us, err);
	freeaddrinfo(list);
	return fd;
}

void *
netclient_connect(void *table, const char *host, int64_t deadline_us, struct error *err)
{
	struct client_place where;
	int fd;

	(void)table;
	if (!client_place_parse(host, &where) || (!where.local && where.port[0] == '\0')) {
		error_set(err, "%s: need HOST:PORT", host);
		return NULL;
	}
	if (where.local)
		fd = connect_unix(where.host, deadline_us, err);
	else
		fd = connect_inet(&where, host, deadline_us, err);
	if (fd < 0)
		return NULL;
	struct netclient *c = mem_alloc(sizeof(*c));
	c->fd = fd;
	return c;
}

void
netclient_close(void *client)
{
	struct netclient *c = client;

	(void)io_close(&c->fd);
	free(c);
}

/* All of it, or -1 with err. */
static int
write_all(struct netclient *c, struct span bytes, int64_t deadline_us, struct error *err)
{
	while (bytes.len > 0) {
		ssize_t n = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
		if (n >= 0) {
			bytes = span_from(bytes, (size_t)n);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return error_errno(err, "write to the table's server");
		if (!client_wait(c->fd, true, deadline_us))
			return error_set(err, "the table's server takes no question in time");
	}
	return 0;
}

/* Appends some octets; -1 with err, also at the end of the stream. */
static int
read_some(struct netclient *c, struct buf *answer, int64_t deadline_us, struct error *err)
{
	char bytes[8192];

	for (;;) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
		if (n > 0 && buf_append(answer, bytes, (size_t)n) < 0)
			return error_set(err, "the answer of the table's server is too long");
		if (n > 0)
			return 0;
		if (n == 0)
			return error_set(err, "the table's server has closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return error_errno(err, "read from the table's server");
		if (!client_wait(c->fd, false, deadline_us))
			return error_set(err, "no answer of the table's server in time");
	}
}

int
netclient_ask(struct netclient *c, struct span request, netclient_parse *parse, struct buf *answer,
    struct span *content, int64_t deadline_us, struct error *err)
{
	ptrdiff_t used;

	buf_clear(answer);
	if (write_all(c, request, deadline_us, err) < 0)
		return -1;
	while ((used = parse(buf_span(answer), content)) == 0)
		if (read_some(c, answer, deadline_us, err) < 0)
			return -1;
	if (used < 0)
		return error_set(err, "the answer of the table's server makes no sense");
	if ((size_t)used != answer->len)
		return error_set(err, "the table's server answers more than it was asked");
	return 0;
}
