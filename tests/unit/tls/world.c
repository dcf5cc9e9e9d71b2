#include "tests/unit/tls/world.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/tls/library.h"

enum { INPUT_MAX = 20000, GOT_MAX = 8 << 20, STILL_TURNS = 3 };

/* ---- keys ---- */

static const EVP_MD *
digest_of(uint32_t scheme)
{
	switch (scheme) {
	case 0x0401:
	case 0x0403:
	case 0x0804:
	case 0x0809:
		return EVP_sha256();
	case 0x0501:
	case 0x0503:
	case 0x0805:
	case 0x080a:
		return EVP_sha384();
	case 0x0601:
	case 0x0603:
	case 0x0806:
	case 0x080b:
		return EVP_sha512();
	default:
		return NULL;
	}
}

static size_t
sign(EVP_PKEY *key, uint32_t scheme, struct span text, unsigned char *out, size_t size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_context = NULL;

	assert_int_equal(EVP_DigestSignInit(context, &key_context, digest_of(scheme), NULL, key), 1);
	if (EVP_PKEY_is_a(key, "RSA-PSS") || (scheme >= 0x0804 && scheme <= 0x0806)) {
		EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST);
	}
	assert_int_equal(EVP_DigestSign(context, out, &size, (const unsigned char *)text.ptr, text.len), 1);
	EVP_MD_CTX_free(context);
	return size;
}

static void
answer(struct world *w, unsigned i)
{
	struct msg_key_signed m = {.status = KEY_DONE};
	unsigned char signature[1024], number[32];
	size_t len = 0;

	for (size_t k = 0; k < w->known_count; k++) {
		party_number(&w->known[k], number);
		if (memcmp(number, w->numbers[i], sizeof(number)) == 0)
			len = sign(w->known[k].key, w->schemes[i], buf_span(&w->texts[i]), signature,
			    sizeof(signature));
	}
	if (w->signer == SIGNER_LIES)
		signature[len / 2] ^= 1;
	m.signature = span_make(signature, len);
	if (w->signer == SIGNER_REFUSES)
		m = (struct msg_key_signed){.status = KEY_REFUSED, .reason = SPAN_LIT("not your key")};
	ipc_send(w->signer_channel, IPC_KEY_SIGNED, w->waiting[i], &m);
}

void
world_sign_all(struct world *w)
{
	for (unsigned i = 0; i < w->waiting_count && w->signer_channel; i++)
		answer(w, i);
	world_forget(w);
}

void
world_forget(struct world *w)
{
	for (unsigned i = 0; i < w->waiting_count; i++)
		buf_free(&w->texts[i]);
	w->waiting_count = 0;
}

static int
handle_sign(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;
	unsigned i = w->waiting_count++;

	(void)channel;
	(void)err;
	assert_true(i < ASKS_MAX);
	w->asked++;
	w->waiting[i] = frame->call;
	w->schemes[i] = frame->key_sign.scheme;
	memcpy(w->numbers[i], frame->key_sign.key.ptr, 32);
	buf_init(&w->texts[i], 65536);
	buf_append_span(&w->texts[i], frame->key_sign.text);
	if (w->signer != SIGNER_LATER)
		world_sign_all(w);
	return 0;
}

static int
handle_identity(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	return tls_keys_identity(((struct world *)context)->keys, &frame->identity, err);
}

static int
handle_end(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	return tls_keys_identities_end(((struct world *)context)->keys, &frame->identities_end, err);
}

static int
handle_tickets(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	return tls_keys_tickets(((struct world *)context)->keys, &frame->ticket_keys, err);
}

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct world *w = context;

	if (channel == w->asker)
		w->asker = NULL;
	else
		w->signer_channel = NULL;
}

static struct ipc_channel *
asker_channel(void *context)
{
	return ((struct world *)context)->asker;
}

static const struct ipc_permit signer_permits[] = {{IPC_KEY_SIGN, ROLE_BIT(ROLE_SMTPD), handle_sign}};
static const struct ipc_permit asker_permits[] = {
    {IPC_IDENTITY, ROLE_BIT(ROLE_KEYS), handle_identity},
    {IPC_IDENTITIES_END, ROLE_BIT(ROLE_KEYS), handle_end},
    {IPC_TICKET_KEYS, ROLE_BIT(ROLE_KEYS), handle_tickets},
};

