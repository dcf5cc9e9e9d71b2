#include "tools/config_facts.h"

#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/buf.h"
#include "services/pickup/template.h"

enum { TEXT_MAX = 1 << 20 };

int
config_tls(const struct tool *tool, const char *mode)
{
	if (strcmp(mode, "compile-version") == 0)
		puts(OPENSSL_VERSION_TEXT);
	else if (strcmp(mode, "run-version") == 0)
		puts(OpenSSL_version(OPENSSL_VERSION));
	else if (strcmp(mode, "public-key-algorithms") == 0)
		puts("ecdsa\ned25519\nrsa");
	else
		return tool_fail(tool, EX_USAGE,
		    "-T %s: one of compile-version, run-version, public-key-algorithms is meant", mode);
	return 0;
}

/* Line ends of the expanded text are those of mail. */
static void
print_expanded(struct span text, const struct conf_values *values)
{
	struct buf out;

	buf_init(&out, TEXT_MAX);
	template_expand(&out, text, values);
	for (size_t i = 0; i < out.len; i++)
		if (buf_span(&out).ptr[i] != '\r')
			putchar(buf_span(&out).ptr[i]);
	buf_free(&out);
}

/* What is wrong in a file of templates, a line each. */
struct complaints {
	const struct tool *tool;
	const char *path;
	int status;
};

static void
on_complaint(unsigned line, const char *text, void *context)
{
	struct complaints *c = context;

	c->status = line > 0 ? tool_fail(c->tool, EX_DATAERR, "%s:%u: %s", c->path, line, text)
			     : tool_fail(c->tool, EX_DATAERR, "%s: %s", c->path, text);
}

int
config_templates(struct tool *tool, const char *path, bool expanded)
{
	const struct conf *conf = tool_conf(tool);
	struct complaints complaints = {.tool = tool, .path = path};
	struct template_set *set;

	if (!conf)
		return EX_CONFIG;
	if (!path)
		complaints.path = conf->values->bounce_template_file;
	set = template_set_load(complaints.path, on_complaint, &complaints);
	for (int kind = 0; complaints.status == 0 && kind < TEMPLATE_KINDS; kind++) {
		const struct template *t = template_get(set, kind);

		printf("%s = <<EOF\nCharset: %.*s\nFrom: %.*s\nSubject: %.*s\nPostmaster-Subject: %.*s\n\n",
		    template_name(kind), SPAN_ARG(t->charset), SPAN_ARG(t->from), SPAN_ARG(t->subject),
		    SPAN_ARG(t->postmaster_subject));
		if (expanded)
			print_expanded(t->body, conf->values);
		else
			(void)fwrite(t->body.ptr, 1, t->body.len, stdout);
		puts(kind + 1 < TEMPLATE_KINDS ? "EOF\n" : "EOF");
	}
	template_set_free(&set);
	return complaints.status;
}
