/*
 * config: shows and changes parameters, as postconf(1).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/expand.h"
#include "common/conf/schema.h"
#include "common/conf/source.h"
#include "common/conf/table_settings.h"
#include "common/map/kinds.h"
#include "tools/config_edit.h"
#include "tools/config_facts.h"
#include "tools/tool.h"

enum { OVERRIDES_MAX = 64 };

struct showing {
	const struct tool *tool;
	struct source *source;
	const char *confdir;
	const char *overrides[OVERRIDES_MAX]; /* -o: NAME=VALUE, on top of the file */
	size_t override_count;
	bool defaults; /* -d */
	bool changed_only; /* -n */
	bool values_only; /* -h */
	bool names_only; /* -H */
	bool expand; /* -x */
};

struct asked {
	bool edit; /* -e, -X, -#, or NAME=VALUE */
	enum config_change change;
	bool kinds; /* -m */
	bool locks; /* -l */
	bool server_types, client_types; /* -a, -A */
	char templates; /* 'b', 't' */
	const char *tls; /* -T */
};

static void
print_value(const struct showing *s, const char *name, struct span value)
{
	if (s->names_only) {
		puts(name);
		return;
	}
	if (!s->values_only)
		printf("%s =%s", name, value.len > 0 ? " " : "");
	printf("%.*s\n", SPAN_ARG(value));
}

/* The value with its $names replaced. Where that cannot be, why is told and the value shown as it stands. */
static void
print_expanded(const struct showing *s, const char *name, const char *text)
{
	static const struct scope empty = {.section = ""};
	const struct scope *scope = s->defaults ? &empty : &s->source->scopes[0];
	struct expander x = {.global = scope, .own = scope};
	struct error err;
	struct buf out;
	int got;

	buf_init(&out, CONF_VALUE_MAX);
	got = expand_name(&x, span_of(name), &out, &err);
	if (got < 0)
		tool_fail(s->tool, 0, "warning: %s: %s", name, err.text);
	print_value(s, name, got == 1 ? buf_span(&out) : span_of(text));
	buf_free(&out);
}

static bool
is_computed(const char *name)
{
	static const struct scope empty = {.section = ""};
	struct expander x = {.global = &empty, .own = &empty};
	struct buf out;
	bool computed;

	buf_init(&out, CONF_VALUE_MAX);
	computed = computed_value(&x, span_of(name), &out);
	buf_free(&out);
	return computed;
}

/* "$default_..." where a transport has no setting of its own. */
static void
print_of_transport(const struct showing *s, const char *name, const struct param *p)
{
	char text[CONF_NAME_MAX + 2];

	snprintf(text, sizeof(text), "$%s", p->name);
	print_value(s, name, s->expand ? span_of(p->fallback) : span_of(text));
}

/* What scripts ask for although it is no parameter, and what Postfix lets one choose and Postern does not. */
static bool
print_fixed(const struct showing *s, const char *name)
{
	const struct unsupported *u = unsupported_find(span_of(name));

	if (strcmp(name, "config_directory") == 0)
		print_value(s, name, span_of(s->confdir));
	else if (u && u->kind == UNSUPPORTED_MISSING && u->harmless)
		print_value(s, name, span_of(u->harmless));
	else
		return false;
	return true;
}

/* Returns false if nobody knows that name. */
static bool
print_one(const struct showing *s, const char *name)
{
	const struct setting *setting = s->defaults ? NULL : scope_find(&s->source->scopes[0], span_of(name));
	const struct param *p = param_find(span_of(name));

	if (!p && !setting) {
		p = param_of_transport(span_of(name));
		if (!p)
			return print_fixed(s, name);
		print_of_transport(s, name, p);
		return true;
	}
	if (s->expand || (!setting && p->fallback[0] == '\0' && is_computed(name)))
		print_expanded(s, name, setting ? setting->text : p->fallback);
	else
		print_value(s, name, span_of(setting ? setting->text : p->fallback));
	return true;
}

