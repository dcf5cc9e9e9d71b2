/*
 * signing: one signature by one key, in the scheme that TLS names by a number (RFC 8446, 4.2.3).
 */
#ifndef POSTERN_KEYS_SIGNING_H
#define POSTERN_KEYS_SIGNING_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "services/keys/form.h"

enum { SIGNATURE_MAX = 1024 };

/* Once, before there are threads: signatures take less time then. */
int signing_open(struct error *err);

/* May a key of that kind sign in that scheme, in a handshake of that version? SHA-1 never. -1 with err. */
int signing_allowed(EVP_PKEY *key, uint32_t scheme, enum form_kind form, struct error *err);

/* Returns the length of the signature, 0 with err. signing_allowed() was asked before. Any thread may call it. */
size_t signing_sign(
    EVP_PKEY *key, uint32_t scheme, struct span text, uint8_t signature[SIGNATURE_MAX], struct error *err);

#endif
