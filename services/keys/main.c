/*
 * keys: holds the private keys of TLS, and signs with them.
 *
 * Runs as   postern-keys, empty chroot, no files, no network; its memory is locked and undumpable.
 * Talks to  smtpd and delivery (signatures; it tells them which certificates there are).
 * Reads     key and certificate files, which master opens for it; what smtpd and delivery want signed.
 * If taken  the private keys are lost. Nothing that comes from the network gets here but through smtpd and delivery.
 */
#include <event2/event.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/server/server.h"
#include "services/keys/announce.h"
#include "services/keys/form.h"
#include "services/keys/keyring.h"
#include "services/keys/report.h"
#include "services/keys/signers.h"
#include "services/keys/signing.h"
#include "services/keys/tickets.h"

enum {
	CREDIT = 4096,
	PEERS_MAX = 256,
	TROUBLES_MAX = 1000,
	/* Where OpenSSL keeps private numbers; the larger one for tables of names. */
	SECRETS_SIZE = 2 << 20,
	SECRETS_SIZE_TABLES = 32 << 20,
	SECRET_MIN = 32,
	FREED = 0xa5, /* what freed memory is overwritten with */
	TICKETS_SECONDS = 30 * 60,
	REPLACED_SECONDS = 3, /* a handshake goes from the choice of a certificate to its signature in less */
	DAY_SECONDS = 86400
};

struct keys {
	struct server *server;
	struct keyring *ring;
	struct keyring *replaced; /* by a renewal just now, for handshakes under way; or NULL */
	struct event *replaced_end;
	uint64_t generation; /* of the configuration that peers were told of */
	struct tickets tickets;
	struct event *rotation;
	unsigned threads;
	struct signers *signers; /* NULL: this host has one core */
	struct table *troubles; /* those of the last reading, which are not told again */
	struct table *troubles_now;
	struct error first_trouble;
	size_t trouble_count;
	int64_t warn_next; /* when the log is told again of what expires */
};

/* ---- what peers are told ---- */

static void
announce_all(struct keys *k)
{
	static const enum role roles[] = {ROLE_SMTPD, ROLE_DELIVERY};

	k->generation = server_conf(k->server)->generation;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		for (uint32_t index = 0; index < PEERS_MAX; index++) {
			struct ipc_channel *peer = server_peer(k->server, roles[i], index);

			if (peer)
				announce(k->ring, &k->tickets, k->generation, peer);
		}
	}
}

/* Before the peer says HELLO: it knows its certificates when it says that it is ready. */
static void
peer_made(struct server *s, struct ipc_channel *peer)
{
	const struct keys *k = server_data(s);

	/* log's connection is made before open(). */
	if (k && k->ring)
		announce(k->ring, &k->tickets, k->generation, peer);
}

/* ---- reading ---- */

static int
file(const char *path, int *number, void *context)
{
	struct keys *k = context;
	int fd = server_file(k->server, path);

	if (fd < 0)
		*number = server_file_error(k->server, path);
	return fd;
}

static void
trouble(const char *text, bool kept, void *context)
{
	static char present;
	struct keys *k = context;

	if (k->trouble_count++ == 0)
		error_set(&k->first_trouble, "%s", text);
	if (table_get(k->troubles_now, span_of(text)) != NULL)
		return; /* several listeners have the same */
	(void)table_put(k->troubles_now, span_of(text), &present);
	if (table_get(k->troubles, span_of(text)) != NULL)
		return;
	if (kept)
		log_warning(NULL, "%s; the earlier certificate goes on", text);
	else
		log_error(NULL, "%s", text);
}

/* For "postern status", and once a day for the log. */
static void
show_state(struct keys *k)
{
	int64_t now = clock_wall_us() / US_PER_SECOND;
	char text[700];

	if (k->trouble_count > 0)
		snprintf(text, sizeof(text), "%s", k->first_trouble.text);
	else
		report_state(k->ring, now, text, sizeof(text));
	server_notice(k->server, text, false);
	if (now >= k->warn_next || now < k->warn_next - DAY_SECONDS) {
		report_expiry(k->ring, now);
		k->warn_next = now + DAY_SECONDS;
	}
}

static void
on_replaced_end(evutil_socket_t fd, short what, void *context)
{
	struct keys *k = context;

	(void)fd;
	(void)what;
	keyring_free(&k->replaced);
}

