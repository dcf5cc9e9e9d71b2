#include "common/mail/domain_form.h"

#include <stdint.h>

#include <idn2.h>

#include "common/base/text.h"

/* Takes what the library made, behind the dot that a parent's name may begin with. */
static bool
take(char *made, bool dot, char out[DOMAIN_FORM_MAX])
{
	size_t len = strlen(made);
	bool fits = len > 0 && len + 2 <= DOMAIN_FORM_MAX;

	if (fits) {
		if (dot)
			*out++ = '.';
		memcpy(out, made, len + 1);
	}
	idn2_free(made);
	return fits;
}

/* A copy for the library: without a leading dot, ending in NUL. False if it is too long or holds a NUL. */
static bool
plain(struct span *domain, bool *dot, char copy[DOMAIN_FORM_MAX])
{
	*dot = domain->len > 1 && domain->ptr[0] == '.';
	if (*dot)
		*domain = span_from(*domain, 1);
	return span_copy(*domain, copy, DOMAIN_FORM_MAX);
}

bool
domain_to_alabels(struct span domain, char out[DOMAIN_FORM_MAX])
{
	char copy[DOMAIN_FORM_MAX], *made = NULL;
	bool dot;

	if (!text_is_8bit(domain) || !plain(&domain, &dot, copy))
		return false;
	if (idn2_to_ascii_8z(copy, &made, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	return take(made, dot, out);
}

static bool
has_alabel(struct span domain)
{
	for (size_t i = 0; i + 4 <= domain.len; i++)
		if ((i == 0 || domain.ptr[i - 1] == '.') && span_starts_nocase(span_from(domain, i), "xn--"))
			return true;
	return false;
}

bool
domain_other_form(struct span domain, char out[DOMAIN_FORM_MAX])
{
	char copy[DOMAIN_FORM_MAX], *made = NULL;
	bool dot;

	if (text_is_8bit(domain))
		return domain_to_alabels(domain, out);
	if (!has_alabel(domain) || !plain(&domain, &dot, copy))
		return false;
	if (idn2_to_unicode_8z8z(copy, &made, 0) != IDN2_OK)
		return false;
	return take(made, dot, out);
}
