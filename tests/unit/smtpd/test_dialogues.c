/*
 * Dialogues as rows: "> " is sent with CRLF, anything else is the start of the next reply line. "~" before the text of a
 * "> " line sends it without a line end; "= " is found in the log afterwards; "! " is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtpd/resolution.h"
#include "smtpd/transaction.h"
#include "tests/unit/smtpd/fakes.h"

#define HOST "myhostname = mx.here.test\nmydomain = here.test\nmynetworks = 192.0.2.1/32\n"
#define STRANGER "192.0.2.99"
#define NEIGHBOUR "192.0.2.1"

struct dialogue {
	const char *name, *conf, *client;
	const char *lines[40];
};

static const struct dialogue dialogues[] = {
    {"a message from greeting to goodbye", "", STRANGER,
	{"220 mx.here.test ESMTP", "> EHLO client.test", "250-mx.here.test Hello client.test [192.0.2.99]",
	    "250-PIPELINING", "250-SIZE 10240000", "250-VRFY", "250-ETRN", "250-ENHANCEDSTATUSCODES",
	    "250-8BITMIME", "250-DSN", "250-SMTPUTF8", "250 CHUNKING", "> MAIL FROM:<a@there.test>",
	    "250 2.1.0 Ok", "> RCPT TO:<alice@here.test>", "250 2.1.5 Ok", "> DATA",
	    "354 End data with <CR><LF>.<CR><LF>", "> Subject: x", "> ", "> ..dot", "> .",
	    "250 2.0.0 Ok: queued as ", "> QUIT", "221 2.0.0 Bye",
	    "= smtpd: connect from unknown[192.0.2.99]", "= : client=unknown[192.0.2.99]",
	    "= disconnect from unknown[192.0.2.99] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"}},
    {"a stranger does not relay", "", STRANGER,
	{"220 ", "> HELO h.test", "250 mx.here.test", "> MAIL FROM:<a@b.test>", "250 ",
	    "> RCPT TO:<r@far.test>", "554 5.7.1 <r@far.test>: Relay access denied",
	    "= NOQUEUE: reject: RCPT from unknown[192.0.2.99]: 554 5.7.1 <r@far.test>: Relay access denied; "
	    "from=<a@b.test> to=<r@far.test> proto=SMTP helo=<h.test>"}},
    {"a neighbour does", "", NEIGHBOUR,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<r@far.test>", "250 2.1.5 Ok"}},
    {"a neighbour in IPv6 clothes does", "", "::ffff:192.0.2.1",
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<r@far.test>",
	    "250 2.1.5 Ok"}},
    {"unknown users and routed addresses", "", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<nobody@here.test>",
	    "550 5.1.1 <nobody@here.test>: Recipient address rejected: User unknown in local recipient table",
	    "> RCPT TO:<nobody@virtual.test>",
	    "550 5.1.1 <nobody@virtual.test>: Recipient address rejected: User unknown in virtual alias "
	    "table",
	    "> RCPT TO:<r%far.test@here.test>", "554 5.7.1 <r%far.test@here.test>: Relay access denied",
	    "> RCPT TO:<far.test!r@here.test>", "554 5.7.1 ", "> RCPT TO:<temp@here.test>",
	    "451 4.3.0 <temp@here.test>: Temporary lookup failure", "> DATA", "554 5.5.1 no valid recipients",
	    "> RSET", "250 "}},
    {"routing that ends here is no relaying", "", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ",
	    "> RCPT TO:<unrouted%here.test@here.test>", "250 "}},
    {"sloppy forms", "", STRANGER,
	{"220 ", "> helo X", "250 ", "> mail from: dude@noddy.test", "250 ", "> RCPT TO :<alice@here.test>  ",
	    "250 ", "> rset", "250 2.0.0 Ok", "> MAIL FROM:<@a.test,@b.test:c@d.test>", "250 "}},
    {"another character in the colon's place", "", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM=<a@b.test>", "501 5.5.4 Syntax: MAIL FROM:<address>",
	    "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO;<alice@here.test>",
	    "501 5.5.4 Syntax: RCPT TO:<address>"}},
    {"restrictions on a name that was not given",
	"smtpd_recipient_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, "
	"reject_unknown_helo_hostname\n",
	STRANGER, {"220 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>", "250 "}},
    {"a table alone is asked about what its list is about", "smtpd_sender_restrictions = fake:REJECT\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <a@b.test>: Sender address rejected: Access denied"}},
    {"parameters", "", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> MAIL FROM:<> \"=", "501 5.5.4", "> MAIL FROM:<> =", "501 5.5.4",
	    "> MAIL FROM:<> size=99999999999999999999", "552 5.3.4 Message size exceeds fixed limit",
	    "> MAIL FROM:<a@b.test> body=9bit", "501 ", "> MAIL FROM:<a@b.test> ENVID=a+zz", "501 ",
	    "> MAIL FROM:<a@b.test> ENVID=a+7F", "501 ",
	    "> MAIL FROM:<a@b.test> ret=hdrs envid=QQ+2B size=51 body=8bitmime", "250 ",
	    "> RCPT TO:<alice@here.test> =\"", "501 ", "> RCPT TO:<alice@here.test> notify=never,success",
	    "501 ", "> RCPT TO:<alice@here.test> notify=success,failure orcpt=rfc822;B+2Bc@d.test", "250 ",
	    "> RCPT TO:<alice@here.test> FOO=BAR", "555 5.5.4 Unsupported option: FOO=BAR"}},
    {"parameters are understood after HELO, too", "", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test> SIZE=10", "250 2.1.0 Ok"}},
    {"addresses outside ASCII need SMTPUTF8", "", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> MAIL FROM:<\xc3\xa4@b.test>", "553 5.6.7", "> MAIL FROM:<\xc0\x80@b.test> SMTPUTF8",
	    "501 5.1.7", "> MAIL FROM:<\xc3\xa4@b.test> SMTPUTF8", "250 ", "> RCPT TO:<\xc3\xb6@here.test>",
	    "250 ", "> RSET", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<\xc3\xb6@here.test>",
	    "553 5.6.7"}},
    {"NUL and nothing", "", STRANGER, {"220 ", "> ", "500 5.5.2 Error: bad syntax", "> FROB", "500 5.5.2"}},
    {"what is out of order", "smtpd_helo_required = yes\n", STRANGER,
	{"220 ", "> MAIL FROM:<a@b.test>", "503 5.5.1 Error: send HELO/EHLO first", "> RCPT TO:<a@here.test>",
	    "503 5.5.1 Error: need MAIL command", "> DATA", "503 5.5.1 Error: need RCPT command",
	    "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> MAIL FROM:<a@b.test>",
	    "503 5.5.1 Error: nested MAIL command", "> DATA", "503 5.5.1 Error: need RCPT command"}},
    {"policies of VRFY and EXPN", "", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> VRFY alice@here.test", "252 2.0.0 alice@here.test",
	    "> VRFY nobody@here.test", "550 5.1.1", "> VRFY r@far.test", "554 5.7.1", "> EXPN list",
	    "502 5.5.1", "> VRFY", "501 5.5.4"}},
    {"VRFY can be switched off, EXPN on", "disable_vrfy_command = yes\nenable_expn = yes\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> VRFY alice@here.test", "502 5.5.1", "> EXPN list@here.test",
	    "250-2.1.5 <one@here.test>", "250 2.1.5 <two@far.test>", "> EXPN nobody@here.test", "550 "}},
    {"EXPN is for those who may send", "enable_expn = yes\nsmtpd_client_restrictions = reject\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> EXPN list@here.test", "554 5.7.1"}},
    {"ETRN while the list of domains cannot be read", "fast_flush_domains = fail:x\n", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> ETRN here.test", "458 4.3.0 Unable to queue messages"}},
    {"ETRN", "fast_flush_domains = here.test, many.test\n", STRANGER,
	{"220 ", "> ETRN here.test", "503 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250-", "250-", "250-", "250 ", "> ETRN here.test", "250 2.0.0 Queuing started",
	    "> ETRN many.test", "253 2.0.0 OK, 3 pending", "> ETRN far.test",
	    "459 4.7.1 <far.test>: service unavailable",
	    "= reject: ETRN far.test... from unknown[192.0.2.99]", "> ETRN ../../etc/passwd", "501 5.5.4",
	    "> ETRN x';drop", "501 5.5.4"}},
    {"STARTTLS where there is none", "", STRANGER,
	{"220 ", "> STARTTLS x", "501 5.5.4 Syntax: STARTTLS", "> STARTTLS",
	    "502 5.5.1 Error: command not implemented"}},
    {"STARTTLS without a certificate", "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /none\n",
	STRANGER,
	{"220 ", "> STARTTLS", "454 4.7.0 TLS not available due to local problem", "> MAIL FROM:<a@b.test>",
	    "250 "}},
    {"what goes before TLS where it is required",
	"smtpd_tls_security_level = encrypt\nsmtpd_tls_chain_files = /none\n", NEIGHBOUR,
	{"220 ", "> HELO h.test", "250 ", "> NOOP", "250 ", "> MAIL FROM:<a@b.test>",
	    "530 5.7.0 Must issue a STARTTLS command first", "> RCPT TO:<alice@here.test>", "530 5.7.0 ",
	    "> DATA", "530 5.7.0 ", "> RSET", "530 5.7.0 ", "> VRFY alice", "530 5.7.0 ", "> ETRN here.test",
	    "530 5.7.0 ", "> AUTH PLAIN AAA=", "530 5.7.0 ", "> BDAT 4 LAST", ">~NOOP",
	    "530 5.7.0 Must issue a STARTTLS command first", "> FROB", "500 5.5.2", "> QUIT", "221 "}},
    {"mail in plain text may be refused", "smtpd_recipient_restrictions = reject_plaintext_session\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.1 Session encryption is required"}},
    {"nobody shows a certificate without TLS",
	"smtpd_relay_restrictions = permit_tls_all_clientcerts, permit_tls_clientcerts, "
	"check_ccert_access fake:OK, reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 "}},
    {"soft_bounce", "soft_bounce = yes\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<r@far.test>",
	    "454 4.7.1 <r@far.test>: Relay access denied"}},
    {"the client's name", "", "192.0.2.10",
	{"220 ", "> HELO h.test", "250 ", "= connect from client.there.test[192.0.2.10]"}},
    {"a forged name", "smtpd_client_restrictions = reject_unknown_client_hostname\n", "192.0.2.11",
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.11]",
	    "= warning: hostname forged.there.test does not resolve to address 192.0.2.11",
	    "= connect from unknown[192.0.2.11]"}},
    {"a forged name is a reverse name",
	"smtpd_client_restrictions = reject_unknown_reverse_client_hostname\n", "192.0.2.11",
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 "}},
    {"a client that is refused at once",
	"smtpd_delay_reject = no\nsmtpd_client_restrictions = reject_unknown_client_hostname\n", "192.0.2.11",
	{"450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.11]",
	    "= NOQUEUE: reject: CONNECT from unknown[192.0.2.11]: 450 4.7.25 "}},
    {"a temporary trouble with the name is no 5xx",
	"smtpd_client_restrictions = reject_unknown_client_hostname\nunknown_client_reject_code = 550\n",
	"192.0.2.12",
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.25"}},
    {"HELO restrictions at once",
	"smtpd_delay_reject = no\nsmtpd_helo_restrictions = "
	"reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, "
	"reject_unknown_helo_hostname\n",
	STRANGER,
	{"220 ", "> HELO [999.1.1.1]", "501 5.5.2 <[999.1.1.1]>: Helo command rejected: invalid ip address",
	    "> HELO a..b", "501 5.5.2 <a..b>: Helo command rejected: Invalid name", "> HELO host",
	    "504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname", "> HELO nx.test",
	    "450 4.7.1 <nx.test>: Helo command rejected: Host not found", "> HELO [192.0.2.1]", "250 ",
	    "> HELO fine.test", "250 "}},
    {"sender restrictions",
	"smtpd_sender_restrictions = reject_non_fqdn_sender, reject_unknown_sender_domain\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@nx.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.1.8 <a@nx.test>: Sender address rejected: Domain not found", "> RSET", "250 ",
	    "> MAIL FROM:<a@null.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "550 5.7.27 <a@null.test>: Sender address rejected: Domain null.test does not accept mail "
	    "(nullMX)",
	    "> RSET", "250 ", "> MAIL FROM:<a@bare.test>", "250 ", "> RCPT TO:<alice@here.test>", "250 ",
	    "> RSET", "250 ", "> MAIL FROM:<a@host>", "250 ", "> RCPT TO:<alice@here.test>",
	    "504 5.5.2 <a@host>", "> RSET", "250 ", "> MAIL FROM:<>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 "}},
    {"a temporary DNS failure defers, whatever the code says",
	"smtpd_sender_restrictions = reject_unknown_sender_domain\nunknown_address_reject_code = 550\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@temp.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.1.8 <a@temp.test>: Sender address rejected: Domain not found", "> RCPT TO:<r@far.test>",
	    "554 5.7.1 <r@far.test>: Relay access denied"}},
    {"access tables", "smtpd_recipient_restrictions = check_recipient_access fake:REJECT, reject\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <alice@here.test>: Recipient address rejected: Access denied"}},
    {"a code and text of an access table",
	"smtpd_sender_restrictions = check_sender_access fake:451~4.2.1~come~again\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "451 4.2.1 <a@b.test>: Sender address rejected: come again"}},
    {"a broken table defers", "smtpd_client_restrictions = check_client_access fail:x\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "451 4.3.5 <unknown[192.0.2.99]>: Client host rejected: Server configuration error"}},
    {"OK ends its list only", "smtpd_client_restrictions = check_client_access fake:OK, reject\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> RCPT TO:<r@far.test>", "554 5.7.1"}},
    {"a list as an action",
	"smtpd_recipient_restrictions = check_recipient_access fake:permit_mynetworks~reject\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <alice@here.test>: Recipient address rejected: Access denied"}},
    {"an unknown restriction is never fewer",
	"smtpd_recipient_restrictions = check_client_access fake:permit_mynetwroks, permit\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "451 4.3.5 Server configuration error"}},
    {"warn_if_reject",
	"smtpd_recipient_restrictions = warn_if_reject reject_unknown_client_hostname, permit\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "= NOQUEUE: reject_warning: RCPT from unknown[192.0.2.99]: 450 4.7.25 Client host"}},
    {"a class stands for its list",
	"smtpd_restriction_classes = fussy, calm\nfussy = reject_non_fqdn_sender, reject\n"
	"calm = permit\nsmtpd_sender_restrictions = fussy\nsmtpd_recipient_restrictions = calm, reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b>", "250 ", "> RCPT TO:<alice@here.test>",
	    "504 5.5.2 <a@b>: Sender address rejected: need fully-qualified address", "> RSET", "250 ",
	    "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <a@b.test>: Sender address rejected: Access denied"}},
    {"OK in a class ends the list that names it",
	"smtpd_restriction_classes = calm\ncalm = permit\nsmtpd_recipient_restrictions = calm, reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 "}},
    {"a class without a decision goes on behind it",
	"smtpd_restriction_classes = open\nopen = permit_mynetworks\nsmtpd_recipient_restrictions = open, "
	"reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <alice@here.test>: Recipient address rejected: Access denied"}},
    {"an access table gives a class",
	"smtpd_restriction_classes = shut\nshut = check_sender_access none:x, check_sender_access "
	"fake:450~not~now\n"
	"smtpd_recipient_restrictions = check_recipient_access fake:shut\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.1 <a@b.test>: Sender address rejected: not now"}},
    {"a class that leads back to itself",
	"smtpd_restriction_classes = a, b\na = b\nb = check_client_access fake:a\n"
	"smtpd_recipient_restrictions = a\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "451 4.3.5 Server configuration error", "= restriction lists are nested too deeply"}},
    {"classes that multiply each other",
	"smtpd_restriction_classes = a,b,c,d,e\na = b b b b b b b b b b\nb = c c c c c c c c c c\n"
	"c = d d d d d d d d d d\nd = e e e e e e e e e e\ne = permit_mynetworks\n"
	"smtpd_recipient_restrictions = a, a\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "451 4.3.5 Server configuration error", "= restriction lists do not come to an end"}},
    {"warn_if_reject holds for a whole class, and ends with it",
	"smtpd_restriction_classes = two\ntwo = reject_unknown_client_hostname, check_client_access "
	"fake:554~no\n"
	"smtpd_recipient_restrictions = warn_if_reject two, reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <alice@here.test>: Recipient address rejected: Access denied",
	    "= reject_warning: RCPT from unknown[192.0.2.99]: 450 4.7.25",
	    "= reject_warning: RCPT from unknown[192.0.2.99]: 554 5.7.1 <unknown[192.0.2.99]>: Client host "
	    "rejected: no"}},
    {"smtpd_reject_unlisted_sender, whatever the lists say",
	"smtpd_reject_unlisted_sender = yes\nsmtpd_sender_restrictions = permit\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<nobody@here.test>", "250 ",
	    "> RCPT TO:<alice@here.test>",
	    "550 5.1.0 <nobody@here.test>: Sender address rejected: User unknown in local recipient table",
	    "> RSET", "250 ", "> MAIL FROM:<nobody@there.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> RSET", "250 ", "> MAIL FROM:<>", "250 ", "> RCPT TO:<alice@here.test>", "250 ",
	    "> RSET", "250 ", "> MAIL FROM:<a@gone.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "550 5.1.8 <a@gone.test>: Sender address rejected: gone", "> RSET", "250 ",
	    "> MAIL FROM:<moved@here.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "550 5.1.7 <moved@here.test>: Sender address rejected: User has moved to new@there.test"}},
    {"smtpd_reject_unlisted_sender at MAIL", "smtpd_reject_unlisted_sender = yes\nsmtpd_delay_reject = no\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<nobody@here.test>", "550 5.1.0 ",
	    "> MAIL FROM:<alice@here.test>", "250 "}},
    {"without smtputf8_enable it is neither offered nor known", "smtputf8_enable = no\n", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-DSN",
	    "250 CHUNKING", "> MAIL FROM:<a@b.test> SMTPUTF8", "555 5.5.4 Unsupported option: SMTPUTF8",
	    "> MAIL FROM:<a@b.test>", "250 "}},
    {"what EHLO does not offer is not done either",
	"smtpd_discard_ehlo_keywords = dsn, smtputf8, chunking, silent-discard\n", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-ENHANCEDSTATUSCODES",
	    "250 8BITMIME", "> MAIL FROM:<a@b.test> RET=HDRS", "501 5.7.1 DSN support is disabled",
	    "> MAIL FROM:<a@b.test> ENVID=x", "501 5.7.1 ", "> MAIL FROM:<a@b.test> SMTPUTF8",
	    "555 5.5.4 Unsupported option: SMTPUTF8", "> MAIL FROM:<a@b.test>", "250 ",
	    "> RCPT TO:<alice@here.test> NOTIFY=SUCCESS", "501 5.7.1 DSN support is disabled",
	    "> RCPT TO:<alice@here.test> ORCPT=rfc822;a@b", "501 5.7.1 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> BDAT 3 LAST", ">~abc", "502 5.5.1 Error: command not implemented",
	    "> RCPT TO:<alice@here.test>", "503 "}},
    {"defer_code", "defer_code = 421\nsmtpd_recipient_restrictions = defer\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "421 4.3.2 "}},
    {"what no SMTP command begins with ends the session", "", STRANGER,
	{"220 ", "> \"FROB", "221 2.7.0 Error: I can break rules, too. Goodbye.",
	    "= non-SMTP command from unknown[192.0.2.99]: \"FROB"}},
    {"so does a header line", "", STRANGER, {"220 ", "> Subject: x", "221 2.7.0 "}},
    {"who is refused already, too", "smtpd_client_restrictions = reject\nsmtpd_delay_reject = no\n", STRANGER,
	{"554 5.7.1 ", "> NOOP", "503 5.7.0 Error: access denied for unknown[192.0.2.99]", "> FROB",
	    "503 5.7.0 ", "> GET / HTTP/1.1", "221 2.7.0 "}},
    {"smtpd_forbidden_commands of one's own", "smtpd_forbidden_commands = frob none:x\n", STRANGER,
	{"220 ", "> GET / HTTP/1.0", "500 5.5.2", "> Frob", "221 2.7.0 "}},
    {"a broken table forbids nothing", "smtpd_forbidden_commands = fail:x\n", STRANGER,
	{"220 ", "> GET / HTTP/1.0", "500 5.5.2", "> QUIT", "221 2.0.0 "}},
    {"DISCARD says what is said of others", "smtpd_sender_restrictions = check_sender_access fake:DISCARD\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> DATA", "354 ", "> x: y", "> .", "250 2.0.0 Ok: queued as ", "= discard: RCPT from"}},
    {"data restrictions end the transaction", "smtpd_data_restrictions = reject\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> DATA", "554 5.7.1 <DATA>: Data command rejected: Access denied", "> DATA",
	    "503 5.5.1 Error: need RCPT command", "> RCPT TO:<alice@here.test>", "503 "}},
    {"end of data restrictions too", "smtpd_end_of_data_restrictions = reject\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> DATA", "354 ", "> x: y", "> .",
	    "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied", "> RCPT TO:<alice@here.test>",
	    "503 5.5.1 Error: need MAIL command"}},
    {"too many recipients",
	"smtpd_recipient_limit = 2\nsmtpd_recipient_overshoot_limit = 2\n"
	"smtpd_hard_error_limit = 1\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<a1@here.test>",
	    "250 ", "> RCPT TO:<a2@here.test>", "250 ", "> RCPT TO:<a3@here.test>",
	    "452 4.5.3 Error: too many recipients", "> RCPT TO:<a3@here.test>", "452 4.5.3",
	    "> RCPT TO:<a3@here.test>", "452 4.5.3", "421 4.7.0 mx.here.test Error: too many errors"}},
    {"hops", "hopcount_limit = 3\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> DATA", "354 ", "> Received: 1", "> RECEIVED : 2", "> received:3", "> ", "> .",
	    "554 5.4.0 Error: too many hops", "> RCPT TO:<alice@here.test>", "503 "}},
    {"size by announcement and by deed", "message_size_limit = 2000\n", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-SIZE 2000", "250-", "250-", "250-", "250-", "250-",
	    "250-", "250 ", "> MAIL FROM:<a@b.test> SIZE=2001", "552 5.3.4 Message size exceeds fixed limit",
	    "= NOQUEUE: reject: MAIL from unknown[192.0.2.99]: 552 5.3.4 Message size exceeds fixed limit; "
	    "from=<a@b.test> proto=ESMTP helo=<h.test>",
	    "> MAIL FROM:<a@b.test> SIZE=2000", "250 "}},
    {"chunks", "", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> BDAT 3", ">~abc", "503 5.5.1 Error: need RCPT command", "> MAIL FROM:<a@b.test>",
	    "250 ", "> RCPT TO:<alice@here.test>", "250 ", "> BDAT 4", ">~x: y", "250 2.0.0 Ok: 4 bytes",
	    "> DATA", "503 5.5.1", "> RCPT TO:<alice@here.test>", "503 5.5.1", "> BDAT 0 LAST",
	    "250 2.0.0 Ok: queued as", "> MAIL FROM:<a@b.test>", "250 "}},
    {"RSET between chunks", "", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>", "250 ", "> BDAT 4",
	    ">~x: y", "250 2.0.0 Ok: 4 bytes", "> RSET", "250 ", "> BDAT 2 LAST", ">~ab", "503 5.5.1",
	    "> NOOP", "250 "}},
    {"a refused chunk is swallowed", "smtpd_data_restrictions = reject\n", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>", "250 ", "> BDAT 6",
	    ">~QUIT\r\n", "554 5.7.1 <DATA>: Data command rejected", "> RCPT TO:<alice@here.test>", "503 "}},
    {"errors end a session", "smtpd_hard_error_limit = 2\n", STRANGER,
	{"220 ", "> FROB", "500 ", "> FROB", "500 ", "421 4.7.0 mx.here.test Error: too many errors",
	    "= too many errors after UNKNOWN from unknown[192.0.2.99]"}},
    {"junk commands become errors", "smtpd_junk_command_limit = 2\nsmtpd_hard_error_limit = 1\n", STRANGER,
	{"220 ", "> NOOP", "250 ", "> NOOP", "250 ", "> NOOP", "250 ", "421 4.7.0"}},
    {"what no mail client says", "", STRANGER,
	{"220 ", "> GET / HTTP/1.1", "221 2.7.0 Error: I can break rules, too. Goodbye.",
	    "= warning: non-SMTP command from unknown[192.0.2.99]: GET / HTTP/1.1"}},
    {"bare LF in commands", "", STRANGER,
	{"220 ", ">~NOOP\nVRFY alice\n", "500 5.5.2 Error: bare <LF> received",
	    "500 5.5.2 Error: bare <LF> received", "> NOOP", "250 "}},
    {"bare LF of those who may", "", NEIGHBOUR, {"220 ", ">~NOOP\n", "250 2.0.0 Ok"}},
    {"pipelining where it is forbidden", "", STRANGER,
	{"220 ", ">~EHLO x\r\nNOOP\r\n", "554 5.5.0 Error: SMTP protocol synchronization",
	    "= improper command pipelining after EHLO from unknown[192.0.2.99]: NOOP"}},
    {"a password that was sent ahead is not shown", "smtpd_forbid_unauth_pipelining = no\n", STRANGER,
	{"220 ", ">~NOOP\r\nauth plain c2VjcmV0\r\n", "250 ", "503 ",
	    "= improper command pipelining after NOOP from unknown[192.0.2.99]", "! auth plain",
	    "! c2VjcmV0"}},
    {"what is no address is shown", "", STRANGER,
	{"220 ", "> MAIL FROM:<a@b.test>x", "501 5.1.7",
	    "= warning: Illegal address syntax from unknown[192.0.2.99] in MAIL command: <a@b.test>x",
	    "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<@>", "501 5.1.3",
	    "= warning: Illegal address syntax from unknown[192.0.2.99] in RCPT command: <@>"}},
    {"chunks whose end cannot be known", "", STRANGER,
	{"220 ", "> BDAT -1", "501 5.5.4",
	    "= warning: NOQUEUE: malformed BDAT command syntax from unknown[192.0.2.99]: BDAT -1"}},
    {"pipelining where it is allowed", "", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250-",
	    "250 ",
	    ">~MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT TO:<alice@here.test>\r\nDATA\r\n",
	    "250 2.1.0", "550 5.1.1", "250 2.1.5", "354 "}},
    {"moved: RFC 5321, 4.2.3", "", NEIGHBOUR,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<moved@here.test>",
	    "551 5.1.6 <moved@here.test>: Recipient address rejected: User has moved to new@there.test"}},
    {"moved, while settings are tried out", "unknown_local_recipient_reject_code = 450\n", NEIGHBOUR,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<moved@here.test>",
	    "450 4.1.6 <moved@here.test>: Recipient address rejected: User has moved to new@there.test"}},
    {"the table is not named where that is asked for", "show_user_unknown_table_name = no\n", NEIGHBOUR,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<nobody@here.test>",
	    "550 5.1.1 <nobody@here.test>: Recipient address rejected: User unknown"}},
    {"EHLO keywords can be hidden", "smtpd_discard_ehlo_keywords = chunking, dsn, ETRN\n", STRANGER,
	{"220 ", "> EHLO h.test", "250-", "250-PIPELINING", "250-SIZE", "250-VRFY", "250-ENHANCEDSTATUSCODES",
	    "250-8BITMIME", "250 SMTPUTF8"}},
    {"a table's code for a recipient is told of a sender by the code that fits",
	"smtpd_recipient_restrictions = check_sender_access fake:REJECT~5.1.1~x\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.1.7 <a@b.test>: Sender address rejected: x"}},
    {"a table's code is of the reply's class",
	"smtpd_recipient_restrictions = check_recipient_access fake:REJECT~2.1.1~x\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.1.1 <alice@here.test>: Recipient address rejected: x"}},
    {"half a code is text", "smtpd_recipient_restrictions = check_recipient_access fake:REJECT~5.1~x\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "554 5.7.1 <alice@here.test>: Recipient address rejected: 5.1 x"}},
    {"DEFER without a text", "smtpd_recipient_restrictions = check_recipient_access fake:DEFER\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.1 <alice@here.test>: Recipient address rejected: Access denied"}},
    {"a number with more behind it is no permission",
	"smtpd_recipient_restrictions = check_recipient_access fake:200~odd\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "451 4.3.5 Server configuration error"}},
    {"a number alone is", "smtpd_recipient_restrictions = check_recipient_access fake:1700000000, reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 2.1.5"}},
    {"a table alone where the list has no access rule of its own", "smtpd_data_restrictions = fake:DUNNO\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "> DATA", "451 4.3.5 Server configuration error",
	    "= say by check_*_access what \"fake:DUNNO\" is asked about"}},
    {"an address without brackets is no fully-qualified name",
	"smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n", STRANGER,
	{"220 ", "> HELO 192.0.2.99", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "504 5.5.2 <192.0.2.99>: Helo command rejected: need fully-qualified hostname"}},
    {"but it is a valid HELO, as in Postfix",
	"smtpd_recipient_restrictions = reject_non_fqdn_sender\nsmtpd_helo_restrictions = "
	"reject_invalid_helo_hostname\n",
	STRANGER,
	{"220 ", "> HELO 192.0.2.99", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 "}},
    {"part of an address is not", "smtpd_helo_restrictions = reject_invalid_helo_hostname\n", STRANGER,
	{"220 ", "> HELO 192.0.2", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "501 5.5.2 <192.0.2>: Helo command rejected: Invalid name"}},
    {"an address is not looked up, but has to be one",
	"smtpd_helo_restrictions = reject_unknown_helo_hostname\n", STRANGER,
	{"220 ", "> HELO [192.0.2", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "501 5.5.2 <[192.0.2>: Helo command rejected: invalid ip address"}},
    {"a bounce for more than one is refused with the second",
	"smtpd_recipient_restrictions = reject_multi_recipient_bounce\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<>", "250 ", "> RCPT TO:<alice@here.test>", "250 ",
	    "> RCPT TO:<bob@here.test>",
	    "550 5.5.3 <bob@here.test>: Recipient address rejected: Multi-recipient bounce",
	    "> MAIL FROM:<a@b.test>", "503 "}},
    {"a HELO cannot write the rest of a log line", "", STRANGER,
	{"220 ", "> HELO x> sasl_username=<root;(\\\"@\ty",
	    "250 mx.here.test Hello x??sasl_username=?root??????y [192.0.2.99]", "> MAIL FROM:<a@b.test>",
	    "250 ", "> RCPT TO:<r@far.test>", "554 5.7.1",
	    "= proto=SMTP helo=<x??sasl_username=?root??????y>\n", "! <root"}},
    {"a name that nobody has verified may be discarded by",
	"smtpd_sender_restrictions = check_reverse_client_hostname_access fake:DISCARD~gone\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "= discard: RCPT from unknown[192.0.2.99]: <unknown>: Unverified Client host gone"}},
    {"before there is a message nothing is discarded, and nobody let in",
	"smtpd_delay_reject = no\nsmtpd_client_restrictions = check_client_access fake:DISCARD, reject\n",
	STRANGER, {"554 5.7.1 <unknown[192.0.2.99]>: Client host rejected: Access denied"}},
    {"what the log says of REDIRECT",
	"smtpd_sender_restrictions = check_sender_access fake:REDIRECT~bob@here.test\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ",
	    "= redirect: RCPT from unknown[192.0.2.99]: <a@b.test>: Sender address triggers REDIRECT "
	    "bob@here.test; from=<a@b.test>"}},
    {"what the log says of BCC", "smtpd_sender_restrictions = check_sender_access fake:BCC~bob@here.test\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ",
	    "= bcc: RCPT from unknown[192.0.2.99]: <a@b.test>: Sender address triggers BCC bob@here.test; "
	    "from=<a@b.test>"}},
    {"what the log says of FILTER",
	"smtpd_sender_restrictions = check_sender_access fake:FILTER~smtp:x.test\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ",
	    "= filter: RCPT from unknown[192.0.2.99]: <a@b.test>: Sender address triggers FILTER "
	    "smtp:x.test; from=<a@b.test>"}},
    {"what the log says of WARN", "smtpd_sender_restrictions = check_sender_access fake:WARN~look\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "= warn: RCPT from unknown[192.0.2.99]: look; from=<a@b.test>"}},
    {"what the log says of HOLD", "smtpd_sender_restrictions = check_sender_access fake:HOLD~kept\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ",
	    "= hold: RCPT from unknown[192.0.2.99]: <a@b.test>: Sender address kept; from=<a@b.test>"}},
    {"REDIRECT leads nowhere", "smtpd_sender_restrictions = check_sender_access fake:REDIRECT\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "= REDIRECT without user@domain", "! redirect: RCPT", "> DATA", "354 "}},
    {"REDIRECT~bob leads nowhere", "smtpd_sender_restrictions = check_sender_access fake:REDIRECT~bob\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "250 ", "= REDIRECT without user@domain", "! redirect: RCPT", "> DATA", "354 "}},
    {"with soft_bounce the log tells what the client was told", "soft_bounce = yes\n", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<r@far.test>",
	    "454 4.7.1 <r@far.test>: Relay access denied",
	    "= NOQUEUE: reject: RCPT from unknown[192.0.2.99]: 454 4.7.1 <r@far.test>: Relay access denied; "
	    "from"}},
    {"ETRN has no recipient",
	"smtpd_etrn_restrictions = reject_non_fqdn_recipient, check_recipient_access fake:REJECT, reject\n",
	STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> ETRN here.test",
	    "554 5.7.1 <here.test>: Etrn command rejected: Access denied",
	    "= NOQUEUE: reject: ETRN from unknown[192.0.2.99]: 554 5.7.1 <here.test>: Etrn command rejected: "
	    "Access "
	    "denied; proto=SMTP helo=<h.test>"}},
    {"what an early list leaves undecided is decided at RCPT",
	"smtpd_delay_reject = no\nsmtpd_client_restrictions = check_client_access "
	"fake:DEFER_IF_PERMIT~first\n"
	"smtpd_helo_restrictions = reject_unknown_helo_hostname\n"
	"smtpd_sender_restrictions = check_sender_access fake:DEFER_IF_PERMIT~third\n",
	STRANGER,
	{"220 ", "> HELO temp.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.1 <unknown[192.0.2.99]>: Client host rejected: first", "> RCPT TO:<r@far.test>",
	    "554 5.7.1 <r@far.test>: Relay access denied", "> RCPT TO:<postmaster>", "250 "}},
    {"a new HELO and MAIL forget what was undecided of the last ones",
	"smtpd_delay_reject = no\nsmtpd_helo_restrictions = reject_unknown_helo_hostname\n"
	"smtpd_sender_restrictions = reject_unknown_sender_domain\n",
	STRANGER,
	{"220 ", "> HELO temp.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.7.1 <temp.test>: Helo command rejected: Host not found", "> HELO h.test", "250 ",
	    "> MAIL FROM:<a@temp.test>", "250 ", "> RCPT TO:<alice@here.test>",
	    "450 4.1.8 <a@temp.test>: Sender address rejected: Domain not found", "> RSET", "250 ",
	    "> MAIL FROM:<a@b.test>", "250 ", "> RCPT TO:<alice@here.test>", "250 "}},
    {"a new EHLO ends the transaction", "", STRANGER,
	{"220 ", "> HELO h.test", "250 ", "> MAIL FROM:<a@b.test>", "250 ", "> HELO h.test", "250 ",
	    "> RCPT TO:<alice@here.test>", "503 "}},
};

static void
send_row(struct fakes *f, const char *line)
{
	char text[2000];

	if (line[1] == '~')
		fakes_send(f, line + 2, strlen(line + 2));
	else {
		(void)snprintf(text, sizeof(text), "%s\r\n", line + 2);
		fakes_send(f, text, strlen(text));
	}
}

static void
run(const struct dialogue *d)
{
	struct fakes f;
	char conf[2000], replies[1 << 16];
	struct span rest = {"", 0}, line;

	(void)snprintf(conf, sizeof(conf), HOST "%s", d->conf);
	fakes_init(&f, conf, d->client);
	for (const char *const *row = d->lines; *row; row++) {
		if ((*row)[0] == '>') {
			if (span_next_line(&rest, &line))
				fail_msg("%s: reply \"%.*s\" was not expected", d->name, SPAN_ARG(line));
			send_row(&f, *row);
		} else if ((*row)[0] == '=' || (*row)[0] == '!') {
			bool is_there = strstr(buf_text(&f.log), *row + 2) != NULL;

			if (is_there != ((*row)[0] == '='))
				fail_msg("%s: \"%s\" is %s in the log:\n%s", d->name, *row + 2,
				    is_there ? "" : "not", buf_text(&f.log));
		} else {
			if (rest.len == 0) {
				(void)snprintf(replies, sizeof(replies), "%s", fakes_replies(&f));
				rest = span_of(replies);
			}
			if (!span_next_line(&rest, &line) || !span_starts(line, *row))
				fail_msg("%s: expected \"%s\", got \"%.*s\"", d->name, *row, SPAN_ARG(line));
		}
		if (rest.len == 0) {
			(void)snprintf(replies, sizeof(replies), "%s", fakes_replies(&f));
			rest = span_of(replies);
		}
	}
	fakes_fini(&f);
}

static void
test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
		run(&dialogues[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
