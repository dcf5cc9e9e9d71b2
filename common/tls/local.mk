noinst_LIBRARIES += libtls.a
libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
libtls_a_SOURCES = \
	common/tls/context.h \
	common/tls/facts.h \
	common/tls/keys.h \
	common/tls/library.c common/tls/library.h \
	common/tls/parameters.c common/tls/parameters.h \
	common/tls/session.h \
	common/tls/trust.c common/tls/trust.h common/tls/trust_inside.h
