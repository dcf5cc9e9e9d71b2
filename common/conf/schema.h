/*
 * schema: params.def as a table, and the one parser of single values.
 *
 * Private to common/conf, tools/ and the generator of the manual page.
 */
#ifndef POSTERN_CONF_SCHEMA_H
#define POSTERN_CONF_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"

enum param_type { PARAM_BOOL, PARAM_INT, PARAM_SIZE, PARAM_TIME, PARAM_ENUM, PARAM_TEXT, PARAM_RAW };

struct param {
	const char *name; /* as in the file */
	enum param_type type;
	const char *fallback;
	char unit; /* of a TIME without one */
	int64_t low, high; /* a TIME's in seconds */
	const char *words; /* of an ENUM */
	const char *help;
	size_t offset; /* in struct conf_values */
};

/* Sorted by name. */
extern const struct param param_table[];
extern const size_t param_count;

/* NULL if there is none of that name. */
const struct param *param_find(struct span name);

/* The row that also rules "<transport>_destination_..." (that of default_destination_...) or "<transport>_time_limit"; NULL if none does. */
const struct param *param_of_transport(struct span name);

/*
 * The master.cf that Postfix comes with gives its listeners $mua_client_restrictions and its like, which main.cf may set: the
 * list that such a name is for (smtpd_client_restrictions), NULL if it is none. Where nothing sets it, it is empty.
 */
const struct param *param_of_listeners(struct span name);

/* The name that was probably meant, NULL if none is close. */
const char *param_nearest(struct span name);

/* The same among the count names that candidate gives. NULL: none is close. */
const char *name_nearest(struct span name, const char *(*candidate)(size_t number), size_t count);

/* Checks text and, unless values is NULL, stores it. A TEXT or RAW is stored as the pointer that it is. */
int param_parse(const struct param *p, const char *text, struct conf_values *values, struct error *err);

/* Why Postern says more than "unknown" of a name that Postfix has. */
enum unsupported_kind {
	UNSUPPORTED_IGNORED, /* nothing is lost: no complaint */
	UNSUPPORTED_MISSING, /* an error of check, unless the value is one of the harmless words */
	UNSUPPORTED_UNSAFE /* an 'f', unless the value is one of the harmless words */
};

struct unsupported {
	const char *name;
	enum unsupported_kind kind;
	const char *harmless; /* words, NULL: none */
	const char *advice; /* what does it here, or why nothing does; NULL: nothing is known */
};

/* NULL if the name is none of Postfix's. Whole families are found by their prefix (smtp_tls_...) or,
 * of transports, by their suffix (..._delivery_slot_cost). */
const struct unsupported *unsupported_find(struct span name);

/* With that value nothing is lost: it is what happens anyway. */
bool unsupported_is_harmless(const struct unsupported *u, struct span value);

#endif
