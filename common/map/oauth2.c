/*
 * oauth2: tokens. A table with a token_endpoint gets access tokens for logins at other hosts (oauth2_refresh.c); one with an
 * introspection_endpoint says whose a token is (oauth2_introspect.c).
 */
#include "config.h"

#ifdef HAVE_OAUTH2

#include "common/map/oauth2.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/map/client_library.h"

enum { KEEP_SECONDS = 60, KEEP_MAX = 3600, KEEP_REFUSAL_SECONDS = 10, KEEP_REFUSAL_MAX = 600 };

static int
oauth2_load(struct error *err)
{
	return oauth2_json_load(err) < 0 ? -1 : oauth2_request_load(err);
}

/* ---- the endpoint as a server of clients.h ---- */

/* Nothing is kept connected: a question is a connection of its own. */
static void *
connect_endpoint(void *table, const char *host, int64_t deadline_us, struct error *err)
{
	(void)host;
	(void)deadline_us;
	(void)err;
	return table;
}

static void
disconnect(void *connection)
{
	(void)connection;
}

static enum lookup_status
ask_endpoint(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	struct oauth2 *o = table;

	(void)connection;
	/* What would be the second try of a connection that was lost. */
	*lost = o->asked_us == deadline_us;
	if (*lost)
		return LOOKUP_TEMPORARY;
	o->asked_us = deadline_us;
	return o->introspects ? oauth2_introspect_ask(o, q, deadline_us, lost, err)
			      : oauth2_refresh_ask(o, q, deadline_us, lost, err);
}

static const struct client_kind client = {
    "oauth2", "the endpoint", connect_endpoint, ask_endpoint, disconnect, true};

static enum lookup_status
oauth2_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct oauth2 *o = table;

	return o->introspects ? oauth2_introspect_lookup(o, key, hit, err)
			      : oauth2_refresh_lookup(o, key, hit, err);
}

static void
oauth2_refused_value(void *table, uint64_t mark)
{
	struct oauth2 *o = table;

	if (!o->introspects)
		oauth2_refresh_refused(o, mark);
}

static bool
oauth2_of_tokens(const void *table)
{
	const struct oauth2 *o = table;

	return o->introspects;
}

/* ---- parameters ---- */

static void
oauth2_close(void *table)
{
	struct oauth2 *o = table;

	clients_free(&o->clients);
	oauth2_shared_give(&o->shared);
	tablefile_close(&o->file);
	free(o);
}

static int
check_file(const struct oauth2 *o, const char *path, struct error *err)
{
	char *secret = oauth2_secret_read(path, err);
	struct stat st;

	if (secret == NULL)
		return -1;
	oauth2_wipe(&secret);
	if (stat(path, &st) == 0 && (st.st_mode & S_IROTH))
		o->complain(path, 0, "everybody may read this secret", o->context);
	return 0;
}

/* The client's name and secret; also what is wrong with it. */
static int
read_client(struct oauth2 *o, struct error *err)
{
	const char *how = tablefile_text(o->file, "client_auth", "basic");

	o->client_id = tablefile_text(o->file, "client_id", "");
	o->client_secret = tablefile_text(o->file, "client_secret", "");
	o->client_secret_file = tablefile_text(o->file, "client_secret_file", "");
	o->in_form = strcmp(how, "post") == 0;
	if (!o->in_form && strcmp(how, "basic") != 0)
		return error_set(err, "%s: client_auth: need basic or post", o->path);
	if (o->client_secret[0] != '\0' && o->client_secret_file[0] != '\0')
		return error_set(err, "%s: client_secret and client_secret_file: need one of them", o->path);
	if (strlen(o->client_secret) > OAUTH2_SECRET_MAX || strlen(o->client_id) > OAUTH2_SECRET_MAX)
		return error_set(err, "%s: client_id or client_secret are too long", o->path);
	if (o->client_secret_file[0] != '\0' && check_file(o, o->client_secret_file, err) < 0)
		return error_while(err, "%s: client_secret_file", o->path);
	return 0;
}

static int
read_tls(struct oauth2 *o, struct error *err)
{
	const char *paths[2];

	paths[0] = o->ca_file = tablefile_text(o->file, "tls_ca_cert_file", "");
	paths[1] = o->ca_dir = tablefile_text(o->file, "tls_ca_cert_dir", "");
	for (size_t i = 0; i < 2; i++)
		if (paths[i][0] != '\0' && access(paths[i], R_OK) < 0)
			return error_errno(err, "%s: %s", o->path, paths[i]);
	return 0;
}

