#include "queue/index/mask.h"

#include "common/base/text.h"
#include "queue/filter.h"

enum { ID_LEN = 8, ID_DIGITS = 3, TEXT_MAX = 4096 };

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool
in_word(char c)
{
	switch (c) {
	case ' ':
	case '<':
	case '>':
	case '(':
	case ')':
	case '[':
	case ']':
	case '{':
	case '}':
	case ',':
	case ';':
	case ':':
	case '"':
	case '\'':
	case '=':
	case '/':
		return false;
	default:
		return !is_control(c);
	}
}

static void
add_variable(struct buf *template, struct buf *variables, char mask, struct span text)
{
	buf_append(template, &mask, 1);
	buf_append_span(variables, text);
	buf_append(variables, "", 1);
}

/* Of digits at the front: "25", "192.0.2.7". */
static size_t
number_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && (ascii_is_digit(s.ptr[n]) ||
				(n > 0 && s.ptr[n] == '.' && n + 1 < s.len && ascii_is_digit(s.ptr[n + 1]))))
		n++;
	return n;
}

/* "452", "4.2.2" (RFC 5321, 4.2; RFC 3463) between blanks: few, and worth telling apart. */
static bool
is_code(struct span word, char before, char behind)
{
	size_t dots = 0, run = 0;

	if (before != ' ' || behind != ' ')
		return false;
	while (word.len > 0 && word.ptr[word.len - 1] == '.')
		word.len--;
	if (word.len == 0 || !strchr("245", word.ptr[0]) || number_len(word) != word.len)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		dots += word.ptr[i] == '.';
		run = word.ptr[i] == '.' ? 0 : run + 1;
		if (run > 3)
			return false;
	}
	return dots == 0 ? word.len == 3 : dots == 2 && word.ptr[1] == '.';
}

static bool
is_id(struct span word)
{
	size_t digits = 0, letters = 0;

	if (span_find(word, '@') >= 0)
		return true;
	if (span_find(word, '.') >= 0)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		digits += ascii_is_digit(word.ptr[i]);
		letters += ascii_is_alpha(word.ptr[i]);
	}
	return word.len >= ID_LEN && digits >= ID_DIGITS && letters > 0;
}

static void
split_word(struct span word, bool code, struct buf *template, struct buf *variables)
{
	if (code) {
		buf_append_span(template, word);
		return;
	}
	if (is_id(word)) {
		add_variable(template, variables, MASK_WORD, word);
		return;
	}
	while (word.len > 0) {
		size_t n = number_len(word);

		if (n > 0) {
			add_variable(template, variables, MASK_NUMBER, span_sub(word, 0, n));
		} else {
			while (n < word.len && !ascii_is_digit(word.ptr[n]))
				n++;
			buf_append(template, word.ptr, n);
		}
		word = span_from(word, n);
	}
}

/* "[2001:db8::1]" without the brackets: colons separate words elsewhere. 0 if it is none. */
static size_t
ipv6_len(struct span s)
{
	size_t n = 0, colons = 0;

	while (n < s.len && (hex_digit(s.ptr[n]) >= 0 || s.ptr[n] == ':' || s.ptr[n] == '.'))
		colons += s.ptr[n++] == ':';
	return n < s.len && s.ptr[n] == ']' && colons > 1 ? n : 0;
}

void
mask_split(struct span text, struct buf *template, struct buf *variables)
{
	char before = ' ';

	while (text.len > 0) {
		size_t n = 0;

		while (n < text.len && in_word(text.ptr[n]))
			n++;
		if (n > 0) {
			struct span word = span_sub(text, 0, n);

			split_word(word, is_code(word, before, n < text.len ? text.ptr[n] : ' '), template,
			    variables);
			text = span_from(text, n);
			continue;
		}
		before = text.ptr[0];
		if (is_control(text.ptr[0])) {
			add_variable(template, variables, MASK_WORD, span_sub(text, 0, 1));
		} else {
			buf_append(template, text.ptr, 1);
			if (text.ptr[0] == '[')
				n = ipv6_len(span_from(text, 1));
			if (n > 0)
				add_variable(template, variables, MASK_WORD, span_sub(text, 1, n));
		}
		text = span_from(text, 1 + n);
	}
}

void
mask_join(struct span template, struct span variables, struct buf *text)
{
	while (template.len > 0) {
		size_t n = 0;
		ptrdiff_t end;

		while (n < template.len && template.ptr[n] != MASK_NUMBER && template.ptr[n] != MASK_WORD)
			n++;
		buf_append(text, template.ptr, n);
		if (n == template.len)
			return;
		end = span_find(variables, '\0');
		if (end < 0) {
			mask_show(span_sub(template, n, 1), text);
		} else {
			buf_append(text, variables.ptr, (size_t)end);
			variables = span_from(variables, (size_t)end + 1);
		}
		template = span_from(template, n + 1);
	}
}

void
mask_show(struct span template, struct buf *text)
{
	for (size_t i = 0; i < template.len; i++) {
		char c = template.ptr[i];

		buf_append(text, c == MASK_NUMBER ? "#" : c == MASK_WORD ? "*" : &c, 1);
	}
}

/* The next number in *rest. False if there is none. */
static bool
next_number(struct span *rest, struct span *number)
{
	while (rest->len > 0 && !ascii_is_digit(rest->ptr[0]))
		*rest = span_from(*rest, 1);
	*number = span_sub(*rest, 0, number_len(*rest));
	*rest = span_from(*rest, number->len);
	return number->len > 0;
}

void
mask_wanted_init(struct mask_wanted *w, const char *wanted)
{
	struct span rest = span_of(wanted), number;

	*w = (struct mask_wanted){.any = wanted[0] == '.'};
	while (!w->any && next_number(&rest, &number)) {
		w->any = w->count == MASK_RUNS_MAX;
		if (!w->any)
			w->runs[w->count++] = number;
	}
}

/* Both are short: memmem() takes longer to begin. */
static bool
has_run(struct span variables, struct span run)
{
	if (run.len > variables.len)
		return false;
	for (size_t i = 0; i <= variables.len - run.len; i++)
		if (variables.ptr[i] == run.ptr[0] &&
		    variables.ptr[i + run.len - 1] == run.ptr[run.len - 1] &&
		    memcmp(variables.ptr + i, run.ptr, run.len) == 0)
			return true;
	return false;
}

bool
mask_may_match(bool words, struct span variables, const struct mask_wanted *w)
{
	if (variables.len == 0)
		return false;
	if (words || w->any)
		return true;
	for (size_t i = 0; i < w->count; i++)
		if (has_run(variables, w->runs[i]))
			return true;
	return false;
}

bool
mask_match(struct span template, struct span variables, const char *wanted)
{
	char bytes[TEXT_MAX];
	struct buf text = {.mem = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};

	mask_join(template, variables, &text);
	return filter_text_match(wanted, buf_span(&text));
}
