#include "tools/sendmail_recipients.h"

#include <stdio.h>

#include "common/mail/address.h"
#include "common/mail/header.h"
#include "common/mail/local_part.h"

static bool
add(struct span address, void *context)
{
	struct sendmail_recipients *r = context;
	struct error err;

	if (drop_envelope_add(r->envelope, address, &err) == 0)
		return true;
	r->passed_over++;
	if (r->header)
		fprintf(stderr, "sendmail: %s\n", err.text);
	return false;
}

static bool
is_plain(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < 32 || text.ptr[i] > 126)
			return false;
	return text.len > 0 && text.len <= ADDRESS_MAX;
}

/* In a header words without an '@' are names. "<joe@x", without an end, is an address on the command line alone. */
static void
add_unusable(struct span text, void *context)
{
	struct sendmail_recipients *r = context;
	struct span address;
	struct error err;
	bool usable = mailbox_parse(r->envelope->arena, text, ADDRESS_NO_DOMAIN_OK, &address) == ADDRESS_OK;

	if (usable && !r->header) {
		add(address, r);
	} else if (usable || !is_plain(text) || (r->header && span_find(text, '@') < 0) ||
		   drop_envelope_add(r->envelope, text, &err) < 0) {
		r->passed_over++;
	} else {
		r->unusable++;
	}
}

void
sendmail_recipients_argument(struct sendmail_recipients *r, struct span argument)
{
	r->header = false;
	address_elements_parse(r->envelope->arena, argument, true, add, add_unusable, r);
}

static void
take_field(struct sendmail_recipients *r, const struct header_field *field)
{
	struct arena *scratch = arena_new(field->body.len * 4 + 4096);
	size_t before = r->passed_over;

	address_elements_parse(scratch, field->body, false, add, add_unusable, r);
	if (r->passed_over > before)
		fprintf(stderr, "sendmail: %.*s: %zu unusable address%s in the list\n", SPAN_ARG(field->name),
		    r->passed_over - before, r->passed_over - before == 1 ? "" : "es");
	arena_free(&scratch);
}

int
sendmail_recipients_header(struct sendmail_recipients *r, const struct spooled *message, struct error *err)
{
	static const char resent_names[] = "resent-to resent-cc resent-bcc";
	const char *names = "to cc bcc apparently-to";
	struct span rest = buf_span(&message->memory);
	struct header_field field;

	r->header = true;
	while (header_next(&rest, &field))
		if (header_name_listed(field.name, resent_names))
			names = resent_names;
	if (rest.len == 0 && message->size > message->memory.len)
		return error_set(err, "the header is too large");
	rest = buf_span(&message->memory);
	while (header_next(&rest, &field))
		if (header_name_listed(field.name, names))
			take_field(r, &field);
	return 0;
}