static int
read_refresh(struct oauth2 *o, struct error *err)
{
	o->scope = tablefile_text(o->file, "scope", "");
	o->keys = tablefile_text(o->file, "keys", "");
	o->refresh_token = tablefile_text(o->file, "refresh_token", "");
	o->refresh_token_file = tablefile_text(o->file, "refresh_token_file", "");
	if (tablefile_need(o->file, "client_id", &o->client_id, err) < 0 ||
	    tablefile_need(o->file, "username", &o->username, err) < 0)
		return -1;
	if (strlen(o->username) > OAUTH2_USER_MAX || strpbrk(o->username, ": \t\001") != NULL)
		return error_set(err, "%s: username: too long, or with a blank or colon in it", o->path);
	if ((o->refresh_token[0] != '\0') == (o->refresh_token_file[0] != '\0'))
		return error_set(err, "%s: need refresh_token or refresh_token_file", o->path);
	if (strlen(o->refresh_token) > OAUTH2_SECRET_MAX)
		return error_set(err, "%s: refresh_token: too long", o->path);
	if (o->refresh_token_file[0] != '\0' && check_file(o, o->refresh_token_file, err) < 0)
		return error_while(err, "%s: refresh_token_file", o->path);
	return 0;
}

static void
read_introspection(struct oauth2 *o)
{
	uint64_t keep = tablefile_number(o->file, "cache_seconds", KEEP_SECONDS, 0, KEEP_MAX),
		 refusal = tablefile_number(
		     o->file, "negative_cache_seconds", KEEP_REFUSAL_SECONDS, 0, KEEP_REFUSAL_MAX);

	o->keep_us = (int64_t)keep * US_PER_SECOND;
	o->keep_refusal_us = (int64_t)refusal * US_PER_SECOND;
	o->rules = (struct oauth2_rules){
	    .user_members = tablefile_text(o->file, "username_attribute", "username, sub, email"),
	    .scope = tablefile_text(o->file, "scope", ""),
	    .audience = tablefile_text(o->file, "audience", ""),
	    .issuer = tablefile_text(o->file, "issuer", "")};
}

static int
read_parameters(struct oauth2 *o, struct error *err)
{
	const char *introspection = tablefile_text(o->file, "introspection_endpoint", "");
	const char *token = tablefile_text(o->file, "token_endpoint", "");

	o->introspects = introspection[0] != '\0';
	o->endpoint = o->introspects ? introspection : token;
	if (o->introspects == (token[0] != '\0'))
		return error_set(err, "%s: need token_endpoint or introspection_endpoint", o->path);
	const char *fault = oauth2_endpoint_fault(o->endpoint, &o->loopback);
	if (fault != NULL)
		return error_set(err, "%s: %s: %s", o->path,
		    o->introspects ? "introspection_endpoint" : "token_endpoint", fault);
	if (read_client(o, err) < 0 || read_tls(o, err) < 0)
		return -1;
	if (o->introspects)
		read_introspection(o);
	return o->introspects ? 0 : read_refresh(o, err);
}

static void *
oauth2_open(const struct map_input *in, struct error *err)
{
	if (oauth2_load(err) < 0)
		return NULL;
	struct tablefile *file = tablefile_open(in, err);
	if (file == NULL)
		return NULL;
	struct oauth2 *o = mem_alloc(sizeof(*o));
	o->file = file;
	o->path = in->path;
	o->complain = in->complain;
	o->context = in->context;
	if (read_parameters(o, err) < 0) {
		oauth2_close(o);
		return NULL;
	}
	o->timeout_s =
	    (unsigned)tablefile_number(file, "timeout", CLIENT_TIMEOUT_SECONDS, 1, CLIENT_TIMEOUT_MAX);
	o->clients = clients_new(&client, o, in->name, o->endpoint, o->timeout_s);
	o->shared = oauth2_shared_take(in->path, tablefile_mark(file));
	tablefile_finish(file);
	return o;
}

/* Tokens are as long as they are, and their letters are not folded. */
const struct map_kind map_kind_oauth2 = {
    .name = "oauth2",
    .suffix = "",
    .keys = MAP_KEYS_INNER,
    .texts = true,
    .needs = MAP_BLOCKS | MAP_NETWORK | MAP_LIBRARY_OAUTH2 | MAP_KEEPS_TOKENS,
    .open = oauth2_open,
    .lookup = oauth2_lookup,
    .close = oauth2_close,
    .preload = oauth2_load,
    .refused = oauth2_refused_value,
    .of_tokens = oauth2_of_tokens,
};

#endif
