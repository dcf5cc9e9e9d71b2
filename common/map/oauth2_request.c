/*
 * One question to an endpoint, by libcurl: a POST, whose answer is bounded in size and time. Nothing is followed, no proxy
 * is asked, no file but those of authorities is read, and no connection is kept, for its buffers hold tokens.
 */
#include "config.h"

#ifdef HAVE_OAUTH2

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/map/client_library.h"
#include "common/map/oauth2.h"
#include "common/map/oauth2_memory.h"

#define CURL_SYMBOLS(S)                                                                                      \
	S(curl_global_init_mem)                                                                              \
	S(curl_easy_init)                                                                                    \
	S(curl_easy_setopt)                                                                                  \
	S(curl_easy_getinfo)                                                                                 \
	S(curl_easy_perform)                                                                                 \
	S(curl_easy_cleanup)                                                                                 \
	S(curl_easy_strerror)                                                                                \
	S(curl_slist_append)                                                                                 \
	S(curl_slist_free_all)
#define MEMBER(function) __typeof__(function) *function;
#define ROW(function) {#function, (void **)&lib.function},

static struct {
	CURL_SYMBOLS(MEMBER)
} lib;
static const struct client_symbol symbols[] = {CURL_SYMBOLS(ROW){NULL, NULL}};
static CURLcode started;

enum { URL_MAX = 2000, CREDENTIAL_MAX = 3 * OAUTH2_SECRET_MAX };

static void
initialize(void)
{
	started = lib.curl_global_init_mem(
	    CURL_GLOBAL_DEFAULT, oauth2_alloc, oauth2_free, oauth2_resize, oauth2_strdup, oauth2_calloc);
}

int
oauth2_request_load(struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static int loaded;

	if (client_library_load(OAUTH2_SONAME, symbols, &loaded, err) < 0)
		return -1;
	(void)pthread_once(&once, initialize);
	return started == CURLE_OK ? 0 : error_set(err, "libcurl cannot be used: %d", (int)started);
}

/* ---- endpoints ---- */

static bool
is_this_host(struct span host)
{
	return span_is_nocase(host, "localhost") || span_is(host, "[::1]") || span_starts(host, "127.");
}

const char *
oauth2_endpoint_fault(const char *url, bool *loopback)
{
	struct span text = span_of(url), host;
	size_t end = 0;

	*loopback = span_starts_nocase(text, "http://");
	if (!*loopback && !span_starts_nocase(text, "https://"))
		return "need a URL that begins with https://";
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 127 || strchr(",{}\"\\#", text.ptr[i]) != NULL)
			return "characters that are in no URL";
	host = span_from(text, *loopback ? 7 : 8);
	while (end < host.len && host.ptr[end] != '/' && host.ptr[end] != '?')
		end++;
	host = span_sub(host, 0, end);
	if (host.len == 0 || text.len > URL_MAX || span_find(host, '@') >= 0)
		return "no URL with a host, or one with a name and password in it";
	ptrdiff_t colon = span_find_last(host, ':');
	if (colon > 0 && span_find(span_from(host, (size_t)colon), ']') < 0)
		host = span_sub(host, 0, (size_t)colon);
	if (*loopback && !is_this_host(host))
		return "without TLS (http://) only this host itself is asked: need https://";
	return NULL;
}

static bool
is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)address;
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
	const struct sockaddr_in *v4 = (const void *)address;
	return address->sa_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

/* Whatever a name server says: what is not encrypted stays on this host. */
static curl_socket_t
open_on_loopback(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)context;
	(void)purpose;
	if (!is_loopback(&address->addr))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- forms ---- */

/* application/x-www-form-urlencoded; what need not be encoded is not (RFC 6749, appendix B). */
static void
encode(struct buf *out, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];
		if (ascii_is_alnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
			(void)buf_append(out, &c, 1);
		else
			(void)buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

void
oauth2_form_add(struct buf *form, const char *name, struct span value)
{
	(void)buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
	encode(form, value);
}

static void
wipe_buf(struct buf *b)
{
	if (b->mem != NULL)
		explicit_bzero(b->mem, b->cap);
	buf_free(b);
}

/* RFC 6749, 2.3.1: by HTTP's Basic, each part encoded, or in the form. Who has no secret only says who it is. */
static void
set_client(const struct oauth2 *o, CURL *curl, const char *secret, struct buf *form)
{
	struct buf text;

	if (o->client_id[0] == '\0')
		return;
	if (o->in_form || secret == NULL) {
		oauth2_form_add(form, "client_id", span_of(o->client_id));
		if (secret != NULL)
			oauth2_form_add(form, "client_secret", span_of(secret));
		return;
	}
	buf_init(&text, CREDENTIAL_MAX + 1);
	(void)buf_reserve(&text, CREDENTIAL_MAX);
	encode(&text, span_of(o->client_id));
	(void)lib.curl_easy_setopt(curl, CURLOPT_USERNAME, buf_text(&text));
	buf_clear(&text);
	encode(&text, span_of(secret));
	(void)lib.curl_easy_setopt(curl, CURLOPT_PASSWORD, buf_text(&text));
	(void)lib.curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	wipe_buf(&text);
}

/* ---- the question ---- */

static size_t
on_body(char *bytes, size_t size, size_t count, void *context)
{
	return buf_append(context, bytes, size * count) == 0 ? size * count : 0;
}

static void
set_protocols(const struct oauth2 *o, CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)lib.curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, o->loopback ? "http" : "https");
#else
	(void)lib.curl_easy_setopt(
	    curl, CURLOPT_PROTOCOLS, (long)(o->loopback ? CURLPROTO_HTTP : CURLPROTO_HTTPS));
