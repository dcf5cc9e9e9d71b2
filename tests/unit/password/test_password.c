#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/password/password.h"
#include "common/sasl/prep.h"

#define PENCIL                                                                                               \
	"4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                        \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

/* From the tests of libxcrypt, the PHC's argon2, RFC 7677 by way of PostgreSQL, and Dovecot's doveadm pw. */
static const struct {
	const char *why, *password, *stored;
	bool weak;
} right[] = {
    {"SHA-512", "Hello world!",
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
	"O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
	false},
    {"SHA-512 by Dovecot's prefix", "secret",
	"{SHA512-CRYPT}$6$zVpTqlzTBfG5CKZU$8KmC5Wet0HQLOfs3d2bU89G5j7Os1eaxBT5TVxEX0gX/"
	"iCJDuJCDs9dyGDi/.nrt.rFgB6zjhGgugLVPERl3o0",
	false},
    {"bcrypt", "U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", false},
    {"Dovecot's bcrypt", "secret", "{BLF-CRYPT}$2y$05$v1.BYAVtBqHa2xKWPxqdLOeO5yyVewgzgVD.O477t5YNLid7ok4Bq",
	false},
    {"bcrypt in {CRYPT}", "secret", "{crypt}$2y$05$fIzQQJBnsf2mC9FBnKXxNeYG87UxhSrvW0hjsm7nTgYje59j1V8NS",
	false},
    {"MD5", "secret", "{MD5-CRYPT}$1$p8GcvPJG$Qt.mscEo.dhMa.oMgR4AK.", true},
    {"DES", "U*U*U*U*", "{CRYPT}CCNf8Sbh3HDfQ", true},
#ifdef HAVE_ARGON2
    {"argon2id", "secret",
	"$argon2id$v=19$m=65536,t=3,p=1$HxsBB8CRAtLnncfAnAKGDw$/mQIQ9AAWtWZtPnu3aUXpwJG1eX5hfF6yGabRC+HqlM",
	false},
    {"Dovecot's argon2i", "secret",
	"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$UIhUX8kPnTee19vjiaBung$"
	"usPXNZtdVgAmKSiUWKPzt3HLC6TCmNDvyPcS1uTJldI",
	false},
#endif
    {"keys of SCRAM and a plain password", "pencil", "{SCRAM-SHA-256}" PENCIL, false},
    {"the form of RFC 5803 and PostgreSQL", "pencil",
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
	false},
    {"keys for SHA-1", "secret",
	"{SCRAM-SHA-1}4096,jIdXUWD54q1k8vE5wJeIiA==,BXslU5JWe7p5oyGJDmPW2Abwrvw=,40nrNW8uXU3iqSoknJRDyb7/V/"
	"A=",
	false},
    {"a directory's SHA-1", "secret", "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", true},
    {"a directory's SHA-512", "secret",
	"{SSHA512}aCu7JRc+kLsuEmFs1zTY+AiP7DSGnjjG+dH28Dp+"
	"E5usqoAixeTPihKqZmkWal4mUfp63tqvCAkFV1LKTDFH6XNhbHRzYWx0",
	true},
    {"blanks around it, as lines of tables have them", "U*U",
	" $2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n", false},
};

static enum auth_status
try(const char *stored, struct span password)
{
	struct password_stored s;
	struct error err = {0};

	if (password_parse(span_of(stored), &s, &err) < 0)
		fail_msg("%s: %s", stored, err.text);
	return password_verify(&s, password, &err);
}

static void
right_and_wrong_passwords(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		struct span password = span_of(right[i].password);
		struct password_stored s;
		struct error err;
		char wrong[64];

		if (try(right[i].stored, password) != AUTH_ACCEPTED)
			fail_msg("%s: refused", right[i].why);
		(void)snprintf(wrong, sizeof(wrong), "%s", right[i].password);
		wrong[password.len - 1] ^= 1;
		if (try(right[i].stored, span_of(wrong)) != AUTH_REFUSED)
			fail_msg("%s: another password passes", right[i].why);
		assert_int_equal(try(right[i].stored, SPAN_LIT("")), AUTH_REFUSED);
		assert_int_equal(try(right[i].stored, SPAN_LIT("a\0b")), AUTH_REFUSED);
		assert_int_equal(password_parse(span_of(right[i].stored), &s, &err), 0);
		assert_int_equal(s.weakness != NULL, right[i].weak);
	}
}

