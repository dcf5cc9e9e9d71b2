#include "tools/explain_facts.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "services/lookup/engine/route.h"

enum { TRACED_MAX = 10, TRACE_MAX = 16384 };

static void
parse_line(struct fact *fact, struct span line)
{
	size_t n = 0;
	ptrdiff_t tab;

	memset(fact, 0, sizeof(*fact));
	for (size_t i = 0; i < FACT_VALUES; i++)
		fact->values[i] = span_make("", 0);
	tab = span_find(line, '\t');
	fact->name = tab < 0 ? line : span_sub(line, 0, (size_t)tab);
	while (tab >= 0 && n < FACT_VALUES) {
		line = span_from(line, (size_t)tab + 1);
		tab = span_find(line, '\t');
		fact->values[n++] = tab < 0 ? line : span_sub(line, 0, (size_t)tab);
	}
}

struct facts *
facts_parse(struct span rows)
{
	struct facts *f = mem_alloc(sizeof(*f));
	struct fact_recipient *r = NULL;
	struct span line;
	size_t cap = 0;

	while (span_next_line(&rows, &line)) {
		if (f->count == cap) {
			cap = cap ? cap * 2 : 64;
			f->list = mem_resize(f->list, cap * sizeof(*f->list));
		}
		parse_line(&f->list[f->count], line);
		if (span_is(f->list[f->count].name, "rcpt")) {
			f->recipients =
			    mem_resize(f->recipients, (f->recipient_count + 1) * sizeof(*f->recipients));
			r = &f->recipients[f->recipient_count++];
			memset(r, 0, sizeof(*r));
			r->at = f->count;
			buf_init(&r->route, TRACE_MAX);
		}
		f->count++;
		if (r && !span_is(f->list[f->count - 1].name, "rest"))
			r->end = f->count;
	}
	return f;
}

void
facts_free(struct facts **f)
{
	struct facts *gone = *f;

	*f = NULL;
	for (size_t i = 0; i < gone->recipient_count; i++)
		buf_free(&gone->recipients[i].route);
	free(gone->recipients);
	free(gone->list);
	free(gone);
}

static const struct fact *
find(const struct facts *f, size_t from, size_t end, const char *name)
{
	for (size_t i = from; i < end; i++)
		if (span_is(f->list[i].name, name))
			return &f->list[i];
	return NULL;
}

const struct fact *
facts_find(const struct facts *f, const char *name)
{
	return find(f, 0, f->count, name);
}

const struct fact *
facts_find_of(const struct facts *f, const struct fact_recipient *r, const char *name)
{
	return find(f, r->at, r->end, name);
}

int64_t
fact_number(const struct fact *fact, size_t i)
{
	struct span text = fact->values[i];
	bool minus = text.len > 0 && text.ptr[0] == '-';
	uint64_t number = 0;

	if (number_parse(minus ? span_from(text, 1) : text, 0, INT64_MAX, &number) < 0)
		return 0;
	return minus ? -(int64_t)number : (int64_t)number;
}

int64_t
fact_seconds(int64_t wall_us)
{
	return (wall_us + 10 * US_PER_MS) / US_PER_SECOND;
}

/* ---- routes ---- */

static void
take_step(const char *text, void *context)
{
	struct buf *route = context;

	buf_printf(route, "%s\n", text);
}

void
facts_trace_routes(struct facts *f, struct tool *tool)
{
	const struct conf *conf = tool_conf(tool);
	struct map_set *maps;
	struct route_interfaces *interfaces;
	struct route_engine *engine;

	if (!conf)
		return;
	maps = map_set_new(NULL);
	interfaces = route_interfaces_read();
	engine = route_new(conf, maps, interfaces);
	for (size_t i = 0; i < f->recipient_count && i < TRACED_MAX; i++) {
		struct fact_recipient *r = &f->recipients[i];
		const struct fact *rcpt = &f->list[r->at];
		const struct route_trace trace = {.step = take_step, .context = &r->route};
		struct arena *a = arena_new(ROUTE_ARENA_BYTES);
		struct route_answer answer;

		route_resolve(engine, a, rcpt->values[0], rcpt->values[7], RESOLVE_ROUTE, &trace, &answer);
		r->route_asked = true;
		r->route_failed = answer.status == LOOKUP_TEMPORARY || answer.count == 0;
		if (!r->route_failed) {
			span_copy(answer.list[0].transport, r->transport, sizeof(r->transport));
			span_copy(answer.list[0].nexthop, r->nexthop, sizeof(r->nexthop));
		}
		arena_free(&a);
	}
	route_free(&engine);
	route_interfaces_free(&interfaces);
	map_set_free(&maps);
}
