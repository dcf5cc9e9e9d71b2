/*
 * The keys process, with this test in the parts of master, of smtpd and of delivery: what a process that somebody has
 * taken over gets signed, and what it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "services/keys/identity.h"

enum { PEM_MAX = 8000, IDENTITIES = 16, NOBODY = 65534, WAIT_SECONDS = 20, CROWD = 3000, SLOW_CROWD = 300 };
enum { TLS13_LEN = 64 + 34 + 32, ECDSA_P256 = 0x0403, RSA_PSS = 0x0804 };

/* A key with its certificate, in PEM, and the number of the key. */
struct pair {
	const char *path;
	EVP_PKEY *key;
	char pem[PEM_MAX];
	unsigned char id[KEY_ID_LEN];
};

static struct pair first = {.path = "/t/first"}, second = {.path = "/t/second"},
		   client = {.path = "/t/client"}, renewed = {.path = "/t/first"};

/* What a peer was told since the last IDENTITIES_END, and how its questions went. */
struct peer {
	struct ipc_channel *channel;
	char told[IDENTITIES][200]; /* "section name use number" and the number of the key */
	size_t told_count;
	unsigned ends, tickets, downs;
	unsigned char ticket[80];
	int status; /* of the last answer; -1: none came */
	size_t answers, good;
	char reason[201];
	unsigned char signature[1024];
	size_t signature_len;
};

static struct {
	struct event_base *base;
	struct ipc_channel *master;
	pid_t pid;
	bool ready;
	char failed[1001];
	char notice[601];
	struct peer smtpd, delivery;
} w;

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

static void
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

static void
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

static int
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

static void
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

