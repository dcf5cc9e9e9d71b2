/*
 * ldap: a search in a directory: ldap_table(5).
 */
#include "config.h"

#ifdef HAVE_LDAP

#include "common/map/ldap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/map/client_library.h"

struct ldap_functions ldap_lib;

#define ROW(function) {#function, (void **)&ldap_lib.function},
static const struct client_symbol symbols[] = {LDAP_SYMBOLS(ROW){NULL, NULL}};

enum { ATTRIBUTES_MAX = 200, HOSTS_MAX = 8000 };

/* The first call reads ldap.conf into what all handles share: not from two threads at once. */
static void
initialize(void)
{
	LDAP *ld = NULL;

	if (ldap_lib.ldap_initialize(&ld, "ldap://127.0.0.1") == LDAP_SUCCESS)
		(void)ldap_lib.ldap_unbind_ext_s(ld, NULL, NULL);
}

static int
ldap_load(struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static int loaded;

	if (client_library_load(LDAP_SONAME, symbols, &loaded, err) < 0)
		return -1;
	(void)pthread_once(&once, initialize);
	return 0;
}

bool
ldap_trouble(LDAP *ld, int number, struct error *err)
{
	char *more = NULL;

	(void)ldap_lib.ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
	struct buf text;
	buf_init(&text, 1000);
	text_append_printable(&text, span_of(more != NULL ? more : ""), 200);
	error_set(
	    err, "LDAP: %s%s%s", ldap_lib.ldap_err2string(number), text.len > 0 ? ": " : "", buf_text(&text));
	buf_free(&text);
	if (more != NULL)
		ldap_lib.ldap_memfree(more);
	switch (number) {
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_REFERRAL:
	case LDAP_SIZELIMIT_EXCEEDED:
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_INVALID_DN_SYNTAX:
	case LDAP_FILTER_ERROR:
		return false;
	default:
		return true;
	}
}

static void
disconnect(void *connection)
{
	struct ldap_connection *c = connection;

	(void)ldap_lib.ldap_unbind_ext_s(c->ld, NULL, NULL);
	free(c);
}

static void
set_tls(const struct directory *d, LDAP *ld)
{
	const struct {
		int option;
		const char *value;
	} texts[] = {{LDAP_OPT_X_TLS_CACERTFILE, d->ca_file}, {LDAP_OPT_X_TLS_CACERTDIR, d->ca_dir},
	    {LDAP_OPT_X_TLS_CERTFILE, d->cert}, {LDAP_OPT_X_TLS_KEYFILE, d->key},
	    {LDAP_OPT_X_TLS_CIPHER_SUITE, d->ciphers}};
	int zero = 0;

	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &d->require_cert);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].value[0] != '\0')
			(void)ldap_lib.ldap_set_option(ld, texts[i].option, texts[i].value);
	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &zero);
}

static void
set_options(const struct directory *d, LDAP *ld, bool tls, int64_t deadline_us)
{
	const struct timeval limit = {.tv_sec = client_seconds(deadline_us)};

	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &d->version);
	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit);
	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_DEREF, &d->dereference);
	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_SIZELIMIT, &d->size_limit);
	/* LDAP_OPT_ON is a symbol of the library; it only asks whether there is a pointer. */
	(void)ldap_lib.ldap_set_option(ld, LDAP_OPT_REFERRALS, d->chase_referrals ? &limit : LDAP_OPT_OFF);
	if (tls || d->start_tls)
		set_tls(d, ld);
}

static void *
connect_server(void *table, const char *text, int64_t deadline_us, struct error *err)
{
	const struct directory *d = table;
	struct berval password = {.bv_len = strlen(d->bind_pw), .bv_val = mem_strdup(d->bind_pw)};
	char uri[600];
	struct ldap_connection *c = mem_alloc(sizeof(*c));

	if (strstr(text, "://") != NULL)
		(void)snprintf(uri, sizeof(uri), "%s", text);
	else
		(void)snprintf(uri, sizeof(uri), "ldap://%s%s%s", text, strchr(text, ':') == NULL ? ":" : "",
		    strchr(text, ':') == NULL ? d->port : "");
	int status = ldap_lib.ldap_initialize(&c->ld, uri);
	if (status == LDAP_SUCCESS) {
		ldap_meter(c);
		set_options(d, c->ld, strncmp(uri, "ldaps:", 6) == 0, deadline_us);
		if (d->start_tls)
			status = ldap_lib.ldap_start_tls_s(c->ld, NULL, NULL);
	}
	/* Also without a name: it is here that the connection is made. */
	if (status == LDAP_SUCCESS)
		status = ldap_lib.ldap_sasl_bind_s(c->ld, d->bind ? d->bind_dn : NULL, LDAP_SASL_SIMPLE,
		    d->bind ? &password : &(struct berval){0}, NULL, NULL, NULL);
	explicit_bzero(password.bv_val, password.bv_len);
	free(password.bv_val);
	if (status == LDAP_SUCCESS)
		return c;
	(void)ldap_trouble(c->ld, status, err);
	if (c->ld != NULL)
		disconnect(c);
	else
		free(c);
	return NULL;
}

static const struct client_kind client = {"ldap", "LDAP", connect_server, ldap_ask, disconnect, true};

static enum lookup_status
ldap_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	const struct directory *d = table;
	enum lookup_status status = query_admits(&d->query, key, hit, err);

	return status == LOOKUP_FOUND ? clients_ask(d->clients, key, hit, err) : status;
}

