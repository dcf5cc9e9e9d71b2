/*
 * What goes over the control connections: who talks to whom, configuration, listeners, START.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/schema.h"
#include "common/conf/table_settings.h"
#include "services/master/master.h"

/* What a child finds open beside the standard descriptors. */
enum { CONTROL_FD = 3, LOCK_FD = 4, FIRST_FREE_FD };

/* The one table of who talks to whom; all of them, and master, talk to log. */
static const struct {
	enum role a;
	unsigned b;
} wires[] = {
    {ROLE_SMTPD, ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_POLICY) |
		     ROLE_BIT(ROLE_QUEUE) | ROLE_BIT(ROLE_KEYS) | ROLE_BIT(ROLE_AUTH)},
    {ROLE_QUEUE,
	ROLE_BIT(ROLE_DELIVERY) | ROLE_BIT(ROLE_LOCAL) | ROLE_BIT(ROLE_PICKUP) | ROLE_BIT(ROLE_LOOKUP)},
    {ROLE_DELIVERY, ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_KEYS)},
    {ROLE_LOCAL, ROLE_BIT(ROLE_LOOKUP)},
    {ROLE_PICKUP, ROLE_BIT(ROLE_LOOKUP)},
    {ROLE_LOOKUP, ROLE_BIT(ROLE_RESOLVER)},
    {ROLE_LOG, ~ROLE_BIT(ROLE_LOG)},
};

static bool
wired(enum role x, enum role y)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(*wires); i++) {
		if ((wires[i].a == x && (wires[i].b & ROLE_BIT(y))) ||
		    (wires[i].a == y && (wires[i].b & ROLE_BIT(x))))
			return true;
	}
	return false;
}

static void
send_peer(struct ipc_channel *to, enum role role, uint32_t index, int fd)
{
	struct msg_peer m = {.role = (uint8_t)role, .index = index, .fd = fd};

	ipc_send(to, IPC_PEER, 0, &m);
	close(fd);
}

static int
make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
		return 0;
	log_error(NULL, "socketpair: %s", strerror(errno));
	return -1;
}

static void
on_log_down(struct ipc_channel *channel, void *context)
{
	struct master *m = context;

	if (m->log == channel)
		m->log = NULL;
}

/* master's own lines. */
static void
connect_to_log(struct master *m, struct child *c)
{
	const struct ipc_callbacks callbacks = {.down = on_log_down, .context = m};
	struct ipc_channel *old = m->log;
	int pair[2];

	if (make_pair(pair) < 0)
		return;
	send_peer(c->control, ROLE_MASTER, 0, pair[0]);
	m->log = NULL;
	ipc_channel_close(&old);
	m->log = ipc_channel_new(m->base, pair[1], ROLE_MASTER, 0, ROLE_LOG, 0, &callbacks);
}

struct shipment {
	const struct conf *conf;
	const struct child *to;
};

/* What tables need, passwords among it, goes to the process that opens them. */
static void
send_conf_value(struct span section, struct span name, struct span value, void *context)
{
	const struct shipment *s = context;
	struct msg_conf_value m = {.section = section, .name = name, .value = value};

	if (s->to->role == ROLE_LOOKUP || param_find(name) || conf_table_of_setting(s->conf, name).len == 0)
		ipc_send(s->to->control, IPC_CONF_VALUE, 0, &m);
}

void
ship_configuration(struct master *m, struct child *c)
{
	struct msg_listeners_end listeners_end = {.generation = m->conf->generation};
	struct msg_conf_end conf_end = {.generation = m->conf->generation};

	struct shipment shipment = {m->conf, c};

	conf_each_changed(m->conf, send_conf_value, &shipment);
	ipc_send(c->control, IPC_CONF_END, 0, &conf_end);
	for (size_t i = 0; i < m->socket_count; i++) {
		const struct socket_row *row = &m->sockets[i];
		struct msg_listener listener = {
		    .section = span_of(row->section), .address = span_of(row->address), .fd = row->fd};

		if (row->roles & ROLE_BIT(c->role))
			ipc_send(c->control, IPC_LISTENER, 0, &listener);
	}
	ipc_send(c->control, IPC_LISTENERS_END, 0, &listeners_end);
}

void
connect_child(struct master *m, struct child *c)
{
	struct msg_start start = {.incarnation = c->incarnation};
	int pair[2];

	ship_configuration(m, c);
	if (c->role == ROLE_LOG)
		connect_to_log(m, c);
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *other = m->children[i];

		if (other == c || !other->control || !wired(c->role, other->role))
			continue;
		if (make_pair(pair) < 0)
			continue;
		send_peer(c->control, other->role, other->index, pair[0]);
		send_peer(other->control, c->role, c->index, pair[1]);
	}
	watch_ship(m, c);
	ipc_send(c->control, IPC_START, 0, &start);
}

/* ---- connections lost between two that live: one of them broke the rules of the other ---- */

