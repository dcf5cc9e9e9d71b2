/*
 * master: starts Postern's processes, connects them, watches over them, and ends them.
 *
 * Runs as   root with few capabilities (or the ordinary user who started it), in /.
 * Talks to  every process over the socket that it was born with; postern(8) at private/master.
 * Reads     postern.conf, which belongs to root; short words from its children and from postern(8). No SMTP, DNS
 *           or MIME code is linked into it, and it reads no byte from the network.
 * If taken  all is lost: which is why it does so little.
 *
 * master -c CONFDIR [-f] [-n FD] [-q FD [-l]]
 *   -n  runs in the background and writes one line to that descriptor: "ok" when mail is accepted, or "error: why".
 *       master does not fork: whoever starts it does.
 *   -q  the instance stays stopped: queue alone (and log) works, for whoever holds the other end of -n's descriptor, and
 *       ends with him. It listens at that descriptor. -l: long messages may come.
 *   -f  (or no -n) stays in the foreground: standard output and error are kept, and SIGINT ends it.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/inherited.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/server/sandbox.h"
#include "services/master/master.h"

enum { HEARTBEAT_SECONDS = 5 };

#define BIT(capability) (1ULL << (capability))

/* Low ports, sockets and directories of others, and signals to children that became other users. */
#define MASTER_CAPABILITIES                                                                                  \
	(BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_KILL))

/* A start that failed: log alone ends in order, for it has the reason still to write. */
static void
give_up(struct master *m)
{
	stop_begin(m);
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->role != ROLE_LOG && m->children[i]->pid > 0)
			kill(m->children[i]->pid, SIGKILL);
	}
}

/* Why this instance, all of which runs, accepts no mail for now; NULL: it does. */
static const char *
refusal(const struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->refuses)
			return m->children[i]->notice;
	}
	return NULL;
}

/* -q: he for whom queue works alone says nothing more; this is his end. */
static void
on_left(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	stop_begin(context);
}

void
master_notify(struct master *m, const char *text)
{
	char line[1300];
	int n;

	if (text == NULL && m->phase == MASTER_STARTING) {
		m->phase = MASTER_RUNNING;
		if (!m->alone)
			log_info(NULL, "daemon started -- version %s, configuration %s", PACKAGE_VERSION,
			    m->confdir);
	}
	if (m->notify_fd >= 0) {
		const char *refuses = text ? NULL : refusal(m);

		n = text      ? snprintf(line, sizeof(line), "error: %s\n", text)
		    : refuses ? snprintf(line, sizeof(line), "running, but %s\n", refuses)
			      : snprintf(line, sizeof(line), "ok\n");
		if (io_write_all(m->notify_fd, line, (size_t)n) < 0)
			log_warning(NULL, "whoever started Postern does not listen: %s", strerror(errno));
		if (m->alone && !text)
			event_base_once(m->base, m->notify_fd, EV_READ, on_left, m, NULL);
		else
			io_close(&m->notify_fd);
	}
	if (text != NULL && m->phase == MASTER_STARTING) {
		/* Whoever started it sees why; log may be gone before it has written the line. */
		if (m->foreground)
			fprintf(stderr, "postern: fatal: %s\n", text);
		log_fatal(NULL, "%s", text);
		m->exit_status = EX_CONFIG;
		give_up(m);
	}
}

/* ---- events ---- */

static void
on_signal(evutil_socket_t number, short what, void *context)
{
	struct master *m = context;
	struct error err;

	(void)what;
	if (number == SIGCHLD) {
		children_reap(m);
	} else if (number == SIGHUP && m->phase == MASTER_RUNNING && !m->alone) {
		master_reload(m, &err);
	} else if (number == SIGTERM || (number == SIGINT && m->foreground)) {
		if (m->phase != MASTER_STOPPING && !m->alone)
			log_info(NULL, "terminating on signal %d", (int)number);
		stop_begin(m);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	children_ping(context);
	/* Where the directory itself was replaced its watch is of no use. */
	watch_look(context);
}

static void
open_events(struct master *m)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
	const struct timeval interval = {.tv_sec = HEARTBEAT_SECONDS};

	signal(SIGPIPE, SIG_IGN);
	m->base = event_base_new();
	if (m->base == NULL)
		panic("no event loop");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		event_add(evsignal_new(m->base, numbers[i], on_signal, m), NULL);
	m->tick = event_new(m->base, -1, EV_PERSIST, on_tick, m);
	event_add(m->tick, &interval);
}

static struct ipc_channel *
log_channel(void *context)
{
	return ((struct master *)context)->log;
}

