#include "common/mail/header_rewrite.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/domain_form.h"
#include "common/mail/header.h"
#include "common/mail/local_part.h"

/* An address that is asked about. */
struct place {
	size_t start, end; /* in the header */
	struct span address, becomes; /* becomes: empty until it is answered, and where nothing changes */
	enum header_address_class class;
	bool dotted; /* "a@host.test.": it loses that dot, if nothing else happens to it */
};

struct header_rewrite {
	struct header_rewrite_rules rules;
	struct span header;
	struct arena *texts;
	struct place *places;
	size_t count, cap;
	size_t asked, answered; /* places before these */
	struct buf question;
	size_t grown; /* octets of what addresses become */
	bool overgrown; /* an answer was dropped */
};

/* Of Postfix's header_opts(3). */
enum header_address_class
header_address_class(struct span name)
{
	static const char senders[] = "from sender reply-to errors-to mail-followup-to mail-reply-to "
				      "return-path return-receipt-to disposition-notification-to resent-from "
				      "resent-sender resent-reply-to";
	static const char recipients[] = "to cc bcc apparently-to resent-to resent-cc resent-bcc";

	if (header_name_listed(name, senders))
		return HEADER_SENDER;
	return header_name_listed(name, recipients) ? HEADER_RECIPIENT : HEADER_NO_ADDRESSES;
}

static bool
has_word(const char *list, const char *word)
{
	return header_name_listed(span_of(word), list);
}

bool
header_rewrite_rules(const struct conf_values *v, bool local, struct header_rewrite_rules *rules)
{
	bool masked = v->masquerade_domains[0] != '\0', canonical = v->canonical_maps[0] != '\0';

	*rules = (struct header_rewrite_rules){
	    .sender = local ? REWRITE_LOCAL_SENDER : REWRITE_REMOTE_SENDER,
	    .recipient = local ? REWRITE_LOCAL_RECIPIENT : REWRITE_REMOTE_RECIPIENT,
	    .all_senders = (canonical && has_word(v->canonical_classes, "header_sender")) ||
			   (v->sender_canonical_maps[0] != '\0' &&
			       has_word(v->sender_canonical_classes, "header_sender")) ||
			   (masked && has_word(v->masquerade_classes, "header_sender")),
	    .all_recipients = (canonical && has_word(v->canonical_classes, "header_recipient")) ||
			      (v->recipient_canonical_maps[0] != '\0' &&
				  has_word(v->recipient_canonical_classes, "header_recipient")) ||
			      (masked && has_word(v->masquerade_classes, "header_recipient")),
	    .incomplete = local ? v->append_at_myorigin : true,
	    .dotless = v->append_dot_mydomain,
	};
	if (!local && v->remote_header_rewrite_domain[0] == '\0')
		return false;
	return rules->incomplete || rules->dotless || rules->all_senders || rules->all_recipients;
}

static bool
needs_question(const struct header_rewrite *h, enum header_address_class class, struct span address)
{
	const struct header_rewrite_rules *r = &h->rules;
	struct span local, domain;

	if (class == HEADER_SENDER ? r->all_senders : r->all_recipients)
		return true;
	address_split(address, &local, &domain);
	if (domain.len == 0)
		return r->incomplete;
	return r->dotless && domain.ptr[0] != '[' && span_find(domain, '.') < 0;
}

struct field_walk {
	struct header_rewrite *h;
	enum header_address_class class;
	size_t offset; /* of the field's body in the header */
};

static bool
found(struct span address, size_t start, size_t end, void *context)
{
	const struct field_walk *walk = context;
	struct header_rewrite *h = walk->h;
	struct place place = {.start = walk->offset + start, .end = walk->offset + end, .class = walk->class};

	place.dotted = end > start && h->header.ptr[place.end - 1] == '.';
	if (!needs_question(h, walk->class, address) && !place.dotted)
		return true;
	place.address = arena_copy_span(h->texts, address);
	if (!place.address.ptr)
		return false;
	if (h->count == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 8;
		h->places = mem_resize(h->places, h->cap * sizeof(h->places[0]));
	}
	h->places[h->count++] = place;
	return true;
}

static void
walk_field(struct header_rewrite *h, const struct header_field *field)
{
	struct field_walk walk = {.h = h,
	    .class = header_address_class(field->name),
	    .offset = (size_t)(field->body.ptr - h->header.ptr)};
	struct arena *scratch;
	struct error err;

	if (walk.class == HEADER_NO_ADDRESSES)
		return;
	scratch = arena_new(field->body.len * 4 + 4096);
	/* Elements that make no sense stay as they are; there is nobody to be told. */
	(void)address_list_walk(scratch, field->body, found, &walk, &err);
	arena_free(&scratch);
}

