/* The address engine: what becomes of an address under a configuration. Cases are rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/map/lines.h"
#include "services/lookup/engine/route.h"
#include "tests/unit/lookup/base.h"

/* What came out, as one line: "STATUS class address [reason] > addr transport:nexthop, ...". */
static void
describe(const struct route_answer *answer, struct buf *out)
{
	static const char *const status[] = {"found", "unknown", "temporary"};
	static const char *const class[] = {"default", "local", "alias", "mailbox", "relay"};

	buf_printf(
	    out, "%s %s %.*s", status[answer->status], class[answer->class], SPAN_ARG(answer->address));
	if (answer->routed)
		(void)buf_append(out, " routed", 7);
	if (answer->reason.len > 0)
		buf_printf(out, " (%.*s)", SPAN_ARG(answer->reason));
	for (size_t i = 0; i < answer->count; i++)
		buf_printf(out, "%s%s%.*s %.*s:%.*s", i == 0 ? " > " : ", ",
		    answer->list[i].flags & ROUTE_COPY ? "copy " : "", SPAN_ARG(answer->list[i].address),
		    SPAN_ARG(answer->list[i].transport), SPAN_ARG(answer->list[i].nexthop));
}

static void
check(const char *name, const char *config, const char *address, const char *sender, unsigned flags,
    const char *want)
{
	struct error err = {0};
	struct buf got;
	struct route_answer answer;
	struct conf *conf = conf_from_text(config, &err);

	if (conf == NULL)
		fail_msg("%s: %s", name, err.text);
	struct map_set *maps = map_set_new(NULL);
	struct route_engine *e = route_new(conf, maps, NULL);
	struct arena *a = arena_new(ROUTE_ARENA_BYTES);
	buf_init(&got, 1 << 20);
	route_resolve(e, a, span_of(address), span_of(sender), flags, NULL, &answer);
	describe(&answer, &got);
	if (strcmp(buf_text(&got), want) != 0)
		fail_msg("%s: %s\n  want %s\n  got  %s\n  trouble %.*s", name, address, want, buf_text(&got),
		    SPAN_ARG(answer.trouble));
	buf_free(&got);
	arena_free(&a);
	route_free(&e);
	map_set_free(&maps);
	conf_unref(&conf);
}

struct row {
	const char *name, *config, *address, *want;
};

static void
check_rows(const struct row *rows, size_t count, unsigned flags)
{
	for (size_t i = 0; i < count; i++) {
		char config[8192];
		(void)snprintf(config, sizeof(config), "%s%s", BASE, rows[i].config);
		check(rows[i].name, config, rows[i].address, "s@remote.test", flags, rows[i].want);
	}
}
#define CHECK_ROWS(rows, flags) check_rows(rows, sizeof(rows) / sizeof(rows[0]), flags)

static void
rewriting(void **state)
{
	static const struct row rows[] = {
	    {"bare user gets myorigin", "", "joe",
		"found local joe@mx.example.com > joe@mx.example.com local:mx.example.com"},
	    {"not where it is switched off", "append_at_myorigin = no\n", "joe",
		"found local joe > joe local:mx.example.com"},
	    {"one final dot is stripped", "", "joe@example.com.",
		"found local joe@example.com > joe@example.com local:mx.example.com"},
	    {"domains in lower case", "", "Joe@EXAMPLE.com",
		"found local Joe@example.com > Joe@example.com local:mx.example.com"},
	    {"the empty address", "empty_address_recipient = jane\n", "",
		"found local jane@mx.example.com > jane@mx.example.com local:mx.example.com"},
	    {"short domain stays", "", "joe@other", "found default joe@other > joe@other smtp:other"},
	    {"a host that ends in a dot is complete", "append_dot_mydomain = yes\n", "joe@other.",
		"found default joe@other > joe@other smtp:other"},
	    {"append_dot_mydomain", "append_dot_mydomain = yes\n", "joe@other",
		"found default joe@other.example.com > joe@other.example.com smtp:other.example.com"},
	    {"bang path", "", "site.test!joe", "found default joe@site.test > joe@site.test smtp:site.test"},
	    {"percent hack", "", "joe%site.test",
		"found default joe@site.test > joe@site.test smtp:site.test"},
	    {"bang path off", "swap_bangpath = no\n", "site.test!joe",
		"found local site.test!joe@mx.example.com routed > site.test!joe@mx.example.com "
		"local:mx.example.com"},
	    {"percent hack off", "allow_percent_hack = no\n", "joe%site.test",
		"found local joe%site.test@mx.example.com routed > joe%site.test@mx.example.com "
		"local:mx.example.com"},
	    {"quoted routing is none before the domain is ours", "", "\"site!joe x\"",
		"found default \"site!joe x\"@mx.example.com > \"joe x\"@site smtp:site"},
	};
	(void)state;
	CHECK_ROWS(rows, RESOLVE_EXPAND);
}

