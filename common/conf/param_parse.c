/*
 * The text of one parameter by its row: the only place where values are read.
 */
#include <string.h>

#include "common/base/text.h"
#include "common/conf/feedback.h"
#include "common/conf/schema.h"

/* Decimal digits at the start of *text, which is moved behind them. Returns -1 if there are none or too many. */
static int
take_number(struct span *text, uint64_t *number)
{
	size_t digits = 0;

	while (digits < text->len && ascii_is_digit(text->ptr[digits]))
		digits++;
	if (number_parse(span_sub(*text, 0, digits), 0, INT64_MAX, number) < 0)
		return -1;
	*text = span_from(*text, digits);
	return 0;
}

/* number * factor within the row's bounds, which are in the unit that scale of the result makes up. */
static int
scale_number(const struct param *p, const char *text, uint64_t number, uint64_t factor, uint64_t scale,
    int64_t *result, struct error *err)
{
	int64_t product;

	if (__builtin_mul_overflow((int64_t)number, (int64_t)factor, &product) ||
	    (uint64_t)product > (uint64_t)p->high * scale || (uint64_t)product < (uint64_t)p->low * scale)
		return error_set(err, "%s = %.40s: out of range (%lld to %lld%s)", p->name, text,
		    (long long)p->low, (long long)p->high, p->type == PARAM_TIME ? " seconds" : "");
	*result = product;
	return 0;
}

static int
parse_number(const struct param *p, const char *text, int64_t *result, struct error *err)
{
	static const struct {
		char letter;
		uint64_t factor;
	} suffixes[] = {{'k', 1 << 10}, {'m', 1 << 20}, {'g', 1 << 30}};
	struct span rest = span_of(text);
	uint64_t number, factor = 1;

	if (take_number(&rest, &number) < 0)
		return error_set(err, "%s = %.40s: not a number", p->name, text);
	if (rest.len == 1 && p->type == PARAM_SIZE) {
		for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
			if (ascii_lower(rest.ptr[0]) == suffixes[i].letter) {
				factor = suffixes[i].factor;
				rest.len = 0;
			}
		}
	}
	if (rest.len > 0)
		return error_set(err, "%s = %.40s: not a number%s", p->name, text,
		    p->type == PARAM_SIZE ? " (of octets, with k, m or g behind it)" : "");
	return scale_number(p, text, number, factor, 1, result, err);
}

static int
parse_time(const struct param *p, const char *text, int64_t *result, struct error *err)
{
	enum { SECOND = 1000000 };
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {{"ms", 1000}, {"s", SECOND}, {"m", 60ULL * SECOND}, {"h", 3600ULL * SECOND},
	    {"d", 86400ULL * SECOND}, {"w", 7 * 86400ULL * SECOND}};
	const char own_unit[2] = {p->unit, '\0'};
	struct span rest = span_of(text);
	uint64_t number;

	if (take_number(&rest, &number) < 0)
		return error_set(
		    err, "%s = %.40s: not a time (a number with s, m, h, d or w)", p->name, text);
	if (rest.len == 0)
		rest = span_of(own_unit);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (span_is_nocase(rest, units[i].name))
			return scale_number(p, text, number, units[i].factor, SECOND, result, err);
	}
	return error_set(err, "%s = %.40s: not a time (a number with s, m, h, d or w)", p->name, text);
}

/* Texts with a grammar of their own, told by the end of the name. */
static int
check_text(const struct param *p, const char *text, struct error *err)
{
	static const char feedback[] = "_feedback";
	struct feedback f;

	if (span_ends_nocase(span_of(p->name), feedback) && feedback_parse(text, &f, err) < 0) {
		struct error why = *err;

		return error_set(err, "%s = %.40s: %s", p->name, text, why.text);
	}
	return 0;
}

/* The word's place in the list, or -1. */
static int
word_index(const char *words, struct span text)
{
	struct span rest = span_of(words), word;

	for (int i = 0; span_next_word(&rest, " ", &word); i++) {
		if (span_equal_nocase(word, text))
			return i;
	}
	return -1;
}

int
param_parse(const struct param *p, const char *text, struct conf_values *values, struct error *err)
{
	char *field = values ? (char *)values + p->offset : NULL;
	int64_t number = 0;
	int result = 0;

	switch (p->type) {
	case PARAM_BOOL:
		number = word_index("no yes", span_of(text));
		if (number < 0)
			return error_set(err, "%s = %.40s: must be yes or no", p->name, text);
		if (field)
			*(bool *)(void *)field = number == 1;
		return 0;
	case PARAM_ENUM:
		number = word_index(p->words, span_of(text));
		if (number < 0)
			return error_set(err, "%s = %.40s: must be one of %s", p->name, text, p->words);
		if (field)
			*(int *)(void *)field = (int)number;
		return 0;
	case PARAM_TEXT:
	case PARAM_RAW:
		if (check_text(p, text, err) < 0)
			return -1;
		if (field)
			*(const char **)(void *)field = text;
		return 0;
	case PARAM_INT:
	case PARAM_SIZE:
		result = parse_number(p, text, &number, err);
		break;
	case PARAM_TIME:
		result = parse_time(p, text, &number, err);
		break;
	}
	if (result == 0 && field)
		*(int64_t *)(void *)field = number;
	return result;
}