/* A renewal costs nobody a handshake; what another configuration takes away is gone at once. */
static void
replace(struct keys *k, struct keyring **older, bool renewed)
{
	const struct timeval wait = {.tv_sec = REPLACED_SECONDS};

	keyring_free(&k->replaced);
	if (!renewed) {
		keyring_free(older);
		return;
	}
	if (!k->replaced_end)
		k->replaced_end = event_new(server_base(k->server), -1, 0, on_replaced_end, k);
	event_add(k->replaced_end, &wait);
	k->replaced = *older;
	*older = NULL;
}

/* Reads all files anew; returns whether what peers know has changed. */
static bool
read_all(struct keys *k)
{
	struct keyring *fresh, *older = k->ring;
	bool changed;

	k->trouble_count = 0;
	k->troubles_now = table_new(TROUBLES_MAX, NULL);
	fresh = keyring_read(server_conf(k->server), file, trouble, k, older);
	server_forget_files(k->server);
	table_free(&k->troubles);
	k->troubles = k->troubles_now;
	k->troubles_now = NULL;
	if (older)
		report_new(fresh, older);
	changed = older == NULL || !keyring_equal(fresh, older);
	k->ring = fresh;
	if (changed && older)
		replace(k, &older, k->generation == server_conf(k->server)->generation);
	else
		keyring_free(&older);
	show_state(k);
	return changed;
}

static void
files_changed(struct server *s)
{
	struct keys *k = server_data(s);

	if (read_all(k) || k->generation != server_conf(s)->generation)
		announce_all(k);
}

/* ---- signing ---- */

/* A peer that asked, as long as answers to it are under way. */
struct asker {
	struct ipc_channel *channel; /* NULL: it has gone */
	size_t jobs;
};

static struct asker *
asker_of(struct ipc_channel *channel)
{
	struct asker *a = ipc_data(channel);

	if (a == NULL) {
		a = mem_alloc(sizeof(*a));
		a->channel = channel;
		ipc_set_data(channel, a);
	}
	return a;
}

static void
peer_down(struct server *s, struct ipc_channel *peer)
{
	struct asker *a = ipc_data(peer);

	(void)s;
	if (a == NULL)
		return;
	a->channel = NULL;
	if (a->jobs == 0)
		free(a);
}

static void
answer(struct ipc_channel *channel, uint32_t call, enum key_status status, struct span signature,
    const char *why)
{
	struct msg_key_signed m = {.status = (uint8_t)status,
	    .signature = signature,
	    .reason = span_sub(span_of(status == KEY_DONE ? "" : why), 0, 200)};

	ipc_send(channel, IPC_KEY_SIGNED, call, &m);
}

static void
on_signed(const struct signing_job *job, void *context)
{
	struct asker *a = job->asker;
	struct span signature = span_make((const char *)job->signature, job->signature_len);

	(void)context;
	a->jobs--;
	if (a->channel)
		answer(a->channel, job->call, job->signature_len > 0 ? KEY_DONE : KEY_REFUSED, signature,
		    job->err.text);
	else if (a->jobs == 0)
		free(a);
}

/* The key, if that asker may have such a text signed by it. Otherwise NULL, *status says which kind of no, and err why. */
static EVP_PKEY *
find_key(const struct keys *k, enum role asker, const struct msg_key_sign *m, enum key_status *status,
    struct error *err)
{
	enum identity_use use = asker == ROLE_SMTPD ? IDENTITY_SERVER : IDENTITY_CLIENT;
	EVP_PKEY *key = keyring_find(k->ring, use, m->section, m->key);
	enum form_kind form;

	if (key == NULL && k->replaced)
		key = keyring_find(k->replaced, use, m->section, m->key);
	*status = KEY_UNKNOWN;
	if (key == NULL) {
		error_set(err, "no such key");
		return NULL;
	}
	*status = KEY_REFUSED;
	form = form_of(m->text, use, err);
	return form != FORM_NONE && signing_allowed(key, m->scheme, form, err) == 0 ? key : NULL;
}

