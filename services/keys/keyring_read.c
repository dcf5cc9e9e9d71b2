/*
 * keyring: reading. Each place of the configuration is filled from its files, or keeps what an older keyring has there.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/base64.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "services/keys/keyring_inside.h"
#include "services/keys/sni.h"
#include "services/keys/sources.h"

enum { FILES_MAX = 32 };

/* What is being read. */
struct reading {
	struct keyring *ring;
	const struct keyring *older;
	keyring_file *file;
	keyring_trouble *trouble;
	void *context;
	struct span section; /* of the table that is being walked */
	const struct sni_table *table;
};

/* What the older keyring had in this place, or of these files. */
static const struct key_entry *
older_of(const struct reading *r, const struct key_entry *e)
{
	const struct key_entry *found;

	if (r->older == NULL)
		return NULL;
	found = keyring_slot(r->older, e->use, span_of(e->section), span_of(e->name), e->parameter);
	return found ? found : table_get(r->older->sources, span_of(e->source));
}

static void
entry_keep(const struct reading *r, struct key_entry *e, const char *why)
{
	const struct key_entry *found = older_of(r, e);

	r->trouble(why, found != NULL, r->context);
	if (found == NULL)
		return;
	e->list = identity_list_ref(found->list);
	e->kept = true;
	keyring_add(r->ring, e);
}

/* ---- files ---- */

/* The text of a file, where OpenSSL keeps secrets. */
static int
text_read(const struct reading *r, const char *path, struct pem_text *text, struct error *err)
{
	int number = 0, fd = r->file(path, &number, r->context);
	struct stat st;
	char *bytes;
	ssize_t len;

	if (fd < 0)
		return error_set(err, "%s: %s", path, strerror(number));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, "%s: no regular file", path);
	if (st.st_size > IDENTITY_FILE_MAX)
		return error_set(err, "%s: longer than %d octets", path, IDENTITY_FILE_MAX);
	bytes = OPENSSL_secure_malloc((size_t)st.st_size + 1);
	if (bytes == NULL)
		return error_set(err, "%s: no room for more private keys", path);
	len = io_pread_all(fd, bytes, (size_t)st.st_size, 0);
	if (len < 0) {
		OPENSSL_secure_free(bytes);
		return error_errno(err, "%s", path);
	}
	text->path = path;
	text->text = span_make(bytes, (size_t)len);
	return 0;
}

static void
text_free(struct pem_text *text)
{
	OPENSSL_secure_clear_free((char *)(uintptr_t)text->text.ptr, text->text.len);
	text->text = SPAN_LIT("");
}

struct texts {
	char paths[FILES_MAX][SNI_PATH_MAX];
	struct pem_text items[FILES_MAX];
	size_t count;
};

static int
texts_read(const struct reading *r, struct span list, struct texts *texts, struct error *err)
{
	struct span word;

	while (conf_list_next(&list, &word)) {
		char *path = texts->paths[texts->count];

		if (texts->count == FILES_MAX)
			return error_set(err, "more than %d files", FILES_MAX);
		if (!span_copy(word, path, SNI_PATH_MAX) || path[0] != '/')
			return error_set(err, "%.200s: an absolute path is needed", path);
		if (text_read(r, path, &texts->items[texts->count], err) < 0)
			return -1;
		texts->count++;
	}
	return 0;
}

static void
texts_free(struct texts **texts)
{
	for (size_t i = 0; i < (*texts)->count; i++)
		text_free(&(*texts)->items[i]);
	free(*texts);
	*texts = NULL;
}

static struct identity_list *
list_read(const struct reading *r, struct span key_files, struct span chain_files, struct error *err)
{
	struct texts *chains = mem_alloc(sizeof(*chains)), *keys = mem_alloc(sizeof(*keys));
	struct identity_list *list = NULL;

	if (texts_read(r, chain_files, chains, err) == 0 && texts_read(r, key_files, keys, err) == 0) {
		if (chains->count == 0 || keys->count > 1)
			error_set(
			    err, chains->count == 0 ? "no file is named" : "more than one file with a key");
		else
			list = identity_list_read(
			    chains->items, chains->count, keys->count > 0 ? keys->items : NULL, err);
	}
	texts_free(&chains);
	texts_free(&keys);
	return list;
}

/* ---- the sources of the configuration ---- */

/* Adds what the files give, read once for all listeners that name them. */
static void
add_files(const struct reading *r, struct key_entry *e, struct span key_files, struct span chain_files)
{
	const struct key_entry *same = table_get(r->ring->sources, span_of(e->source));
	struct error err;

	if (same != NULL && !same->kept) {
		e->list = identity_list_ref(same->list);
		e->shared = true;
	} else {
		e->list = list_read(r, key_files, chain_files, &err);
		if (e->list == NULL) {
			error_while(&err, "%s", e->parameter);
			entry_keep(r, e, err.text);
			return;
		}
	}
	keyring_add(r->ring, e);
}

