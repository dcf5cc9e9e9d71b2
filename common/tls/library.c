#include "common/tls/library.h"

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdbool.h>

#include <stdio.h>

#include "common/tls/provider.h"

/* Handshakes that wait for signatures at the same time: each holds a stack of 32 KB. More wait for one of these. */
enum { JOBS_MAX = 128 };

int
tls_library_open(struct error *err)
{
	static bool opened;

	if (opened)
		return 0;
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
	    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) != 1)
		return tls_error_set(err, "OpenSSL does not start");
	if (provider_open(err) < 0)
		return -1;
	ASYNC_init_thread(JOBS_MAX, 0);
	opened = true;
	return 0;
}

const char *
tls_library_error(void)
{
	unsigned long latest = ERR_peek_last_error();
	const char *reason = latest ? ERR_reason_error_string(latest) : NULL;

	ERR_clear_error();
	return reason ? reason : "unknown";
}

int
tls_error_set(struct error *err, const char *format, ...)
{
	char text[sizeof(err->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(err, "%s: %s", text, tls_library_error());
}
