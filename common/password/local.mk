noinst_LIBRARIES += libpassword.a
libpassword_a_SOURCES = \
	common/password/argon2.c \
	common/password/crypt.c \
	common/password/digest.c \
	common/password/password.h \
	common/password/stored.c \
	common/password/stored_keys.c
libpassword_a_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(ARGON2_CFLAGS)
LIBPASSWORD = libpassword.a $(LIBSASL) $(CRYPT_LIBS) $(ARGON2_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/password/test_password
tests_unit_password_test_password_SOURCES = tests/unit/password/test_password.c
tests_unit_password_test_password_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_password_test_password_LDADD = $(LIBPASSWORD) $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_password_stored
tests_fuzz_fuzz_password_stored_SOURCES = tests/fuzz/password_stored.c tests/fuzz/driver.c
tests_fuzz_fuzz_password_stored_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"password_stored"'
tests_fuzz_fuzz_password_stored_LDADD = $(LIBPASSWORD)
