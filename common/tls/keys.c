#include "common/tls/keys.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/tls/keys_inside.h"
#include "common/tls/library.h"
#include "common/tls/provider.h"

/* NAMES_MAX: no fewer than keys has (KEYRING_ENTRIES_MAX). */
enum { NAMES_MAX = 65536, NAME_KEY_MAX = 400, CHAIN_MAX = 20 };

struct tls_keys {
	struct ipc_channel *(*channel)(void *context);
	void *context;
	struct table *names; /* identity_sets by section, use and name; NULL until the first IDENTITIES_END */
	struct table *coming;
	bool have_current, have_previous;
	struct ticket_key current, previous;
};

static void
identity_release(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->leaf);
	sk_X509_pop_free(identity->chain, X509_free);
	*identity = (struct identity){0};
}

static void
set_free(void *value)
{
	struct identity_set *set = value;

	for (size_t i = 0; i < set->count; i++)
		identity_release(&set->members[i]);
	free(set->members);
	free(set);
}

struct tls_keys *
tls_keys_new(struct ipc_channel *(*channel)(void *context), void *context)
{
	struct tls_keys *k = mem_alloc(sizeof(*k));

	k->channel = channel;
	k->context = context;
	return k;
}

void
tls_keys_free(struct tls_keys **keys)
{
	struct tls_keys *k = *keys;

	*keys = NULL;
	if (!k)
		return;
	table_free(&k->names);
	table_free(&k->coming);
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

/* ---- certificates ---- */

/* "section", NUL, use, name in lower case. Returns its length, 0 if it does not fit. */
static size_t
name_key(char out[NAME_KEY_MAX], const char *section, unsigned use, struct span name)
{
	size_t len = strlen(section);

	if (len + 2 + name.len > NAME_KEY_MAX)
		return 0;
	memcpy(out, section, len + 1);
	out[len + 1] = (char)('0' + use);
	if (name.len)
		memcpy(out + len + 2, name.ptr, name.len);
	text_lower(out + len + 2, name.len);
	return len + 2 + name.len;
}

static const struct identity_set *
find_exactly(const struct tls_keys *k, const char *section, unsigned use, struct span name)
{
	char key[NAME_KEY_MAX];
	size_t len = name_key(key, section, use, name);

	return k && k->names && len ? table_get(k->names, span_make(key, len)) : NULL;
}

const struct identity_set *
keys_find(const struct tls_keys *k, const char *section, unsigned use, struct span name)
{
	const struct identity_set *found = find_exactly(k, section, use, name);
	ptrdiff_t dot;

	while (!found && name.len) {
		dot = span_find(span_from(name, 1), '.');
		if (dot < 0)
			return NULL;
		name = span_from(name, (size_t)dot + 1);
		found = find_exactly(k, section, use, name);
	}
	return found;
}

int
keys_add(struct tls_keys *k, const char *section, const char *name, unsigned use,
    const struct identity *identity, struct error *err)
{
	char key[NAME_KEY_MAX];
	size_t len = name_key(key, section, use, span_of(name));
	struct identity_set *set;
	struct identity *member;

	if (len == 0)
		return error_set(err, "the name of a certificate is too long");
	if (!k->coming)
		k->coming = table_new(NAMES_MAX, set_free);
	set = table_get(k->coming, span_make(key, len));
	if (!set) {
		set = mem_alloc(sizeof(*set));
		if (table_put(k->coming, span_make(key, len), set) < 0) {
			free(set);
			return error_set(err, "more than %d names with certificates", NAMES_MAX);
		}
	}
	if (set->count == IDENTITIES_PER_NAME)
		return error_set(err, "more than %d certificates for one name", (int)IDENTITIES_PER_NAME);
	set->members = mem_resize(set->members, (set->count + 1) * sizeof(*set->members));
	member = &set->members[set->count++];
	EVP_PKEY_up_ref(identity->key);
	X509_up_ref(identity->leaf);
	*member = *identity;
	member->chain = X509_chain_up_ref(identity->chain);
	return 0;
}

void
keys_commit(struct tls_keys *k)
{
	table_free(&k->names);
	k->names = k->coming ? k->coming : table_new(1, set_free);
	k->coming = NULL;
}

/* Certificates in DER, each behind a length of three octets. */
static int
chain_parse(struct span bytes, struct identity *identity, struct error *err)
{
	const unsigned char *at;
	X509 *certificate;
	size_t len, count = 0;

	if (!(identity->chain = sk_X509_new_null()))
		panic("no memory for certificates");
	while (bytes.len) {
		at = (const unsigned char *)bytes.ptr;
		if (bytes.len < 3 || count++ == CHAIN_MAX)
			return error_set(err, "a certificate chain is malformed");
		len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
		if (len > bytes.len - 3)
			return error_set(err, "a certificate chain is malformed");
		at += 3;
		if (!(certificate = d2i_X509(NULL, &at, (long)len)))
			return tls_error_set(err, "a certificate is malformed");
		if (!identity->leaf)
			identity->leaf = certificate;
		else if (!sk_X509_push(identity->chain, certificate))
			panic("no memory for certificates");
		bytes = span_from(bytes, len + 3);
	}
	return identity->leaf ? 0 : error_set(err, "a certificate chain is empty");
}

int
tls_keys_identity(struct tls_keys *k, const struct msg_identity *identity, struct error *err)
{
	struct identity made = {0};
	char section[65], name[256];
	EVP_PKEY *public_key;
	int result = -1;

	if (identity->key.len != TLS_KEY_SIZE || !span_copy(identity->section, section, sizeof(section)) ||
	    !span_copy(identity->name, name, sizeof(name)))
		return error_set(err, "IDENTITY without a key's number");
	if (chain_parse(identity->chain, &made, err) < 0)
		goto out;
	if (!(public_key = X509_get0_pubkey(made.leaf))) {
		tls_error_set(err, "a certificate without a usable public key");
		goto out;
	}
	made.key = provider_key(public_key, (const unsigned char *)identity->key.ptr, err);
	if (made.key)
		result = keys_add(k, section, name, identity->use, &made, err);
out:
	identity_release(&made);
	return result;
}

int
tls_keys_identities_end(struct tls_keys *k, const struct msg_identities_end *end, struct error *err)
{
	(void)end;
	(void)err;
	keys_commit(k);
	return 0;
}

void
tls_keys_connected(struct tls_keys *k)
{
	table_free(&k->coming);
}

bool
tls_keys_known(const struct tls_keys *k)
{
	return k->names != NULL;
}

bool
tls_keys_has(const struct tls_keys *k, const char *section, unsigned use)
{
	return find_exactly(k, section, use, span_of("")) != NULL;
}

struct ipc_channel *
keys_channel(const struct tls_keys *k)
{
	return k && k->channel ? k->channel(k->context) : NULL;
}

/* ---- ticket keys ---- */

static void
ticket_key_read(struct span bytes, struct ticket_key *key)
{
	memcpy(key->name, bytes.ptr, TICKET_NAME_SIZE);
	memcpy(key->hmac, bytes.ptr + TICKET_NAME_SIZE, TICKET_SECRET_SIZE);
	memcpy(key->aes, bytes.ptr + TICKET_NAME_SIZE + TICKET_SECRET_SIZE, TICKET_SECRET_SIZE);
}

int
tls_keys_tickets(struct tls_keys *k, const struct msg_ticket_keys *tickets, struct error *err)
{
	const size_t size = TICKET_NAME_SIZE + 2 * TICKET_SECRET_SIZE;

	if (tickets->current.len != size || (tickets->previous.len && tickets->previous.len != size))
		return error_set(err, "TICKET_KEYS of a wrong length");
	ticket_key_read(tickets->current, &k->current);
	k->have_current = true;
	k->have_previous = tickets->previous.len == size;
	if (k->have_previous)
		ticket_key_read(tickets->previous, &k->previous);
	else
		OPENSSL_cleanse(&k->previous, sizeof(k->previous));
	return 0;
}

const struct ticket_key *
keys_ticket_current(const struct tls_keys *k)
{
	return k && k->have_current ? &k->current : NULL;
}

const struct ticket_key *
keys_ticket_previous(const struct tls_keys *k)
{
	return k && k->have_previous ? &k->previous : NULL;
}
