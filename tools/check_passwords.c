#include "config.h"

#include "tools/check_passwords.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/conf/back_end.h"
#include "common/map/lines.h"
#include "common/password/password.h"

enum { TEXT_OCTETS_MAX = 64 << 20, TOLD_MAX = 20 };

struct passwords {
	const char *file; /* the text of the table, or its name */
	char *text; /* NULL: cannot be read */
	size_t text_len;
	size_t bad, weak;
};

/* Where the text has the key; 0 if that cannot be told. */
static unsigned
line_of(const struct passwords *p, struct span key)
{
	struct span rest = span_make(p->text, p->text_len), line, word;
	unsigned number = 0;

	while (span_next_line(&rest, &line)) {
		number++;
		if (line.len > 0 && line.ptr[0] != '#' && span_next_word(&line, " \t", &word) &&
		    span_equal_nocase(word, key))
			return number;
	}
	return 0;
}

static void
print(const struct passwords *p, struct span key, const char *kind, const char *text)
{
	unsigned line = line_of(p, key);

	(void)printf("%s:", p->file);
	if (line > 0)
		(void)printf("%u:", line);
	(void)printf(" %suser %.*s: %s\n", kind, SPAN_ARG(key), text);
}

static bool
look_at(struct span key, struct span value, void *context)
{
	struct passwords *p = context;
	struct password_stored s;
	struct error err;

	if (password_parse(value, &s, &err) < 0) {
		if (p->bad++ < TOLD_MAX)
			print(p, key, "", err.text);
	} else if (s.weakness && p->weak++ < TOLD_MAX) {
		print(p, key, "warning: ", s.weakness);
	}
	return true;
}

static void
check_readers(const char *path)
{
	struct stat st;

	if (path == NULL || path[0] != '/' || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !(st.st_mode & S_IROTH))
		return;
	(void)printf(
	    "%s: warning: everybody may read these passwords: chgrp postern-lookup and chmod 0640\n", path);
}

void
check_password_readers(struct map *map, const char *table)
{
	const char *path = map_path(map), *source = strchr(table, ':');

	check_readers(path);
	if (source && source[1] == '/' && (path == NULL || strcmp(source + 1, path) != 0))
		check_readers(source + 1);
}

size_t
check_passwords(struct map *map, const char *table)
{
	const char *source = strchr(table, ':');
	struct passwords p = {.file = table};
	struct error ignored;

	check_password_readers(map, table);
	if (source && source[1] == '/') {
		p.file = source + 1;
		p.text = lines_load(source + 1, TEXT_OCTETS_MAX, &p.text_len, &ignored);
	}
	/* Databases are not listed. */
	(void)map_each(map, look_at, &p, &ignored);
	if (p.bad > TOLD_MAX || p.weak > TOLD_MAX)
		(void)printf("%s: and more of that kind\n", p.file);
	free(p.text);
	return p.bad;
}

#ifdef HAVE_PAM

static void
check_service(const struct conf_values *v)
{
	char path[300];
	struct stat st;

	if (!v->smtpd_sasl_auth_enable || v->smtpd_sasl_type != CONF_SMTPD_SASL_TYPE_PAM)
		return;
	(void)snprintf(path, sizeof(path), "/etc/pam.d/%.200s", conf_pam_service(v));
	if (stat(path, &st) < 0)
		(void)printf("smtpd_sasl_type: warning: there is no %s: PAM uses /etc/pam.d/other\n", path);
}

size_t
check_pam(const struct conf *c)
{
	check_service(c->values);
	for (size_t i = 0; i < c->section_count; i++)
		check_service(c->sections[i].values);
	return 0;
}

#else

size_t
check_pam(const struct conf *c)
{
	if (!conf_authenticates_by(c, CONF_SMTPD_SASL_TYPE_PAM))
		return 0;
	(void)printf("smtpd_sasl_type: PAM is not built in here (configure found no libpam)\n");
	return 1;
}

#endif
