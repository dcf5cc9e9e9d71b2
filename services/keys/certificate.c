#include "services/keys/certificate.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/base/text.h"

static int
take_text(const ASN1_STRING *text, char label[CERTIFICATE_LABEL_SIZE])
{
	struct buf printable;
	int found;

	buf_init(&printable, (size_t)4 * CERTIFICATE_LABEL_SIZE);
	text_append_printable(&printable,
	    span_make((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)),
	    CERTIFICATE_LABEL_SIZE - 1);
	found = span_copy(span_sub(buf_span(&printable), 0, CERTIFICATE_LABEL_SIZE - 1), label,
		    CERTIFICATE_LABEL_SIZE) &&
		label[0] != '\0';
	buf_free(&printable);
	return found;
}

static int
take_dns_name(const X509 *certificate, char label[CERTIFICATE_LABEL_SIZE])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int found = 0;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			found = take_text(name->d.dNSName, label);
	}
	GENERAL_NAMES_free(names);
	return found;
}

static int
take_common_name(const X509 *certificate, char label[CERTIFICATE_LABEL_SIZE])
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at >= 0 && take_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), label);
}

const char *
certificate_label(const X509 *certificate, char label[CERTIFICATE_LABEL_SIZE])
{
	if (!take_dns_name(certificate, label) && !take_common_name(certificate, label))
		(void)span_copy(SPAN_LIT("without a name"), label, CERTIFICATE_LABEL_SIZE);
	ERR_clear_error();
	return label;
}

static int64_t
seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1)
		return 0;
	return timegm(&tm);
}

int64_t
certificate_begins(const X509 *certificate)
{
	return seconds_of(X509_get0_notBefore(certificate));
}

int64_t
certificate_ends(const X509 *certificate)
{
	return seconds_of(X509_get0_notAfter(certificate));
}

const char *
certificate_date(int64_t seconds, char date[CERTIFICATE_DATE_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(date, CERTIFICATE_DATE_SIZE, "%Y-%m-%d", &tm) == 0)
		date[0] = '\0';
	return date;
}