/* Catalogue Q03: nothing of this may count as ours; what is routed is refused by smtpd. */
static void
relaying(void **state)
{
	static const struct row rows[] = {
	    {"percent", "", "a%remote.test@example.com", "found default a%remote.test@example.com"},
	    {"at, quoted", "", "\"a@remote.test\"@example.com",
		"found default \"a@remote.test\"@example.com"},
	    {"bang", "", "remote.test!a@example.com", "found default remote.test!a@example.com"},
	    {"twice", "", "a%remote.test%localhost@example.com",
		"found default a%remote.test%localhost@example.com"},
	    {"our address literal", "", "a%remote.test@[192.0.2.1]",
		"found default a%remote.test@[192.0.2.1]"},
	    {"behind a relay domain", "relay_domains = relay.test\n", "a%remote.test@relay.test",
		"found relay a%remote.test@relay.test routed"},
	    {"bang behind a relay domain", "relay_domains = relay.test\n", "remote.test!a@relay.test",
		"found relay remote.test!a@relay.test routed"},
	    {"behind a relay domain, whatever we do with it ourselves",
		"relay_domains = relay.test\nallow_percent_hack = no\n", "a%b@relay.test",
		"found relay a%b@relay.test routed"},
	    {"back to us", "", "joe%example.com@localhost", "found local joe%example.com@localhost"},
	    {"behind a mailbox domain", "virtual_mailbox_domains = box.test\nvirtual_mailbox_maps=static:x\n",
		"a%remote.test@box.test", "found mailbox a%remote.test@box.test routed"},
	    {"a foreign literal", "", "a@[192.0.2.99]", "found default a@[192.0.2.99]"},
	    {"a negated domain", "", "a@not.example.com", "found default a@not.example.com"},
	    {"a subdomain of ours", "", "a@sub.example.com", "found default a@sub.example.com"},
	    {"our domain as a part", "", "a@notexample.com", "found default a@notexample.com"},
	};
	(void)state;
	CHECK_ROWS(rows, RESOLVE_VALIDATE);
}

