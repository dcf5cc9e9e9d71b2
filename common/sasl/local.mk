noinst_LIBRARIES += libsasl.a
libsasl_a_SOURCES = \
	common/sasl/mechanism.c common/sasl/mechanism.h \
	common/sasl/prep.c common/sasl/prep.h \
	common/sasl/scram.c common/sasl/scram.h \
	common/sasl/server.h
LIBSASL = libsasl.a $(LIBBASE) $(IDN_LIBS) $(CRYPTO_LIBS)
