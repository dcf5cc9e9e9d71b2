noinst_LIBRARIES += libmail.a
libmail_a_SOURCES = \
	common/mail/address.h \
	common/mail/date.h \
	common/mail/delay.h \
	common/mail/outcome.h \
	common/mail/queue_id.c common/mail/queue_id.h \
	common/mail/xtext.h