static void
validity(void **state)
{
	static const struct row rows[] = {
	    {"a user", "", "joe@example.com", "found local joe@example.com"},
	    {"case of the user does not matter", "", "JOE@example.com", "found local JOE@example.com"},
	    {"with extension", "", "joe+x@example.com", "found local joe+x@example.com"},
	    {"quoted", "", "\"a b\"@example.com", "found local \"a b\"@example.com"},
	    {"at our literal", "", "joe@[192.0.2.1]", "found local joe@[192.0.2.1]"},
	    {"at our IPv6 literal", "", "joe@[IPv6:2001:DB8::1]", "found local joe@[ipv6:2001:db8::1]"},
	    {"unknown", "", "nobody@example.com",
		"unknown local nobody@example.com (5.1.1 User unknown in local recipient table)"},
	    {"empty table: everybody", "local_recipient_maps =\n", "nobody@example.com",
		"found local nobody@example.com"},
	    {"postmaster", "", "PostMaster@example.com", "found local PostMaster@example.com"},
	    {"bare postmaster", "myorigin = elsewhere.test\n", "postmaster",
		"found local postmaster@elsewhere.test"},
	    {"who sends notices", "", "Mailer-Daemon@example.com", "found local Mailer-Daemon@example.com"},
	    {"elsewhere that is a name like others",
		"relay_domains = relay.test\nrelay_recipient_maps = inline:{x@relay.test=x}\n",
		"mailer-daemon@relay.test",
		"unknown relay mailer-daemon@relay.test (5.1.1 User unknown in relay recipient table)"},
	    {"a broken table is never 'unknown'", "local_recipient_maps = hash:/nonexistent/x\n",
		"joe@example.com", "temporary local joe@example.com (4.3.0 Temporary lookup failure)"},
	    {"an unknown type too", "local_recipient_maps = nosuch:/x\n", "joe@example.com",
		"temporary local joe@example.com (4.3.0 Temporary lookup failure)"},
	    {"a list of domains in trouble", "relay_domains = fail:x\n", "joe@other.test",
		"temporary default joe@other.test (4.3.0 Temporary lookup failure)"},
	    {"relay, any", "relay_domains = relay.test\n", "x@relay.test", "found relay x@relay.test"},
	    {"relay, subdomain", "relay_domains = relay.test\n", "x@a.b.relay.test",
		"found relay x@a.b.relay.test"},
	    {"relay, subdomains only with a dot",
		"relay_domains = relay.test\nparent_domain_matches_subdomains =\n", "x@a.relay.test",
		"found default x@a.relay.test"},
	    {"relay, .domain", "relay_domains = .relay.test\nparent_domain_matches_subdomains =\n",
		"x@a.relay.test", "found relay x@a.relay.test"},
	    {"relay, listed", "relay_domains = relay.test\nrelay_recipient_maps = inline:{x@relay.test=1}\n",
		"x@relay.test", "found relay x@relay.test"},
	    {"relay, not listed",
		"relay_domains = relay.test\nrelay_recipient_maps = inline:{x@relay.test=1}\n",
		"y@relay.test", "unknown relay y@relay.test (5.1.1 User unknown in relay recipient table)"},
	    {"alias domain", "virtual_alias_domains = v.test\nvirtual_alias_maps = inline:{x@v.test=joe}\n",
		"x@v.test", "found alias x@v.test"},
	    {"alias domain, unknown",
		"virtual_alias_domains = v.test\nvirtual_alias_maps = inline:{x@v.test=joe}\n", "y@v.test",
		"unknown alias y@v.test (5.1.1 User unknown in virtual alias table)"},
	    {"alias domain by table",
		"virtual_alias_domains = $virtual_alias_maps\nvirtual_alias_maps = inline:{v.test=x, "
		"x@v.test=joe}\n",
		"y@v.test", "unknown alias y@v.test (5.1.1 User unknown in virtual alias table)"},
	    {"catch-all", "virtual_alias_domains = v.test\nvirtual_alias_maps = inline:{@v.test=joe}\n",
		"y@v.test", "found alias y@v.test"},
	    {"mailbox", "virtual_mailbox_domains = box.test\nvirtual_mailbox_maps = inline:{x@box.test=x/}\n",
		"y@box.test", "unknown mailbox y@box.test (5.1.1 User unknown in virtual mailbox table)"},
	    {"error transport", "transport_maps = inline:{{gone.test=error:5.1.2 gone away}}\n",
		"x@gone.test", "unknown default x@gone.test (5.1.2 gone away)"},
	    {"error transport without a text", "transport_maps = inline:{{a.gone.test=error:}}\n",
		"x@a.gone.test", "unknown default x@a.gone.test (5.1.1 Address is undeliverable)"},
	    {"error transport with what is no code", "transport_maps = inline:{{gone.test=error:5.1 gone}}\n",
		"x@gone.test", "unknown default x@gone.test (5.1.1 5.1 gone)"},
	    {"error transport with another class's code",
		"transport_maps = inline:{{gone.test=error:4.4.4 gone}}\n", "x@gone.test",
		"unknown default x@gone.test (5.4.4 gone)"},
	    {"retry transport", "transport_maps = inline:{{busy.test=retry:4.3.2 later}}\n", "x@busy.test",
		"unknown default x@busy.test (4.3.2 later)"},
	    {"retry transport without a code", "transport_maps = inline:{{busy.test=retry:later}}\n",
		"x@busy.test", "unknown default x@busy.test (4.1.1 later)"},
	    {"retry transport without a text", "transport_maps = inline:{{busy.test=retry}}\n", "x@busy.test",
		"unknown default x@busy.test (4.1.1 Address is undeliverable)"},
	    {"routed, by who may",
		"relay_domains = relay.test\nrelay_recipient_maps = inline:{x@relay.test=1}\n",
		"a%b.test@relay.test",
		"unknown relay a%b.test@relay.test routed (5.1.1 User unknown in relay recipient table)"},
	    {"moved", "relocated_maps = inline:{joe@example.com=joe@new.test}\n", "joe@example.com",
		"unknown local joe@example.com (5.1.6 User has moved to joe@new.test)"},
	    {"moved, from an alias domain",
		"virtual_alias_domains = v.test\nrelocated_maps = inline:{x@v.test=x@new.test}\n",
		"x+y@v.test", "unknown alias x+y@v.test (5.1.6 User has moved to x@new.test)"},
	    {"like an option", "", "-oQ/tmp@example.com",
		"unknown local -oQ/tmp@example.com (5.1.3 bad address syntax)"},
	    {"a command is no user", "", "|id@example.com",
		"unknown local |id@example.com (5.1.1 User unknown in local recipient table)"},
	};
	(void)state;
	CHECK_ROWS(rows, RESOLVE_VALIDATE);
}

static void
senders(void **state)
{
	(void)state;
	check("unlisted sender", BASE, "nobody@example.com", "", RESOLVE_VALIDATE | RESOLVE_SENDER,
	    "unknown local nobody@example.com (5.1.0 User unknown in local recipient table)");
	check("a sender whom recipient_canonical_maps knows",
	    BASE "recipient_canonical_maps = inline:{old@example.com=joe@x.test}\n", "old@example.com", "",
	    RESOLVE_VALIDATE | RESOLVE_SENDER, "found local old@example.com");
	check("null sender", BASE, "", "", RESOLVE_VALIDATE | RESOLVE_SENDER | RESOLVE_EXPAND,
	    "found default ");
	check("canonical",
	    BASE "sender_canonical_maps = inline:{joe=j@x.test}\ncanonical_maps=inline:{@x.test=@y.test}\n",
	    "joe@example.com", "", RESOLVE_SENDER | RESOLVE_EXPAND, "found local j@y.test");
	check("canonical: the empty sender",
	    BASE "sender_canonical_maps = inline:{joe=<>}\ncanonical_maps=static:no@y.test\n",
	    "joe@example.com", "", RESOLVE_SENDER | RESOLVE_EXPAND, "found local ");
	check("the empty recipient makes no sense", BASE "canonical_maps = inline:{joe=<>}\n",
	    "joe@example.com", "", RESOLVE_EXPAND,
	    "temporary local joe@example.com (4.3.0 Temporary lookup failure)");
	check("the name of the empty sender", BASE "canonical_maps = static:no@y.test\n", "Mailer-Daemon", "",
	    RESOLVE_SENDER | RESOLVE_EXPAND, "found default ");
	check("with tables switched off", BASE, "MAILER-DAEMON@mx.Example.com", "", RESOLVE_SENDER,
	    "found default ");
	check("of another domain", BASE, "MAILER-DAEMON@x.test", "", RESOLVE_SENDER | RESOLVE_EXPAND,
	    "found default MAILER-DAEMON@x.test");
}

