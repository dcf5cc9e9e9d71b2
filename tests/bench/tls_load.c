/*
 * tls_load: an SMTP source over TLS.
 *
 * usage: tls_load [-s SESSIONS] [-m MESSAGES] [-l OCTETS] [-t RECIPIENT] [-w] [-h | -k] [-R] PORT
 *
 * Each of SESSIONS processes sends its share of MESSAGES, each over a connection and a full handshake of its own: STARTTLS,
 * or with -w TLS from the first octet on. -k: all over one connection. -R: a connection resumes the session of the one before it. -h: no
 * mail, just the handshake and QUIT. Prints one line of JSON. Loopback only: nothing here is hardened.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct counts {
	long done, failed, resumed;
};

struct connection {
	int fd;
	SSL *ssl; /* NULL while plain */
	char buffer[4096];
	size_t len;
};

static int sessions = 1, port;
static long messages = 100, octets = 4096;
static bool wrapped, handshakes_only, keep, resume;
static const char *recipient = "bench@far.test";
static volatile struct counts *counts;
static SSL_CTX *context;
static SSL_SESSION *last_session; /* what is resumed next */
static char *body;
static size_t body_len;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static ssize_t
get(struct connection *c)
{
	if (c->ssl)
		return SSL_read(c->ssl, c->buffer + c->len, (int)(sizeof(c->buffer) - c->len));
	return recv(c->fd, c->buffer + c->len, sizeof(c->buffer) - c->len, 0);
}

static bool
put(struct connection *c, const char *bytes, size_t len)
{
	if (c->ssl)
		return SSL_write(c->ssl, bytes, (int)len) == (int)len;
	return send(c->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Reads a whole reply; true if it begins with that digit. */
static bool
expect(struct connection *c, char digit)
{
	for (;;) {
		char *end;

		while ((end = memchr(c->buffer, '\n', c->len))) {
			size_t len = (size_t)(end - c->buffer) + 1;
			bool last = len < 5 || c->buffer[3] == ' ';
			char first = c->buffer[0];

			memmove(c->buffer, end + 1, c->len - len);
			c->len -= len;
			if (last)
				return first == digit;
		}
		ssize_t n = get(c);

		if (n <= 0)
			return false;
		c->len += (size_t)n;
	}
}

static bool
say(struct connection *c, const char *line, char digit)
{
	return put(c, line, strlen(line)) && expect(c, digit);
}

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(last_session);
	last_session = session;
	return 1;
}

static bool
shake(struct connection *c)
{
	c->ssl = SSL_new(context);
	SSL_set_fd(c->ssl, c->fd);
	if (last_session)
		SSL_set_session(c->ssl, last_session);
	if (SSL_connect(c->ssl) != 1)
		return false;
	if (SSL_session_reused(c->ssl))
		(void)__atomic_fetch_add(&counts->resumed, 1, __ATOMIC_RELAXED);
	return true;
}

static bool
send_message(struct connection *c)
{
	char line[300];

	(void)snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", recipient);
	return say(c, "MAIL FROM:<bench@bench.test>\r\n", '2') && say(c, line, '2') &&
	       say(c, "DATA\r\n", '3') && put(c, body, body_len) && expect(c, '2');
}

static bool
greet(struct connection *c)
{
	if (wrapped && !shake(c))
		return false;
	if (!expect(c, '2') || !say(c, "EHLO bench.test\r\n", '2'))
		return false;
	return wrapped || (say(c, "STARTTLS\r\n", '2') && shake(c) && say(c, "EHLO bench.test\r\n", '2'));
}

static bool
dial(struct connection *c)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	int on = 1;

	*c = (struct connection){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return connect(c->fd, (struct sockaddr *)&to, sizeof(to)) == 0 && greet(c);
}

/* Sends one message, or so many over one connection. */
static void
session(long count)
{
	struct connection c;
	long sent = 0;

	if (dial(&c)) {
		while (sent < count && (handshakes_only || send_message(&c)))
			sent++;
		if (!say(&c, "QUIT\r\n", '2'))
			sent = 0;
	}
	(void)__atomic_fetch_add(&counts->done, sent, __ATOMIC_RELAXED);
	(void)__atomic_fetch_add(&counts->failed, count - sent, __ATOMIC_RELAXED);
	if (c.ssl)
		SSL_shutdown(c.ssl); /* what is not shut down is not resumed */
	SSL_free(c.ssl);
	close(c.fd);
}

static void
make_body(void)
{
	static const char head[] = "Subject: bench\r\n\r\n";

	body = malloc((size_t)octets + 200);
	body_len = (size_t)sprintf(body, "%s", head);
	while (body_len < (size_t)octets)
		body_len += (size_t)sprintf(body + body_len, "%078d\r\n", 0);
	body_len += (size_t)sprintf(body + body_len, ".\r\n");
}

static void
work(long share)
{
	for (long i = 0; i < share; i += keep ? share : 1)
		session(keep ? share : 1);
}

int
main(int argc, char **argv)
{
	double begun;
	int option;

	while ((option = getopt(argc, argv, "s:m:l:t:whkR")) != -1) {
		switch (option) {
		case 's':
			sessions = atoi(optarg);
			break;
		case 'm':
			messages = atol(optarg);
			break;
		case 'l':
			octets = atol(optarg);
			break;
		case 't':
			recipient = optarg;
			break;
		case 'w':
			wrapped = true;
			break;
		case 'k':
			keep = true;
			break;
		case 'R':
			resume = true;
			break;
		case 'h':
			handshakes_only = true;
			break;
		default:
			return 64;
		}
	}
	if (optind >= argc)
		return 64;
	port = atoi(argv[optind]);
	signal(SIGPIPE, SIG_IGN);
	make_body();
	context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(
	    context, resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
	SSL_CTX_sess_set_new_cb(context, on_session);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	begun = now();
	for (int i = 0; i < sessions; i++) {
		if (fork() == 0) {
			work(messages / sessions + (i < messages % sessions));
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	printf("{\"seconds\": %.3f, \"done\": %ld, \"failed\": %ld, \"resumed\": %ld}\n", now() - begun,
	    counts->done, counts->failed, counts->resumed);
	return counts->failed > 0;
}
