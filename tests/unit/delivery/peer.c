#include "tests/unit/delivery/peer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"

struct peer {
	pthread_t thread;
	const struct peer_row *rows;
	unsigned fits[PEER_ROWS];
	int listener;
	int stop[2]; /* a pipe: closing its end stops the thread */
	uint16_t port;
	char commands[PEER_COMMANDS];
	size_t commands_len;
	char content[PEER_CONTENT];
	size_t content_len;
	unsigned connections;
	bool stopped;
	const struct peer_tls *tls;
	SSL *ssl; /* of the connection that is served; NULL while it is plain */
};

/* One octet at a time is slow enough to be simple. Returns -1 at the end. */
static int
read_octet(struct peer *p, int fd, char *c)
{
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = p->stop[0], .events = POLLIN}};

	if (p->ssl && SSL_pending(p->ssl) > 0)
		return SSL_read(p->ssl, c, 1) == 1 ? 0 : -1;
	if (poll(fds, 2, 20000) <= 0 || fds[1].revents)
		return -1;
	return (p->ssl ? SSL_read(p->ssl, c, 1) : (int)recv(fd, c, 1, 0)) == 1 ? 0 : -1;
}

static ssize_t
read_line(struct peer *p, int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read_octet(p, fd, line + n) == 0)
		if (line[n++] == '\n')
			break;
	line[n] = '\0';
	return n > 0 && line[n - 1] == '\n' ? (ssize_t)n : -1;
}

static int
put(struct peer *p, int fd, const char *text, size_t len)
{
	return p->ssl ? SSL_write(p->ssl, text, (int)len) : (int)send(fd, text, len, MSG_NOSIGNAL);
}

static void
say(struct peer *p, int fd, const char *text)
{
	char line[8000];
	int n = snprintf(line, sizeof(line), "%s\r\n", text);

	if (put(p, fd, line, (size_t)n) < 0)
		return;
}

static void
reset(int fd)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* Returns false when the connection is to end. */
static bool
act(struct peer *p, int fd, const char *what)
{
	char c;

	if (strcmp(what, "!reset") == 0) {
		/* Not before the other side knows that it is connected. */
		usleep(20000);
		reset(fd);
	}
	if (strcmp(what, "!close") == 0 || strcmp(what, "!reset") == 0)
		return false;
	if (strncmp(what, "!last ", 6) == 0) {
		/* Read to the end: close() with unread octets is a reset, which may overtake the text. */
		say(p, fd, what + 6);
		shutdown(fd, SHUT_WR);
		while (read_octet(p, fd, &c) == 0)
			;
		return false;
	}
	if (strncmp(what, "!mute ", 6) == 0) {
		say(p, fd, what + 6);
		what = "!silent";
	}
	if (strncmp(what, "!wait ", 6) == 0) {
		usleep(300000);
		what += 6;
	}
	if (strcmp(what, "!silent") == 0) {
		while (read_octet(p, fd, &c) == 0)
			;
		return false;
	}
	if (strcmp(what, "!endless") == 0) {
		for (int i = 0; i < 100000; i++)
			if (put(p, fd, "250-and so on and so on\r\n", 25) < 0)
				break;
		return false;
	}
	say(p, fd, what);
	return true;
}

/* What the script says to it, else the usual. */
static const char *
answer_to(struct peer *p, const char *verb, const char *line, const char *usual)
{
	for (size_t i = 0; p->rows[i].verb; i++) {
		if (strcmp(verb, p->rows[i].verb) != 0 && !strstr(line, p->rows[i].verb))
			continue;
		p->fits[i]++;
		if (p->rows[i].nth == 0 || p->rows[i].nth == p->fits[i])
			return p->rows[i].say;
	}
	return usual;
}

static void
note(struct peer *p, const char *line)
{
	size_t n = strcspn(line, "\r\n");

	if (p->commands_len + n + 2 > sizeof(p->commands))
		return;
	memcpy(p->commands + p->commands_len, line, n);
	p->commands_len += n;
	p->commands[p->commands_len++] = '|';
}

static bool
take_content(struct peer *p, int fd)
{
	char line[8192];
	ssize_t n;

	while ((n = read_line(p, fd, line, sizeof(line))) > 0) {
		if (strcmp(line, ".\r\n") == 0)
			return true;
		if (p->content_len + (size_t)n < sizeof(p->content)) {
			memcpy(p->content + p->content_len, line, (size_t)n);
			p->content_len += (size_t)n;
		}
	}
	return false;
}

static const struct {
	const char *verb;
	const char *usual;
	const char *with_tls; /* while it is still to be offered; NULL: the same */
} usuals[] = {
    {"EHLO", "250-peer.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 DSN",
	"250-peer.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250 STARTTLS"},
    {"LHLO", "250-peer.test\r\n250-PIPELINING\r\n250 8BITMIME", "250-peer.test\r\n250 STARTTLS"},
    {"STARTTLS", "502 5.5.1 no", "220 2.0.0 go"},
    {"HELO", "250 peer.test", NULL},
    {"MAIL", "250 2.1.0 Ok", NULL},
    {"RCPT", "250 2.1.5 Ok", NULL},
    {"DATA", "354 go", NULL},
    {"RSET", "250 2.0.0 Ok", NULL},
    {"QUIT", "221 2.0.0 Bye", NULL},
    {"", "500 5.5.2 what?", NULL},
};