static void
expansion(void **state)
{
	static const struct row rows[] = {
	    {"none", "", "a@b.test", "found default a@b.test > a@b.test smtp:b.test"},
	    {"several, in order", "virtual_alias_maps = inline:{{x@example.com=jane, joe, c@d.test}}\n",
		"x@example.com",
		"found local x@example.com > jane@mx.example.com local:mx.example.com, joe@mx.example.com "
		"local:mx.example.com, c@d.test smtp:d.test"},
	    {"nested", "virtual_alias_maps = inline:{a@v.test=b@v.test, b@v.test=c@d.test}\n", "a@v.test",
		"found default a@v.test > c@d.test smtp:d.test"},
	    {"itself among others", "virtual_alias_maps = inline:{{a@v.test=a@v.test, b@v.test}}\n",
		"a@v.test", "found default a@v.test > a@v.test smtp:v.test, b@v.test smtp:v.test"},
	    {"a loop defers", "virtual_alias_maps = inline:{a@v.test=b@v.test, b@v.test=a@v.test}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"a loop defers what leads out of it",
		"virtual_alias_maps = inline:{{a@v.test=b@v.test, c@d.test}, "
		"B@v.test=A@v.test}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"a loop on the way",
		"virtual_alias_maps = inline:{x@v.test=a@v.test, "
		"{a@v.test=c@d.test, b@v.test}, b@v.test=a@v.test}\n",
		"x@v.test", "temporary default x@v.test (4.3.0 Temporary lookup failure)"},
	    {"a loop of two that both are led to",
		"virtual_alias_maps = inline:{{a@v.test=b@v.test, c@v.test, "
		"d@d.test}, b@v.test=c@v.test, c@v.test=b@v.test}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"a loop with one that stays",
		"virtual_alias_maps = inline:{{a@v.test=a@v.test, b@v.test}, "
		"b@v.test=a@v.test}\n",
		"b@v.test", "found default b@v.test > a@v.test smtp:v.test"},
	    {"one way from the other and by itself",
		"virtual_alias_maps = inline:{{a@v.test=b@v.test, c@v.test}, "
		"b@v.test=c@v.test, c@v.test=d@d.test}\n",
		"a@v.test", "found default a@v.test > d@d.test smtp:d.test"},
	    {"duplicates once", "virtual_alias_maps = inline:{{a@v.test=b@c.test, B@c.test, b@C.test}}\n",
		"a@v.test", "found default a@v.test > b@c.test smtp:c.test"},
	    {"extension is kept", "virtual_alias_maps = inline:{a@v.test=b@c.test}\n", "a+x@v.test",
		"found default a+x@v.test > b+x@c.test smtp:c.test"},
	    {"extension that was asked for is not added again",
		"virtual_alias_maps = inline:{a+x@v.test=b@c.test}\n", "a+x@v.test",
		"found default a+x@v.test > b@c.test smtp:c.test"},
	    {"extension is dropped where that is asked for",
		"propagate_unmatched_extensions =\nvirtual_alias_maps = inline:{a@v.test=b@c.test}\n",
		"a+x@v.test", "found default a+x@v.test > b@c.test smtp:c.test"},
	    {"domain to domain", "virtual_alias_maps = inline:{@v.test=@w.test}\n", "a+x@v.test",
		"found default a+x@v.test > a+x@w.test smtp:w.test"},
	    {"domain for one address, without the extension that the key lacked",
		"propagate_unmatched_extensions =\nvirtual_alias_maps = inline:{a@v.test=@w.test}\n",
		"a+x@v.test", "found default a+x@v.test > a@w.test smtp:w.test"},
	    {"domain for one address, with its extension once",
		"virtual_alias_maps = inline:{{\"a b\"@v.test = @w.test}}\n", "\"a b+x\"@v.test",
		"found default \"a b+x\"@v.test > \"a b+x\"@w.test smtp:w.test"},
	    {"a key without the quotes, and its extension",
		"virtual_alias_maps = inline:{{a b@v.test = c@d.test}}\n", "\"a b+x\"@v.test",
		"found default \"a b+x\"@v.test > c+x@d.test smtp:d.test"},
	    {"a pattern without the quotes", "virtual_alias_maps = regexp:{{/^a b@v.test$$/ c@d.test}}\n",
		"\"a b\"@v.test", "found default \"a b\"@v.test > c@d.test smtp:d.test"},
	    {"domain among others", "virtual_alias_maps = inline:{{a@v.test = @w.test b@c.test}}\n",
		"a@v.test", "found default a@v.test > a@w.test smtp:w.test, b@c.test smtp:c.test"},
	    {"white space separates",
		"virtual_alias_maps = inline:{{a@v.test = b@c.test (B) c@c.test\td@c.test , \"e f\"@c.test "
		"g@c.test, H I "
		"<h@c.test>}}\n",
		"a@v.test",
		"found default a@v.test > b@c.test smtp:c.test, c@c.test smtp:c.test, d@c.test smtp:c.test, "
		"\"e "
		"f\"@c.test smtp:c.test, g@c.test smtp:c.test, h@c.test smtp:c.test"},
	    {"a domain behind others has nobody in front of it",
		"virtual_alias_maps = inline:{{a@v.test = c@d.test, @w.test}}\n", "a@v.test",
		"found default a@v.test > c@d.test smtp:d.test, \"\"@w.test smtp:w.test"},
	    {"an autoresponder beside the mailbox",
		"virtual_alias_maps = inline:{{a@v.test = a@v.test, a@v.test@auto.test}}\n", "a@v.test",
		"found default a@v.test > a@v.test smtp:v.test, \"a@v.test\"@auto.test smtp:auto.test"},
	    {"two domains are no address", "virtual_alias_maps = inline:{{a@v.test = @w.test @c.test}}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"a path is none", "virtual_alias_maps = inline:{{a@v.test = c@d.test, <@w.test,@x.test>}}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"user alone, of our domain", "virtual_alias_maps = inline:{info=b@c.test}\n", "info@example.com",
		"found local info@example.com > b@c.test smtp:c.test"},
	    {"user alone, not of another", "virtual_alias_maps = inline:{info=b@c.test}\n", "info@v.test",
		"found default info@v.test > info@v.test smtp:v.test"},
	    {"too many",
		"virtual_alias_expansion_limit = 2\nvirtual_alias_maps = inline:{{a@v.test=b@c.test, "
		"c@c.test, d@c.test}}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"too deep",
		"virtual_alias_recursion_limit = 1\nvirtual_alias_maps = inline:{a@v.test=b@v.test, "
		"b@v.test=c@v.test, c@v.test=d@v.test}\n",
		"a@v.test", "temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"growing without end", "virtual_alias_maps = regexp:/nonexistent\n", "a@v.test",
		"temporary default a@v.test (4.3.0 Temporary lookup failure)"},
	    {"alias domain without an alias bounces",
		"virtual_alias_domains = v.test\nvirtual_alias_maps = inline:{x@v.test=joe}\n", "y@v.test",
		"found alias y@v.test > y@v.test error:5.1.1 User unknown in virtual alias table"},
	    {"canonical comes first",
		"recipient_canonical_maps = "
		"inline:{old@example.com=new@example.com}\nvirtual_alias_maps=inline:{new@example.com=c@d."
		"test}\n",
		"old@example.com", "found local new@example.com > c@d.test smtp:d.test"},
	    {"routing through us to a host without a domain",
		"append_dot_mydomain = yes\nmydomain = d.test\nmydestination = example.com\n",
		"a%host@example.com", "found default a%host@example.com > a@host.d.test smtp:host.d.test"},
	    {"routing through us is undone", "", "a%remote.test@example.com",
		"found default a%remote.test@example.com > a@remote.test smtp:remote.test"},
	};
	(void)state;
	CHECK_ROWS(rows, RESOLVE_EXPAND);
}

