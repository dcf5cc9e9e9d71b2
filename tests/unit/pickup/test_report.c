/* Notifications: the words, the fields of RFC 3464, the forms of RFC 6533, bounce(5) templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mail/date.h"
#include "services/pickup/report.h"

struct fixture {
	struct conf *conf;
	struct template_set *templates;
	struct report report;
	struct buf out;
	size_t header_len;
};

#define BASE "myhostname = mx.h.test\nmyorigin = h.test\ndelay_warning_time = 4h\n"

static void
begin_with(struct fixture *f, const char *conf, enum notify_kind kind, enum template_kind template, bool utf8)
{
	struct error err;

	f->conf = conf_from_text(conf, &err);
	assert_non_null(f->conf);
	f->templates = template_set_builtin();
	f->report = (struct report){
	    .kind = kind,
	    .id = "OLD",
	    .sender = SPAN_LIT("joe@x.test"),
	    .envid = SPAN_LIT("E 1"),
	    .arrival_us = 1795317024LL * 1000000,
	    .expire_us = 1795317025LL * 1000000,
	    .utf8 = utf8,
	    .values = f->conf->values,
	    .template = template_get(f->templates, template),
	    .own_id = "NEW",
	    .message_id = "<1@mx.h.test>",
	    .boundary = "B/1",
	    .to = SPAN_LIT("joe@x.test"),
	    .now_us = 1795317026LL * 1000000,
	};
	buf_init(&f->out, REPORT_STATUS_MAX);
	report_begin(&f->report, &f->out, &f->header_len);
}

static void
begin(struct fixture *f, enum notify_kind kind, enum template_kind template, bool utf8)
{
	begin_with(f, BASE, kind, template, utf8);
}

static void
end(struct fixture *f)
{
	buf_free(&f->out);
	template_set_free(&f->templates);
	conf_unref(&f->conf);
}

static void
has(struct fixture *f, const char *text)
{
	if (strstr(buf_text(&f->out), text) == NULL)
		fail_msg("'%s' is not in\n%s", text, buf_text(&f->out));
}

static void
has_not(struct fixture *f, const char *text)
{
	if (strstr(buf_text(&f->out), text) != NULL)
		fail_msg("'%s' is in\n%s", text, buf_text(&f->out));
}

/* RFC 5322, 2.1.1 and 2.3: lines end in CRLF and have at most 998 octets. */
static void
lines_are_right(struct fixture *f)
{
	struct span rest = buf_span(&f->out);
	size_t column = 0;

	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] == '\n') {
			assert_true(i > 0 && rest.ptr[i - 1] == '\r');
			column = 0;
			continue;
		}
		if (rest.ptr[i] == '\r')
			assert_true(i + 1 < rest.len && rest.ptr[i + 1] == '\n');
		else
			assert_true(++column <= 998);
	}
}

static void
whole(struct fixture *f, const struct msg_notify_rcpt *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		report_recipient_words(&f->report, &f->out, &list[i]);
	report_status(&f->report, &f->out);
	for (size_t i = 0; i < count; i++)
		report_recipient(&f->report, &f->out, &list[i]);
	report_content(&f->report, &f->out, false, false);
	report_end(&f->report, &f->out);
	assert_false(f->out.full);
	lines_are_right(f);
}

static const struct msg_notify_rcpt failed = {
    .recipient = SPAN_LIT("a@b.test"),
    .orig_to = SPAN_LIT("alias@h.test"),
    .orcpt = SPAN_LIT("rfc822;first@o.test"),
    .class = OUTCOME_BOUNCED,
    .status = SPAN_LIT("5.1.1"),
    .text = SPAN_LIT("host mx[1.2.3.4] said: 550 5.1.1 no such user (in reply to RCPT TO command)"),
    .remote_mta = SPAN_LIT("dns;mx.b.test"),
    .diagnostic = SPAN_LIT("smtp;550 5.1.1 no such user"),
    .attempt_us = 1795317024LL * 1000000,
};

