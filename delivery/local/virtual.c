/*
 * virtual(8): mailboxes of virtual_mailbox_domains, each with a path, a user and a group from tables.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "delivery/local/local.h"

enum { ASK_TIMEOUT_MS = 60000, ID_MAX = 2147483647 };

/* What is asked, one after the other. */
enum { STEP_PATH, STEP_UID, STEP_GID, STEP_WRITE };

static void next_step(struct job_recipient *r);

static void
deliver(struct job_recipient *r)
{
	struct local *l = job_local(r->job);
	const struct conf_values *v = job_values(r->job);
	struct writers_request request = {
	    .target = r->user,
	    .letter = &r->letter,
	    .locks = v->virtual_mailbox_lock,
	    .size_limit = v->virtual_mailbox_limit,
	    .strict_owner = v->strict_mailbox_ownership,
	};

	if (!l->finder.privileged) {
		r->user->uid = l->finder.own_uid;
		r->user->gid = l->finder.own_gid;
	}
	r->user->groups[0] = r->user->gid;
	r->user->group_count = 1;
	recipient_fill_letter(r, NULL);
	/* As in Postfix: from here nothing goes on, and who moves old mail here, or bounces it to here, wants it here. */
	r->letter.flags |= LETTER_MAY_RETURN;
	recipient_does(r, "writing to the mailbox");
	writers_deliver(l->pool, v, &request, job_finish_as_told, r);
}

static void
wrong(struct job_recipient *r, const char *what, struct span value)
{
	job_finishf(r, OUTCOME_DEFERRED, "4.3.5", "mail system configuration error: %s \"%.*s\" for %.*s",
	    what, (int)(value.len < 100 ? value.len : 100), value.ptr, SPAN_ARG(r->recipient));
}

/* ".." would lead out of virtual_mailbox_base, whoever wrote the table. */
static bool
leads_out(struct span path)
{
	struct span word;

	while (span_next_word(&path, "/", &word))
		if (span_is(word, ".."))
			return true;
	return false;
}

static void
take_path(struct job_recipient *r, struct span value)
{
	const struct conf_values *v = job_values(r->job);
	struct buf path;

	buf_init(&path, sizeof(r->user->path) - 1);
	buf_append_text(&path, v->virtual_mailbox_base);
	if (path.len > 0)
		buf_append_text(&path, "/");
	buf_append_span(&path, value);
	if (value.len == 0 || path.full || buf_ptr(&path)[0] != '/' || leads_out(value)) {
		wrong(r, "bad mailbox path", value);
	} else {
		span_copy(buf_span(&path), r->user->path, sizeof(r->user->path));
		r->user->kind = value.ptr[value.len - 1] == '/' ? MAILBOX_MAILDIR : MAILBOX_MBOX;
		next_step(r);
	}
	buf_free(&path);
}

static void
take_uid(struct job_recipient *r, struct span value)
{
	uint64_t id;

	if (number_parse(value, 1, ID_MAX, &id) < 0) {
		wrong(r, "bad uid", value);
	} else if ((int64_t)id < job_values(r->job)->virtual_minimum_uid) {
		wrong(r, "uid below virtual_minimum_uid", value);
	} else {
		r->user->uid = (uid_t)id;
		next_step(r);
	}
}

static void
take_gid(struct job_recipient *r, struct span value)
{
	uint64_t id;

	if (number_parse(value, 1, ID_MAX, &id) < 0) {
		wrong(r, "bad gid", value);
	} else {
		r->user->gid = (gid_t)id;
		next_step(r);
	}
}

static const struct {
	size_t offset; /* in struct conf_values */
	void (*take)(struct job_recipient *r, struct span value);
} steps[] = {
    [STEP_PATH] = {offsetof(struct conf_values, virtual_mailbox_maps), take_path},
    [STEP_UID] = {offsetof(struct conf_values, virtual_uid_maps), take_uid},
    [STEP_GID] = {offsetof(struct conf_values, virtual_gid_maps), take_gid},
};

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct job_recipient *r = context;
	const struct msg_map_answer *m = frame ? &frame->map_answer : NULL;
	unsigned step = r->step - 1;

	(void)err;
	if (!m)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "virtual mailbox lookup error");
	else if (m->status >= LOOKUP_TEMPORARY)
		job_finishf(
		    r, OUTCOME_DEFERRED, "4.3.0", "virtual mailbox lookup error: %.*s", SPAN_ARG(m->reason));
	else if (m->status == LOOKUP_FOUND)
		steps[step].take(r, span_trim(m->value));
	else if (step == STEP_PATH)
		job_finishf(r, OUTCOME_BOUNCED, "5.1.1", "unknown user: \"%.*s\"", SPAN_ARG(r->recipient));
	else
		job_finishf(r, OUTCOME_DEFERRED, "4.3.5",
		    "mail system configuration error: recipient %.*s: no %s is known", SPAN_ARG(r->recipient),
		    step == STEP_UID ? "uid" : "gid");
	return 0;
}

static void
next_step(struct job_recipient *r)
{
	const struct conf_values *v = job_values(r->job);
	struct ipc_channel *lookup = server_peer(job_local(r->job)->server, ROLE_LOOKUP, 0);
	struct msg_map_ask ask = {.form = LOOKUP_VIRTUAL, .key = r->recipient};

	if (r->step == STEP_WRITE) {
		deliver(r);
		return;
	}
	ask.tables = span_of(*(const char *const *)(const void *)((const char *)v + steps[r->step++].offset));
	if (ipc_ask(lookup, IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, on_answer, r) == 0)
		job_finishf(r, OUTCOME_DEFERRED, "4.3.0", "the lookup service is not there");
}

void
virtual_start(struct job_recipient *r)
{
	r->user = mem_alloc(sizeof(*r->user));
	next_step(r);
}
