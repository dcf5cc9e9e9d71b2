/*
 * fake_answers: what the fake resolver and lookup answer, for the permits in fakes.c.
 */
#ifndef POSTERN_TESTS_UNIT_SMTPD_FAKE_ANSWERS_H
#define POSTERN_TESTS_UNIT_SMTPD_FAKE_ANSWERS_H

#include "tests/unit/smtpd/fakes.h"

ipc_handler fake_on_name;
ipc_handler fake_on_dns;
ipc_handler fake_on_resolve;
ipc_handler fake_on_map;
ipc_handler fake_on_password;
ipc_handler fake_on_scram;

#endif
