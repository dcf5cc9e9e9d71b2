# What the configuration names: for master too, without OpenSSL.
noinst_LIBRARIES += libkeysources.a
libkeysources_a_SOURCES = \
	services/keys/sni.c services/keys/sni.h \
	services/keys/sources.c services/keys/sources.h

noinst_LIBRARIES += libkeys.a
libkeys_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
libkeys_a_SOURCES = \
	services/keys/certificate.c services/keys/certificate.h \
	services/keys/form.c services/keys/form.h \
	services/keys/identity.c services/keys/identity.h \
	services/keys/keyring.c services/keys/keyring.h \
	services/keys/keyring_inside.h services/keys/keyring_read.c \
	services/keys/signing.c services/keys/signing.h \
	services/keys/tickets.c services/keys/tickets.h
KEYS_LIBS = libkeys.a libkeysources.a $(LIBMAP)

pkglibexec_PROGRAMS += services/keys/keys
services_keys_keys_SOURCES = services/keys/main.c
services_keys_keys_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
services_keys_keys_LDADD = $(KEYS_LIBS) $(LIBSERVER) $(OPENSSL_LIBS:-lssl=) $(EVENT_LIBS) $(SECCOMP_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/keys/test_form
tests_unit_keys_test_form_SOURCES = tests/unit/keys/test_form.c
tests_unit_keys_test_form_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_keys_test_form_LDADD = $(KEYS_LIBS) $(OPENSSL_LIBS:-lssl=) $(CMOCKA_LIBS)
endif
