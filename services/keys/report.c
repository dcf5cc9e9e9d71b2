#include "services/keys/report.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "services/keys/certificate.h"

enum { WARNINGS_MAX = 20, DAY_SECONDS = 86400 };

static bool
was_there(const struct keyring *older, const struct key_entry *e, const X509 *leaf)
{
	for (size_t i = 0; i < keyring_count(older); i++) {
		const struct key_entry *o = keyring_at(older, i);

		if (o->use == e->use && strcmp(o->section, e->section) == 0 && o->name[0] == '\0' &&
		    strcmp(o->parameter, e->parameter) == 0 &&
		    X509_cmp(o->list->items[0].certificates[0], leaf) == 0)
			return true;
	}
	return false;
}

void
report_new(const struct keyring *ring, const struct keyring *older)
{
	char label[CERTIFICATE_LABEL_SIZE], date[CERTIFICATE_DATE_SIZE];

	for (size_t i = 0; i < keyring_count(ring); i++) {
		const struct key_entry *e = keyring_at(ring, i);
		const X509 *leaf = e->list->items[0].certificates[0];

		if (e->name[0] == '\0' && !e->kept && !was_there(older, e, leaf))
			log_info(NULL, "%s%s%s: new certificate of %s, valid until %s", e->section,
			    e->section[0] ? ": " : "", e->parameter, certificate_label(leaf, label),
			    certificate_date(certificate_ends(leaf), date));
	}
}

/* Calls visit for the leaf of each identity. */
typedef void leaf_visit(const struct identity *identity, void *context);

static void
each_leaf(const struct keyring *ring, leaf_visit *visit, void *context)
{
	for (size_t i = 0; i < keyring_count(ring); i++) {
		const struct key_entry *e = keyring_at(ring, i);

		for (size_t n = 0; !e->shared && n < e->list->count; n++)
			visit(&e->list->items[n], context);
	}
}

static void
find_first(const struct identity *identity, void *context)
{
	const X509 *leaf = identity->certificates[0], **first = context;

	if (*first == NULL || certificate_ends(leaf) < certificate_ends(*first))
		*first = leaf;
}

void
report_state(const struct keyring *ring, int64_t now, char *text, size_t size)
{
	char label[CERTIFICATE_LABEL_SIZE], date[CERTIFICATE_DATE_SIZE];
	const X509 *first = NULL;

	text[0] = '\0';
	each_leaf(ring, find_first, &first);
	if (first)
		snprintf(text, size, "the certificate of %s %s on %s", certificate_label(first, label),
		    certificate_ends(first) < now ? "expired" : "expires first,",
		    certificate_date(certificate_ends(first), date));
}

struct warning {
	int64_t now;
	size_t count;
};

static void
warn(const struct identity *identity, void *context)
{
	char label[CERTIFICATE_LABEL_SIZE], date[CERTIFICATE_DATE_SIZE];
	const X509 *leaf = identity->certificates[0];
	struct warning *w = context;
	int64_t left = certificate_ends(leaf) - w->now;

	if (left >= (int64_t)EXPIRY_WARN_DAYS * DAY_SECONDS || w->count++ >= WARNINGS_MAX)
		return;
	log_warning(NULL, "%s: the certificate of %s %s on %s", identity->path,
	    certificate_label(leaf, label), left < 0 ? "expired" : "expires",
	    certificate_date(certificate_ends(leaf), date));
}

void
report_expiry(const struct keyring *ring, int64_t now)
{
	struct warning w = {.now = now};

	each_leaf(ring, warn, &w);
}
