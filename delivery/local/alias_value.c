#include "delivery/local/alias_value.h"

#include "common/mail/address.h"

/* Cuts *rest at the first comma outside quotes, comments not being known here. */
static bool
next_piece(struct span *rest, struct span *piece)
{
	bool quoted = false;
	size_t i;

	for (;;) {
		*rest = span_trim(*rest);
		if (rest->len == 0)
			return false;
		if (rest->ptr[0] != ',')
			break;
		*rest = span_from(*rest, 1);
	}
	for (i = 0; i < rest->len; i++) {
		if (rest->ptr[i] == '\\' && i + 1 < rest->len)
			i++;
		else if (rest->ptr[i] == '"')
			quoted = !quoted;
		else if (rest->ptr[i] == ',' && !quoted)
			break;
	}
	*piece = span_trim(span_sub(*rest, 0, i));
	*rest = span_from(*rest, i);
	return true;
}

struct found {
	struct span address;
	unsigned count;
};

static bool
on_address(struct span address, void *context)
{
	struct found *f = context;

	f->address = address;
	return ++f->count < 2;
}

bool
alias_next_member(struct arena *a, struct span *rest, enum alias_member *kind, struct span *text)
{
	struct found found = {{NULL, 0}, 0};
	struct span bare;
	struct error err;

	if (!next_piece(rest, text))
		return false;
	bare = text->ptr[0] == '"' ? span_from(*text, 1) : *text;
	if (bare.len > 0 && bare.ptr[0] == '|') {
		*kind = ALIAS_COMMAND;
	} else if (bare.len > 0 && bare.ptr[0] == '/') {
		*kind = ALIAS_FILE;
	} else if (span_starts_nocase(bare, ":include:")) {
		*kind = ALIAS_INCLUDE;
	} else if (text->ptr[0] == '\\') {
		/* "\name": the user of that name, past all aliases. */
		*kind = ALIAS_ADDRESS;
		*text = address_join(a, *text, span_make("", 0));
	} else if (address_list_parse(a, *text, on_address, &found, &err) < 0 || found.count != 1 ||
		   found.address.len == 0) {
		*kind = ALIAS_MALFORMED;
	} else {
		*kind = ALIAS_ADDRESS;
		*text = found.address;
	}
	return true;
}