static int
handle_sign(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_key_sign *m = &frame->key_sign;
	const struct keys *k = server_data(context);
	uint8_t signature[SIGNATURE_MAX];
	struct error why = {0};
	enum key_status status;
	EVP_PKEY *key = find_key(k, ipc_peer_role(channel), m, &status, &why);
	size_t len = 0;

	(void)err;
	/* A process in order never asks for it: somebody should look. */
	if (key == NULL && status == KEY_REFUSED)
		log_warning(NULL, "refused a signature to %s[%u] for \"%.*s\": %s",
		    role_name(ipc_peer_role(channel)), ipc_peer_pid(channel), SPAN_ARG(m->section), why.text);
	if (key && k->signers && signers_want(key)) {
		struct asker *a = asker_of(channel);

		a->jobs++;
		signers_submit(k->signers, key, m->scheme, m->text, a, frame->call);
		return 0;
	}
	if (key && (len = signing_sign(key, m->scheme, m->text, signature, &why)) > 0)
		status = KEY_DONE;
	answer(channel, frame->call, status, span_make((const char *)signature, len), why.text);
	return 0;
}

/* ---- tickets ---- */

static void
rotate(struct keys *k)
{
	int64_t lifetime_us =
	    conf_lookup_number(server_conf(k->server)->values, "smtpd_tls_session_cache_timeout");
	struct timeval wait = {.tv_sec = TICKETS_SECONDS};
	struct error err;

	if (tickets_rotate(&k->tickets, &err) < 0)
		log_error(NULL, "%s", err.text);
	/* A ticket is good for as long as its key or the next one is there: at most the lifetime. */
	if (lifetime_us > 2 * US_PER_SECOND)
		wait.tv_sec = lifetime_us / 2 / US_PER_SECOND;
	event_add(k->rotation, &wait);
}

static void
on_rotation(evutil_socket_t fd, short what, void *context)
{
	struct ipc_channel *peers[PEERS_MAX];
	struct keys *k = context;
	struct msg_ticket_keys m;
	size_t count;

	(void)fd;
	(void)what;
	rotate(k);
	m = tickets_message(&k->tickets);
	count = server_peers(k->server, ROLE_SMTPD, peers, PEERS_MAX);
	for (size_t i = 0; i < count; i++)
		ipc_send(peers[i], IPC_TICKET_KEYS, 0, &m);
	show_state(k);
}

/* ---- life ---- */

/*
 * No page of this process goes to a swap device, where that is allowed: root may, others have a small limit, within
 * which OpenSSL's own secrets lie.
 */
static void
lock_memory(const struct conf *conf)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	size_t size = SECRETS_SIZE;

	for (size_t i = 0; i < conf->section_count; i++) {
		if (conf->sections[i].values->tls_server_sni_maps[0] != '\0')
			size = SECRETS_SIZE_TABLES;
	}
	(void)CRYPTO_secure_malloc_init(size, SECRET_MIN);
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static int
open_keys(struct server *s, struct error *err)
{
	struct keys *k = mem_alloc(sizeof(*k));

	k->server = s;
	k->troubles = table_new(TROUBLES_MAX, NULL);
	server_set_data(s, k);
	mallopt(M_PERTURB, FREED);
	/* No configuration file: it could name code to be loaded. Nothing is freed at the end, while threads may sign. */
	if (OPENSSL_init_crypto(
		OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ATEXIT,
		NULL) != 1)
		return error_set(err, "OpenSSL cannot be used");
	lock_memory(server_conf(s));
	k->threads = signers_wanted();
	return signing_open(err);
}

static int
start(struct server *s, struct error *err)
{
	struct keys *k = server_data(s);

	(void)read_all(k);
	/* Later starts do what can be done: others go on with what they have. */
	if (k->trouble_count > 0 && server_incarnation(s) == 0)
		return error_set(err, "%s", k->first_trouble.text);
	if (k->threads > 0) {
		k->signers = signers_new(server_base(s), k->threads, on_signed, k, err);
		if (k->signers == NULL)
			return -1;
	}
	k->rotation = event_new(server_base(s), -1, 0, on_rotation, k);
	rotate(k);
	announce_all(k);
	return 0;
}

static const struct ipc_permit permits[] = {
    {IPC_KEY_SIGN, ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_DELIVERY), handle_sign},
};

static const struct server_program program = {
    .role = ROLE_KEYS,
    .ident = "keys",
    .sandbox = {.user = "keys", .root = SANDBOX_ROOT_EMPTY, .needs = SANDBOX_THREADS},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = CREDIT,
    .open = open_keys,
    .start = start,
    .peer_made = peer_made,
    .peer_down = peer_down,
    .files_changed = files_changed,
};

int
main(int argc, char **argv)
{
	return server_main(argc, argv, &program);
}
