/*
 * load: an SMTP source and a sink in one command, to measure what lies between them.
 *
 * usage: load [-s SESSIONS] [-m MESSAGES] [-l OCTETS] [-r RECIPIENTS] [-k] [-t DOMAIN] [-T SECONDS] [-i IDLE] PORT SINKPORT
 *
 * Sends each message step by step (no pipelining), over a connection of its own unless -k; a child process takes what
 * arrives at SINKPORT (0: no sink). -i holds so many further sessions idle after EHLO, all the while. Waits until the
 * sink has had every recipient, at most SECONDS, and prints one line of JSON. Loopback only: nothing here is hardened.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, READ_SIZE = 262144, LINE = 78 };

/* What a session waits for. */
enum step { GREETING, HELLO, MAIL, RCPT, DATA, CONTENT, QUIT, IDLE };

struct session {
	int fd;
	enum step step;
	int recipients; /* said of this message */
	size_t sent; /* of the content */
	double begun;
	bool at_line_start;
	char reply[4];
	size_t reply_len;
	bool idle; /* -i */
};

struct sink_session {
	int fd;
	bool in_data;
	int recipients;
	char line[1024];
	size_t len;
	int matched; /* of CR LF . CR LF */
};

struct counts {
	volatile long recipients; /* delivered to the sink */
	volatile long messages;
};

static int sessions = 1, messages = 100, recipients = 1, idle_sessions, port, sink_port;
static double limit = 60;
static bool keep;
static size_t size = 4096;
static const char *domain = "relay.test";
static char *content;
static size_t content_len;
static int started, accepted, failed, idle_ready;
static double *latency;
static int ep;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
watch(int epoll, int op, int fd, unsigned events, void *data)
{
	struct epoll_event e = {.events = events, .data.ptr = data};

	if (epoll_ctl(epoll, op, fd, &e) < 0)
		die("epoll_ctl");
}

static struct sockaddr_in
address(int at)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)at), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* ---- the sink ---- */

static void
say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		die("sink");
}

static void
sink_command(struct sink_session *s, struct counts *counts, char *out, size_t room)
{
	const char *answer = "250 2.0.0 Ok\r\n";

	(void)counts;
	if (strncasecmp(s->line, "EHLO", 4) == 0) {
		answer = "250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
	} else if (strncasecmp(s->line, "RCPT", 4) == 0) {
		s->recipients++;
	} else if (strncasecmp(s->line, "MAIL", 4) == 0 || strncasecmp(s->line, "RSET", 4) == 0) {
		s->recipients = 0;
	} else if (strncasecmp(s->line, "DATA", 4) == 0) {
		answer = "354 go on\r\n";
		s->in_data = true;
		s->matched = 2;
	} else if (strncasecmp(s->line, "QUIT", 4) == 0) {
		answer = "221 2.0.0 Bye\r\n";
	}
	strncat(out, answer, room - strlen(out) - 1);
}

/* Replies of one read leave in one write. */
static void
sink_input(struct sink_session *s, const char *p, size_t len, struct counts *counts)
{
	static const char end[] = "\r\n.\r\n";
	char out[16384] = "";

	for (size_t i = 0; i < len; i++) {
		if (s->in_data) {
			const char *cr;

			if (s->matched == 0) {
				cr = memchr(p + i, '\r', len - i);
				if (!cr)
					break;
				i = (size_t)(cr - p);
			}
			s->matched = p[i] == end[s->matched] ? s->matched + 1 : p[i] == '\r';
			if (s->matched < 5)
				continue;
			s->in_data = false;
			s->matched = 0;
			counts->recipients += s->recipients;
			counts->messages++;
			s->recipients = 0;
			strncat(out, "250 2.0.0 Ok\r\n", sizeof(out) - strlen(out) - 1);
		} else if (p[i] == '\n') {
			s->line[s->len] = '\0';
			s->len = 0;
			sink_command(s, counts, out, sizeof(out));
		} else if (s->len < sizeof(s->line) - 1) {
			s->line[s->len++] = p[i];
		}
	}
	if (out[0])
		say(s->fd, out);
}