static void
routes(void **state)
{
	static const struct row rows[] = {
	    {"domain", "", "a@b.test", "found default a@b.test > a@b.test smtp:b.test"},
	    {"literal", "", "a@[192.0.2.9]", "found default a@[192.0.2.9] > a@[192.0.2.9] smtp:[192.0.2.9]"},
	    {"relayhost", "relayhost = [r.test]:25, s.test\n", "a@b.test",
		"found default a@b.test > a@b.test smtp:[r.test]:25, s.test"},
	    {"default transport with next hop",
		"default_transport = lmtp:inet:[127.0.0.1]:24\nrelayhost=r.test\n", "a@b.test",
		"found default a@b.test > a@b.test lmtp:inet:[127.0.0.1]:24"},
	    {"relay transport and relayhost", "relay_domains = b.test\nrelayhost=r.test\n", "a@b.test",
		"found relay a@b.test > a@b.test relay:r.test"},
	    {"local", "", "joe@example.com",
		"found local joe@example.com > joe@example.com local:mx.example.com"},
	    {"mailbox", "virtual_mailbox_domains = box.test\n", "a@box.test",
		"found mailbox a@box.test > a@box.test virtual:box.test"},
	    {"mailbox over LMTP",
		"virtual_mailbox_domains = box.test\nvirtual_transport = lmtp:unix:private/dovecot\n",
		"a@box.test", "found mailbox a@box.test > a@box.test lmtp:unix:private/dovecot"},
	    {"by sender",
		"sender_dependent_relayhost_maps = "
		"inline:{@remote.test=[by-sender.test]}\nrelayhost=r.test\n",
		"a@b.test", "found default a@b.test > a@b.test smtp:[by-sender.test]"},
	    {"transport by sender",
		"sender_dependent_default_transport_maps = inline:{s@remote.test=slow:}\nrelayhost=r.test\n",
		"a@b.test", "found default a@b.test > a@b.test slow:r.test"},
	    /* Rows of Postfix's own test, src/trivial-rewrite/transport.in. */
	    {"user",
		"transport_maps = inline:{rcpt1@example1.com=channel1:nexthop1, rcpt2@example2=channel2:, "
		"example3=channel3}\n",
		"rcpt1@example1.com",
		"found default rcpt1@example1.com > rcpt1@example1.com channel1:nexthop1"},
	    {"user with extension", "transport_maps = inline:{rcpt1@example1.com=channel1:nexthop1}\n",
		"rcpt1+ext1@example1.com",
		"found default rcpt1+ext1@example1.com > rcpt1+ext1@example1.com channel1:nexthop1"},
	    {"transport without next hop",
		"relayhost = r.test\ntransport_maps = inline:{rcpt2@example2=channel2:}\n", "rcpt2@example2",
		"found default rcpt2@example2 > rcpt2@example2 channel2:example2"},
	    {"no colon", "transport_maps = inline:{example3=channel3}\n", "rcpt@example3",
		"found default rcpt@example3 > rcpt@example3 channel3:example3"},
	    {"wildcard", "transport_maps = inline:{*=channel0:nexthop0}\n", "rcpt2@example2",
		"found default rcpt2@example2 > rcpt2@example2 channel0:nexthop0"},
	    {"wildcard, next hop only", "transport_maps = inline:{*=:nexthop0}\n", "rcpt2@example2",
		"found default rcpt2@example2 > rcpt2@example2 smtp:nexthop0"},
	    {"wildcard, nothing", "relayhost = r.test\ntransport_maps = inline:{*=:}\n", "rcpt2@example2",
		"found default rcpt2@example2 > rcpt2@example2 smtp:r.test"},
	    {"subdomain, with a dot only",
		"transport_maps = inline:{example=:example-result,.example=:dot-example-result}\n",
		"foo@sub.sub.example",
		"found default foo@sub.sub.example > foo@sub.sub.example smtp:dot-example-result"},
	    {"not the domain of the same end", "transport_maps = inline:{.example=:dot-example-result}\n",
		"foo@other-example",
		"found default foo@other-example > foo@other-example smtp:other-example"},
	    {"exceptions from an error transport",
		"default_transport = error:5.7.1 not outside\ntransport_maps = "
		"inline:{b.test=smtp:[h.test]}\n",
		"a@b.test", "found default a@b.test > a@b.test smtp:[h.test]"},
	    {"moved, whatever the transport",
		"relocated_maps = inline:{a@b.test=c@d.test}\ntransport_maps = inline:{b.test=smtp:}\n",
		"a@b.test", "found default a@b.test > a@b.test error:5.1.6 User has moved to c@d.test"},
	    {"a transport in trouble", "transport_maps = fail:x\n", "a@b.test",
		"temporary default a@b.test (4.3.0 Temporary lookup failure)"},
	};
	(void)state;
	CHECK_ROWS(rows, RESOLVE_ROUTE);
}