static int
add_source(const struct key_source *source, void *context, struct error *err)
{
	const struct reading *r = context;
	char section[65];
	size_t size = source->key_files.len + source->chain_files.len + 2;
	char *name = mem_alloc(size);
	struct key_entry e = {.section = section,
	    .name = "",
	    .use = source->use,
	    .parameter = source->parameter,
	    .source = name};

	(void)err;
	(void)span_copy(source->section, section, sizeof(section));
	(void)snprintf(name, size, "%.*s\n%.*s", SPAN_ARG(source->key_files), SPAN_ARG(source->chain_files));
	add_files(r, &e, source->key_files, source->chain_files);
	free(name);
	return 0;
}

/* ---- tables ---- */

/* The value of a table that was built: PEM in base64. */
static struct identity_list *
list_decode(const char *source, struct span value, struct error *err)
{
	size_t size = BASE64_DECODED_MAX(value.len) + 1;
	char *bytes = OPENSSL_secure_malloc(size);
	struct pem_text text = {.path = source};
	struct identity_list *list = NULL;
	ptrdiff_t len = bytes ? base64_decode(value, bytes) : 0;

	if (bytes == NULL) {
		error_set(err, "%s: no room for more private keys", source);
	} else if (len < 0) {
		error_set(err, "%s: the value is not base64: build the table with postern map -F", source);
	} else {
		text.text = span_make(bytes, (size_t)len);
		list = identity_list_read(&text, 1, NULL, err);
	}
	OPENSSL_secure_clear_free(bytes, size);
	return list;
}

static int
add_name(struct span key, struct span value, void *context, struct error *err)
{
	const struct reading *r = context;
	char section[65], name[SNI_NAME_LEN_MAX + 1], source[SNI_PATH_MAX + SNI_NAME_LEN_MAX + 40];
	struct key_entry e = {.section = section,
	    .name = name,
	    .use = IDENTITY_SERVER,
	    .parameter = "tls_server_sni_maps",
	    .source = source};
	const struct key_entry *same;

	(void)err;
	(void)span_copy(r->section, section, sizeof(section));
	if (!span_copy(key, name, sizeof(name)) || key.len == 0)
		return 0;
	text_lower(name, key.len);
	/* The first table that has a name counts. */
	same = keyring_slot(r->ring, e.use, r->section, span_of(name), e.parameter);
	if (same != NULL)
		return 0;
	(void)snprintf(source, sizeof(source), "%s: %s", r->table->text, name);
	if (!r->table->built) {
		add_files(r, &e, SPAN_LIT(""), value);
		return 0;
	}
	same = table_get(r->ring->sources, span_of(source));
	struct error why;
	e.shared = same && !same->kept;
	e.list = e.shared ? identity_list_ref(same->list) : list_decode(source, value, &why);
	if (e.list) {
		keyring_add(r->ring, &e);
	} else {
		error_while(&why, "%s", e.parameter);
		entry_keep(r, &e, why.text);
	}
	return 0;
}

/* Nothing can be said of its names: all that the section had by tables goes on. */
static void
keep_names(const struct reading *r, struct span section, const char *why)
{
	bool any = false;

	for (size_t i = 0; r->older && i < r->older->count; i++) {
		struct key_entry e = *r->older->entries[i];

		if (!span_is(section, e.section) || e.name[0] == '\0' ||
		    keyring_slot(r->ring, e.use, section, span_of(e.name), e.parameter) != NULL)
			continue;
		identity_list_ref(e.list);
		e.kept = any = true;
		keyring_add(r->ring, &e);
	}
	r->trouble(why, any, r->context);
}

static int
add_table(struct span section, struct span word, void *context, struct error *err)
{
	struct reading *r = context;
	struct sni_table *table = mem_alloc(sizeof(*table));
	struct error why;
	int number = 0, fd = -1, result = sni_table_parse(word, table, &why);

	(void)err;
	if (result == 0 && table->path[0] != '\0') {
		fd = r->file(table->path, &number, r->context);
		if (fd < 0)
			result = error_set(&why, "%s: %s", table->path, strerror(number));
	}
	r->section = section;
	r->table = table;
	if (result == 0)
		result = sni_table_each(table, fd, add_name, r, &why);
	if (result < 0) {
		error_while(&why, "tls_server_sni_maps");
		keep_names(r, section, why.text);
	}
	free(table);
	return 0;
}

struct keyring *
keyring_read(const struct conf *conf, keyring_file *file, keyring_trouble *trouble, void *context,
    const struct keyring *older)
{
	struct keyring *ring = keyring_new();
	struct reading r = {
	    .ring = ring, .older = older, .file = file, .trouble = trouble, .context = context};
	struct error err;

	(void)key_sources_each(conf, add_source, &r, &err);
	(void)key_tables_each(conf, add_table, &r, &err);
	return ring;
}
