#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/conf/conf.h"
#include "tests/unit/keys/keys_world.h"

struct pair first = {.path = "/t/first"}, second = {.path = "/t/second"}, client = {.path = "/t/client"},
	    renewed = {.path = "/t/first"};
struct keys_world w;

/* ---- keys and certificates ---- */

static void
pair_make(struct pair *p)
{
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	int len;

	p->key = p == &second ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
			      : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509_set_version(certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400 * 30L);
	X509_set_pubkey(certificate, p->key);
	assert_true(X509_sign(certificate, p->key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_PrivateKey(bio, p->key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	len = BIO_read(bio, p->pem, PEM_MAX - 1);
	p->pem[len] = '\0';
	len = i2d_PUBKEY(p->key, &der);
	assert_int_equal(EVP_Digest(der, (size_t)len, p->id, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
	X509_free(certificate);
	BIO_free(bio);
}

void
pairs_make(void)
{
	pair_make(&first);
	pair_make(&second);
	pair_make(&client);
	pair_make(&renewed);
}

/* ---- the part of master ---- */

static int
on_ready(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)context;
	(void)err;
	if (frame->type == IPC_READY)
		w.ready = true;
	if (frame->type == IPC_FAILED)
		span_copy(frame->failed.text, w.failed, sizeof(w.failed));
	if (frame->type == IPC_NOTICE)
		span_copy(frame->notice.text, w.notice, sizeof(w.notice));
	return 0;
}

static void
on_value(struct span section, struct span name, struct span value, void *context)
{
	struct msg_conf_value m = {.section = section, .name = name, .value = value};

	(void)context;
	ipc_send(w.master, IPC_CONF_VALUE, 0, &m);
}

void
send_conf(const char *text, uint64_t generation)
{
	struct msg_listeners_end listeners = {.generation = generation};
	struct msg_conf_end end = {.generation = generation};
	struct error err;
	struct conf *conf = conf_from_text(text, &err);

	assert_non_null(conf);
	conf_each_changed(conf, on_value, NULL);
	ipc_send(w.master, IPC_CONF_END, 0, &end);
	ipc_send(w.master, IPC_LISTENERS_END, 0, &listeners);
	conf_unref(&conf);
}

/* text NULL: the file is not there. */
static void
send_file(const char *path, const char *text)
{
	struct msg_watched_file m = {.path = span_of(path), .fd = -1, .error = 2};

	if (text) {
		m.fd = memfd_create("t", MFD_CLOEXEC);
		assert_int_equal(write(m.fd, text, strlen(text)), strlen(text));
		m.error = 0;
	}
	ipc_send(w.master, IPC_WATCHED_FILE, 0, &m);
	if (m.fd >= 0)
		close(m.fd);
}

void
send_files(const struct pair *of_first)
{
	struct msg_watched_end end = {.files = 3};

	send_file(first.path, of_first ? of_first->pem : NULL);
	send_file(second.path, second.pem);
	send_file(client.path, client.pem);
	ipc_send(w.master, IPC_WATCHED_END, 0, &end);
}

/* ---- the parts of smtpd and delivery ---- */

static const char *
name_of(struct span id)
{
	const struct pair *const pairs[] = {&first, &second, &client, &renewed};
	static const char *const names[] = {"first", "second", "client", "renewed"};

	for (size_t i = 0; i < 4; i++) {
		if (id.len == KEY_ID_LEN && memcmp(id.ptr, pairs[i]->id, KEY_ID_LEN) == 0)
			return names[i];
	}
	return "unknown";
}

static int
on_note(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_identity *m = &frame->identity;
	struct peer *p = context;

	(void)channel;
	(void)err;
	if (frame->type == IPC_IDENTITIES_END) {
		p->ends++;
	} else if (frame->type == IPC_TICKET_KEYS) {
		assert_int_equal(frame->ticket_keys.current.len, 80);
		memcpy(p->ticket, frame->ticket_keys.current.ptr, 80);
		p->tickets++;
	} else {
		assert_true(p->told_count < IDENTITIES);
		assert_true(m->chain.len > 100);
		snprintf(p->told[p->told_count++], sizeof(p->told[0]), "[%.*s] \"%.*s\" %u %u %s",
		    SPAN_ARG(m->section), SPAN_ARG(m->name), m->use, m->number, name_of(m->key));
	}
	return 0;
}

static void
on_peer_down(struct ipc_channel *channel, void *context)
{
	struct peer *p = context;

	(void)channel;
	p->downs++;
	p->channel = NULL;
}

int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct peer *p = context;

	(void)err;
	p->answers++;
	p->status = -1;
	if (frame == NULL)
		return 0;
	p->status = frame->key_signed.status;
	p->good += p->status == KEY_DONE;
	p->signature_len = frame->key_signed.signature.len;
	memcpy(p->signature, frame->key_signed.signature.ptr, p->signature_len);
	span_copy(frame->key_signed.reason, p->reason, sizeof(p->reason));
	return 0;
}

void
connect_peer(struct peer *p, enum role role)
{
	static const struct ipc_permit permits[] = {
	    {IPC_IDENTITY, ROLE_BIT(ROLE_KEYS), on_note},
	    {IPC_IDENTITIES_END, ROLE_BIT(ROLE_KEYS), on_note},
	    {IPC_TICKET_KEYS, ROLE_BIT(ROLE_KEYS), on_note},
	};
	const struct ipc_callbacks callbacks = {
	    .permits = permits, .permit_count = 3, .down = on_peer_down, .context = p};
	struct msg_peer m = {.role = (uint8_t)role};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	memset(p, 0, sizeof(*p));
	p->channel = ipc_channel_new(w.base, pair[0], role, 0, ROLE_KEYS, 0, &callbacks);
	m.fd = pair[1];
	ipc_send(w.master, IPC_PEER, 0, &m);
	close(pair[1]);
}

/* ---- turning ---- */

void
settle(void)
{
	for (int i = 0; i < 20; i++) {
		const struct timeval moment = {.tv_usec = 5000};

		ipc_flush_all();
		event_base_loopexit(w.base, &moment);
		event_base_loop(w.base, 0);
	}
}

/* ---- start and end ---- */

static _Noreturn void
become_keys(int control)
{
	int lock = open("/dev/null", O_RDWR);

	/* As root it would want users and directories of a host that is set up. */
	if (geteuid() == 0 &&
	    (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		_exit(99);
	if (dup2(control, 3) < 0 || dup2(lock, 4) < 0)
		_exit(99);
	execl("services/keys/keys", "keys", "0", (char *)NULL);
	_exit(77);
}

void
start(const char *conf, const struct pair *of_first, uint32_t incarnation)
{
	static const struct ipc_permit permits[] = {
	    {IPC_READY, ~0U, on_ready},
	    {IPC_FAILED, ~0U, on_ready},
	    {IPC_NOTICE, ~0U, on_ready},
	    {IPC_PONG, ~0U, on_ready},
	    {IPC_PEER_LOST, ~0U, on_ready},
	};
	const struct ipc_callbacks callbacks = {.permits = permits, .permit_count = 5};
	struct msg_start m = {.incarnation = incarnation};
	int pair[2];

	memset(&w, 0, sizeof(w));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w.pid = fork();
	if (w.pid == 0)
		become_keys(pair[1]);
	close(pair[1]);
	w.base = event_base_new();
	w.master = ipc_channel_new(w.base, pair[0], ROLE_MASTER, 0, ROLE_KEYS, 0, &callbacks);
	send_conf(conf, 1);
	connect_peer(&w.smtpd, ROLE_SMTPD);
	connect_peer(&w.delivery, ROLE_DELIVERY);
	send_files(of_first);
	ipc_send(w.master, IPC_START, 0, &m);
}

const char usual[] = "smtp_tls_chain_files = /t/client\n"
		     "[smtp]\nlisten = 127.0.0.1:1\nsmtpd_tls_chain_files = /t/first\n"
		     "[submission]\nlisten = 127.0.0.1:2\nsmtpd_tls_chain_files = /t/second\n"
		     "tls_server_sni_maps = inline:{ { Sni.test = /t/first } }\n"
		     "[plain]\nlisten = 127.0.0.1:3\n";

int
begin(void **state)
{
	(void)state;
	start(usual, &first, 0);
	WAIT(w.ready || w.failed[0]);
	assert_string_equal(w.failed, "");
	WAIT(w.smtpd.ends > 0 && w.delivery.ends > 0 && w.smtpd.tickets > 0);
	return 0;
}

int
end(void **state)
{
	int status;

	(void)state;
	ipc_channel_close(&w.smtpd.channel);
	ipc_channel_close(&w.delivery.channel);
	ipc_channel_close(&w.master);
	if (waitpid(w.pid, &status, WNOHANG) == 0)
		kill(w.pid, SIGKILL);
	waitpid(w.pid, &status, 0);
	event_base_free(w.base);
	return 0;
}

void
told(const struct peer *p, const char *const expected[])
{
	size_t i = 0;

	for (; expected[i]; i++) {
		if (i >= p->told_count || strcmp(p->told[i], expected[i]) != 0)
			fail_msg("%s instead of %s", i < p->told_count ? p->told[i] : "nothing", expected[i]);
	}
	assert_int_equal(p->told_count, i);
}

bool
is_out_of_reach(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
		      access("services/keys/keys", X_OK) < 0);
	return waitpid(pid, &status, 0) != pid || status != 0;
}
