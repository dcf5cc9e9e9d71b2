noinst_LIBRARIES += libdns.a
libdns_a_SOURCES = \
	common/dns/record.c common/dns/dns.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/dns/test_record
tests_unit_dns_test_record_SOURCES = tests/unit/dns/test_record.c
tests_unit_dns_test_record_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_dns_test_record_LDADD = $(LIBDNS) $(CMOCKA_LIBS)
endif
