#include "services/resolver/name.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

/* What a question may hold: owner names are wider than host names (RFC 2181, 11; '/' is for RFC 2317). */
static bool
is_name_character(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_' || c == '/' || c == '+' || c == '=' || c == '*';
}

static bool
all_digits(struct span label)
{
	for (size_t i = 0; i < label.len; i++)
		if (!ascii_is_digit(label.ptr[i]))
			return false;
	return true;
}

static struct span
last_label(struct span name)
{
	return span_from(name, (size_t)(span_find_last(name, '.') + 1));
}

/* Lengths of labels and the whole (RFC 1035, 2.3.4), and only characters that ok() lets through. */
static bool
name_has_form(struct span name, bool (*ok)(char c))
{
	size_t label = 0;

	if (name.len == 0 || name.len > NAME_TEXT_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!ok(name.ptr[i]) || ++label > NAME_LABEL_MAX) {
			return false;
		}
	}
	return label > 0;
}

static bool
to_ascii(struct span text, char name[NAME_SIZE])
{
	char plain[4 * NAME_SIZE], *ascii = NULL;
	bool ok;

	if (!utf8_valid(text) || !span_copy(text, plain, sizeof(plain)))
		return false;
	if (idn2_to_ascii_8z(plain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	ok = span_copy(span_of(ascii), name, NAME_SIZE);
	idn2_free(ascii);
	return ok;
}

bool
name_clean(struct span text, char name[NAME_SIZE])
{
	if (text.len > 0 && text.ptr[text.len - 1] == '.')
		text.len--;
	if (text_is_8bit(text) ? !to_ascii(text, name) : !span_copy(text, name, NAME_SIZE))
		return false;
	text_lower(name, strlen(name));
	return name_has_form(span_of(name), is_name_character) && !all_digits(last_label(span_of(name)));
}

static bool
is_host_character(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

bool
name_is_host(struct span name)
{
	return name_has_form(name, is_host_character) && !all_digits(last_label(name));
}

bool
name_is_localhost(struct span name)
{
	return span_is_nocase(name, "localhost") || span_ends_nocase(name, ".localhost");
}

/* The last 'labels' labels. */
static struct span
tail(struct span name, unsigned labels)
{
	size_t i = name.len;

	while (i > 0) {
		if (name.ptr[i - 1] == '.' && --labels == 0)
			break;
		i--;
	}
	return span_from(name, i);
}

struct span
name_zone(struct span name)
{
	struct span two, second;

	if (span_ends_nocase(name, ".in-addr.arpa"))
		return tail(name, 5);
	if (span_ends_nocase(name, ".ip6.arpa"))
		return tail(name, 2 + 48 / 4);
	two = tail(name, 2);
	second = span_sub(two, 0, (size_t)(span_find(two, '.') + 1));
	return second.len > 0 && second.len <= 4 ? tail(name, 3) : two;
}

void
name_reverse(const uint8_t *octets, size_t len, char name[NAME_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	if (len == 4) {
		snprintf(
		    name, NAME_SIZE, "%u.%u.%u.%u.in-addr.arpa", octets[3], octets[2], octets[1], octets[0]);
		return;
	}
	for (size_t i = len; i-- > 0;) {
		name[at++] = hex[octets[i] & 15];
		name[at++] = '.';
		name[at++] = hex[octets[i] >> 4];
		name[at++] = '.';
	}
	snprintf(name + at, NAME_SIZE - at, "ip6.arpa");
}
