#include "services/keys/form.h"

#include <stdbool.h>
#include <string.h>

enum {
	RANDOM_LEN = 32,
	BLANKS = 64,
	SHA256_LEN = 32,
	SHA384_LEN = 48,
	CURVE_TYPE_NAMED = 3, /* RFC 8422, 5.4 */
	POINT_UNCOMPRESSED = 4,
	VERSION_MAJOR = 3
};

/* The groups of tls_eecdh_auto_curves and the octets of their points: RFC 8422, 5.1.1; RFC 7027, 2; RFC 7748. */
static const struct {
	unsigned group;
	unsigned point_len;
	bool prefixed; /* the point begins with the octet that says that it is not compressed */
} groups[] = {
    {23, 65, true}, /* secp256r1 */
    {24, 97, true}, /* secp384r1 */
    {25, 133, true}, /* secp521r1 */
    {26, 65, true}, /* brainpoolP256r1 */
    {27, 97, true}, /* brainpoolP384r1 */
    {28, 129, true}, /* brainpoolP512r1 */
    {29, 32, false}, /* x25519 */
    {30, 56, false}, /* x448 */
};

static uint8_t
octet(struct span s, size_t i)
{
	return (uint8_t)s.ptr[i];
}

/* ---- TLS 1.3 ---- */

static bool
has_blanks(struct span text)
{
	if (text.len < BLANKS)
		return false;
	for (size_t i = 0; i < BLANKS; i++) {
		if (text.ptr[i] != ' ')
			return false;
	}
	return true;
}

static enum form_kind
tls13(struct span text, enum identity_use use, struct error *err)
{
	/* With its NUL. */
	static const char server[] = "TLS 1.3, server CertificateVerify";
	static const char client[] = "TLS 1.3, client CertificateVerify";
	const char *context = use == IDENTITY_SERVER ? server : client;
	struct span rest = span_from(text, BLANKS);

	if (rest.len < sizeof(server) || memcmp(rest.ptr, context, sizeof(server)) != 0) {
		error_set(err, "64 blanks without the context of a TLS 1.3 %s",
		    use == IDENTITY_SERVER ? "server" : "client");
		return FORM_NONE;
	}
	rest = span_from(rest, sizeof(server));
	/* The digests of the suites of RFC 8446, B.4. */
	if (rest.len != SHA256_LEN && rest.len != SHA384_LEN) {
		error_set(err, "a digest of %zu octets in a TLS 1.3 signature", rest.len);
		return FORM_NONE;
	}
	return FORM_TLS13;
}

/* ---- TLS 1.2 ---- */

static enum form_kind
tls12_server(struct span text, struct error *err)
{
	struct span parameters = span_from(text, (size_t)2 * RANDOM_LEN);
	unsigned group, point_len;

	if (parameters.len < 5 || octet(parameters, 0) != CURVE_TYPE_NAMED) {
		error_set(err, "neither a TLS 1.3 signature nor parameters of a named curve");
		return FORM_NONE;
	}
	group = (unsigned)octet(parameters, 1) << 8 | octet(parameters, 2);
	point_len = octet(parameters, 3);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (groups[i].group != group)
			continue;
		if (groups[i].point_len != point_len || parameters.len != 4 + (size_t)point_len ||
		    (groups[i].prefixed && octet(parameters, 4) != POINT_UNCOMPRESSED)) {
			error_set(err, "no point of curve %u in %zu octets", group, parameters.len - 4);
			return FORM_NONE;
		}
		return FORM_TLS12;
	}
	error_set(err, "unknown curve %u", group);
	return FORM_NONE;
}

/* A client's handshake up to its CertificateVerify, in order: RFC 5246, 7.3; RFC 6066, 8; RFC 5077, 3.3 comes later. */
static const struct {
	uint8_t type;
	bool optional;
} flight[] = {
    {1, false}, /* ClientHello */
    {2, false}, /* ServerHello */
    {11, false}, /* Certificate */
    {22, true}, /* CertificateStatus */
    {12, true}, /* ServerKeyExchange */
    {13, false}, /* CertificateRequest */
    {14, false}, /* ServerHelloDone */
    {11, false}, /* Certificate, ours */
    {16, false}, /* ClientKeyExchange */
};

enum { MESSAGE_HEADER = 4, HELLO_MIN = 2 + RANDOM_LEN };

/* Takes the next message off. False if there is none that is whole. */
static bool
next_message(struct span *rest, uint8_t *type, struct span *body)
{
	size_t len;

	if (rest->len < MESSAGE_HEADER)
		return false;
	*type = octet(*rest, 0);
	len = (size_t)octet(*rest, 1) << 16 | (size_t)octet(*rest, 2) << 8 | octet(*rest, 3);
	if (len > rest->len - MESSAGE_HEADER)
		return false;
	*body = span_sub(*rest, MESSAGE_HEADER, len);
	*rest = span_from(*rest, MESSAGE_HEADER + len);
	return true;
}

static bool
is_hello(uint8_t type, struct span body)
{
	return type > 2 || (body.len >= HELLO_MIN && octet(body, 0) == VERSION_MAJOR);
}

static enum form_kind
tls12_client(struct span text, struct error *err)
{
	struct span rest = text, body;
	size_t at = 0;
	uint8_t type;

	while (next_message(&rest, &type, &body)) {
		while (
		    at < sizeof(flight) / sizeof(flight[0]) && flight[at].type != type && flight[at].optional)
			at++;
		if (at == sizeof(flight) / sizeof(flight[0]) || flight[at].type != type ||
		    !is_hello(type, body)) {
			error_set(err, "a handshake message of type %u out of place", type);
			return FORM_NONE;
		}
		at++;
	}
	if (rest.len == 0 && at == sizeof(flight) / sizeof(flight[0]))
		return FORM_TLS12;
	error_set(err, "neither a TLS 1.3 signature nor the messages of a TLS 1.2 handshake");
	return FORM_NONE;
}

enum form_kind
form_of(struct span text, enum identity_use use, struct error *err)
{
	if (has_blanks(text))
		return tls13(text, use, err);
	if (use == IDENTITY_CLIENT)
		return tls12_client(text, err);
	if (text.len < (size_t)2 * RANDOM_LEN) {
		error_set(err, "%zu octets are no TLS signature", text.len);
		return FORM_NONE;
	}
	return tls12_server(text, err);
}
