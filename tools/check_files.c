/*
 * check: files, folders and programs that parameters name and no other part looks for: where one is missing, mail waits or
 * a next host is not believed, and nobody would know before.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/map/lines.h"
#include "tools/check.h"

enum { FILE_OCTETS_MAX = 16 << 20, PATH_SIZE = 4096 };

struct files {
	const char *confdir;
	char *text; /* of postern.conf; NULL: it cannot be read now */
	size_t text_len, bad;
};

static void complain(struct files *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
complain(struct files *f, const char *name, const char *format, ...)
{
	unsigned line = f->text ? check_line_of(span_make(f->text, f->text_len), name) : 0;
	va_list args;

	printf("%s/postern.conf:", f->confdir);
	if (line > 0)
		printf("%u:", line);
	printf(" %s: ", name);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	printf("\n");
	f->bad++;
}

static void
check_directory(struct files *f, const char *name, const char *path)
{
	struct stat st;

	if (path[0] != '/')
		return;
	if (stat(path, &st) < 0)
		complain(f, name, "%s: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		complain(f, name, "%s: %s", path, strerror(ENOTDIR));
}

/* The first word, where it is a path: the shell looks for other names, in the user's PATH. */
static void
check_program(struct files *f, const char *name, const char *command)
{
	size_t len = strcspn(command, " \t\"'\\$`;&|<>(){}*?#~");
	char path[PATH_SIZE];
	struct stat st;

	if (command[0] != '/' || (command[len] != '\0' && command[len] != ' ' && command[len] != '\t') ||
	    !span_copy(span_make(command, len), path, sizeof(path)))
		return;
	if (stat(path, &st) < 0)
		complain(f, name, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		complain(f, name, "%s: this is no program", path);
}

/* Master opens it; a next host's certificate is held against what is in it. */
static void
check_authorities(struct files *f, const char *name, const char *path)
{
	X509_STORE *store = path[0] ? X509_STORE_new() : NULL;
	struct stat st;

	if (store == NULL)
		return;
	if (stat(path, &st) < 0)
		complain(f, name, "%s: %s", path, strerror(errno));
	else if (X509_STORE_load_file(store, path) != 1)
		complain(f, name, "%s: no certificates that can be read", path);
	ERR_clear_error();
	X509_STORE_free(store);
}

/* Of listeners that say something else than the one before, too. */
static void
check_sections(struct files *f, const struct conf *c)
{
	const char *file = "", *path = "";

	for (size_t i = 0; i < c->section_count; i++) {
		const struct conf_values *v = c->sections[i].values;

		if (strcmp(file, v->smtpd_tls_CAfile) != 0)
			check_authorities(f, "smtpd_tls_CAfile", v->smtpd_tls_CAfile);
		if (strcmp(path, v->smtpd_tls_CApath) != 0)
			check_directory(f, "smtpd_tls_CApath", v->smtpd_tls_CApath);
		file = v->smtpd_tls_CAfile;
		path = v->smtpd_tls_CApath;
	}
}

size_t
check_named_files(const struct conf *c, const char *confdir)
{
	const struct conf_values *v = c->values;
	struct files f = {.confdir = confdir};
	char path[PATH_SIZE];
	struct error ignored;

	(void)snprintf(path, sizeof(path), "%s/postern.conf", confdir);
	f.text = lines_load(path, FILE_OCTETS_MAX, &f.text_len, &ignored);
	check_authorities(&f, "smtp_tls_CAfile", v->smtp_tls_CAfile);
	check_authorities(&f, "smtp_tls_trust_anchor_file", v->smtp_tls_trust_anchor_file);
	check_authorities(&f, "lmtp_tls_CAfile", v->lmtp_tls_CAfile);
	check_authorities(&f, "lmtp_tls_trust_anchor_file", v->lmtp_tls_trust_anchor_file);
	check_directory(&f, "smtp_tls_CApath", v->smtp_tls_CApath);
	check_directory(&f, "lmtp_tls_CApath", v->lmtp_tls_CApath);
	check_sections(&f, c);
	check_program(&f, "mailbox_command", v->mailbox_command);
	check_program(&f, "local_command_shell", v->local_command_shell);
	if (v->mailbox_command[0] == '\0' && v->home_mailbox[0] == '\0')
		check_directory(&f, "mail_spool_directory", v->mail_spool_directory);
	free(f.text);
	return f.bad;
}
