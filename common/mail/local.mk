noinst_LIBRARIES += libmail.a
libmail_a_SOURCES = \
	common/mail/address.c common/mail/address.h \
	common/mail/date.c common/mail/date.h \
	common/mail/delay.c common/mail/delay.h \
	common/mail/list.c \
	common/mail/literal.c \
	common/mail/local_part.h \
	common/mail/outcome.c common/mail/outcome.h \
	common/mail/path.c \
	common/mail/queue_id.c common/mail/queue_id.h \
	common/mail/xtext.c common/mail/xtext.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/mail/test_address tests/unit/mail/test_forms
tests_unit_mail_test_address_SOURCES = tests/unit/mail/test_address.c
tests_unit_mail_test_address_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_address_LDADD = $(LIBMAIL) $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_mail_test_forms_SOURCES = tests/unit/mail/test_forms.c
tests_unit_mail_test_forms_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_forms_LDADD = $(LIBMAIL) $(LIBBASE) $(CMOCKA_LIBS)
endif