struct header_rewrite *
header_rewrite_new(struct span header, const struct header_rewrite_rules *rules)
{
	struct header_rewrite *h = mem_alloc(sizeof(*h));
	struct span rest = header;
	struct header_field field;

	h->rules = *rules;
	h->header = header;
	/* All addresses, and what each becomes, with an octet behind each. */
	h->texts = arena_new(header.len * 3 + HEADER_REWRITE_GROWTH_MAX);
	buf_init(&h->question, HEADER_REWRITE_BATCH * (ADDRESS_MAX + 1));
	while (header_next(&rest, &field))
		walk_field(h, &field);
	if (h->count == 0)
		header_rewrite_free(&h);
	return h;
}

void
header_rewrite_free(struct header_rewrite **h)
{
	struct header_rewrite *gone = *h;

	*h = NULL;
	if (!gone)
		return;
	arena_free(&gone->texts);
	buf_free(&gone->question);
	free(gone->places);
	free(gone);
}

bool
header_rewrite_next(struct header_rewrite *h, enum rewrite_kind *kind, struct span *addresses)
{
	enum header_address_class class;

	if (h->answered == h->count)
		return false;
	class = h->places[h->answered].class;
	buf_clear(&h->question);
	for (h->asked = h->answered; h->asked < h->count && h->asked - h->answered < HEADER_REWRITE_BATCH &&
				     h->places[h->asked].class == class;
	     h->asked++) {
		buf_append_span(&h->question, h->places[h->asked].address);
		buf_append(&h->question, "", 1);
	}
	*kind = class == HEADER_SENDER ? h->rules.sender : h->rules.recipient;
	*addresses = buf_span(&h->question);
	return true;
}

/* Nothing that would end a line or hide text may come into a header. */
static bool
is_clean(struct span address)
{
	for (size_t i = 0; i < address.len; i++)
		if ((unsigned char)address.ptr[i] < ' ' || address.ptr[i] == 127)
			return false;
	return address.len > 0 && address.len <= HEADER_REWRITE_ANSWER_MAX;
}

/* The same but for the form of an internationalised domain, which the author chose. */
static bool
same_mailbox(struct span a, struct span b)
{
	char forms[2][DOMAIN_FORM_MAX];
	struct span local[2], domain[2];

	address_split(a, &local[0], &domain[0]);
	address_split(b, &local[1], &domain[1]);
	for (size_t i = 0; i < 2; i++)
		if (domain_to_alabels(domain[i], forms[i]))
			domain[i] = span_of(forms[i]);
	return span_equal(local[0], local[1]) && span_equal_nocase(domain[0], domain[1]);
}

int
header_rewrite_answer(struct header_rewrite *h, struct span addresses, struct error *err)
{
	for (; h->answered < h->asked; h->answered++) {
		struct place *place = &h->places[h->answered];
		ptrdiff_t end = span_find(addresses, '\0');
		struct span becomes;

		if (end < 0)
			return error_set(err, "fewer addresses came back than were asked about");
		becomes = span_sub(addresses, 0, (size_t)end);
		addresses = span_from(addresses, (size_t)end + 1);
		if (becomes.len == 0 || !is_clean(becomes)) /* nothing can stand for the empty one */
			continue;
		if (same_mailbox(becomes, place->address)) {
			if (place->dotted)
				place->becomes = place->address;
			continue;
		}
		if (becomes.len <= HEADER_REWRITE_GROWTH_MAX - h->grown)
			place->becomes = arena_copy_span(h->texts, becomes);
		h->grown += place->becomes.len;
		h->overgrown |= place->becomes.len == 0;
	}
	return addresses.len == 0 ? 0 : error_set(err, "more addresses came back than were asked about");
}

int
header_rewrite_put(const struct header_rewrite *h, struct buf *out)
{
	size_t copied = 0;

	for (size_t i = 0; i < h->count; i++) {
		const struct place *place = &h->places[i];

		if (place->becomes.len == 0)
			continue;
		buf_append_span(out, span_sub(h->header, copied, place->start - copied));
		buf_append_span(out, place->becomes);
		copied = place->end;
	}
	buf_append_span(out, span_from(h->header, copied));
	return out->full || h->overgrown ? -1 : 0;
}