static void
what_is_no_stored_password(void **state)
{
	static const struct {
		const char *why, *stored;
	} rows[] = {
	    {"nothing", ""},
	    {"blanks", "  "},
	    {"a password in plain", "secret"},
	    {"one that looks like DES", "CCNf8Sbh3HDfQ"},
	    {"plain, by its prefix", "{PLAIN}secret"},
	    {"an unknown scheme", "{CRAM-MD5}0102"},
	    {"an encoding of Dovecot's", "{SSHA.HEX}00"},
	    {"a prefix without an end", "{CRYPT"},
	    {"an unknown method", "$99$salt$hash"},
	    {"Sun's MD5, whose rounds have no bound", "$md5,rounds=4294967295$salt$$hash"},
	    {"bcrypt that takes a minute", "$2b$18$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	    {"bcrypt without a cost", "$2b$x$CC"},
	    {"SHA-512 that takes an hour", "$6$rounds=999999999$salt$hash"},
	    {"SHA-512 with a word for rounds", "$6$rounds=x$salt$hash"},
	    {"yescrypt with 4 GiB", "$y$jHT$LdJMENpBABJJ3hIHjB1Bi.$hash"},
	    {"yescrypt, cut", "$y$j9"},
	    {"scrypt with 128 GiB", "$7$SU..../....salt$hash"},
	    {"argon2 with 512 MiB", "$argon2id$v=19$m=524288,t=2,p=1$c29tc2FsdA$nf65EOgLrQ"},
	    {"argon2 with a thousand passes", "$argon2id$v=19$m=256,t=1000,p=1$c29tc2FsdA$nf65EOgLrQ"},
	    {"argon2 with 1000 lanes", "$argon2id$v=19$m=65536,t=2,p=1000$c29tc2FsdA$nf65EOgLrQ"},
	    {"argon2 without costs", "$argon2id$"},
	    {"argon2's prefix before something else", "{ARGON2ID}$6$saltstring$svn8"},
	    {"SCRAM with three parts",
		"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="},
	    {"SCRAM with five parts", "{SCRAM-SHA-256}" PENCIL ",x"},
	    {"SCRAM with few iterations",
		"{SCRAM-SHA-256}100,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
	    {"keys of another hash", "{SCRAM-SHA-1}" PENCIL},
	    {"SCRAM with a salt that is no base64",
		"{SCRAM-SHA-256}4096,!!!!,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
	    {"a digest without salt", "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ="},
	    {"a digest that is no base64", "{SSHA}***"},
	    {"a digest too short", "{SSHA512}c2hvcnQ="},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct password_stored s;
		struct error err = {0};

		if (password_parse(span_of(rows[i].stored), &s, &err) == 0 && !s.locked)
			fail_msg("%s passes", rows[i].why);
		if (!s.locked)
			assert_true(err.text[0] != '\0');
	}
}

static void
locked_accounts(void **state)
{
	static const char *const rows[] = {"*", "!", "!$6$saltstring$svn8", "{CRYPT}*", "{CRYPT}!!", "*LK*"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(try(rows[i], SPAN_LIT("*")), AUTH_REFUSED);
		assert_int_equal(try(rows[i], SPAN_LIT("")), AUTH_REFUSED);
	}
}

static void
what_is_made_can_be_tried(void **state)
{
	/* Logins bring the letter for the sign of Angstrom. Without the library ASCII is all that there is. */
	const char *password = sasl_prep_is_whole() ? "Gr\xc3\xbc\xc3\x9f"
						      "e \xe2\x84\xab"
						    : "Gruesse A";
	const char *prepared = sasl_prep_is_whole() ? "Gr\xc3\xbc\xc3\x9f"
						      "e \xc3\x85"
						    : password;
	const char *name;

	(void)state;
	for (size_t i = 0; (name = password_scheme_name(i)) != NULL; i++) {
		struct error err = {0};
		struct buf form, other;

		buf_init(&form, 4096);
		buf_init(&other, 4096);
		assert_int_equal(password_make(name, span_of(password), &form, &err), 0);
		assert_int_equal(try(buf_text(&form), span_of(prepared)), AUTH_ACCEPTED);
		assert_int_equal(try(buf_text(&form), SPAN_LIT("Gr\xc3\xbc\xc3\x9f"
							       "e")),
		    AUTH_REFUSED);
		/* A salt of its own each time. */
		assert_int_equal(password_make(name, span_of(password), &other, &err), 0);
		assert_false(span_equal(buf_span(&form), buf_span(&other)));
		buf_free(&form);
		buf_free(&other);
	}
}

static void
what_cannot_be_made(void **state)
{
	static char long_one[PASSWORD_MAX + 1];
	struct error err = {0};
	struct buf out;

	(void)state;
	memset(long_one, 'x', sizeof(long_one));
	buf_init(&out, 4096);
	assert_int_equal(password_make("PLAIN", SPAN_LIT("x"), &out, &err), -1);
	assert_int_equal(password_make(NULL, SPAN_LIT(""), &out, &err), -1);
	assert_int_equal(password_make(NULL, SPAN_LIT("a\0b"), &out, &err), -1);
	assert_int_equal(password_make(NULL, SPAN_LIT("a\tb"), &out, &err), -1);
	assert_int_equal(password_make(NULL, SPAN_LIT("\xe4"), &out, &err), -1);
	assert_int_equal(password_make(NULL, span_make(long_one, sizeof(long_one)), &out, &err), -1);
	assert_int_equal(password_make("bcrypt", span_make(long_one, 73), &out, &err), -1);
	assert_int_equal(out.len, 0);
	assert_int_equal(password_make("bcrypt", span_make(long_one, 72), &out, &err), 0);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(right_and_wrong_passwords),
	    cmocka_unit_test(what_is_no_stored_password),
	    cmocka_unit_test(locked_accounts),
	    cmocka_unit_test(what_is_made_can_be_tried),
	    cmocka_unit_test(what_cannot_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
