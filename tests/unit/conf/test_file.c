/* The file: lines, sections, and complaints about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/conf/conf.h"
#include "common/conf/source.h"

static char directory[] = "/tmp/postern-conf-XXXXXX";
static char path[64];

static int
make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/postern.conf", directory);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void
write_file(struct span text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.ptr, 1, text.len, f), text.len);
	assert_int_equal(fclose(f), 0);
}

#define TEXT(s)                                                                                              \
	{                                                                                                    \
		s, sizeof(s) - 1                                                                             \
	}

/* Each text has exactly this one complaint. */
static void
complaints(void **state)
{
	static const struct {
		const char *why;
		struct span text;
		char severity;
		unsigned line;
		const char *complaint;
	} rows[] = {
	    {"a typing mistake", TEXT("\nsmtpd_timeuot = 5s\n"), 'e', 2, "smtpd_timeout was probably meant"},
	    {"a list for listeners that are not there", TEXT("mua_sender_restrictions = reject\n"), 'e', 1,
		"nothing uses mua_sender_restrictions: a section would, with smtpd_sender_restrictions = "
		"$mua_"},
	    {"a mistake in its name", TEXT("mua_sendr_restrictions = reject\n"), 'f', 1,
		"unknown parameter mua_sendr_restrictions"},
	    {"what is so anyway",
		TEXT("maillog_file_prefixes = /var\nsmtp_dns_support_level = enabled\ntcp_windowsize = 0\n"
		     "smtpd_null_access_lookup_key = <>\ndebug_peer_list = 192.0.2.1\n"),
		'e', 5, "postern queue explain"},
	    {"a listener that is not to be", TEXT("master_service_disable = inet\n"), 'e', 1,
		"leave out its section"},
	    {"one of several instances",
		TEXT("multi_instance_enable = no\nmulti_instance_name = postfix-out\n"), 'e', 2,
		"postern -c FOLDER"},
	    {"nothing is near", TEXT("xyzzy_plugh = 5\n"), 'e', 1, "unknown parameter xyzzy_plugh"},
	    {"a bad value", TEXT("# c\nsmtpd_timeout = soon\n"), 'e', 2, "smtpd_timeout = soon: not a time"},
	    {"a bad value in a section", TEXT("[a]\nlisten = :1\nsmtpd_timeout = soon\n"), 'e', 3,
		"not a time"},
	    {"given twice", TEXT("soft_bounce = no\n\nsoft_bounce = yes\n"), 'w', 3,
		"was set before, at line 1"},
	    {"of Postfix, not here", TEXT("milter_protocol = 6\n"), 'e', 1,
		"does not support this parameter"},
	    {"of Postfix, done otherwise here", TEXT("smtp_tls_per_site = hash:/etc/postfix/tls_per_site\n"),
		'f', 1, "less safe than was meant: smtp_tls_policy_maps says it"},
	    {"of Postfix, with a word of help", TEXT("smtpd_tls_dcert_file = /etc/ssl/dsa.pem\n"), 'e', 1,
		"without DSA"},
	    {"of Postfix, a family", TEXT("tlsproxy_use_tls = x\n"), 'e', 1, "does not support"},
	    {"of Postfix, its loss is dangerous", TEXT("smtpd_milters = inet:h:1\n"), 'f', 1, "less safe"},
	    {"the same by another name, which is empty",
		TEXT("smtpd_milters =\nnon_smtpd_milters = ${smtpd_milters}\nsoft_bonce = 1\n"), 'e', 3,
		"soft_bounce"},
	    {"and which is not",
		TEXT("non_smtpd_milters = $smtpd_milters\n[a]\nlisten = :1\nsmtpd_milters = inet:h:1\n"), 'f',
		4, "less safe"},
	    {"a TLS level that is none", TEXT("smtp_tls_security_level = often\n"), 'f', 1, "none of"},
	    {"a TLS version that is none", TEXT("smtpd_tls_protocols = >=TLSv1.2, !TLS1\n"), 'e', 1,
		"no version of TLS"},
	    {"a cipher grade that is none", TEXT("smtpd_tls_mandatory_ciphers = best\n"), 'e', 1,
		"high and medium"},
	    {"TLS without a certificate", TEXT("\nsmtpd_tls_security_level = may\n"), 'e', 2,
		"TLS is not offered"},
	    {"a listener that nobody can use", TEXT("[a]\nlisten = :1\nsmtpd_tls_wrappermode = yes\n"), 'e',
		3, "nobody is served"},
	    {"certificates that nobody vouches for",
		TEXT("[a]\nlisten = :1\nsmtpd_tls_security_level = encrypt\nsmtpd_tls_req_ccert = yes\n"
		     "smtpd_tls_chain_files = /x\n"),
		'e', 4, "no certificate is good enough"},
	    {"a TLS level that a server has not", TEXT("smtpd_tls_security_level = secure\n"), 'f', 1,
		"none of none, may, encrypt"},
	    {"a name that nobody defines, in what other defaults follow", TEXT("\nmyhostname = a$nobody.b\n"),
		'e', 2, "nobody defines $nobody"},
	    {"a byte order mark", TEXT("\xEF\xBB\xBFhopcount_limit = 9\n"), 'w', 1, "byte order mark"},
	    {"a listener of master.cf",
		TEXT("submission inet n - y - - smtpd\n  -o syslog_name=postfix/submission\n"), 'f', 1,
		"a line of Postfix's master.cf (a listener is a section: [name], listen = address:port, and "
		"a line"},
	    {"a transport of master.cf",
		TEXT("dovecot   unix\t-\tn n - - pipe\n flags=DRhu user=v argv=/d -f ${sender}\n"), 'f', 1,
		"it goes, in braces, to transport_services"},
	    {"a service of master.cf", TEXT("pickup fifo n - y 60 1 pickup\n"), 'f', 1,
		"it has no counterpart"},
	    {"options of master.cf",
		TEXT("[submission]\nlisten = :587\n  -o syslog_name=postfix/submission\n -o a=b\n"), 'f', 2,
		"listen: what is \"-o name=value\" in master.cf is a line of its own here"},
	    {"no equals sign", TEXT("soft_bounce yes\n"), 'f', 1, "neither \"name = value\" nor"},
	    {"no name", TEXT("= yes\n"), 'f', 1, "a name is made of"},
	    {"a name with a blank", TEXT("soft bounce = yes\n"), 'f', 1, "a name is made of"},
	    {"a continuation of nothing", TEXT("  soft_bounce = yes\n"), 'f', 1, "but there is none"},
	    {"a section without its end", TEXT("[smtp\nlisten = :25\n"), 'f', 1, "must end in ]"},
	    {"a section with a bad name", TEXT("[a b]\n"), 'f', 1, "a section's name is made of"},
	    {"a section that listens nowhere", TEXT("\n[a]\nsoft_bounce = no\n"), 'e', 2,
		"does not say where"},
	    {"a listener that nobody can know", TEXT("\n[a]\nlisten = :$own_port\n"), 'f', 2,
		"nobody defines $own_port"},
	    {"a table that is in pieces", TEXT("virtual_alias_maps = regexp:{{/^x$/ y}}\n"), 'f', 1,
		"a name is missing behind $"},
	    {"a section begun twice", TEXT("[a]\nlisten = :1\n[a]\n"), 'e', 3, "was begun before, at line 1"},
	    {"a comment behind a value", TEXT("myorigin = a.b # my own\n"), 'w', 1, "begins no comment"},
	    {"line ends of another system", TEXT("soft_bounce = no\r\nhopcount_limit = 9\r\n"), 'w', 1,
		"carriage return"},
	    {"a carriage return within", TEXT("mail_name = a\rb\n"), 'e', 1, "carriage return in it"},
	    {"NUL", TEXT("soft_bounce = n\0o\n"), 'f', 1, "NUL"},
	    {"NUL in a comment", TEXT("#\0\n"), 'f', 1, "NUL"},
	    {"an open relay by its restrictions", TEXT("smtpd_relay_restrictions = permit_mynetworks\n"), 'f',
		1, "open relay"},
	    {"no restrictions at all", TEXT("smtpd_relay_restrictions =\n"), 'f', 1, "open relay"},
	    {"an open relay in a section", TEXT("[a]\nlisten = :1\nsmtpd_relay_restrictions =\n"), 'f', 3,
		"open relay"},
	    {"everybody's networks", TEXT("mynetworks = 127.0.0.0/8, 0.0.0.0/0\n"), 'f', 1, "0.0.0.0/0"},
	    {"everybody's networks, IPv6", TEXT("mynetworks = [::]/0\n"), 'f', 1, "everybody"},
	    {"networks that are none", TEXT("\nmynetworks = 127.0.0.0/8, here\n"), 'f', 2,
		"\"here\" is not an address"},
	    {"networks of a table that is built",
		TEXT("mynetworks = 127.0.0.0/8 hash:/etc/postfix/networks\n"), 'f', 1,
		"is not an address or a network: of tables, cidr:/file, texthash:/file and /file"},
	    {"networks with bits to spare", TEXT("mynetworks = 192.0.2.1/24\n"), 'f', 1,
		"beyond its prefix length"},
	    {"exceptions that are none", TEXT("smtpd_client_event_limit_exceptions = 1.2.3\n"), 'f', 1,
		"1.2.3"},
	    {"networks of one listener", TEXT("[a]\nlisten = :1\nmynetworks = ::/129\n"), 'f', 3,
		"bad prefix length"},
	    {"a transport of an unknown program", TEXT("transport_services = { a pipee user=x argv=/p }\n"),
		'e', 1, "transport a: its program is none of"},
	    {"a transport that nobody declares", TEXT("virtual_transport = dovecot\n"), 'e', 1,
		"virtual_transport: transport dovecot is not in transport_services: mail for it waits"},
	    {"one that mail for this host's exchangers goes on to", TEXT("best_mx_transport = uucp:here\n"),
		'e', 1, "best_mx_transport: transport uucp is not in transport_services"},
	    {"a limit declares none",
		TEXT("fax_destination_recipient_limit = 1\ncontent_filter = fax:[127.0.0.1]:1\n"), 'e', 2,
		"content_filter: transport fax"},
	    {"a transport without its last brace", TEXT("transport_services = { a lmtp { b lmtp }\n"), 'e', 1,
		"a brace is not closed"},
	    {"an attribute of pipe that is not there",
		TEXT("transport_services = { a lmtp } { b pipe user=x chrot=/y argv=/p }\n"), 'e', 1,
		"transport b: unknown attribute chrot"},
	    {"an option of smtp that nobody knows",
		TEXT("transport_services = s smtp -o smtp_tls_levle=may\n"), 'e', 1,
		"transport s: unknown parameter smtp_tls_levle"},
	    {"a bad value of an option",
		TEXT("transport_services = s smtp -o { smtp_tls_wrappermode = perhaps }\n"), 'e', 1,
		"transport s: smtp_tls_wrappermode"},
	    {"an option that is not there, and told",
		TEXT("transport_services = s smtp -o max_use=20 -o smtp_send_xforward_command=yes -o "
		     "smtp_tls_security_level=none\n"),
		'e', 1, "transport s: Postern does not support smtp_send_xforward_command of Postfix"},
	    {"words behind smtp", TEXT("transport_services = s smtp yes\n"), 'e', 1,
		"-o name=value is meant"},
	    {"a TLS level that is none", TEXT("smtp_tls_security_level = encyrpt\n"), 'f', 1,
		"smtp_tls_security_level = encyrpt: none of none, may,"},
	    {"a grade of ciphers that is none", TEXT("lmtp_tls_ciphers = hihg\n"), 'e', 1,
		"lmtp_tls_ciphers = hihg: the grades are"},
	    {"an option of a program", TEXT("transport_services = b pipe -o x=y user=x argv=/p\n"), 'e', 1,
		"transport b: -o: not attribute=value"},
	    {"a security option that is none", TEXT("smtp_sasl_security_options = noanonymus\n"), 'e', 1,
		"smtp_sasl_security_options: noanonymus: no security option"},
	    {"a filter by a table", TEXT("smtp_sasl_mechanism_filter = !plain, hash:/etc/x\n"), 'e', 1,
		"smtp_sasl_mechanism_filter: hash:/etc/x: names of mechanisms"},
	    {"a list in a file that is not there", TEXT("\nmynetworks = 127.0.0.1 !/nonexistent/list\n"), 'f',
		2, "mynetworks: /nonexistent/list: No such file"},
	    {"a list in what is no file", TEXT("smtpd_sasl_mechanism_filter = /dev/null\n"), 'f', 1,
		"/dev/null: not a regular file"},
	    {"a scope that JSON would escape", TEXT("smtpd_sasl_oauth2_scope = a \"b\"\n"), 'e', 1,
		"smtpd_sasl_oauth2_scope: a \"b\": up to 500 printable"},
	    {"a configuration without TLS", TEXT("smtpd_sasl_oauth2_configuration = http://id.test/\n"), 'e',
		1, "smtpd_sasl_oauth2_configuration: http://id.test/: no https"},
	    {"logins out of nowhere", TEXT("smtp_sasl_auth_enable = yes\n"), 'e', 1,
		"smtp_sasl_password_maps names no table"},
	    {"a rewriter that is none", TEXT("local_header_rewrite_clients = permit_frobs\n"), 'e', 1,
		"local_header_rewrite_clients: permit_frobs: not one of its words"},
	    {"an address map without a table", TEXT("local_header_rewrite_clients = check_address_map\n"),
		'e', 1, "check_address_map: a table is missing"},
	    {"a name that pipe does not know",
		TEXT("transport_services = b pipe user=x argv=/p -r ${recipent}\n"), 'e', 1,
		"transport b: argument ${recipent} has a name that is none"},
	    {"a class of extensions that nobody knows",
		TEXT("propagate_unmatched_extensions = virtual, forwards\n"), 'e', 1,
		"forwards is none of alias"},
	    {"a lock that nobody knows", TEXT("virtual_mailbox_lock = fcntl, dot-lock\n"), 'e', 1,
		"virtual_mailbox_lock: dot-lock is none of"},
	    {"an own address that is none", TEXT("inet_interfaces = mx.here.test, 192.0.2.300\n"), 'e', 1,
		"inet_interfaces: 192.0.2.300 is no address"},
	    {"half an own address", TEXT("proxy_interfaces = 192.0.2.3 [2001:db8:]\n"), 'e', 1,
		"proxy_interfaces: 2001:db8: is no address"},
	    {"a host that stands in for others", TEXT("smtp_fallback_relay = mx.test, [\n"), 'e', 1,
		"smtp_fallback_relay = mx.test, [: domain"},
	    {"a parameter of a table that nobody asks",
		TEXT("people_dbname = x\nvirtual_alias_maps = hash:people, ldap:/people, ldap:peopl\n"), 'e',
		1, "unknown parameter people_dbname"},
	    {"one of a table, for a listener alone",
		TEXT("virtual_alias_maps = ldap:people\n[a]\nlisten = :1\npeople_bind = no\n"), 'e', 4,
		"unknown parameter people_bind"},
	    {"a password that everybody may read",
		TEXT("people_bind_pw = x\nvirtual_alias_maps = ldap:people\n"), 'w', 1,
		"people_bind_pw: everybody on this host may read this password"},
	    {"a restriction list that is lost", TEXT("smtpd_recipient_restrictions = $my_rules\n"), 'f', 1,
		"my_rules"},
	    {"a restriction list under a wrong name", TEXT("smtpd_recipent_restrictions = reject\n"), 'f', 1,
		"smtpd_recipient_restrictions was probably meant"},
	    {"a word that is neither yes nor no", TEXT("smtpd_helo_required = ture\n"), 'f', 1,
		"must be yes or no"},
	    {"a limit that would be none", TEXT("smtpd_client_message_rate_limit = 10/min\n"), 'f', 1,
		"not a number"},
	    {"a level under a wrong name", TEXT("smtpd_tls_secruity_level = encrypt\n"), 'f', 1,
		"smtpd_tls_security_level was probably meant"},
	    {"an unknown restriction", TEXT("smtpd_client_restrictions = reject_everybody\n"), 'e', 1,
		"unknown restriction reject_everybody"},
	    {"a table that is missing", TEXT("smtpd_helo_restrictions = check_helo_access, reject\n"), 'e', 1,
		"a table is missing"},
	    {"a class without a definition", TEXT("smtpd_restriction_classes = strict\n"), 'e', 1,
		"nobody defines strict"},
	    {"an unknown restriction in a class",
		TEXT("smtpd_restriction_classes = strict\nstrict = rejct\n"), 'e', 2,
		"strict: unknown restriction rejct"},
	    {"a queue nowhere", TEXT("queue_directory = spool\n"), 'f', 1, "absolute path"},
	    {"the root as queue", TEXT("queue_directory = /\n"), 'f', 1, "absolute path"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_report *report = conf_report_new();
		const struct conf_complaint *c;
		struct error err = {0};
		struct conf *conf;

		write_file(rows[i].text);
		conf = conf_load(directory, report, &err);
		c = conf_report_at(report, 0);
		if (!c || conf_report_count(report, 'w') != 1)
			fail_msg("%s: %zu complaints, the second: %s", rows[i].why,
			    conf_report_count(report, 'w'), c ? conf_report_at(report, 1)->text : "");
		if (c->severity != rows[i].severity || c->line != rows[i].line ||
		    !strstr(c->text, rows[i].complaint) || strcmp(c->file, path) != 0)
			fail_msg("%s: %c %s:%u: %s", rows[i].why, c->severity, c->file, c->line, c->text);
		if ((conf == NULL) != (c->severity == 'f'))
			fail_msg("%s: start is wrong", rows[i].why);
		if (!conf && !strstr(err.text, rows[i].complaint))
			fail_msg("%s: the error says %s", rows[i].why, err.text);
		if (conf)
			conf_unref(&conf);
		conf = conf_load_anyway(directory, report, &err);
		assert_non_null(conf);
		conf_unref(&conf);
		conf_report_free(&report);
	}
}

/* What must be understood without a word. */
static void
grammar(void **state)
{
	static const struct {
		const char *why;
		struct span text;
		const char *mail_name;
	} rows[] = {
	    {"the empty file", TEXT(""), "Postern"},
	    {"comments and blank lines", TEXT("# a\n\n   \n   # b\nmail_name = x\n"), "x"},
	    {"no blanks", TEXT("mail_name=x"), "x"},
	    {"blanks everywhere", TEXT("mail_name \t = \t x y \t\n"), "x y"},
	    {"an equals sign in the value", TEXT("mail_name = a=b = c\n"), "a=b = c"},
	    {"an empty value", TEXT("mail_name =\n"), ""},
	    {"continuation", TEXT("mail_name = a\n   b\n\tc\n"), "a b c"},
	    {"form feeds are white space", TEXT("\f\nmail_name = a\n\f\n\vb \f\n"), "a b"},
	    {"continuation of an empty line", TEXT("mail_name =\n   b\n"), "b"},
	    {"the name alone, the rest behind", TEXT("mail_name\n  = b\n"), "b"},
	    {"a comment within", TEXT("mail_name = a\n# no\n  # no\n\n   b\n"), "a b"},
	    {"a hash within a word", TEXT("mail_name = a#b\n"), "a#b"},
	    {"own names that something refers to", TEXT("mine = a\nmail_name = $mine\n"), "a"},
	    {"own names that only a test refers to", TEXT("mine = a\nmail_name = ${mine?b}\n"), "b"},
	    {"parameters of tables",
		TEXT("people_dbname = x\nall_people_hosts=y\nstrict_user = z\nlists_query = q\n"
		     "virtual_alias_maps = hash:/x,proxy:mysql:people\nmail_name = x\n"
		     "smtpd_restriction_classes = c\nc = check_client_access pgsql:strict\n"
		     "[a]\nlisten = :1\nsmtpd_sender_login_maps = unionmap:{static:x, ldap:all_people}\n"
		     "[b]\nlisten = :2\nsmtpd_recipient_restrictions = check_recipient_access "
		     "sqlite:lists, reject\n"),
		"x"},
	    {"Postfix's names that mean nothing here",
		TEXT("biff = no\ncompatibility_level = 3.6\nmail_name=x\n"), "x"},
	    {"TLS where it may be", TEXT("smtp_tls_security_level = may\nmail_name=x\n"), "x"},
	    {"transports that there are",
		TEXT("transport_services = { fax lmtp }\ncontent_filter = fax:[127.0.0.1]:1\n"
		     "local_transport = error:no mail here\nmailbox_transport =\nmail_name=x\n"),
		"x"},
	    {"a transport of which the pace is known",
		TEXT("default_transport = slow\nslow_destination_rate_delay = 1s\nmail_name=x\n"), "x"},
	    {"options that mean nothing here",
		TEXT("transport_services = { a smtp -o max_use=20 -o smtp_send_xforward_command=no "
		     "}\nmail_name=x\n"),
		"x"},
	    {"a transport's limit", TEXT("slow_destination_concurrency_limit = 1\nmail_name=x\n"), "x"},
	    {"restriction classes",
		TEXT("smtpd_restriction_classes = strict\nstrict = reject\nmail_name=x\n"), "x"},
	    {"the relay's refusal among the recipients'",
		TEXT("smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = "
		     "reject_unauth_destination\nmail_name=x"),
		"x"},
	    {"restrictions of every kind",
		TEXT("smtpd_restriction_classes = strict\nstrict = "
		     "reject\nmail_name=x\nsmtpd_client_restrictions = "
		     "permit_mynetworks check_client_access hash:/x, PERMIT hash:/y strict\n"),
		"x"},
	    {"a section's settings are not global", TEXT("mail_name=x\n[s]\nlisten = :1\nmail_name = y\n"),
		"x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_report *report = conf_report_new();
		struct error err = {0};
		struct conf *conf;

		write_file(rows[i].text);
		conf = conf_load(directory, report, &err);
		if (!conf)
			fail_msg("%s: %s", rows[i].why, err.text);
		if (conf_report_count(report, 'w') > 0)
			fail_msg("%s: %s", rows[i].why, conf_report_at(report, 0)->text);
		if (strcmp(conf->values->mail_name, rows[i].mail_name) != 0)
			fail_msg("%s: \"%s\"", rows[i].why, conf->values->mail_name);
		conf_unref(&conf);
		conf_report_free(&report);
	}
}

/* A value of a megabyte: its name is said; a restriction that long stops the start. */
static void
long_values(void **state)
{
	static const char *const names[] = {"mail_name", "smtpd_client_restrictions"};
	struct buf text;

	(void)state;
	buf_init(&text, 4 << 20);
	for (size_t i = 0; i < 2; i++) {
		struct conf_report *report = conf_report_new();
		struct error err;
		struct conf *conf;

		buf_clear(&text);
		buf_printf(&text, "hopcount_limit = 7\n%s = reject", names[i]);
		for (int k = 0; k < 1 << 18; k++)
			buf_append_text(&text, ",  x");
		buf_append_text(&text, "\nsoft_bounce = yes\n");
		write_file(buf_span(&text));
		conf = conf_load(directory, report, &err);
		assert_int_equal(conf_report_count(report, 'w'), 1);
		assert_int_equal(conf_report_at(report, 0)->line, 2);
		assert_non_null(strstr(conf_report_at(report, 0)->text, names[i]));
		if (i == 0) {
			assert_string_equal(conf->values->mail_name, "Postern");
			assert_true(conf->values->soft_bounce);
			conf_unref(&conf);
		}
		assert_null(conf);
		conf_report_free(&report);
	}
	buf_free(&text);
}

static void
files(void **state)
{
	struct conf_report *report = conf_report_new();
	struct error err;
	struct buf text;

	(void)state;
	unlink(path);
	assert_null(conf_load(directory, report, &err));
	assert_non_null(strstr(err.text, "postern.conf"));
	/* A directory in its place. */
	assert_null(conf_load("/proc/self/fd/none", report, &err));
	buf_init(&text, 5 << 20);
	for (int i = 0; i < 300000; i++)
		buf_append_text(&text, "# a long comment\n");
	write_file(buf_span(&text));
	assert_null(conf_load(directory, report, &err));
	assert_non_null(strstr(err.text, "larger than"));
	buf_free(&text);
	conf_report_free(&report);
}

/* More of everything than there may be: an error, not a crash. */
static void
many(void **state)
{
	struct conf_report *report = conf_report_new();
	struct error err;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	/* Behind more complaints than are kept. */
	for (int i = 0; i < 2000; i++)
		buf_printf(&text, "hopcount_limit = %d\n", i + 1);
	for (int i = 0; i < 100; i++)
		buf_printf(&text, "[s%d]\nlisten = :%d\n", i, i + 1);
	write_file(buf_span(&text));
	assert_null(conf_load(directory, report, &err));
	assert_non_null(strstr(err.text, "too many sections"));
	conf_report_free(&report);
	report = conf_report_new();
	buf_clear(&text);
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "n%d = 1\n", i);
	write_file(buf_span(&text));
	assert_null(conf_load(directory, report, &err));
	assert_non_null(strstr(err.text, "too many settings"));
	buf_free(&text);
	conf_report_free(&report);
}

/* Each example of the sample file, taken out of its comment, is right. */
static void
sample(void **state)
{
	const char *source = getenv("srcdir");
	struct conf_report *report = conf_report_new();
	struct buf whole, examples;
	struct error err;
	struct conf *conf;
	struct span rest, line;
	size_t found = 0;
	char name[4096];

	(void)state;
	buf_init(&whole, SOURCE_FILE_MAX + 1);
	buf_init(&examples, SOURCE_FILE_MAX + 1);
	snprintf(name, sizeof(name), "%s/etc/postern.conf", source ? source : ".");
	assert_int_equal(source_load(name, &whole, &err), 0);
	rest = buf_span(&whole);
	while (span_next_line(&rest, &line)) {
		bool example = line.len > 1 && line.ptr[0] == '#' && line.ptr[1] != ' ';

		found += example;
		buf_append_span(&examples, example ? span_from(line, 1) : line);
		buf_append_text(&examples, "\n");
	}
	assert_true(found > 30);
	write_file(buf_span(&examples));
	conf = conf_load(directory, report, &err);
	if (!conf || conf_report_count(report, 'w') > 0)
		fail_msg("line %u: %s", conf_report_at(report, 0)->line, conf_report_at(report, 0)->text);
	conf_unref(&conf);
	conf_report_free(&report);
	buf_free(&whole);
	buf_free(&examples);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(complaints),
	    cmocka_unit_test(grammar),
	    cmocka_unit_test(long_values),
	    cmocka_unit_test(files),
	    cmocka_unit_test(many),
	    cmocka_unit_test(sample),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
