/*
 * domain_form: internationalised domain names as A-labels ("xn--bcher-kva.test") and as U-labels ("bücher.test").
 *
 * Both name the same domain (RFC 5890, 2.3.2.1). Postern keeps addresses of recipients with A-labels; what an
 * administrator wrote into a list or a table may have either form.
 */
#ifndef POSTERN_MAIL_DOMAIN_FORM_H
#define POSTERN_MAIL_DOMAIN_FORM_H

#include <stdbool.h>

#include "common/base/span.h"

/* U-labels take up to four octets a character. */
enum { DOMAIN_FORM_MAX = 1100 };

/* False if there is nothing to change, or if the name can have no A-labels. A leading dot is kept. */
bool domain_to_alabels(struct span domain, char out[DOMAIN_FORM_MAX]);

/* U-labels become A-labels, or A-labels U-labels. False as above. */
bool domain_other_form(struct span domain, char out[DOMAIN_FORM_MAX]);

#endif