static void
sink_accept(int epoll, int listener)
{
	int on = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct sink_session *s = calloc(1, sizeof(*s));

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		s->fd = fd;
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, s);
		say(fd, "220 sink.test ESMTP\r\n");
	}
}

static void
sink(int listener, struct counts *counts)
{
	static char buf[READ_SIZE];
	int epoll = epoll_create1(0);
	struct epoll_event events[EVENTS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct sink_session *s = events[i].data.ptr;
			ssize_t len;

			if (!s) {
				sink_accept(epoll, listener);
				continue;
			}
			len = recv(s->fd, buf, sizeof(buf), 0);
			if (len > 0) {
				sink_input(s, buf, (size_t)len, counts);
			} else if (len == 0 || errno != EAGAIN) {
				close(s->fd);
				free(s);
			}
		}
	}
}

static pid_t
start_sink(struct counts *counts)
{
	struct sockaddr_in a = address(sink_port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	pid_t pid;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		die("listening for what is relayed");
	pid = fork();
	if (pid == 0) {
		sink(fd, counts);
		_exit(0);
	}
	close(fd);
	return pid;
}

/* ---- the source ---- */

static void
begin(struct session *s)
{
	struct sockaddr_in a = address(port);
	int on = 1;

	if (!s->idle) {
		if (started >= messages)
			return;
		started++;
	}
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		die("socket");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
		die("connect");
	s->step = GREETING;
	s->begun = now();
	s->at_line_start = true;
	watch(ep, EPOLL_CTL_ADD, s->fd, EPOLLIN, s);
}

static void
send_line(struct session *s, enum step step, const char *format, int a, const char *b)
{
	char line[256];
	int len = snprintf(line, sizeof(line), format, a, b);

	s->step = step;
	if (send(s->fd, line, (size_t)len, MSG_NOSIGNAL) != len)
		failed += s->step != QUIT;
}

static void
send_content(struct session *s)
{
	while (s->sent < content_len) {
		ssize_t n = send(s->fd, content + s->sent, content_len - s->sent, MSG_NOSIGNAL);

		if (n < 0)
			break;
		s->sent += (size_t)n;
	}
	watch(ep, EPOLL_CTL_MOD, s->fd, s->sent < content_len ? EPOLLIN | EPOLLOUT : EPOLLIN, s);
}

static void
again(struct session *s)
{
	epoll_ctl(ep, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	begin(s);
}

static void
mail(struct session *s)
{
	s->recipients = 0;
	s->sent = 0;
	send_line(s, MAIL, "MAIL FROM:<sender%d@origin.test>%s\r\n", 1, "");
}

/* A reply has come whole. */
static void
next_step(struct session *s)
{
	if (s->reply[0] != '2' && s->reply[0] != '3') {
		failed++;
		again(s);
		return;
	}
	switch (s->step) {
	case GREETING:
		send_line(s, HELLO, "EHLO client%d.test%s\r\n", 1, "");
		break;
	case HELLO:
		if (s->idle) {
			s->step = IDLE;
			idle_ready++;
		} else {
			mail(s);
		}
		break;
	case MAIL:
	case RCPT:
		if (s->recipients++ < recipients)
			send_line(s, RCPT, "RCPT TO:<user%d@%s>\r\n", s->recipients, domain);
		else
			send_line(s, DATA, "DATA%.0d%s\r\n", 0, "");
		break;
	case DATA:
		s->step = CONTENT;
		send_content(s);
		break;
	case CONTENT:
		latency[accepted++] = now() - s->begun;
		if (keep && started < messages) {
			started++;
			s->begun = now();
			mail(s);
		} else {
			send_line(s, QUIT, "QUIT%.0d%s\r\n", 0, "");
		}
		break;
	default:
		again(s);
	}
}

static void
source_input(struct session *s, const char *p, size_t len)
{
	int fd = s->fd;

	for (size_t i = 0; i < len && s->fd == fd; i++) {
		if (s->at_line_start) {
			s->reply_len = 0;
			s->at_line_start = false;
		}
		if (s->reply_len < sizeof(s->reply))
			s->reply[s->reply_len++] = p[i];
		if (p[i] == '\n') {
			s->at_line_start = true;
			if (s->reply_len == 4 && s->reply[3] == ' ')
				next_step(s);
		}
	}
}

static void
turn(int wait_ms)
{
	static char buf[65536];
	struct epoll_event events[EVENTS];
	int n = epoll_wait(ep, events, EVENTS, wait_ms);

	for (int i = 0; i < n; i++) {
		struct session *s = events[i].data.ptr;
		ssize_t len;

		if (events[i].events & EPOLLOUT)
			send_content(s);
		if (!(events[i].events & ~(unsigned)EPOLLOUT))
			continue;
		len = recv(s->fd, buf, sizeof(buf), 0);
		if (len > 0) {
			source_input(s, buf, (size_t)len);
		} else if (len == 0 || errno != EAGAIN) {
			failed += s->step != QUIT;
			s->idle = false;
			again(s);
		}
	}
}

static void
make_content(void)
{
	static const char head[] = "From: <sender@origin.test>\r\nTo: <user@relay.test>\r\n"
				   "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
				   "Message-ID: <load@origin.test>\r\n\r\n";
	size_t at = sizeof(head) - 1;

	content = malloc(size + sizeof(head) + 2 * LINE);
	memcpy(content, head, at);
	while (at < size) {
		size_t n = size - at > LINE ? LINE : size - at > 2 ? size - at : 3;

		memset(content + at, 'X', n - 2);
		memcpy(content + at + n - 2, "\r\n", 2);
		at += n;
	}
	memcpy(content + at, ".\r\n", 3);
	content_len = at + 3;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "s:m:l:r:kt:T:i:")) != -1)
		switch (c) {
		case 's':
			sessions = (int)strtol(optarg, NULL, 10);
			break;
		case 'm':
			messages = (int)strtol(optarg, NULL, 10);
			break;
		case 'l':
			size = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			recipients = (int)strtol(optarg, NULL, 10);
			break;
		case 'k':
			keep = true;
			break;
		case 't':
			domain = optarg;
			break;
		case 'T':
			limit = strtod(optarg, NULL);
			break;
		case 'i':
			idle_sessions = (int)strtol(optarg, NULL, 10);
			break;
		default:
			exit(64);
		}
	if (argc - optind != 2 || sessions < 1 || messages < 1 || recipients < 1) {
		fprintf(stderr, "usage: load [options] PORT SINKPORT\n");
		exit(64);
	}
	port = (int)strtol(argv[optind], NULL, 10);
	sink_port = (int)strtol(argv[optind + 1], NULL, 10);
}