static int
compare_settings(const void *a, const void *b)
{
	const struct setting *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* A list is what people show to others: passwords of tables are told of, and shown to who asks for them by name. */
static void
print_listed(const struct showing *s, const struct setting *setting, bool global)
{
	if (conf_is_secret_of_table(span_of(setting->name)) && !s->names_only)
		printf("# %s is a password: not shown\n", setting->name);
	else if (global)
		print_one(s, setting->name);
	else
		print_value(s, setting->name, span_of(setting->text));
}

/* What the file says: in order of names, then section by section, as a file that means the same (but for passwords). */
static void
print_changed(const struct showing *s)
{
	for (size_t i = 0; i < s->source->scope_count; i++) {
		struct scope *scope = &s->source->scopes[i];

		if (scope->count > 0)
			qsort(scope->settings, scope->count, sizeof(*scope->settings), compare_settings);
		if (i > 0)
			printf("[%s]\n", scope->section);
		if (scope->listen)
			print_value(s, "listen", span_of(scope->listen));
		for (size_t k = 0; k < scope->count; k++)
			print_listed(s, &scope->settings[k], i == 0);
	}
}

/* postconf(1) warns, and has done what was asked. */
static int
complain_of_name(const struct tool *tool, const char *name)
{
	int status = strcmp(tool->program, "postconf") == 0 ? 0 : 1;
	const struct unsupported *u = unsupported_find(span_of(name));
	const char *nearest = param_nearest(span_of(name));

	if (u && !(strchr(u->name, '*') && nearest))
		return tool_fail(tool, status,
		    "warning: %s: Postern does not have this parameter of Postfix%s%s", name,
		    u->advice ? "; " : "", u->advice ? u->advice : "");
	return tool_fail(tool, status, "warning: %s: unknown parameter%s%s", name,
	    nearest ? ", probably meant: " : "", nearest ? nearest : "");
}

static int
show(struct tool *tool, struct showing *s, int count, char **names)
{
	int status = 0;

	if (count == 0 && s->changed_only) {
		print_changed(s);
		return 0;
	}
	for (size_t i = 0; count == 0 && i < param_count; i++)
		print_one(s, param_table[i].name);
	for (int i = 0; i < count; i++) {
		if (s->changed_only && !scope_find(&s->source->scopes[0], span_of(names[i])))
			continue;
		if (!print_one(s, names[i]))
			status = complain_of_name(tool, names[i]);
	}
	return status;
}

/* What the file says differs from what somebody meant: as postconf(1), on standard error. */
static void
warn_of_file(const struct tool *tool, const struct conf_report *report)
{
	const struct conf_complaint *c;

	for (size_t i = 0; (c = conf_report_at(report, i)) != NULL; i++)
		tool_fail(tool, 0, "warning: %s:%u: %s", c->file, c->line, c->text);
}

/* Puts what -o says on top of the file. */
static int
override(struct tool *tool, struct showing *s)
{
	for (size_t i = 0; i < s->override_count; i++) {
		struct span text = span_of(s->overrides[i]);
		ptrdiff_t equals = span_find(text, '=');
		struct span name = span_trim(span_sub(text, 0, equals < 0 ? 0 : (size_t)equals));

		if (name.len == 0)
			return tool_fail(tool, EX_USAGE, "-o %s: NAME=VALUE is meant", s->overrides[i]);
		if (!source_set(s->source, &s->source->scopes[0], name,
			span_trim(span_from(text, (size_t)equals + 1)), 0))
			return tool_fail(tool, EX_USAGE, "-o %s: too many settings", s->overrides[i]);
	}
	return 0;
}

/* Reads the file, if the options want it. */
static int
show_with_source(struct tool *tool, struct showing *s, int count, char **names)
{
	struct conf_report *report = conf_report_new();
	struct error err;
	struct buf text;
	char *path;
	int status;

	if (asprintf(&path, "%s/postern.conf", tool->confdir) < 0)
		return EX_OSERR;
	s->source = source_new(path, report);
	buf_init(&text, SOURCE_FILE_MAX + 1);
	if (!s->defaults && source_load(path, &text, &err) < 0) {
		status = tool_fail(tool, EX_NOINPUT, "%s", err.text);
	} else {
		source_read(s->source, buf_span(&text));
		warn_of_file(tool, report);
		status = override(tool, s);
		if (status == 0)
			status = show(tool, s, count, names);
	}
	buf_free(&text);
	source_free(&s->source);
	conf_report_free(&report);
	free(path);
	return status;
}

static void
print_kind(const char *name, void *context)
{
	(void)context;
	puts(name);
}

/* What else than parameters is to be shown, or done. Returns false if the option is none of these. */
static bool
take_question(int option, struct asked *asked)
{
	switch (option) {
	case 'e':
	case 'X':
	case '#':
		asked->edit = true;
		asked->change = option == 'e' ? CONFIG_SET : option == 'X' ? CONFIG_REMOVE : CONFIG_COMMENT;
		return true;
	case 'm':
		asked->kinds = true;
		return true;
	case 'l':
		asked->locks = true;
		return true;
	case 'a':
		asked->server_types = true;
		return true;
	case 'A':
		asked->client_types = true;
		return true;
	case 'b':
	case 't':
		asked->templates = (char)option;
		return true;
	case 'T':
		asked->tls = optarg;
		return true;
	default:
		return false;
	}
}

/* The options, which end with what is asked for: 0, or an exit status after what there was to say. */
static int
take_options(struct tool *tool, int argc, char **argv, struct showing *s, struct asked *asked)
{
	int option;

	while ((option = getopt(argc, argv, "#aAbc:C:defhHlmMno:pPFtT:vxX")) != -1) {
		if (take_question(option, asked))
			continue;
		switch (option) {
		case 'd':
			s->defaults = true;
			break;
		case 'n':
			s->changed_only = true;
			break;
		case 'h':
			s->values_only = true;
			break;
		case 'H':
			s->names_only = true;
			break;
		case 'x':
			s->expand = true;
			break;
		case 'c':
			tool->confdir = tool_absolute_path(optarg);
			break;
		case 'o':
			if (s->override_count == OVERRIDES_MAX)
				return tool_usage(tool, "config");
			s->overrides[s->override_count++] = optarg;
			break;
		case 'M':
		case 'P':
		case 'F':
			return tool_fail(tool, EX_UNAVAILABLE,
			    "-%c: there is no master.cf; listeners are sections of postern.conf, which -n "
			    "shows, and transports are in transport_services",
			    option);
		case 'C':
		case 'f':
		case 'p':
		case 'v':
			break; /* which kinds of parameters, how postconf(1) folds lines, and its own words */
		default:
			return tool_usage(tool, "config");
		}
	}
	return 0;
}

int
command_config(int argc, char **argv, struct tool *tool)
{
	struct showing s = {.tool = tool};
	struct asked asked = {.change = CONFIG_SET};
	int status = take_options(tool, argc, argv, &s, &asked);

	if (status != 0)
		return status;
	argc -= optind;
	argv += optind;
	s.confdir = tool->confdir;
	if (asked.kinds)
		map_kinds_each(print_kind, NULL);
	if (asked.locks)
		puts("flock\nfcntl\ndotlock");
	if (asked.server_types)
		puts("dovecot\ntable\npam");
	if (asked.client_types) /* what smtp_sasl_type says where it is written; the client has no other */
		puts("cyrus");
	if (asked.kinds || asked.locks || asked.server_types || asked.client_types)
		return 0;
	if (s.defaults && s.changed_only)
		return tool_fail(tool, EX_USAGE, "specify one of -d -n");
	if (s.values_only && s.names_only)
		return tool_fail(tool, EX_USAGE, "specify one of -h -H");
	if (asked.tls)
		return config_tls(tool, asked.tls);
	if (asked.templates)
		return argc > 1 ? tool_usage(tool, "config")
				: config_templates(tool, argc == 1 ? argv[0] : NULL, asked.templates == 'b');
	/* As with postconf(1), NAME=VALUE needs no -e. */
	if (argc > 0 && !asked.edit && strchr(argv[0], '='))
		asked.edit = true;
	if (asked.edit)
		return argc == 0 ? tool_usage(tool, "config") : config_edit(tool, asked.change, argc, argv);
	return show_with_source(tool, &s, argc, argv);
}
