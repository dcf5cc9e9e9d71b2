/*
 * makemap of sendmail (makemap TYPE NAME: of what is on standard input) and of OpenSMTPD (makemap FILE), as commands of
 * postern(8).
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tools/sendmail.h"
#include "tools/sendmail_postern.h"

struct makemap {
	bool append, keep_case, replace, with_nul, list, dump, source, aliases;
};

static int
take_options(struct makemap *m, int argc, char **argv)
{
	int letter;

	opterr = 0;
	optind = 1;
	/* C, c, e, i, s, v, U: of no account here. */
	while ((letter = getopt(argc, argv, "+C:c:D:defi:lNorst:uvU")) != -1) {
		m->append |= letter == 'o';
		m->keep_case |= letter == 'f';
		m->replace |= letter == 'r';
		m->with_nul |= letter == 'N';
		m->list |= letter == 'l';
		m->dump |= letter == 'u';
		m->source |= letter == 'd'; /* OpenSMTPD's -d TYPE: the file is the source */
		m->aliases |= letter == 't' && strcmp(optarg, "aliases") == 0;
		if (letter == '?' || letter == 'D' ||
		    (letter == 't' && !m->aliases && strcmp(optarg, "set") != 0))
			return sendmail_wrong(
			    "makemap: unsupported option -%c", letter == '?' ? optopt : letter);
	}
	return 0;
}

int
sendmail_makemap(struct sendmail *s, int argc, char **argv)
{
	struct makemap m = {.append = false};
	struct sendmail_command c;
	static char table[4096];

	if (take_options(&m, argc, argv) != 0)
		return EX_USAGE;
	if (m.list) {
		puts("hash\nbtree\ncdb\nlmdb");
		return 0;
	}
	if (argc - optind != 1 && argc - optind != 2)
		return sendmail_wrong("usage: makemap [-Nforuv] TYPE NAME, or makemap [-t aliases] FILE");
	snprintf(table, sizeof(table), "%s%s%s", argv[optind], argc - optind == 2 ? ":" : "",
	    argc - optind == 2 ? argv[optind + 1] : "");
	sendmail_command_init(&c, s, 0);
	sendmail_command_add(&c, m.aliases ? "alias" : "map");
	if (m.dump)
		sendmail_command_add(&c, "-s");
	else if (argc - optind == 2 && !m.source) {
		sendmail_command_add(&c, m.append ? "-i" : "-iA");
		if (!m.with_nul)
			sendmail_command_add(&c, "-n");
	}
	if (m.keep_case)
		sendmail_command_add(&c, "-f");
	if (m.replace)
		sendmail_command_add(&c, "-r");
	sendmail_command_add(&c, table);
	return sendmail_command_execute(&c, s);
}
