#include "services/master/broker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/io.h"
#include "services/master/address.h"

enum { PATH_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path) };

/* One form for all: absolute, without "." and ".." and empty parts. False if it is none. */
static bool
make_absolute(const struct conf_values *v, struct span path, char absolute[PATH_SIZE])
{
	struct span rest, part;
	int n;

	if (path.len > 0 && path.ptr[0] == '/')
		n = snprintf(absolute, PATH_SIZE, "%.*s", SPAN_ARG(path));
	else
		n = snprintf(absolute, PATH_SIZE, "%s/%.*s", v->queue_directory, SPAN_ARG(path));
	if (path.len == 0 || n < 0 || n >= PATH_SIZE || memchr(path.ptr, '\0', path.len) ||
	    strstr(absolute, "//"))
		return false;
	rest = span_of(absolute);
	while (span_next_word(&rest, "/", &part))
		if (span_is(part, ".") || span_is(part, ".."))
			return false;
	return true;
}

/* Sockets of this instance are no mailboxes, whatever link leads to them: root's connections are believed there. */
static bool
is_own(int fd)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred listener;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &len) < 0 || listener.pid == getpid();
}

bool
broker_allows(const struct conf_values *v, struct span path, char absolute[PATH_SIZE])
{
	struct span rest = span_of(v->lmtp_unix_sockets), word;
	char allowed[PATH_SIZE];

	if (!make_absolute(v, path, absolute))
		return false;
	while (conf_list_next(&rest, &word)) {
		size_t len;

		if (!make_absolute(v, word, allowed))
			continue;
		len = strlen(allowed);
		if (allowed[len - 1] != '/' ? strcmp(allowed, absolute) == 0
					    : strncmp(allowed, absolute, len) == 0 && absolute[len] != '\0' &&
						  !strchr(absolute + len, '/'))
			return true;
	}
	return false;
}

static bool
has_dovecot(const struct conf_values *v)
{
	return v->smtpd_sasl_auth_enable && v->smtpd_sasl_type == CONF_SMTPD_SASL_TYPE_DOVECOT;
}

static struct span
without_unix(struct span path)
{
	return span_starts(path, "unix:") ? span_from(path, 5) : path;
}

bool
broker_allows_auth(const struct conf *conf, struct span path, char absolute[PATH_SIZE])
{
	char allowed[PATH_SIZE];

	if (!make_absolute(conf->values, without_unix(path), absolute))
		return false;
	for (size_t i = 0; i < conf->section_count; i++) {
		const struct conf_values *v = conf->sections[i].values;

		if (has_dovecot(v) && make_absolute(v, without_unix(span_of(v->smtpd_sasl_path)), allowed) &&
		    strcmp(allowed, absolute) == 0)
			return true;
	}
	return false;
}

static int
refused(struct error *err)
{
	return error_set(err, "no listener with AUTH by Dovecot has it as its smtpd_sasl_path");
}

/* On this host a connection is there, or refused, at once: then the reason can be told. Others say by the stream what comes of it. */
static int
began(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int number = 0;

	if (errno != EINPROGRESS)
		return -1;
	if (poll(&ready, 1, 0) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 &&
	    number != 0) {
		errno = number;
		return -1;
	}
	return 0;
}

/* Only what is written so in the configuration: "inet:" and one address. */
static int
connect_inet(const struct conf *conf, struct span path, struct error *err)
{
	struct listen_address list[LISTEN_ADDRESSES_MAX];
	bool allowed = false;
	int fd;

	for (size_t i = 0; i < conf->section_count && !allowed; i++)
		allowed = has_dovecot(conf->sections[i].values) &&
			  span_is(path, conf->sections[i].values->smtpd_sasl_path);
	if (!allowed)
		return refused(err);
	if (listen_address_parse(span_from(path, 5), conf->values, NULL, list, err) < 1)
		return -1;
	fd = socket(list[0].address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)&list[0].address, list[0].len) == 0 || began(fd) == 0)
		return fd;
	error_set(err, "%s", strerror(errno));
	io_close(&fd);
	return -1;
}

int
broker_connect(const struct conf *conf, enum role role, struct span path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (role == ROLE_SMTPD && span_starts(path, "inet:"))
		return connect_inet(conf, path, err);
	if (role == ROLE_SMTPD && !broker_allows_auth(conf, path, address.sun_path))
		return refused(err);
	if (role != ROLE_SMTPD && !broker_allows(conf->values, path, address.sun_path))
		return error_set(err, "lmtp_unix_sockets does not name it");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		error_set(err, "%s", strerror(errno));
	else if (is_own(fd))
		error_set(err, "it is a socket of Postern's own");
	else
		return fd;
	io_close(&fd);
	return -1;
}