#endif
	if (o->loopback)
		(void)lib.curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_on_loopback);
}

static void
set_tls(const struct oauth2 *o, CURL *curl)
{
	(void)lib.curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)lib.curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)lib.curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* One alone is meant: the system's own would be believed besides. */
	if (o->ca_file[0] != '\0' || o->ca_dir[0] != '\0') {
		(void)lib.curl_easy_setopt(
		    curl, CURLOPT_CAINFO, o->ca_file[0] != '\0' ? o->ca_file : (char *)NULL);
		(void)lib.curl_easy_setopt(
		    curl, CURLOPT_CAPATH, o->ca_dir[0] != '\0' ? o->ca_dir : (char *)NULL);
	}
}

static void
set_limits(CURL *curl, int64_t deadline_us)
{
	int64_t left_ms = (deadline_us - clock_mono_us()) / US_PER_MS;

	(void)lib.curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
	(void)lib.curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)lib.curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)lib.curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)lib.curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	(void)lib.curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A name server that is silent holds nobody at the end. */
	(void)lib.curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static int
perform(
    const struct oauth2 *o, CURL *curl, struct buf *form, struct buf *body, long *status, struct error *err)
{
	char trouble[CURL_ERROR_SIZE] = "";

	(void)lib.curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, trouble);
	(void)lib.curl_easy_setopt(curl, CURLOPT_URL, o->endpoint);
	(void)lib.curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)form->len);
	(void)lib.curl_easy_setopt(curl, CURLOPT_POSTFIELDS, buf_text(form));
	(void)lib.curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)lib.curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	CURLcode code = lib.curl_easy_perform(curl);
	(void)lib.curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	if (body->full)
		return error_set(err, "the endpoint's answer is longer than %d octets", OAUTH2_ANSWER_MAX);
	if (code != CURLE_OK)
		client_error(
		    err, "the endpoint", trouble[0] != '\0' ? trouble : lib.curl_easy_strerror(code));
	if (code == CURLE_OK && *status / 100 == 3)
		return error_set(err, "the endpoint redirects (%ld): that is not followed", *status);
	return code == CURLE_OK ? 0 : -1;
}

int
oauth2_post(const struct oauth2 *o, struct buf *form, int64_t deadline_us, long *status, struct buf *body,
    struct error *err)
{
	char *secret = o->client_secret[0] != '\0' ? mem_strdup(o->client_secret) : NULL;
	struct curl_slist *fields = NULL;
	int result = -1;

	*status = 0;
	if (o->client_secret_file[0] != '\0' &&
	    (secret = oauth2_secret_read(o->client_secret_file, err)) == NULL)
		return -1;
	CURL *curl = lib.curl_easy_init();
	if (curl != NULL)
		fields = lib.curl_slist_append(NULL, "Accept: application/json");
	if (fields != NULL) {
		(void)lib.curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
		(void)lib.curl_easy_setopt(curl, CURLOPT_USERAGENT, "postern");
		set_protocols(o, curl);
		set_tls(o, curl);
		set_limits(curl, deadline_us);
		set_client(o, curl, secret, form);
		result = form->full ? error_set(err, "the question is too long")
				    : perform(o, curl, form, body, status, err);
	} else
		error_set(err, "libcurl is out of memory");
	if (curl != NULL)
		lib.curl_easy_cleanup(curl);
	lib.curl_slist_free_all(fields);
	oauth2_wipe(&secret);
	return result;
}

void
oauth2_refused(long status, struct span body, const struct span *secrets, size_t count, struct error *err)
{
	struct buf reason;

	buf_init(&reason, 4 * OAUTH2_REASON_MAX);
	oauth2_refusal_parse(body, secrets, count, &reason);
	error_set(err, "the endpoint says %ld%s%s", status, reason.len > 0 ? ": " : "", buf_text(&reason));
	buf_free(&reason);
}

#endif