struct lost {
	struct lost *next;
	struct master *master;
	enum role role[2];
	uint32_t index[2];
	int64_t since_us;
};

/* One for each pair at most, however often a child tells: it may be one that somebody has taken. */
static struct lost *all_lost;

static struct child *
find_child(struct master *m, enum role role, uint32_t index)
{
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (c->role == role && c->index == index)
			return c;
	}
	return NULL;
}

static void
on_lost(evutil_socket_t fd, short what, void *context)
{
	struct lost *lost = context;
	struct master *m = lost->master;
	struct child *ends[2];
	bool both = m->phase != MASTER_STOPPING;
	int pair[2];

	(void)fd;
	(void)what;
	for (int i = 0; i < 2; i++) {
		ends[i] = find_child(m, lost->role[i], lost->index[i]);
		/* Whoever was started since then got its connections. */
		both = both && ends[i] && ends[i]->control && ends[i]->pid > 0 &&
		       ends[i]->started_us < lost->since_us;
	}
	if (both && make_pair(pair) == 0) {
		for (int i = 0; i < 2; i++)
			send_peer(ends[i]->control, ends[1 - i]->role, ends[1 - i]->index, pair[i]);
	}
	for (struct lost **at = &all_lost; *at; at = &(*at)->next) {
		if (*at == lost) {
			*at = lost->next;
			break;
		}
	}
	free(lost);
}

void
connect_again(struct master *m, struct child *c, enum role role, uint32_t index)
{
	const struct timeval moment = {.tv_sec = 1};
	struct lost *lost;

	/* Both ends tell; one of them is heard. */
	if (c->role > role || (c->role == role && c->index >= index) || !wired(c->role, role) ||
	    m->phase == MASTER_STOPPING || !find_child(m, role, index))
		return;
	for (lost = all_lost; lost; lost = lost->next) {
		if (lost->role[0] == c->role && lost->index[0] == c->index && lost->role[1] == role &&
		    lost->index[1] == index) {
			lost->since_us = clock_mono_us();
			return;
		}
	}
	lost = mem_alloc(sizeof(*lost));
	*lost = (struct lost){all_lost, m, {c->role, role}, {c->index, index}, clock_mono_us()};
	all_lost = lost;
	event_base_once(m->base, -1, EV_TIMEOUT, on_lost, lost, &moment);
}

/* In the new process. Only async-signal-safe calls from here to exec. */
static _Noreturn void
exec_child(
    const struct master *m, const char *path, char *const arguments[], char *const environment[], int fd)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;
	int null, lock;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* In the foreground the log may be standard output; nobody reads standard input. */
	null = open("/dev/null", O_RDWR);
	dup2(null, STDIN_FILENO);
	if (!m->foreground) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	/* Out of the way first: either may be the other's number. */
	fd = fcntl(fd, F_DUPFD, FIRST_FREE_FD);
	lock = fcntl(m->pid_fd, F_DUPFD, FIRST_FREE_FD);
	dup2(fd, CONTROL_FD);
	dup2(lock, LOCK_FD);
	close_range(FIRST_FREE_FD, ~0U, 0);
	if (chdir("/") == 0)
		execve(path, arguments, environment);
	_exit(127);
}

/* Nothing of the environment of whoever called "postern start", but what tools for finding faults need. */
static void
make_environment(const struct master *m, char *list[], size_t max)
{
	/* Commands of local delivery may call sendmail, which is to find this instance. */
	static char confdir[4200];
	static const char *const kept[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TZ"};
	static char texts[sizeof(kept) / sizeof(*kept)][1024];
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	size_t count = 0;

	list[count++] = path;
	snprintf(confdir, sizeof(confdir), "MAIL_CONFIG=%s", m->confdir);
	list[count++] = confdir;
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept) && count + 1 < max; i++) {
		const char *value = getenv(kept[i]);

		if (value && strlen(value) < 900) {
			snprintf(texts[i], sizeof(texts[i]), "%s=%s", kept[i], value);
			list[count++] = texts[i];
		}
	}
	list[count] = NULL;
}

int
spawn(struct master *m, struct child *c, struct error *err)
{
	char path[4200], index[16], name[32], *arguments[] = {name, index, NULL}, *environment[8];
	int pair[2];

	snprintf(name, sizeof(name), "%s", role_name(c->role));
	snprintf(path, sizeof(path), "%s/%s", m->libexec, name);
	snprintf(index, sizeof(index), "%u", c->index);
	make_environment(m, environment, sizeof(environment) / sizeof(*environment));
	if (access(path, X_OK) < 0)
		return error_errno(err, "%s", path);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "socketpair");
	c->pid = fork();
	if (c->pid == 0)
		exec_child(m, path, arguments, environment, pair[1]);
	close(pair[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(pair[0]);
		return error_errno(err, "fork");
	}
	c->started_us = clock_mono_us();
	return pair[0];
}