int
main(int argc, char **argv)
{
	struct counts *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rlimit files = {65536, 65536};
	struct session *all;
	double start, accept_s, all_s;
	pid_t pid = 0;

	options(argc, argv);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	make_content();
	latency = calloc((size_t)messages, sizeof(*latency));
	all = calloc((size_t)(sessions + idle_sessions), sizeof(*all));
	ep = epoll_create1(0);
	if (sink_port)
		pid = start_sink(counts);
	for (int i = 0; i < idle_sessions; i++) {
		all[sessions + i].idle = true;
		begin(&all[sessions + i]);
	}
	for (start = now(); idle_ready < idle_sessions && now() - start < limit;)
		turn(100);
	start = now();
	for (int i = 0; i < sessions; i++)
		begin(&all[i]);
	while (accepted + failed < messages && now() - start < limit)
		turn(100);
	accept_s = all_s = now() - start;
	while (pid && counts->recipients < (long)accepted * recipients && now() - start < limit)
		usleep(1000);
	if (pid) {
		all_s = now() - start;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	qsort(latency, (size_t)accepted, sizeof(*latency), compare);
	printf("{\"accepted\": %d, \"failed\": %d, \"delivered\": %ld, \"accept_s\": %.4f, \"all_s\": %.4f, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"idle\": %d}\n",
	    accepted, failed, counts->recipients, accept_s, all_s, accepted ? latency[accepted / 2] * 1e3 : 0,
	    accepted ? latency[(int)(accepted * 0.99)] * 1e3 : 0, idle_ready);
	return accepted == 0 || failed > 0;
}
