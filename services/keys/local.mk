# What the configuration names: for master too, without OpenSSL.
noinst_LIBRARIES += libkeysources.a
libkeysources_a_SOURCES = \
	services/keys/sni.c services/keys/sni.h \
	services/keys/sources.c services/keys/sources.h

noinst_LIBRARIES += libkeys.a
libkeys_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
libkeys_a_SOURCES = \
	services/keys/announce.c services/keys/announce.h \
	services/keys/certificate.c services/keys/certificate.h \
	services/keys/form.c services/keys/form.h \
	services/keys/identity.c services/keys/identity.h \
	services/keys/keyring.c services/keys/keyring.h \
	services/keys/keyring_inside.h services/keys/keyring_read.c \
	services/keys/report.c services/keys/report.h \
	services/keys/signers.c services/keys/signers.h \
	services/keys/signing.c services/keys/signing.h \
	services/keys/tickets.c services/keys/tickets.h
KEYS_LIBS = libkeys.a libkeysources.a $(LIBMAP) $(EVENT_LIBS)

pkglibexec_PROGRAMS += services/keys/keys
services_keys_keys_SOURCES = services/keys/main.c
services_keys_keys_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
services_keys_keys_LDADD = $(KEYS_LIBS) $(LIBSERVER) $(OPENSSL_LIBS:-lssl=) $(EVENT_LIBS) $(SECCOMP_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_key_form tests/fuzz/fuzz_key_pem
tests_fuzz_fuzz_key_form_SOURCES = tests/fuzz/key_form.c tests/fuzz/driver.c
tests_fuzz_fuzz_key_form_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"key_form"'
tests_fuzz_fuzz_key_form_LDADD = $(KEYS_LIBS) $(OPENSSL_LIBS:-lssl=)
tests_fuzz_fuzz_key_pem_SOURCES = tests/fuzz/key_pem.c tests/fuzz/driver.c
tests_fuzz_fuzz_key_pem_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) -DFUZZ_NAME='"key_pem"'
tests_fuzz_fuzz_key_pem_LDADD = $(KEYS_LIBS) $(OPENSSL_LIBS:-lssl=)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/keys/test_form tests/unit/keys/test_identity tests/unit/keys/test_process
tests_unit_keys_test_process_SOURCES = tests/unit/keys/test_process.c tests/unit/keys/keys_world.c tests/unit/keys/keys_world.h
tests_unit_keys_test_process_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_keys_test_process_LDADD = $(KEYS_LIBS) libconf.a $(LIBIPC) $(OPENSSL_LIBS:-lssl=) $(EVENT_LIBS) $(CMOCKA_LIBS)
tests_unit_keys_test_form_SOURCES = tests/unit/keys/test_form.c
tests_unit_keys_test_form_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_keys_test_form_LDADD = $(KEYS_LIBS) $(OPENSSL_LIBS:-lssl=) $(CMOCKA_LIBS)
tests_unit_keys_test_identity_SOURCES = tests/unit/keys/test_identity.c
tests_unit_keys_test_identity_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_keys_test_identity_LDADD = $(KEYS_LIBS) $(OPENSSL_LIBS:-lssl=) $(CMOCKA_LIBS)
endif