/* ---- start ---- */

/* No child of Postern ever needs these, nor does a command that one runs. */
static void
drop_from_bounding_set(void)
{
	static const int never[] = {CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_SYS_PTRACE,
	    CAP_MAC_ADMIN, CAP_MAC_OVERRIDE, CAP_SYSLOG, CAP_LINUX_IMMUTABLE, CAP_SYS_PACCT};

	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		prctl(PR_CAPBSET_DROP, never[i], 0, 0, 0);
}

static int
leave_terminal(struct master *m)
{
	int null;

	umask(022);
	if (chdir("/") < 0)
		return -1;
	if (m->foreground)
		return 0;
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(null, STDERR_FILENO) < 0)
		return -1;
	close(null);
	return 0;
}

static int
prepare(struct master *m, struct error *err)
{
	const char *from_environment = getenv("POSTERN_LIBEXEC");
	struct rlimit files;

	m->conf = configuration_load(m, err);
	if (m->conf == NULL)
		return -1;
	if (snprintf(m->libexec, sizeof(m->libexec), "%s",
		from_environment ? from_environment : m->conf->values->daemon_directory) >=
	    (int)sizeof(m->libexec))
		return error_set(err, "daemon_directory is too long");
	/* What a child may have at most is decided here; each takes what its role needs. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (directories_open(m, err) < 0)
		return -1;
	if (m->alone)
		sockets_take(m, m->alone_fd);
	else if (sockets_apply(m, m->conf, err) < 0 || control_listen(m, err) < 0)
		return -1;
	if (watch_open(m, err) < 0)
		return -1;
	if (m->root) {
		drop_from_bounding_set();
		if (sandbox_keep_capabilities(MASTER_CAPABILITIES, err) < 0)
			return -1;
	}
	if (leave_terminal(m) < 0)
		return error_errno(err, "leaving the terminal");
	return 0;
}

static void
run(struct master *m)
{
	while (!m->done) {
		ipc_flush_all();
		event_base_loop(m->base, EVLOOP_ONCE);
	}
}

static int
serve(struct master *m)
{
	struct error err = {0};

	if (prepare(m, &err) < 0) {
		fprintf(stderr, "postern: fatal: %s\n", err.text);
		m->phase = MASTER_STOPPING;
		master_notify(m, err.text);
		return EX_CONFIG;
	}
	plan_children(m);
	if (children_start(m, &err) < 0)
		master_notify(m, err.text);
	else if (!m->root && !m->alone)
		log_info(
		    NULL, "started by an ordinary user: all processes run as that user and without chroot");
	run(m);
	sockets_close(m);
	if (!m->alone)
		control_unlink(m);
	log_set_sink(NULL, NULL);
	if (ftruncate(m->pid_fd, 0) < 0 && !m->alone)
		return EX_IOERR;
	return m->exit_status;
}

int
main(int argc, char **argv)
{
	static struct master *m;
	uint64_t number;
	int option;

	inherited_reset();
	m = mem_alloc(sizeof(*m));
	m->queue_fd = m->pid_fd = m->notify_fd = m->alone_fd = -1;
	m->root = geteuid() == 0;
	m->started_us = clock_mono_us();
	while ((option = getopt(argc, argv, "c:fln:q:")) != -1) {
		if (option == 'c')
			m->confdir = optarg;
		else if (option == 'f')
			m->foreground = true;
		else if (option == 'l')
			m->alone_long = true;
		else if (option == 'n' && number_parse(span_of(optarg), 3, 1023, &number) == 0)
			m->notify_fd = (int)number;
		else if (option == 'q' && number_parse(span_of(optarg), 3, 1023, &number) == 0)
			m->alone_fd = (int)number;
		else
			return EX_USAGE;
	}
	m->foreground = m->foreground || m->notify_fd < 0;
	m->alone = m->alone_fd >= 0;
	if (m->confdir == NULL || optind != argc || (m->alone && m->foreground)) {
		fprintf(stderr, "usage: master -c CONFDIR [-f] [-n FD] [-q FD [-l]]; see postern(8)\n");
		return EX_USAGE;
	}
	if (m->notify_fd >= 0)
		io_set_cloexec(m->notify_fd, 1);
	if (m->alone)
		io_set_cloexec(m->alone_fd, 1);
	log_set_program("postern/master");
	m->sink = (struct logsink){.ident = "master", .channel = log_channel, .context = m};
	open_events(m);
	logsink_open(&m->sink, m->base);
	return serve(m);
}