static void
a_failure_has_all_fields(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	whole(&f, &failed, 1);
	has(&f, "From: Mail Delivery System <MAILER-DAEMON@h.test>\r\n");
	has(&f, "\r\nSubject: Undelivered Mail Returned to Sender\r\n");
	has(&f, "\r\nTo: joe@x.test\r\n");
	has(&f, "\r\nAuto-Submitted: auto-replied\r\n");
	has(&f, "\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"B/1\"\r\n");
	has(&f, "This is the mail system at host mx.h.test.\r\n");
	has(&f, "<a@b.test> (expanded from <alias@h.test>): host mx[1.2.3.4] said: 550");
	has(&f, "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.h.test\r\n");
	has(&f, "\r\nOriginal-Envelope-Id: E 1\r\n");
	has(&f, "\r\nArrival-Date: Sun, 22 Nov 2026 03:10:24 +0000 (UTC)\r\n");
	/* An empty line parts the groups (RFC 3464, 2.1). */
	has(&f, "\r\n\r\nFinal-Recipient: rfc822; a@b.test\r\nOriginal-Recipient: rfc822; first@o.test\r\n");
	has(&f, "\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.b.test\r\n");
	has(&f, "\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n");
	has(&f, "\r\nLast-Attempt-Date: Sun, 22 Nov 2026");
	has(&f, "--B/1\r\nContent-Description: Undelivered Message\r\nContent-Type: message/rfc822\r\n\r\n");
	has(&f, "\r\n--B/1--\r\n");
	has_not(&f, "Will-Retry-Until");
	assert_memory_equal(buf_text(&f.out) + f.header_len - 4, "\r\n\r\n", 4);
	assert_null(memmem(buf_text(&f.out), f.header_len - 4, "\r\n\r\n", 4));
	end(&f);
}

