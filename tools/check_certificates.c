/*
 * check: private keys and certificates, read as the keys process would, in a process of its own that ends with them.
 *
 * What keeps a start from succeeding, or clients from believing, is a mistake; what may be meant so, or is not so yet, is
 * a warning and no mistake.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/conf/schema.h"
#include "common/map/lines.h"
#include "services/keys/certificate.h"
#include "services/keys/keyring.h"
#include "services/keys/report.h"
#include "services/keys/sni.h"
#include "services/keys/sources.h"
#include "tools/check.h"

enum {
	SECRETS_SIZE = 32 << 20,
	SECRET_MIN = 32,
	DAY_SECONDS = 86400,
	FILE_OCTETS_MAX = 16 << 20,
	RSA_BITS_MIN = 2048
};

struct certificates {
	const struct conf *conf;
	char path[4096]; /* of postern.conf, */
	char *text; /* which this is; NULL: it cannot be read now */
	size_t text_len;
	X509_STORE *authorities; /* of the system */
	int64_t now;
	int fd; /* that was opened last */
	char
	    last[sizeof(((struct error *)0)->text)]; /* what was said last: several listeners have the same */
	size_t bad;
};

static int
open_file(const char *path, int *number, void *context)
{
	struct certificates *c = context;

	(void)io_close(&c->fd);
	c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	*number = errno;
	return c->fd;
}

/* "PARAMETER: text" gets the parameter's place in front. */
static void
print_place(const struct certificates *c, const char *text)
{
	char parameter[64];
	size_t len = strcspn(text, ":");
	unsigned line = 0;

	if (c->text && span_copy(span_make(text, len), parameter, sizeof(parameter)) &&
	    param_find(span_of(parameter)))
		line = check_line_of(span_make(c->text, c->text_len), parameter);
	if (line > 0)
		printf("%s:%u: ", c->path, line);
}

static void
print_trouble(const char *text, bool kept, void *context)
{
	struct certificates *c = context;

	(void)kept;
	if (strcmp(text, c->last) == 0)
		return;
	(void)snprintf(c->last, sizeof(c->last), "%s", text);
	print_place(c, text);
	printf("%s\n", text);
	c->bad++;
}

/* ---- one certificate ---- */

static void
check_dates(struct certificates *c, const struct identity *identity, const char *label)
{
	const X509 *leaf = identity->certificates[0];
	int64_t ends = certificate_ends(leaf), left = ends - c->now;
	char date[CERTIFICATE_DATE_SIZE];

	if (certificate_begins(leaf) > c->now) {
		printf("%s: the certificate of %s is not valid before %s\n", identity->path, label,
		    certificate_date(certificate_begins(leaf), date));
		c->bad++;
	} else if (left < 0) {
		printf("%s: the certificate of %s expired on %s: renew it\n", identity->path, label,
		    certificate_date(ends, date));
		c->bad++;
	} else if (left < (int64_t)EXPIRY_WARN_DAYS * DAY_SECONDS) {
		printf("%s: warning: the certificate of %s expires on %s, in %d days: renew it\n",
		    identity->path, label, certificate_date(ends, date), (int)(left / DAY_SECONDS));
	}
}

static bool
is_self_signed(X509 *certificate)
{
	return X509_check_issued(certificate, certificate) == X509_V_OK;
}

/* A client that knows the roots alone needs all that lies between. */
static bool
is_issued_by_root(const struct certificates *c, X509 *leaf)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509 *issuer = NULL;
	bool found = context && X509_STORE_CTX_init(context, c->authorities, leaf, NULL) == 1 &&
		     X509_STORE_CTX_get1_issuer(&issuer, context, leaf) == 1;

	X509_free(issuer);
	X509_STORE_CTX_free(context);
	ERR_clear_error();
	return found;
}

static void
check_chain(struct certificates *c, const struct identity *identity, const char *label)
{
	X509 *const *chain = identity->certificates;

	for (size_t i = 0; i + 1 < identity->certificate_count; i++) {
		if (X509_check_issued(chain[i + 1], chain[i]) == X509_V_OK)
			continue;
		printf("%s: certificate %zu of the chain of %s was not issued by the one behind it: the "
		       "order is the "
		       "host's own, its issuer's, and so on\n",
		    identity->path, i + 1, label);
		c->bad++;
		return;
	}
	if (identity->certificate_count == 1 && !is_self_signed(chain[0]) && !is_issued_by_root(c, chain[0]))
		printf(
		    "%s: warning: the certificate of %s stands alone, and no authority that this host knows "
		    "issued it: add the intermediate certificates behind it\n",
		    identity->path, label);
}