void
world_open(struct world *w)
{
	struct ipc_callbacks signer = {signer_permits, 1, NULL, on_down, w};
	struct ipc_callbacks asker = {asker_permits, 3, NULL, on_down, w};
	struct error err;
	int fds[2];

	*w = (struct world){0};
	assert_int_equal(tls_library_open(&err), 0);
	w->base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	w->asker = ipc_channel_new(w->base, fds[0], ROLE_SMTPD, 0, ROLE_KEYS, 16, &asker);
	w->signer_channel = ipc_channel_new(w->base, fds[1], ROLE_KEYS, 0, ROLE_SMTPD, 4096, &signer);
	w->keys = tls_keys_new(asker_channel, w);
	w->client.world = w->server.world = w;
	w->client.consume_at_most = w->server.consume_at_most = SIZE_MAX;
	w->client.wire = w->server.wire = -1;
	buf_init(&w->client.got, GOT_MAX);
	buf_init(&w->server.got, GOT_MAX);
	buf_init(&w->client.ticket, GOT_MAX);
	buf_init(&w->server.ticket, GOT_MAX);
	buf_init(&w->client.seen, GOT_MAX);
	buf_init(&w->server.seen, GOT_MAX);
	world_run(w);
}

static void
turn(struct world *w)
{
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	stream_flush_all();
	ipc_flush_all();
}

void
world_close(struct world *w)
{
	struct ipc_channel *asker = w->asker, *signer = w->signer_channel;

	world_disconnect(w);
	tls_context_free(&w->client.context);
	tls_context_free(&w->server.context);
	world_forget(w);
	if (asker)
		ipc_channel_close(&asker);
	if (signer)
		ipc_channel_close(&signer);
	/* Streams that linger notice that the wire is gone. */
	turn(w);
	tls_keys_free(&w->keys);
	buf_free(&w->client.ticket);
	buf_free(&w->server.ticket);
	event_base_free(w->base);
}

static void
append_certificate(struct buf *out, X509 *certificate)
{
	int len = i2d_X509(certificate, NULL);
	unsigned char *to;
	char header[3] = {(char)(len >> 16), (char)(len >> 8), (char)len};

	assert_int_equal(buf_append(out, header, sizeof(header)), 0);
	to = (unsigned char *)buf_reserve(out, (size_t)len);
	assert_non_null(to);
	buf_added(out, (size_t)i2d_X509(certificate, &to));
}

void
world_identity(struct world *w, const char *section, const char *name, unsigned use,
    const struct party *party, const struct party *const *chain, size_t chain_len)
{
	struct msg_identity m = {.section = span_of(section), .name = span_of(name), .use = (uint8_t)use};
	unsigned char number[32];
	struct buf certificates;

	buf_init(&certificates, 60000);
	append_certificate(&certificates, party->certificate);
	for (size_t i = 0; i < chain_len; i++)
		append_certificate(&certificates, chain[i]->certificate);
	party_number(party, number);
	m.key = span_make(number, sizeof(number));
	m.chain = buf_span(&certificates);
	assert_int_equal(ipc_send(w->signer_channel, IPC_IDENTITY, 0, &m), 0);
	buf_free(&certificates);
	assert_true(w->known_count < KEYS_MAX);
	w->known[w->known_count++] = *party;
}

void
world_identities_end(struct world *w)
{
	struct msg_identities_end m = {.generation = 1};

	ipc_send(w->signer_channel, IPC_IDENTITIES_END, 0, &m);
	world_run(w);
}

void
world_ticket_keys(struct world *w, char current, char previous)
{
	struct msg_ticket_keys m = {0};
	char one[80], other[80];

	memset(one, current, sizeof(one));
	memset(other, previous, sizeof(other));
	m.current = span_make(one, sizeof(one));
	m.previous = span_make(other, previous ? sizeof(other) : 0);
	ipc_send(w->signer_channel, IPC_TICKET_KEYS, 0, &m);
	world_run(w);
}

/* ---- streams ---- */

static size_t
on_input(struct stream *s, struct span bytes, void *context)
{
	struct end *e = context;
	size_t take = bytes.len < e->consume_at_most ? bytes.len : e->consume_at_most;

	assert_int_equal(buf_append(&e->got, bytes.ptr, take), 0);
	if (e->echo)
		stream_write(s, bytes.ptr, take);
	if (e->pause_after_input)
		stream_pause(s);
	return take;
}