static void
ldap_close(void *table)
{
	struct directory *d = table;

	clients_free(&d->clients);
	query_close(&d->query);
	for (size_t i = 0; i < d->attribute_count; i++)
		free(d->attributes[i]);
	free(d->attributes);
	free(d->roles);
	tablefile_close(&d->file);
	free(d);
}

static void
add_attributes(struct directory *d, const char *list, enum ldap_attribute_role role)
{
	struct span rest = span_of(list), word;

	while (conf_list_next(&rest, &word) && d->attribute_count < ATTRIBUTES_MAX) {
		d->roles[d->attribute_count] = role;
		d->attributes[d->attribute_count++] = mem_strndup(word.ptr, word.len);
	}
}

static void
read_attributes(struct directory *d, struct tablefile *file)
{
	d->attributes = mem_alloc_array(ATTRIBUTES_MAX + 1, sizeof(d->attributes[0]));
	d->roles = mem_alloc_array(ATTRIBUTES_MAX + 1, sizeof(d->roles[0]));
	add_attributes(d, tablefile_text(file, "result_attribute", "maildrop"), LDAP_RESULT);
	add_attributes(d, tablefile_text(file, "leaf_result_attribute", ""), LDAP_LEAF);
	add_attributes(d, tablefile_text(file, "terminal_result_attribute", ""), LDAP_TERMINAL);
	add_attributes(d, tablefile_text(file, "special_result_attribute", ""), LDAP_SPECIAL);
}

static void
read_connection(struct directory *d, struct tablefile *file)
{
	const char *bind = tablefile_text(file, "bind", "yes");

	d->bind = strcmp(bind, "no") != 0 && strcmp(bind, "none") != 0;
	if (strcmp(bind, "sasl") == 0)
		tablefile_complain(file, "bind", "SASL is not supported: bind with a name and password");
	d->bind_dn = tablefile_text(file, "bind_dn", "");
	d->bind_pw = tablefile_text(file, "bind_pw", "");
	d->port = tablefile_text(file, "server_port", "389");
	d->version = (int)tablefile_number(file, "version", 3, 2, 3);
	d->dereference = (int)tablefile_number(file, "dereference", 0, 0, 3);
	d->size_limit = (int)tablefile_number(file, "size_limit", d->query.expansion_limit, 0, INT32_MAX);
	d->chase_referrals = tablefile_bool(file, "chase_referrals", false);
	d->start_tls = tablefile_bool(file, "start_tls", false);
	d->require_cert =
	    tablefile_bool(file, "tls_require_cert", false) ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER;
	d->ca_file = tablefile_text(file, "tls_ca_cert_file", "");
	d->ca_dir = tablefile_text(file, "tls_ca_cert_dir", "");
	d->cert = tablefile_text(file, "tls_cert", "");
	d->key = tablefile_text(file, "tls_key", "");
	d->ciphers = tablefile_text(file, "tls_cipher_suite", "");
}

/* What ldap_table(5) has, or had, and this has not; where it is switched off that is no news. */
static void
tell_unsupported(struct tablefile *file)
{
	static const char *const names[] = {
	    "cache", "cache_expiry", "cache_size", "debuglevel", "tls_random_file"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = tablefile_text(file, names[i], "no");
		if (strcmp(value, "no") != 0 && strcmp(value, "0") != 0)
			tablefile_complain(file, names[i], "is not supported, and has no effect");
	}
}

static int
read_search(struct directory *d, struct tablefile *file, const struct map_input *in, struct error *err)
{
	static const struct {
		const char *name;
		int scope;
	} scopes[] = {{"sub", LDAP_SCOPE_SUBTREE}, {"one", LDAP_SCOPE_ONELEVEL}, {"base", LDAP_SCOPE_BASE}};
	const char *scope = tablefile_text(file, "scope", "sub");
	size_t i;

	d->search_base = tablefile_text(file, "search_base", "");
	if (template_check(d->search_base, "search_base", err) < 0)
		return error_while(err, "%s", tablefile_place(file));
	for (i = 0; i < 3 && strcmp(scope, scopes[i].name) != 0; i++)
		;
	if (i == 3)
		return error_set(err, "%s: scope: need sub, one or base", tablefile_place(file));
	d->scope = scopes[i].scope;
	d->recursion_limit = tablefile_number(file, "recursion_limit", 1000, 1, INT32_MAX);
	const char *filter = tablefile_text(file, "query_filter", "(mailacceptinggeneralid=%s)");
	return query_open(&d->query, file, in, filter, "query_filter", err);
}

static void *
ldap_open_table(const struct map_input *in, struct error *err)
{
	if (ldap_load(err) < 0)
		return NULL;
	struct tablefile *file = tablefile_open(in, err);
	if (file == NULL)
		return NULL;
	struct directory *d = mem_alloc(sizeof(*d));
	d->file = file;
	if (read_search(d, file, in, err) < 0) {
		ldap_close(d);
		return NULL;
	}
	read_attributes(d, file);
	read_connection(d, file);
	tell_unsupported(file);
	uint64_t timeout = tablefile_number(file, "timeout", CLIENT_TIMEOUT_SECONDS, 1, CLIENT_TIMEOUT_MAX);
	d->clients = clients_new(
	    &client, d, in->name, tablefile_text(file, "server_host", "localhost"), (unsigned)timeout);
	tablefile_finish(file);
	return d;
}

const struct map_kind map_kind_ldap = {
    .name = "ldap",
    .suffix = "",
    .needs = MAP_BLOCKS | MAP_NETWORK | MAP_LIBRARY_LDAP,
    .open = ldap_open_table,
    .lookup = ldap_lookup,
    .close = ldap_close,
    .preload = ldap_load,
};

#endif
