/*
 * handshakes: full TLS handshakes a second, and CPU each, with the private key in the process and with keys apart; and
 * the memory of idle sessions.
 *
 *   handshakes [-n COUNT] [-c CLIENTS] [-k ecdsa|rsa] [-m here|apart] [-2]
 *   handshakes -i COUNT
 *
 * The server is common/tls in one process; keys apart is a second process that checks the form and signs as services/keys
 * does. Clients are processes of OpenSSL alone, whose CPU does not count.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/tls/keys_inside.h"
#include "common/tls/library.h"
#include "common/tls/provider.h"
#include "common/tls/session.h"
#include "services/keys/form.h"
#include "services/keys/signing.h"
#include "tests/unit/tls/certificates.h"

enum { CREDIT = 4096, WARM_UP = 100 };

static struct {
	unsigned count, clients, idle;
	bool rsa, apart, old;
} options = {.count = 3000, .clients = 16, .apart = true};

static struct event_base *base;
static struct party party;
static struct ipc_channel *keys_end;
static struct tls_context *context;
static unsigned finished, failed;
static int64_t begun_us, cpu_us;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- keys ---- */

static int
handle_sign(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context_unused, struct error *err)
{
	const struct msg_key_sign *ask = &frame->key_sign;
	struct msg_key_signed answer = {.status = KEY_REFUSED};
	uint8_t signature[SIGNATURE_MAX];
	enum form_kind form = form_of(ask->text, IDENTITY_SERVER, err);
	size_t len;

	(void)context_unused;
	if (form != FORM_NONE && signing_allowed(party.key, ask->scheme, form, err) == 0 &&
	    (len = signing_sign(party.key, ask->scheme, ask->text, signature, err)) > 0) {
		answer.status = KEY_DONE;
		answer.signature = span_make(signature, len);
	}
	return ipc_send(channel, IPC_KEY_SIGNED, frame->call, &answer);
}

static void
on_keys_down(struct ipc_channel *channel, void *unused)
{
	(void)channel;
	(void)unused;
	_exit(0);
}

static pid_t
keys_start(int fds[2])
{
	static const struct ipc_permit permits[] = {{IPC_KEY_SIGN, ROLE_BIT(ROLE_SMTPD), handle_sign}};
	const struct ipc_callbacks callbacks = {permits, 1, NULL, on_keys_down, NULL};
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(fds[0]);
	base = event_base_new();
	ipc_channel_new(base, fds[1], ROLE_KEYS, 0, ROLE_SMTPD, CREDIT, &callbacks);
	while (event_base_loop(base, EVLOOP_ONCE) == 0)
		ipc_flush_all();
	_exit(1);
}

static void
on_down(struct ipc_channel *channel, void *unused)
{
	(void)channel;
	(void)unused;
	keys_end = NULL;
}

static struct ipc_channel *
channel_to_keys(void *unused)
{
	(void)unused;
	return keys_end;
}

static int64_t
cpu_of(pid_t pid)
{
	struct timespec spent = {0};
	clockid_t clock;

	if (pid == 0)
		clock = CLOCK_PROCESS_CPUTIME_ID;
	else if (clock_getcpuclockid(pid, &clock) != 0)
		return 0;
	clock_gettime(clock, &spent);
	return spent.tv_sec * US_PER_SECOND + spent.tv_nsec / 1000;
}

/* ---- the server ---- */

static void
session_end(struct stream *s)
{
	stream_close(&s);
}

static size_t
on_input(struct stream *s, struct span bytes, void *unused)
{
	(void)s;
	(void)unused;
	return bytes.len;
}

static void
on_event(struct stream *s, enum stream_event event, void *unused)
{
	(void)event;
	(void)unused;
	session_end(s);
}

static const struct stream_callbacks callbacks = {on_input, on_event};

static void
on_done(void *stream, bool ok, const char *reason)
{
	if (!ok) {
		fprintf(stderr, "handshake: %s\n", reason);
		failed++;
		session_end(stream);
		return;
	}
	finished++;
	if (finished == WARM_UP) {
		begun_us = clock_mono_us();
		cpu_us = cpu_of(0);
	}
	if (!options.idle)
		session_end(stream);
}

static void
on_accept(evutil_socket_t listener, short what, void *unused)
{
	struct tls_plan plan = {.context = context};
	struct stream *s;
	int fd;

	(void)what;
	(void)unused;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		s = stream_new(base, fd, false, 65536, &callbacks, NULL);
		tls_start(s, &plan, on_done, s);
	}
}

/* ---- clients ---- */