static void
check_strength(const struct identity *identity, const char *label)
{
	int kind = EVP_PKEY_get_base_id(identity->key);

	if ((kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS) &&
	    EVP_PKEY_get_bits(identity->key) < RSA_BITS_MIN)
		printf("%s: warning: the key of %s has %d bits: many clients refuse less than %d\n",
		    identity->path, label, EVP_PKEY_get_bits(identity->key), RSA_BITS_MIN);
}

static void
check_identity(struct certificates *c, const struct identity *identity)
{
	char label[CERTIFICATE_LABEL_SIZE];

	(void)certificate_label(identity->certificates[0], label);
	check_dates(c, identity, label);
	check_chain(c, identity, label);
	check_strength(identity, label);
}

/* ---- names ---- */

static bool
covers(const struct identity_list *list, const char *name)
{
	bool all = true;

	for (size_t i = 0; i < list->count; i++)
		all = all && X509_check_host(list->items[i].certificates[0], name, 0, 0, NULL) == 1;
	ERR_clear_error();
	return all;
}

static void
check_name(const struct certificates *c, const struct key_entry *e)
{
	const struct conf_section *section = conf_section_find(c->conf, span_of(e->section));
	char name[300];

	if (e->use != IDENTITY_SERVER || section == NULL)
		return;
	if (e->name[0] == '\0')
		(void)snprintf(name, sizeof(name), "%s", section->values->myhostname);
	else /* All names below it: any. */
		(void)snprintf(name, sizeof(name), "%s%s", e->name[0] == '.' ? "any" : "", e->name);
	if (!covers(e->list, name))
		printf("%s: warning: a certificate of listener %s does not cover the name %s\n",
		    e->list->items[0].path, e->section, e->name[0] ? e->name : name);
}

/* ---- files ---- */

/* Of a file in which there is a private key. */
static void
check_secrecy(struct certificates *c, const char *path)
{
	struct stat st;

	if (path[0] != '/' || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (st.st_mode & S_IWOTH) {
		printf("%s: everybody may write it (chmod 600)\n", path);
		c->bad++;
	}
	if (st.st_mode & (S_IRGRP | S_IROTH))
		printf("%s: warning: a private key is in it, and %s may read it (chmod 600)\n", path,
		    st.st_mode & S_IROTH ? "everybody" : "its group");
}

static int
check_table(struct span section, struct span word, void *context, struct error *err)
{
	struct sni_table table;
	struct error ignored;

	(void)section;
	(void)err;
	if (sni_table_parse(word, &table, &ignored) == 0 && table.built)
		check_secrecy(context, table.path);
	return 0;
}

/* ---- all ---- */

static void
check_entries(struct certificates *c, const struct keyring *ring)
{
	for (size_t i = 0; i < keyring_count(ring); i++) {
		const struct key_entry *e = keyring_at(ring, i);

		check_name(c, e);
		for (size_t n = 0; !e->shared && n < e->list->count; n++) {
			check_identity(c, &e->list->items[n]);
			check_secrecy(c, e->list->items[n].key_path);
		}
	}
}

static size_t
check_all(const struct conf *conf, const char *confdir)
{
	struct certificates c = {.conf = conf, .fd = -1, .now = clock_wall_us() / US_PER_SECOND};
	struct keyring *ring;
	struct error ignored;

	(void)snprintf(c.path, sizeof(c.path), "%s/postern.conf", confdir);
	c.text = lines_load(c.path, FILE_OCTETS_MAX, &c.text_len, &ignored);
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	(void)CRYPTO_secure_malloc_init(SECRETS_SIZE, SECRET_MIN);
	c.authorities = X509_STORE_new();
	(void)X509_STORE_set_default_paths(c.authorities);
	ring = keyring_read(conf, open_file, print_trouble, &c, NULL);
	check_entries(&c, ring);
	(void)key_tables_each(conf, check_table, &c, &ignored);
	keyring_free(&ring);
	X509_STORE_free(c.authorities);
	free(c.text);
	(void)io_close(&c.fd);
	return c.bad;
}

size_t
check_certificates(const struct conf *conf, const char *confdir)
{
	int status;
	pid_t pid;

	if (!key_sources_any(conf))
		return 0;
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		size_t bad = check_all(conf, confdir);

		(void)fflush(stdout);
		_exit(bad > 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		printf("the certificates could not be checked\n");
		return 1;
	}
	return (size_t)WEXITSTATUS(status);
}