/* Until the condition holds. */
#define WAIT(condition)                                                                                      \
	do {                                                                                                 \
		int64_t until_us = clock_mono_us() + WAIT_SECONDS * US_PER_SECOND;                           \
		while (!(condition)) {                                                                       \
			const struct timeval moment = {.tv_usec = 10000};                                    \
			ipc_flush_all();                                                                     \
			event_base_loopexit(w.base, &moment);                                                \
			event_base_loop(w.base, EVLOOP_ONCE);                                                \
			if (clock_mono_us() > until_us)                                                      \
				fail_msg("%s: did not happen", #condition);                                  \
		}                                                                                            \
	} while (0)

/* Time for what is not to come. */
static void
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

static void
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

static const char usual[] = "smtp_tls_chain_files = /t/client\n"
			    "[smtp]\nlisten = 127.0.0.1:1\nsmtpd_tls_chain_files = /t/first\n"
			    "[submission]\nlisten = 127.0.0.1:2\nsmtpd_tls_chain_files = /t/second\n"
			    "tls_server_sni_maps = inline:{ { Sni.test = /t/first } }\n"
			    "[plain]\nlisten = 127.0.0.1:3\n";

static int
begin(void **state)
{
	(void)state;
	start(usual, &first, 0);
	WAIT(w.ready || w.failed[0]);
	assert_string_equal(w.failed, "");
	WAIT(w.smtpd.ends > 0 && w.delivery.ends > 0 && w.smtpd.tickets > 0);
	return 0;
}

static int
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

static void
told(const struct peer *p, const char *const expected[])
{
	size_t i = 0;

	for (; expected[i]; i++) {
		if (i >= p->told_count || strcmp(p->told[i], expected[i]) != 0)
			fail_msg("%s instead of %s", i < p->told_count ? p->told[i] : "nothing", expected[i]);
	}
	assert_int_equal(p->told_count, i);
}

/* ---- tests ---- */

static void
each_is_told_of_its_own(void **state)
{
	static const char *const of_smtpd[] = {"[smtp] \"\" 0 0 first", "[submission] \"\" 0 0 second",
	    "[submission] \"sni.test\" 0 0 first", NULL};
	static const char *const of_delivery[] = {"[] \"\" 1 0 client", NULL};

	(void)state;
	told(&w.smtpd, of_smtpd);
	told(&w.delivery, of_delivery);
	assert_int_equal(w.delivery.tickets, 0);
	assert_non_null(strstr(w.notice, "expires first"));
}

static void
make_text(unsigned char text[TLS13_LEN], const char *who)
{
	memset(text, ' ', 64);
	snprintf((char *)text + 64, 35, "TLS 1.3, %s CertificateVerify", who);
	memset(text + 64 + 34, 'h', 32);
}

static int
ask(struct peer *p, const char *section, struct span key, uint32_t scheme, struct span text)
{
	struct msg_key_sign m = {.section = span_of(section), .key = key, .scheme = scheme, .text = text};
	size_t before = p->answers;

	p->status = -2;
	assert_true(ipc_ask(p->channel, IPC_KEY_SIGN, &m, 0, on_answer, p) != 0);
	WAIT(p->answers > before);
	return p->status;
}

static struct span
id_of(const struct pair *p)
{
	return span_make((const char *)p->id, KEY_ID_LEN);
}

static void
signatures_only_for_ones_own(void **state)
{
	static const struct {
		const char *name;
		bool from_delivery;
		const char *section;
		const struct pair *key;
		uint32_t scheme;
		const char *text;
		int status;
	} rows[] = {
	    {"a listener's own", false, "smtp", &first, ECDSA_P256, "server", KEY_DONE},
	    {"another listener's own", false, "submission", &second, RSA_PSS, "server", KEY_DONE},
	    {"that of a name", false, "submission", &first, ECDSA_P256, "server", KEY_DONE},
	    {"the client's own", true, "", &client, ECDSA_P256, "client", KEY_DONE},
	    {"a key of another listener", false, "smtp", &second, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"a listener without a key", false, "plain", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"a listener that is none", false, "smtps", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"no listener", false, "", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"a key that nobody has", false, "smtp", &renewed, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"smtpd as the client", false, "", &client, ECDSA_P256, "client", KEY_UNKNOWN},
	    {"smtpd with the client's key", false, "smtp", &client, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"delivery as a listener", true, "smtp", &first, ECDSA_P256, "server", KEY_UNKNOWN},
	    {"delivery with a listener's key", true, "", &first, ECDSA_P256, "client", KEY_UNKNOWN},
	    {"smtpd in the client's part", false, "smtp", &first, ECDSA_P256, "client", KEY_REFUSED},
	    {"delivery in the server's part", true, "", &client, ECDSA_P256, "server", KEY_REFUSED},
	    {"free text", false, "smtp", &first, ECDSA_P256, NULL, KEY_REFUSED},
	    {"free text of delivery", true, "", &client, ECDSA_P256, NULL, KEY_REFUSED},
	    {"a scheme of another kind of key", false, "smtp", &first, 0x0804, "server", KEY_REFUSED},
	    {"a scheme of another curve", false, "smtp", &first, 0x0503, "server", KEY_REFUSED},
	    {"no scheme", false, "smtp", &first, 0, "server", KEY_REFUSED},
	};
	unsigned char text[TLS13_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *p = rows[i].from_delivery ? &w.delivery : &w.smtpd;

		make_text(text, rows[i].text ? rows[i].text : "server");
		if (rows[i].text == NULL)
			memset(text, 'x', sizeof(text));
		if (ask(p, rows[i].section, id_of(rows[i].key), rows[i].scheme,
			span_make((const char *)text, sizeof(text))) != rows[i].status)
			fail_msg("%s: %d, %s", rows[i].name, p->status, p->reason);
		assert_true((p->signature_len > 0) == (rows[i].status == KEY_DONE));
		assert_true((p->reason[0] != '\0') == (rows[i].status != KEY_DONE));
	}
	/* Numbers that are none. */
	make_text(text, "server");
	assert_int_equal(ask(&w.smtpd, "smtp", span_sub(id_of(&first), 0, 31), ECDSA_P256,
			     span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", SPAN_LIT(""), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	assert_int_equal(ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, SPAN_LIT("")), KEY_REFUSED);
}

static void
the_signature_is_the_keys(void **state)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "server");
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	assert_int_equal(EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, first.key, NULL), 1);
	assert_int_equal(
	    EVP_DigestVerify(context, w.smtpd.signature, w.smtpd.signature_len, text, sizeof(text)), 1);
	EVP_MD_CTX_free(context);
}

static void
ask_crowd(const char *section, const struct pair *key, uint32_t scheme, size_t count)
{
	struct msg_key_sign m = {.section = span_of(section), .key = id_of(key), .scheme = scheme};
	unsigned char text[TLS13_LEN];

	make_text(text, "server");
	m.text = span_make((const char *)text, sizeof(text));
	for (size_t i = 0; i < count; i++)
		assert_true(ipc_ask(w.smtpd.channel, IPC_KEY_SIGN, &m, 0, on_answer, &w.smtpd) != 0);
}

static void
many_at_once_are_answered(void **state)
{
	(void)state;
	ask_crowd("submission", &second, RSA_PSS, SLOW_CROWD);
	ask_crowd("smtp", &first, ECDSA_P256, CROWD);
	WAIT(w.smtpd.answers == SLOW_CROWD + CROWD);
	assert_int_equal(w.smtpd.good, SLOW_CROWD + CROWD);
}

/* Signatures that are under way are nobody's then; the others go on. */
static void
who_asks_may_die(void **state)
{
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "client");
	ask_crowd("submission", &second, RSA_PSS, SLOW_CROWD);
	ipc_flush_all();
	ipc_channel_close(&w.smtpd.channel);
	connect_peer(&w.smtpd, ROLE_SMTPD);
	WAIT(w.smtpd.ends == 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(&w.delivery, "", id_of(&client), ECDSA_P256,
				     span_make((const char *)text, sizeof(text))),
		    KEY_DONE);
		ask_crowd("submission", &second, RSA_PSS, 10);
		WAIT(w.smtpd.answers == 10 * (size_t)(i + 1));
	}
	assert_int_equal(waitpid(w.pid, NULL, WNOHANG), 0);
}

