#include <stdlib.h>

#include "common/base/text.h"
#include "common/dns/dns.h"
#include "common/mail/address.h"
#include "tests/unit/smtpd/fake_answers.h"

/* ---- resolver ---- */

int
fake_on_name(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_name_answer answer = {.status = NAME_NONE};

	(void)context;
	(void)err;
	if (span_is(frame->name_ask.address, "192.0.2.10"))
		answer = (struct msg_name_answer){.status = NAME_CONFIRMED,
		    .name = SPAN_LIT("client.there.test"),
		    .reverse_name = SPAN_LIT("client.there.test")};
	if (span_is(frame->name_ask.address, "192.0.2.11"))
		answer = (struct msg_name_answer){
		    .status = NAME_FORGED, .reverse_name = SPAN_LIT("forged.there.test")};
	if (span_is(frame->name_ask.address, "192.0.2.12"))
		answer.status = NAME_TEMPORARY;
	return ipc_send(c, IPC_NAME_ANSWER, frame->call, &answer);
}

int
fake_on_dns(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_dns_answer answer = {.status = DNS_OK};
	struct dns_record record = {.type = DNS_TYPE_MX};
	struct buf records;
	int r;

	(void)context;
	(void)err;
	buf_init(&records, 1000);
	if (span_starts(frame->dns_ask.name, "nx"))
		answer.status = DNS_NO_NAME;
	else if (span_starts(frame->dns_ask.name, "temp"))
		answer.status = DNS_TEMPORARY;
	else if (span_starts(frame->dns_ask.name, "empty") ||
		 (span_starts(frame->dns_ask.name, "bare") && frame->dns_ask.type == DNS_TYPE_MX))
		answer.status = DNS_NO_DATA;
	else if (span_starts(frame->dns_ask.name, "null") && frame->dns_ask.type == DNS_TYPE_MX)
		(void)dns_record_pack(&records, &record);
	answer.records = buf_span(&records);
	r = ipc_send(c, IPC_DNS_ANSWER, frame->call, &answer);
	buf_free(&records);
	return r;
}

/* ---- lookup ---- */

static void
send_row(
    struct ipc_channel *c, uint32_t call, struct span recipient, const char *transport, struct span nexthop)
{
	struct msg_resolve_rcpt row = {
	    .recipient = recipient, .transport = span_of(transport), .nexthop = nexthop};

	(void)ipc_send(c, IPC_RESOLVE_RCPT, call, &row);
}

static int
answer_resolve(struct ipc_channel *c, uint32_t call, struct span address, unsigned flags)
{
	struct span local, domain;
	struct msg_resolve_done done = {.address = address, .class = CLASS_LOCAL, .generation = 1};

	address_split(address, &local, &domain);
	done.routed =
	    !span_starts(local, "unrouted") && (span_find(local, '%') >= 0 || span_find(local, '!') >= 0);
	if (domain.len && !span_is(domain, "here.test"))
		done.class = span_is(domain, "virtual.test") ? CLASS_VIRTUAL_ALIAS : CLASS_DEFAULT;
	/* Who is elsewhere is known to nobody here: lookup has no opinion, unless a table names an error transport. */
	if (span_starts(local, "nobody") && done.class != CLASS_DEFAULT) {
		done.status = LOOKUP_NOT_FOUND;
		done.reason = done.class == CLASS_VIRTUAL_ALIAS
				  ? SPAN_LIT("5.1.1 User unknown in virtual alias table")
				  : SPAN_LIT("5.1.1 User unknown in local recipient table");
		if (flags & RESOLVE_SENDER)
			done.reason = SPAN_LIT("5.1.0 User unknown in local recipient table");
	} else if (span_starts(local, "moved")) {
		done.status = LOOKUP_NOT_FOUND;
		done.reason = SPAN_LIT("5.1.6 User has moved to new@there.test");
	} else if (span_is(domain, "gone.test")) {
		done.status = LOOKUP_NOT_FOUND;
		done.reason = SPAN_LIT("5.1.2 gone");
	} else if (span_starts(local, "temp"))
		done.status = LOOKUP_TEMPORARY;
	else if (span_is(local, "list")) {
		send_row(c, call, SPAN_LIT("one@here.test"), "local", SPAN_LIT("here.test"));
		send_row(c, call, SPAN_LIT("two@far.test"), "smtp", SPAN_LIT("far.test"));
	} else
		send_row(c, call, address, done.class == CLASS_DEFAULT ? "smtp" : "local", domain);
	return ipc_send(c, IPC_RESOLVE_DONE, call, &done);
}

int
fake_on_resolve(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_resolve_ask *ask = &frame->resolve_ask;
	struct fakes *f = context;

	(void)err;
	f->asks++;
	if (!f->hold_lookup || f->held_count == FAKE_HELD_MAX)
		return answer_resolve(c, frame->call, ask->address, ask->flags);
	struct fake_ask *held = &f->held[f->held_count++];
	held->call = frame->call;
	held->flags = ask->flags;
	(void)span_copy(ask->address, held->address, sizeof(held->address));
	return 0;
}

void
fakes_answer(struct fakes *f, unsigned i)
{
	const struct fake_ask *held = &f->held[i];

	(void)answer_resolve(f->others[ROLE_LOOKUP], held->call, span_of(held->address), held->flags);
	fakes_settle(f);
}

int
fake_on_map(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct span tables = frame->map_ask.tables;
	struct msg_map_answer answer = {.status = LOOKUP_FOUND, .found_key = frame->map_ask.key};
	char text[1000];

	(void)context;
	(void)err;
	if (span_starts(tables, "fail:"))
		answer.status = LOOKUP_TEMPORARY;
	else if (span_starts(tables, "none:"))
		answer.status = LOOKUP_NOT_FOUND;
	else if (span_starts(tables, "regexp:"))
		answer.status = ascii_is_alpha(frame->map_ask.key.ptr[0]) ? LOOKUP_NOT_FOUND : LOOKUP_FOUND;
	else
		answer.value = span_from(tables, strlen("fake:"));
	(void)span_copy(answer.value, text, sizeof(text));
	for (char *p = text; *p; p++)
		*p = *p == '~' ? ' ' : *p;
	answer.value = span_of(text);
	return ipc_send(c, IPC_MAP_ANSWER, frame->call, &answer);
}

int
fake_on_password(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_password_answer answer = {.status = AUTH_REFUSED};

	(void)context;
	(void)err;
	if (span_is(frame->password_ask.password, "secret"))
		answer.status = AUTH_ACCEPTED;
	else if (span_is(frame->password_ask.password, "trouble"))
		answer.status = AUTH_TEMPORARY;
	return ipc_send(c, IPC_PASSWORD_ANSWER, frame->call, &answer);
}

/* Nobody has keys, but somebody might. */
int
fake_on_scram(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_scram_keys answer = {.status = AUTH_REFUSED, .iterations = 4096, .salt = SPAN_LIT("salt")};

	(void)context;
	(void)err;
	if (frame->scram_ask.user.len == 0)
		answer = (struct msg_scram_keys){.status = AUTH_ACCEPTED};
	return ipc_send(c, IPC_SCRAM_KEYS, frame->call, &answer);
}
