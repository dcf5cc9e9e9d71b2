/*
 * trust_inside: what contexts take from trust.
 */
#ifndef POSTERN_TLS_TRUST_INSIDE_H
#define POSTERN_TLS_TRUST_INSIDE_H

#include <openssl/x509_vfy.h>

#include "common/tls/trust.h"

struct tls_trust {
	unsigned references;
	size_t count;
	unsigned char
	    sum[32]; /* of all certificates, in whatever order: the same in each process that has the same */
	X509_STORE *store;
	STACK_OF(X509_NAME) * names;
};

#endif