/* Returns false if the handshake failed. */
static bool
start_tls(struct peer *p, int fd)
{
	p->ssl = SSL_new(p->tls->context);
	SSL_set_fd(p->ssl, fd);
	if (SSL_accept(p->ssl) != 1)
		return false;
	note(p, SSL_session_reused(p->ssl) ? "(tls again)" : "(tls)");
	return true;
}

static void
serve(struct peer *p, int fd)
{
	char line[8192];
	const char *answer;

	note(p, "#");
	if (p->tls && p->tls->wrapper && !start_tls(p, fd))
		return;
	if (!act(p, fd, answer_to(p, "GREETING", "", "220 peer.test ESMTP")))
		return;
	while (read_line(p, fd, line, sizeof(line)) > 0) {
		size_t i = 0;

		while (usuals[i].verb[0] != '\0' && strncmp(line, usuals[i].verb, 4) != 0)
			i++;
		note(p, line);
		answer = answer_to(p, usuals[i].verb, line,
		    p->tls && !p->ssl && usuals[i].with_tls ? usuals[i].with_tls : usuals[i].usual);
		if (!act(p, fd, answer) || strcmp(usuals[i].verb, "QUIT") == 0)
			return;
		if (p->tls && strcmp(usuals[i].verb, "STARTTLS") == 0 && answer[0] == '2' &&
		    !start_tls(p, fd))
			return;
		if (strcmp(usuals[i].verb, "DATA") != 0 || answer[0] != '3')
			continue;
		if (!take_content(p, fd) || !act(p, fd, answer_to(p, "DOT", "", "250 2.0.0 Ok: queued as X")))
			return;
	}
}

static void *
run(void *context)
{
	struct peer *p = context;
	struct pollfd fds[2] = {{.fd = p->listener, .events = POLLIN}, {.fd = p->stop[0], .events = POLLIN}};
	sigset_t pipe_broken;
	int on = 1;

	/* libssl writes as write(2) does; the other thread must not need this. */
	sigemptyset(&pipe_broken);
	sigaddset(&pipe_broken, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_broken, NULL);
	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		int fd = accept(p->listener, NULL, NULL);

		if (fd < 0)
			break;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		p->connections++;
		serve(p, fd);
		SSL_free(p->ssl);
		p->ssl = NULL;
		close(fd);
	}
	return NULL;
}

struct peer *
peer_new(const char *address, uint16_t port, const struct peer_row *rows)
{
	return peer_new_tls(address, port, rows, NULL);
}

struct peer *
peer_new_tls(const char *address, uint16_t port, const struct peer_row *rows, const struct peer_tls *tls)
{
	struct peer *p = mem_alloc(sizeof(*p));
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(sin);
	int on = 1;

	p->rows = rows;
	p->tls = tls;
	inet_pton(AF_INET, address, &sin.sin_addr);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(p->listener, 50) < 0 ||
	    getsockname(p->listener, (struct sockaddr *)&sin, &len) < 0 || pipe(p->stop) < 0)
		panic("cannot listen on %s:%u", address, port);
	p->port = ntohs(sin.sin_port);
	if (pthread_create(&p->thread, NULL, run, p) != 0)
		panic("no thread for a peer");
	return p;
}

uint16_t
peer_port(const struct peer *p)
{
	return p->port;
}

const char *
peer_nexthop(const struct peer *p)
{
	static char nexthop[64];

	snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", peer_port(p));
	return nexthop;
}

const struct peer_row peer_obedient[] = {{0}};

const char peer_patience[] = "smtp_helo_timeout = 1s\nsmtp_mail_timeout = 1s\nsmtp_rcpt_timeout = 1s\n"
			     "smtp_data_init_timeout = 1s\nsmtp_data_done_timeout = 1s\n"
			     "smtp_connect_timeout = 1s\nmyhostname = mx.here.test\n";

void
peer_stop(struct peer *p)
{
	if (p->stopped)
		return;
	p->stopped = true;
	close(p->stop[1]);
	pthread_join(p->thread, NULL);
	close(p->stop[0]);
	close(p->listener);
	p->commands[p->commands_len] = '\0';
}

const char *
peer_commands(const struct peer *p)
{
	return p->commands;
}

const char *
peer_content(const struct peer *p, size_t *len)
{
	*len = p->content_len;
	return p->content;
}

unsigned
peer_connections(const struct peer *p)
{
	return p->connections;
}

void
peer_free(struct peer **p)
{
	if (!*p)
		return;
	peer_stop(*p);
	free(*p);
	*p = NULL;
}