/* Whoever speaks out of place loses the connection; the others do not. */
static void
what_is_not_permitted_costs_the_connection(void **state)
{
	struct msg_identity identity = {.section = SPAN_LIT("smtp"), .key = id_of(&first)};
	unsigned char text[TLS13_LEN];

	(void)state;
	ipc_send(w.smtpd.channel, IPC_IDENTITY, 0, &identity);
	WAIT(w.smtpd.downs > 0);
	make_text(text, "client");
	assert_int_equal(
	    ask(&w.delivery, "", id_of(&client), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	connect_peer(&w.smtpd, ROLE_SMTPD);
	WAIT(w.smtpd.ends == 1 && w.smtpd.tickets == 1);
	assert_int_equal(w.smtpd.told_count, 3);
}

static void
renewed_files_are_told_and_bad_ones_are_not(void **state)
{
	static const char *const expected[] = {"[smtp] \"\" 0 0 renewed", "[submission] \"\" 0 0 second",
	    "[submission] \"sni.test\" 0 0 renewed", NULL};
	static struct pair bad = {.pem = "-----BEGIN PRIVATE KEY-----\nrubbish\n"};
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "server");
	w.smtpd.told_count = 0;
	w.notice[0] = '\0';
	send_files(&bad);
	WAIT(w.notice[0] != '\0');
	assert_string_equal(w.notice, "smtpd_tls_chain_files: /t/first: malformed PEM");
	w.notice[0] = '\0';
	send_files(NULL);
	WAIT(w.notice[0] != '\0');
	assert_string_equal(w.notice, "smtpd_tls_chain_files: /t/first: No such file or directory");
	settle();
	assert_int_equal(w.smtpd.told_count, 0);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	send_files(&renewed);
	WAIT(w.smtpd.ends == 2);
	told(&w.smtpd, expected);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&renewed), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
}

static void
a_reload_changes_who_has_what(void **state)
{
	static const char *const expected[] = {"[plain] \"\" 0 0 first", NULL};
	unsigned char text[TLS13_LEN];

	(void)state;
	make_text(text, "server");
	w.smtpd.told_count = w.delivery.told_count = 0;
	send_conf(
	    "[smtp]\nlisten = 127.0.0.1:1\n[plain]\nlisten = 127.0.0.1:3\nsmtpd_tls_chain_files = /t/first\n",
	    2);
	send_files(&first);
	WAIT(w.smtpd.ends == 2 && w.delivery.ends == 2);
	told(&w.smtpd, expected);
	assert_int_equal(w.delivery.told_count, 0);
	assert_int_equal(
	    ask(&w.smtpd, "smtp", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_UNKNOWN);
	assert_int_equal(
	    ask(&w.smtpd, "plain", id_of(&first), ECDSA_P256, span_make((const char *)text, sizeof(text))),
	    KEY_DONE);
}

/* The first start fails with the file's name; a later one serves what is good. */
static void
a_start_without_a_file(void **state)
{
	static const char *const expected[] = {"[submission] \"\" 0 0 second", NULL};
	int status;

	(void)state;
	start(usual, NULL, 0);
	WAIT(w.failed[0] != '\0' || w.ready);
	assert_string_equal(w.failed, "smtpd_tls_chain_files: /t/first: No such file or directory");
	assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
	w.pid = fork();
	if (w.pid == 0)
		_exit(0);
	end(NULL);
	start(usual, NULL, 1);
	WAIT(w.ready && w.smtpd.ends > 0);
	told(&w.smtpd, expected);
}

/* May nobody, who is to start it, reach the program? */
static bool
is_out_of_reach(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
		      access("services/keys/keys", X_OK) < 0);
	return waitpid(pid, &status, 0) != pid || status != 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_is_told_of_its_own, begin, end),
	    cmocka_unit_test_setup_teardown(signatures_only_for_ones_own, begin, end),
	    cmocka_unit_test_setup_teardown(the_signature_is_the_keys, begin, end),
	    cmocka_unit_test_setup_teardown(many_at_once_are_answered, begin, end),
	    cmocka_unit_test_setup_teardown(who_asks_may_die, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_not_permitted_costs_the_connection, begin, end),
	    cmocka_unit_test_setup_teardown(renewed_files_are_told_and_bad_ones_are_not, begin, end),
	    cmocka_unit_test_setup_teardown(a_reload_changes_who_has_what, begin, end),
	    cmocka_unit_test_teardown(a_start_without_a_file, end),
	};

	if (geteuid() == 0 && is_out_of_reach())
		return 77;
	pair_make(&first);
	pair_make(&second);
	pair_make(&client);
	pair_make(&renewed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