/* Where an address stands decides which tables apply. */
static void
classes(void **state)
{
	static const struct row senders_rows[] = {
	    {"masqueraded", "masquerade_domains = sub.example.com example.com\n", "a@x.y.example.com",
		"found default a@example.com"},
	    {"the first that matches", "masquerade_domains = sub.example.com example.com\n",
		"a@x.sub.example.com", "found default a@sub.example.com"},
	    {"a name in between is left alone", "masquerade_domains = sub.example.com example.com\n",
		"a@sub.example.com", "found default a@sub.example.com"},
	    {"not", "masquerade_domains = !sub.example.com example.com\n", "a@x.sub.example.com",
		"found default a@x.sub.example.com"},
	    {"another's end", "masquerade_domains = example.com\n", "a@notexample.com",
		"found default a@notexample.com"},
	    {"an exception", "masquerade_domains = example.com\nmasquerade_exceptions = root, info\n",
		"Root@x.example.com", "found default Root@x.example.com"},
	    {"a table of exceptions in trouble",
		"masquerade_domains = example.com\nmasquerade_exceptions = fail:x\n", "a@x.example.com",
		"temporary default a@x.example.com (4.3.0 Temporary lookup failure)"},
	    {"not in this class", "masquerade_domains = example.com\nmasquerade_classes = header_sender\n",
		"a@x.example.com", "found default a@x.example.com"},
	    {"after canonical",
		"masquerade_domains = example.com\ncanonical_maps = "
		"inline:{joe@old.test=joe@x.example.com}\n",
		"joe@old.test", "found default joe@example.com"},
	    {"canonical not in this class",
		"canonical_classes = envelope_recipient\ncanonical_maps = inline:{joe@old.test=new@x.test}\n",
		"joe@old.test", "found default joe@old.test"},
	    {"canonical in a circle", "canonical_maps = inline:{a@x.test=b@x.test, b@x.test=a@x.test}\n",
		"a@x.test", "found default a@x.test"},
	    {"canonical keeps the extension", "canonical_maps = inline:{a@x.test=b@y.test}\n", "a+e@x.test",
		"found default b+e@y.test"},
	    {"canonical without it",
		"propagate_unmatched_extensions = virtual\ncanonical_maps = inline:{a@x.test=b@y.test}\n",
		"a+e@x.test", "found default b@y.test"},
	};
	static const struct row recipient_rows[] = {
	    {"recipients are not masqueraded by default", "masquerade_domains = example.com\n",
		"a@x.example.com", "found default a@x.example.com > a@x.example.com smtp:x.example.com"},
	    {"but may be", "masquerade_domains = example.com\nmasquerade_classes = envelope_recipient\n",
		"joe@x.example.com", "found default joe@example.com > joe@example.com local:mx.example.com"},
	    {"several delimiters",
		"recipient_delimiter = +-\nvirtual_alias_maps = inline:{a@v.test=b@c.test}\n", "a-x@v.test",
		"found default a-x@v.test > b-x@c.test smtp:c.test"},
	    {"owner- is whole",
		"recipient_delimiter = +-\nvirtual_alias_maps = inline:{owner@v.test=b@c.test}\n",
		"owner-x@v.test", "found default owner-x@v.test > owner-x@v.test smtp:v.test"},
	    {"owner- is not",
		"owner_request_special = no\nrecipient_delimiter = +-\n"
		"virtual_alias_maps = inline:{owner@v.test=b@c.test}\n",
		"owner-x@v.test", "found default owner-x@v.test > b-x@c.test smtp:c.test"},
	};
	(void)state;
	CHECK_ROWS(senders_rows, RESOLVE_SENDER | RESOLVE_EXPAND);
	CHECK_ROWS(recipient_rows, RESOLVE_EXPAND);
}

