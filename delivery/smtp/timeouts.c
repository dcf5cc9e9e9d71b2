#include "delivery/smtp/timeouts.h"

#include "common/conf/conf.h"

int64_t
timeout_of(const struct conf_values *v, bool lmtp, enum timeout_kind kind)
{
	switch (kind) {
	case TIMEOUT_CONNECT:
		return lmtp ? v->lmtp_connect_timeout : v->smtp_connect_timeout;
	case TIMEOUT_HELLO:
		return lmtp ? v->lmtp_lhlo_timeout : v->smtp_helo_timeout;
	case TIMEOUT_MAIL:
		return lmtp ? v->lmtp_mail_timeout : v->smtp_mail_timeout;
	case TIMEOUT_RCPT:
		return lmtp ? v->lmtp_rcpt_timeout : v->smtp_rcpt_timeout;
	case TIMEOUT_DATA_INIT:
		return lmtp ? v->lmtp_data_init_timeout : v->smtp_data_init_timeout;
	case TIMEOUT_DATA_XFER:
		return lmtp ? v->lmtp_data_xfer_timeout : v->smtp_data_xfer_timeout;
	case TIMEOUT_DATA_DONE:
		return lmtp ? v->lmtp_data_done_timeout : v->smtp_data_done_timeout;
	case TIMEOUT_RSET:
		return lmtp ? v->lmtp_rset_timeout : v->smtp_rset_timeout;
	case TIMEOUT_QUIT:
		return lmtp ? v->lmtp_quit_timeout : v->smtp_quit_timeout;
	}
	return 0;
}
