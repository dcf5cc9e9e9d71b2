/*
 * All octets of a session, with everybody that smtpd asks played by the fakes of the unit tests. A first octet of '1'
 * sends them one at a time, '2' comes from a client that may relay. What was committed has whole lines only.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/smtpd/fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_message(const struct fake_message *m)
{
	const char *p = buf_ptr(&m->content);
	size_t len = m->content.len;

	if (!m->closed)
		return;
	if (m->recipients == 0 || len < 2 || p[len - 2] != '\r' || p[len - 1] != '\n' ||
	    m->close.header_len > len)
		abort();
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\n' && (i == 0 || p[i - 1] != '\r'))
			abort();
		if (p[i] == '\r' && (i + 1 == len || p[i + 1] != '\n'))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fakes f;
	static bool ready;

	if (!ready)
		fakes_init(&f,
		    "myhostname = mx.here.test\nmynetworks = 192.0.2.1/32\nsmtpd_error_sleep_time = 0\n"
		    "smtpd_hard_error_limit = 1000\nsmtpd_forbid_unauth_pipelining = no\nenable_expn = yes\n"
		    "smtpd_client_restrictions = check_client_access none:x\nmessage_size_limit = 1000\n"
		    "smtpd_sender_restrictions = reject_non_fqdn_sender, reject_unknown_sender_domain\n"
		    "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = table\nsmtpd_sasl_path = none:x\n"
		    "smtpd_tls_auth_only = no\n",
		    "192.0.2.99");
	ready = true;
	if (size < 1)
		return 0;
	fakes_connect(&f, data[0] == '2' ? "192.0.2.1" : "192.0.2.99");
	if (data[0] == '1' && size < 100)
		for (size_t i = 1; i < size && fakes_session(&f); i++)
			fakes_send(&f, data + i, 1);
	else
		fakes_send(&f, data + 1, size - 1);
	for (size_t i = 0; i < f.message_count; i++)
		check_message(&f.messages[i]);
	(void)fakes_replies(&f);
	buf_clear(&f.log);
	return 0;
}