static void
copies(void **state)
{
	static const struct row sender_rows[] = {
	    {"always", "always_bcc = jane\n", "s@x.test",
		"found default s@x.test > copy jane@mx.example.com local:mx.example.com"},
	    {"of notices too", "always_bcc = jane\n", "",
		"found default  > copy jane@mx.example.com local:mx.example.com"},
	    {"by sender", "sender_bcc_maps = inline:{@x.test=log@far.test}\n", "s+e@x.test",
		"found default s+e@x.test > copy log@far.test smtp:far.test"},
	    {"none by the empty sender", "sender_bcc_maps = static:log@far.test\n", "", "found default "},
	    {"through aliases",
		"always_bcc = arc@v.test\nvirtual_alias_maps = inline:{{arc@v.test=a@x.test, b@x.test}}\n",
		"s@x.test", "found default s@x.test > copy a@x.test smtp:x.test, copy b@x.test smtp:x.test"},
	    {"trouble", "sender_bcc_maps = fail:x\n", "s@x.test",
		"temporary default s@x.test (4.3.0 Temporary lookup failure)"},
	};
	static const struct row recipient_rows[] = {
	    {"by recipient", "recipient_bcc_maps = inline:{joe@example.com=log@far.test}\n",
		"joe@example.com",
		"found local joe@example.com > joe@example.com local:mx.example.com, copy log@far.test "
		"smtp:far.test"},
	    {"by the name before aliases",
		"virtual_alias_maps = inline:{a@v.test=b@v.test}\nrecipient_bcc_maps = "
		"inline:{a@v.test=log@far.test, b@v.test=no@far.test}\n",
		"a@v.test", "found default a@v.test > b@v.test smtp:v.test, copy log@far.test smtp:far.test"},
	    {"copies get no copies", "recipient_bcc_maps = inline:{a@v.test=b@v.test, b@v.test=c@v.test}\n",
		"a@v.test", "found default a@v.test > a@v.test smtp:v.test, copy b@v.test smtp:v.test"},
	};
	(void)state;
	CHECK_ROWS(sender_rows, RESOLVE_SENDER | RESOLVE_EXPAND | RESOLVE_BCC);
	CHECK_ROWS(recipient_rows, RESOLVE_EXPAND | RESOLVE_BCC);
	check("by the sender's route",
	    BASE "always_bcc = arc@far.test\nsender_dependent_default_transport_maps = "
		 "inline:{{@x.test=smtp:[h.test]}}\n",
	    "s@x.test", "", RESOLVE_SENDER | RESOLVE_EXPAND | RESOLVE_BCC,
	    "found default s@x.test > copy arc@far.test smtp:[h.test]");
	check("only where it is asked for", BASE "always_bcc = jane\n", "s@x.test", "",
	    RESOLVE_SENDER | RESOLVE_EXPAND, "found default s@x.test");
}

