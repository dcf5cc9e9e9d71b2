/* $names of bounce(5) texts. */
#include "services/pickup/template.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/conf/schema.h"

static const struct {
	const char *suffix;
	int64_t seconds;
} units[] = {{"_seconds", 1}, {"_minutes", 60}, {"_hours", 3600}, {"_days", 86400}, {"_weeks", 604800}};

static const void *
value_of(const struct param *p, const struct conf_values *values)
{
	return (const char *)values + p->offset;
}

/* "delay_warning_time_hours". Returns false if it is no such name. */
static bool
expand_time(struct buf *out, struct span name, const struct conf_values *values)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		const struct param *p;
		if (!span_ends_nocase(name, units[i].suffix))
			continue;
		p = param_find(span_sub(name, 0, name.len - strlen(units[i].suffix)));
		if (p == NULL || p->type != PARAM_TIME)
			return false;
		buf_printf(out, "%lld",
		    (long long)(*(const int64_t *)value_of(p, values) / US_PER_SECOND / units[i].seconds));
		return true;
	}
	return false;
}

static void
expand_name(struct buf *out, struct span name, const struct conf_values *values)
{
	const struct param *p = param_find(name);

	if (p == NULL) {
		expand_time(out, name, values);
		return;
	}
	switch (p->type) {
	case PARAM_TEXT:
	case PARAM_RAW:
		buf_append_text(out, *(const char *const *)value_of(p, values));
		break;
	case PARAM_BOOL:
		buf_append_text(out, *(const bool *)value_of(p, values) ? "yes" : "no");
		break;
	case PARAM_TIME:
		buf_printf(out, "%llds", (long long)(*(const int64_t *)value_of(p, values) / US_PER_SECOND));
		break;
	case PARAM_INT:
	case PARAM_SIZE:
		buf_printf(out, "%lld", (long long)*(const int64_t *)value_of(p, values));
		break;
	case PARAM_ENUM:
		break;
	}
}

static bool
name_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

/* The length of "$name", "${name}" or "$(name)" at the start of text, 0 if it is none. */
static size_t
take_name(struct span text, struct span *name)
{
	char close = text.len > 1 && text.ptr[1] == '{'   ? '}'
		     : text.len > 1 && text.ptr[1] == '(' ? ')'
							  : '\0';
	size_t start = close ? 2 : 1, end = start;

	while (end < text.len && name_char(text.ptr[end]))
		end++;
	*name = span_sub(text, start, end - start);
	if (name->len == 0 || (close && (end >= text.len || text.ptr[end] != close)))
		return 0;
	return close ? end + 1 : end;
}

void
template_expand(struct buf *out, struct span text, const struct conf_values *values)
{
	while (text.len > 0) {
		struct span name;
		size_t len = 1;
		if (span_starts(text, "$$")) {
			len = 2;
			buf_append_text(out, "$");
		} else if (text.ptr[0] == '$' && take_name(text, &name) > 0) {
			len = take_name(text, &name);
			expand_name(out, name, values);
		} else if (text.ptr[0] == '\n')
			buf_append_text(out, "\r\n");
		else if (text.ptr[0] != '\r')
			buf_append(out, text.ptr, 1);
		text = span_from(text, len);
	}
}