static void
each_class_has_its_action(void **state)
{
	static const struct {
		enum notify_kind kind;
		uint8_t class;
		const char *action;
	} rows[] = {
	    {NOTIFY_FAILED, OUTCOME_BOUNCED, "Action: failed\r\n"},
	    {NOTIFY_DELAYED, OUTCOME_DEFERRED, "Action: delayed\r\n"},
	    {NOTIFY_SUCCEEDED, OUTCOME_DELIVERED, "Action: delivered\r\n"},
	    {NOTIFY_SUCCEEDED, OUTCOME_RELAYED, "Action: relayed\r\n"},
	    {NOTIFY_SUCCEEDED, OUTCOME_EXPANDED, "Action: expanded\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct msg_notify_rcpt rcpt = failed;
		struct fixture f;
		rcpt.class = rows[i].class;
		begin(&f, rows[i].kind, TEMPLATE_DELAY, false);
		whole(&f, &rcpt, 1);
		has(&f, rows[i].action);
		if (rows[i].kind == NOTIFY_DELAYED) {
			has(&f, "Will-Retry-Until: ");
			has(&f, "for more than 4 hour(s)");
		}
		end(&f);
	}
}

static void
what_strangers_wrote_makes_no_fields(void **state)
{
	struct msg_notify_rcpt rcpt = failed;
	struct fixture f;
	char endless[1500];

	(void)state;
	rcpt.diagnostic = SPAN_LIT("smtp;550 x\r\nAction: delivered\n\n--B/1--\r\n\x01\xff bye");
	rcpt.text = SPAN_LIT("said: \xc3\xb6\r\n.\r\n");
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	whole(&f, &rcpt, 1);
	has(&f, "Diagnostic-Code: smtp; 550 x Action: delivered --B/1-- ?? bye\r\n");
	has(&f, "said: \xc3\xb6 .\r\n");
	end(&f);
	memset(endless, 'x', sizeof(endless));
	rcpt.text = rcpt.diagnostic = span_make(endless, sizeof(endless));
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	whole(&f, &rcpt, 1);
	has(&f, "Diagnostic-Code: unknown; xxx");
	end(&f);
}

/* Whatever the message is; but fields of a report that is not international are ASCII (RFC 3464, 2.1). */
static void
what_servers_say_is_shown_as_utf8(void **state)
{
	struct msg_notify_rcpt rcpt = failed;
	struct template latin;
	struct fixture f;

	(void)state;
	rcpt.text = rcpt.diagnostic = SPAN_LIT("smtp; 550 Gr\xc3\xb6\xc3\x9f"
					       "e \xc2\x9b"
					       "1m");
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	has(&f, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n");
	whole(&f, &rcpt, 1);
	has(&f, ": smtp; 550 Gr\xc3\xb6\xc3\x9f"
		"e ??1m\r\n");
	has(&f, "Diagnostic-Code: smtp; 550 Gr????e ??1m\r\n");
	end(&f);
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	latin = *f.report.template;
	latin.charset = SPAN_LIT("iso-8859-1");
	f.report.template = &latin;
	whole(&f, &rcpt, 1);
	has(&f, ": smtp; 550 Gr????e ??1m\r\n");
	end(&f);
}

static void
international_mail_gets_the_forms_of_rfc_6533(void **state)
{
	struct msg_notify_rcpt rcpt = failed;
	struct fixture f;

	(void)state;
	rcpt.recipient = SPAN_LIT("j\xc3\xb6@b.test");
	rcpt.text = SPAN_LIT("w\xc3\xa4re");
	rcpt.orcpt = SPAN_LIT(
	    "utf-8;j\\x{F6}\\x{20AC}\\x{1F600}\\x{2B}\\x{0D}\\x{D800}\\x{F}\\x{110000}\\x{F6@o.test");
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, true);
	whole(&f, &rcpt, 1);
	has(&f, "report-type=global-delivery-status;");
	has(&f, "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n");
	has(&f, "Final-Recipient: utf-8; j\xc3\xb6@b.test\r\n");
	/* Section 3. What is no character of that form stays. */
	has(&f, "Original-Recipient: utf-8; "
		"j\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80+\\x{0D}\\x{D800}\\x{F}\\x{110000}\\x{F6@o.test\r\n");
	has(&f, "text/plain; charset=utf-8\r\n");
	has(&f, "w\xc3\xa4re");
	has(&f, "Content-Type: message/global\r\n");
	end(&f);
}

/* Not the words that are for the sender, and no answer (RFC 3834, 5). */
static void
postmaster_gets_a_copy(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	has(&f, "This is the mail system at host mx.h.test.\r\n");
	buf_clear(&f.out);
	f.report.postmaster_copy = true;
	report_begin(&f.report, &f.out, &f.header_len);
	whole(&f, &failed, 1);
	has(&f, "\r\nSubject: Postmaster Copy: Undelivered Mail\r\n");
	has(&f, "\r\nAuto-Submitted: auto-generated\r\n");
	has(&f, "\r\n\r\n<a@b.test> (expanded from");
	has_not(&f, "This is the mail system");
	end(&f);
}

static void
many_recipients_share_one_report(void **state)
{
	enum { MANY = NOTIFY_RECIPIENTS_MAX };
	struct fixture f;
	struct buf words, groups;
	size_t count = 0;

	(void)state;
	begin(&f, NOTIFY_FAILED, TEMPLATE_FAILURE, false);
	buf_init(&words, 20000);
	buf_init(&groups, REPORT_STATUS_MAX);
	for (int i = 0; i < MANY; i++) {
		report_recipient_words(&f.report, &words, &failed);
		report_recipient(&f.report, &groups, &failed);
	}
	report_status(&f.report, &f.out);
	assert_false(words.full || groups.full);
	has(&f, " more, listed in the next part)\r\n");
	for (struct span rest = buf_span(&groups); rest.len > 0;) {
		ptrdiff_t lf = span_find(rest, '\n');

		rest = span_from(rest, lf < 0 ? rest.len : (size_t)lf + 1);
		count += span_starts(rest, "Final-Recipient: ");
	}
	assert_int_equal(count, MANY);
	buf_free(&words);
	buf_free(&groups);
	end(&f);
}

/* The bound holds for the longest texts that messages.def lets through. */
static void
the_longest_recipients_fit(void **state)
{
	static char longest[1500];
	struct msg_notify_rcpt rcpt = {
	    .class = OUTCOME_BOUNCED, .status = SPAN_LIT("5.123.123"), .attempt_us = 1};
	struct fixture f;
	struct buf groups;

	(void)state;
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? ' ' : 'x';
	rcpt.recipient = span_make(longest, 1000);
	rcpt.orcpt = span_make(longest, 1200);
	rcpt.remote_mta = span_make(longest, 300);
	rcpt.diagnostic = rcpt.text = span_make(longest, 1500);
	begin(&f, NOTIFY_DELAYED, TEMPLATE_DELAY, false);
	buf_init(&groups, REPORT_STATUS_MAX);
	for (size_t octets = 0; octets < NOTIFY_OCTETS_MAX; octets += 1000 + 1200 + 1500 + 1500)
		report_recipient(&f.report, &groups, &rcpt);
	assert_false(groups.full);
	buf_free(&groups);
	end(&f);
}

static void
note_complaint(unsigned line, const char *text, void *context)
{
	struct buf *told = context;

	buf_printf(told, "%u %s|", line, text);
}

static void
templates_are_those_of_bounce_5(void **state)
{
	/* Behind each stands one that is fine: it counts, whatever came before. */
	static const char fine[] = "\ndelay_template = <<X\nSubject: fine\n\ntext\nX\n";
	static const struct {
		const char *text, *told;
	} rows[] = {
	    {"# c\nfailure_template = <<EOF\nCharset: utf-8\nSubject: Nein\n\nHier ist $myhostname, "
	     "${myorigin} $(mail_name) $$5\nEOF\n",
		""},
	    {"verify_template = <<X\nSubject: v\n\nt\xc3\xb6xt\nX\n", ""}, /* Postfix has one more */
	    {"failure_template = <<EOF\nSubject: x\n\ntext\n", "1 the end mark 'EOF' is missing|"},
	    {"\nfailure_template = <<EOF\nSubject: x\n\nEOF\n", "4 template without text|"},
	    {"other_template = <<EOF\nSubject: x\n\ntext\nEOF\n", "1 unknown template 'other_template'|"},
	    {"failure_template = x\n", "1 'failure_template': <<MARK is missing|"},
	    {"words\n", "1 'words' is no template|"},
	    {"failure_template = <<EOF\nSubject: x\nBcc: x\n\ntext\nEOF\n", "3 unknown header 'Bcc'|"},
	    {"failure_template = <<EOF\nSubject: x\n\nt\xc3\xb6xt\nEOF\n",
		"3 8-bit text with Charset us-ascii|"},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct template_set *set = template_set_builtin();
		struct buf out, text;

		buf_init(&out, 1000);
		buf_init(&text, 1000);
		buf_printf(&text, "%s%s", rows[i].text, fine);
		template_set_parse(set, buf_span(&text), note_complaint, &out);
		assert_string_equal(buf_text(&out), rows[i].told);
		bool open = strstr(rows[i].told, "end mark") != NULL;
		assert_int_equal(open, !span_is(template_get(set, TEMPLATE_DELAY)->subject, "fine"));
		assert_int_equal(i == 0, span_is(template_get(set, TEMPLATE_FAILURE)->subject, "Nein"));
		if (i == 0) {
			struct conf *conf =
			    conf_from_text("myhostname = mx.h.test\nmyorigin = h.test\n", &err);
			buf_clear(&out);
			template_expand(&out, template_get(set, TEMPLATE_FAILURE)->body, conf->values);
			assert_string_equal(buf_text(&out), "Hier ist mx.h.test, h.test Postern $5\r\n");
			conf_unref(&conf);
		}
		buf_free(&text);
		buf_free(&out);
		template_set_free(&set);
	}
}

/* Whoever gave the product another name does not want to see ours; a name that makes no field is in Received alone. */
static void
the_products_name_is_mail_name(void **state)
{
	struct fixture f;

	(void)state;
	for (int named = 0; named < 2; named++) {
		begin_with(&f, named ? BASE "mail_name = Some-MTA\n" : BASE "mail_name = Some: MTA\n",
		    NOTIFY_FAILED, TEMPLATE_FAILURE, false);
		whole(&f, &failed, 1);
		has(&f, named ? "(Some-MTA)\r\n\tid " : "(Some: MTA)\r\n\tid ");
		has(&f, named ? "\r\nX-Some-MTA-Queue-ID: OLD\r\nX-Some-MTA-Sender: rfc822; joe@x.test\r\n"
			      : "\r\nX-Postern-Queue-ID: OLD\r\nX-Postern-Sender: rfc822; joe@x.test\r\n");
		end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_failure_has_all_fields),
	    cmocka_unit_test(each_class_has_its_action),
	    cmocka_unit_test(what_strangers_wrote_makes_no_fields),
	    cmocka_unit_test(what_servers_say_is_shown_as_utf8),
	    cmocka_unit_test(international_mail_gets_the_forms_of_rfc_6533),
	    cmocka_unit_test(the_products_name_is_mail_name),
	    cmocka_unit_test(postmaster_gets_a_copy),
	    cmocka_unit_test(many_recipients_share_one_report),
	    cmocka_unit_test(the_longest_recipients_fit),
	    cmocka_unit_test(templates_are_those_of_bounce_5),
	};
	setenv("TZ", "UTC", 1);
	mail_date_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