static void
on_stream_event(struct stream *s, enum stream_event event, void *context)
{
	(void)s;
	((struct end *)context)->events[event]++;
}

static const struct stream_callbacks stream_callbacks = {on_input, on_stream_event};

static void
end_connect(struct end *e)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	e->stream = stream_new(e->world->base, fds[0], false, INPUT_MAX, &stream_callbacks, e);
	e->wire = fds[1];
	e->finished = e->ok = false;
	e->reason[0] = '\0';
	e->passed = 0;
	e->tickets = 0;
	memset(e->events, 0, sizeof(e->events));
	buf_clear(&e->got);
	buf_clear(&e->seen);
}

void
world_connect(struct world *w)
{
	world_disconnect(w);
	w->cut_client = w->cut_server = false;
	end_connect(&w->client);
	end_connect(&w->server);
}

void
world_disconnect(struct world *w)
{
	struct end *ends[] = {&w->client, &w->server};

	for (int i = 0; i < 2; i++) {
		stream_close(&ends[i]->stream);
		(void)io_close(&ends[i]->wire);
		buf_free(&ends[i]->got);
		buf_free(&ends[i]->seen);
	}
}

static void
on_done(void *context, bool ok, const char *reason)
{
	struct end *e = context;

	assert_false(e->finished);
	e->finished = true;
	e->ok = ok;
	(void)span_copy(span_of(reason), e->reason, sizeof(e->reason));
	if (e->close_in_done)
		stream_close(&e->stream);
}

static void
on_ticket(void *context, struct span bytes)
{
	struct end *e = context;

	e->tickets++;
	buf_clear(&e->ticket);
	buf_append_span(&e->ticket, bytes);
	if (e->close_in_ticket)
		stream_close(&e->stream);
}

struct tls_settings
world_settings(enum tls_side side)
{
	return (struct tls_settings){.side = side, .section = side == TLS_SERVER ? "smtp" : ""};
}

void
world_start(struct end *end, const struct tls_plan *plan)
{
	struct tls_plan p = plan ? *plan : (struct tls_plan){0};

	p.context = end->context;
	p.session = on_ticket;
	tls_start(end->stream, &p, on_done, end);
	assert_false(end->finished);
}

/* ---- the wire ---- */

/* Moves what came from one end to the other. Returns how much; a closed end closes the other's wire for writing. */
static size_t
carry(struct end *from, struct end *to, size_t step)
{
	char bytes[65536];
	ssize_t n, written;

	if (from->wire < 0 || to->wire < 0)
		return 0;
	n = recv(from->wire, bytes, step && step < sizeof(bytes) ? step : sizeof(bytes), 0);
	if (n == 0)
		(void)shutdown(to->wire, SHUT_WR);
	if (n <= 0)
		return 0;
	written = send(to->wire, bytes, (size_t)n, MSG_NOSIGNAL);
	if (written < 0 && (errno == EPIPE || errno == ECONNRESET))
		return 0;
	assert_int_equal(written, n);
	from->passed += (size_t)n;
	buf_append(&from->seen, bytes, (size_t)n);
	return (size_t)n;
}

bool
world_step(struct world *w)
{
	size_t moved = 0;

	turn(w);
	if (!w->cut_client)
		moved += carry(&w->client, &w->server, w->step);
	if (!w->cut_server)
		moved += carry(&w->server, &w->client, w->step);
	turn(w);
	return moved > 0;
}

void
world_run(struct world *w)
{
	int still = 0;

	while (still < STILL_TURNS)
		still = world_step(w) ? 0 : still + 1;
}

void
world_shake(struct world *w, const struct tls_settings *server, const struct tls_settings *client,
    const struct tls_plan *client_plan)
{
	struct error err = {.text = ""};

	tls_context_free(&w->client.context);
	tls_context_free(&w->server.context);
	w->server.context = tls_context_new(server, w->keys, &err);
	assert_string_equal(err.text, "");
	w->client.context = tls_context_new(client, client->client_identity ? w->keys : NULL, &err);
	assert_string_equal(err.text, "");
	world_connect(w);
	world_start(&w->server, NULL);
	world_start(&w->client, client_plan);
	world_run(w);
}
