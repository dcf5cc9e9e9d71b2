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

enum { PLACE_MAX = 512 };

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
connect_unix(struct span path, const char *place, int64_t deadline_us, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!span_copy(path, address.sun_path, sizeof(address.sun_path)))
		return error_set(err, "connect to %s: the path is too long", place);
	return connect_to((struct sockaddr *)&address, sizeof(address), place, deadline_us, err);
}

static int
connect_inet(struct span where, const char *place, int64_t deadline_us, struct error *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char host[PLACE_MAX], port[64];
	ptrdiff_t colon = span_find_last(where, ':');
	int fd = -1;

	if (colon <= 0)
		return error_set(err, "%s: need HOST:PORT", place);
	struct span name = span_sub(where, 0, (size_t)colon);
	if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
		name = span_sub(name, 1, name.len - 2);
	if (!span_copy(name, host, sizeof(host)) ||
	    !span_copy(span_from(where, (size_t)colon + 1), port, sizeof(port)))
		return error_set(err, "%s: need HOST:PORT", place);
	int status = getaddrinfo(host, port, &hints, &list);
	if (status != 0)
		return error_set(err, "%s: %s", place, gai_strerror(status));
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_addr, a->ai_addrlen, place, deadline_us, err);
	freeaddrinfo(list);
	return fd;
}

struct netclient *
netclient_connect(const char *place, int64_t deadline_us, struct error *err)
{
	struct span where = span_of(place);
	int fd;

	if (span_starts(where, "unix:"))
		fd = connect_unix(span_from(where, 5), place, deadline_us, err);
	else
		fd = connect_inet(
		    span_starts(where, "inet:") ? span_from(where, 5) : where, place, deadline_us, err);
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

int
netclient_write(struct netclient *c, struct span bytes, int64_t deadline_us, struct error *err)
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

ssize_t
netclient_read(struct netclient *c, void *bytes, size_t size, int64_t deadline_us, struct error *err)
{
	for (;;) {
		ssize_t n = recv(c->fd, bytes, size, 0);
		if (n > 0)
			return n;
		if (n == 0)
			return error_set(err, "the table's server has closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return error_errno(err, "read from the table's server");
		if (!client_wait(c->fd, false, deadline_us))
			return error_set(err, "no answer of the table's server in time");
	}
}
