#include "smtpd/auth_scram.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "smtpd/auth_settings.h"
#include "smtpd/settings.h"
#include "smtpd/smtpd.h"

enum { TABLES_MAX = 1000, FRESH_US = 5 * 1000000, TIMEOUT_MS = 30000 };

struct scram_table {
	bool has[SCRAM_SHA_256 + 1];
	int64_t asked_us;
};

/* The entries outlive their questions: they end with the process. */
struct scram_question {
	struct scram_table *table;
	enum scram_hash hash;
};

static int
on_keys(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct scram_question *q = context;

	(void)err;
	if (frame && frame->scram_keys.status != AUTH_TEMPORARY)
		q->table->has[q->hash] = frame->scram_keys.status == AUTH_ACCEPTED;
	free(q);
	return 0;
}

/* A question about nobody: see messages.def. */
static void
ask(struct smtpd *d, struct scram_table *table, const char *section, enum scram_hash hash)
{
	struct msg_scram_ask message = {.section = span_of(section), .hash = (uint8_t)hash};
	struct scram_question *q = mem_alloc(sizeof(*q));

	*q = (struct scram_question){table, hash};
	if (ipc_ask(d->peers[ROLE_LOOKUP], IPC_SCRAM_ASK, &message, TIMEOUT_MS, on_keys, q) == 0)
		free(q);
}

bool
auth_scram_has(struct smtpd *d, const struct settings *settings, enum scram_hash hash)
{
	struct span section = span_of(settings->section->name);
	struct scram_table *table;
	int64_t now = clock_mono_us();

	if (!settings->auth || !settings->auth->passwords)
		return false;
	if (settings->values->smtpd_sasl_scram != CONF_SMTPD_SASL_SCRAM_AUTO)
		return settings->values->smtpd_sasl_scram == CONF_SMTPD_SASL_SCRAM_YES &&
		       hash == SCRAM_SHA_256;
	if (d->scram_tables == NULL)
		d->scram_tables = table_new(TABLES_MAX, free);
	table = table_get(d->scram_tables, section);
	if (table == NULL) {
		table = mem_alloc(sizeof(*table));
		if (table_put(d->scram_tables, section, table) < 0) {
			free(table);
			return false;
		}
	}
	if (table->asked_us == 0 || now - table->asked_us > FRESH_US) {
		table->asked_us = now;
		ask(d, table, settings->section->name, SCRAM_SHA_1);
		ask(d, table, settings->section->name, SCRAM_SHA_256);
	}
	return table->has[hash];
}

void
auth_scram_forget(struct smtpd *d)
{
	struct scram_table *table;
	struct span section;
	size_t position = 0;

	while (d->scram_tables && (table = table_next(d->scram_tables, &position, &section)) != NULL)
		*table = (struct scram_table){0};
}