static void
client(const struct sockaddr_in *to, unsigned count)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	char rest[4096];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (options.old)
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	for (unsigned i = 0; i < count; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
			die("connect");
		ssl = SSL_new(ctx);
		SSL_set_fd(ssl, fd);
		if (SSL_connect(ssl) != 1)
			die("SSL_connect");
		SSL_free(ssl);
		if (options.idle)
			continue;
		while (read(fd, rest, sizeof(rest)) > 0)
			;
		close(fd);
	}
	if (options.idle)
		pause();
	_exit(0);
}

static long
memory_kb(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[200];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %ld kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static int
listen_here(struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)address, &len) < 0)
		die("listen");
	return fd;
}

static void
make_context(void)
{
	struct tls_keys *keys = tls_keys_new(channel_to_keys, NULL);
	struct tls_settings settings = {.side = TLS_SERVER, .section = "smtp", .tickets = true};
	struct identity identity = {.leaf = party.certificate, .chain = sk_X509_new_null()};
	unsigned char number[TLS_KEY_SIZE], ticket_key[80] = "bench";
	struct error err;

	party_number(&party, number);
	identity.key =
	    options.apart ? provider_key(X509_get0_pubkey(party.certificate), number, &err) : party.key;
	if (!identity.key || keys_add(keys, "smtp", "", IDENTITY_SERVER, &identity, &err) < 0)
		panic("%s", err.text);
	keys_commit(keys);
	if (tls_keys_tickets(keys,
		&(struct msg_ticket_keys){.current = span_make(ticket_key, sizeof(ticket_key))}, &err) < 0)
		panic("%s", err.text);
	if (!(context = tls_context_new(&settings, keys, &err)))
		panic("%s", err.text);
}

static void
turn(unsigned until)
{
	while (finished + failed < until) {
		event_base_loop(base, EVLOOP_ONCE);
		stream_flush_all();
		ipc_flush_all();
	}
}

static void
measure_idle(const struct sockaddr_in *address)
{
	long before, after;

	if (fork() == 0)
		client(address, options.idle + WARM_UP);
	turn(WARM_UP);
	before = memory_kb();
	turn(WARM_UP + options.idle);
	after = memory_kb();
	printf("%u idle sessions: %.1f KB each\n", options.idle, (double)(after - before) / options.idle);
}

static void
measure(const struct sockaddr_in *address, pid_t keys)
{
	unsigned each = (options.count + WARM_UP) / options.clients + 1, all = each * options.clients;
	int64_t keys_us, wall_us;

	for (unsigned i = 0; i < options.clients; i++)
		if (fork() == 0)
			client(address, each);
	turn(WARM_UP);
	keys_us = cpu_of(keys);
	turn(all);
	wall_us = clock_mono_us() - begun_us;
	cpu_us = cpu_of(0) - cpu_us;
	keys_us = keys ? cpu_of(keys) - keys_us : 0;
	all -= WARM_UP;
	printf("%s %s key %s: %.0f handshakes/s, server %.1f us CPU each, keys %.1f us, failed %u\n",
	    options.old ? "TLSv1.2" : "TLSv1.3", options.rsa ? "RSA-2048" : "ECDSA-P256",
	    options.apart ? "apart" : "here ", all * 1e6 / (double)wall_us, (double)cpu_us / all,
	    (double)keys_us / all, failed);
}

int
main(int argc, char **argv)
{
	const struct ipc_callbacks asker = {NULL, 0, NULL, on_down, NULL};
	struct sockaddr_in address;
	struct error err;
	pid_t keys = 0;
	int option, fds[2];

	while ((option = getopt(argc, argv, "n:c:k:m:i:2")) != -1) {
		switch (option) {
		case 'n':
			options.count = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			options.clients = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			options.idle = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			options.rsa = strcmp(optarg, "rsa") == 0;
			break;
		case 'm':
			options.apart = strcmp(optarg, "apart") == 0;
			break;
		case '2':
			options.old = true;
			break;
		default:
			return 64;
		}
	}
	if (tls_library_open(&err) < 0)
		panic("%s", err.text);
	party =
	    party_new(&(struct wish){.kind = options.rsa ? "RSA" : "EC P-256", .common_name = "mx.example"});
	if (options.apart) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
			die("socketpair");
		keys = keys_start(fds);
		close(fds[1]);
	}
	base = event_base_new();
	if (options.apart)
		keys_end = ipc_channel_new(base, fds[0], ROLE_SMTPD, 0, ROLE_KEYS, 16, &asker);
	make_context();
	option = listen_here(&address);
	event_add(event_new(base, option, EV_READ | EV_PERSIST, on_accept, NULL), NULL);
	if (options.idle)
		measure_idle(&address);
	else
		measure(&address, keys);
	return failed != 0;
}