/* RFC 5890: the two forms of a domain are one domain, in lists and in tables of any kind. */
#define U_LABEL "b\303\274cher.test"
#define A_LABEL "xn--bcher-kva.test"
static void
international(void **state)
{
	static const struct row rows[] = {
	    {"list has U, address A", "mydestination = " U_LABEL "\n", "joe@" A_LABEL,
		"found local joe@" A_LABEL " > joe@" A_LABEL " local:mx.example.com"},
	    {"list has A, address U", "mydestination = " A_LABEL "\n", "joe@" U_LABEL,
		"found local joe@" A_LABEL " > joe@" A_LABEL " local:mx.example.com"},
	    {"capitals too", "mydestination = B\303\234CHER.test\n", "joe@" A_LABEL,
		"found local joe@" A_LABEL " > joe@" A_LABEL " local:mx.example.com"},
	    {"parent", "relay_domains = " U_LABEL "\n", "x@a." A_LABEL,
		"found relay x@a." A_LABEL " > x@a." A_LABEL " relay:a." A_LABEL},
	    {"a table of domains", "relay_domains = inline:{" U_LABEL "=x}\n", "x@" A_LABEL,
		"found relay x@" A_LABEL " > x@" A_LABEL " relay:" A_LABEL},
	    {"alias, table has U", "virtual_alias_maps = inline:{a@" U_LABEL "=b@c.test}\n", "a+x@" A_LABEL,
		"found default a+x@" A_LABEL " > b+x@c.test smtp:c.test"},
	    {"alias, table has A", "virtual_alias_maps = inline:{@" A_LABEL "=b@c.test}\n", "a@" U_LABEL,
		"found default a@" A_LABEL " > b@c.test smtp:c.test"},
	    {"alias to U", "virtual_alias_maps = inline:{{a@v.test=b@" U_LABEL ", b@" A_LABEL "}}\n",
		"a@v.test", "found default a@v.test > b@" A_LABEL " smtp:" A_LABEL},
	    {"transport by U before the wildcard",
		"transport_maps = inline:{*=slow:, ." U_LABEL "=fast:[r]}\n", "x@m." A_LABEL,
		"found default x@m." A_LABEL " > x@m." A_LABEL " fast:[r]"},
	    {"no domain name at all stays", "", "x@\360\237\230\200\377.test",
		"found default x@\360\237\230\200\377.test > x@\360\237\230\200\377.test "
		"smtp:\360\237\230\200\377.test"},
	};
	(void)state;
	CHECK_ROWS(rows, RESOLVE_EXPAND);
}

/* A pattern that makes an address longer each time ends at a limit, and defers. */
static void
runaway(void **state)
{
	char path[] = "/tmp/test_route.XXXXXX", config[8192];
	static const char rule[] = "/^(.*)@v.test$/ x$1@v.test\n";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, rule, sizeof(rule) - 1), sizeof(rule) - 1);
	(void)close(fd);
	(void)snprintf(
	    config, sizeof(config), "%svirtual_alias_domains=\nvirtual_alias_maps = regexp:%s\n", BASE, path);
	check("growing", config, "a@v.test", "", RESOLVE_EXPAND,
	    "temporary default a@v.test (4.3.0 Temporary lookup failure)");
	(void)unlink(path);
}

/* What stands behind the cut is not known: nobody is told that a domain is not ours. */
static void
a_list_with_a_line_that_is_cut(void **state)
{
	char path[] = "/tmp/test_route.XXXXXX", config[8192];
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	(void)state;
	assert_non_null(file);
	(void)fprintf(file, "%*s\n", LINES_LINE_MAX + 1, "box.test");
	(void)fclose(file);
	(void)snprintf(config, sizeof(config), "%svirtual_mailbox_domains = %s\n", BASE, path);
	check("cut", config, "a@box.test", "", RESOLVE_VALIDATE,
	    "temporary default a@box.test (4.3.0 Temporary lookup failure)");
	(void)unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rewriting),
	    cmocka_unit_test(relaying),
	    cmocka_unit_test(validity),
	    cmocka_unit_test(senders),
	    cmocka_unit_test(expansion),
	    cmocka_unit_test(routes),
	    cmocka_unit_test(classes),
	    cmocka_unit_test(copies),
	    cmocka_unit_test(international),
	    cmocka_unit_test(runaway),
	    cmocka_unit_test(a_list_with_a_line_that_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
