"""Tables in real databases and on scripted servers: what they answer, what strangers may put into a key, and outages."""
import os, re, socket, sqlite3, subprocess, threading, time

import pytest

from harness.databases import SECRET, MariaDB, Postgres, Scripted, Slapd
from harness.instance import PREFIX, stop_listening, wait_until

# What a stranger may write, each stands in the database as its own row: nothing of it is obeyed.
NASTY = {
    "quote'quote@virt.test": "quote", 'double"quote@virt.test': "double", "back\\slash@virt.test": "back", "per%cent@virt.test": "percent", "star*star@virt.test": "star",
    "under_score@virt.test": "underscore", "(paren)@virt.test": "paren", "semi;colon--@virt.test": "semi", "grün@virt.test": "green", "' or '1'='1": "or", "x' union select 'all": "union",
    "$1@virt.test": "dollar", "#hash@virt.test": "hash", "a\\' or 1=1 -- @virt.test": "backquote",
}
ROWS = {"carl@virt.test": "alice@here.test", "@catch.test": "bob@here.test", "upper@virt.test": "Found"} | NASTY
MANY = {"list@virt.test": ["alice@here.test", "bob@here.test"]}
# No row: each would find something if it were not quoted.
MISSES = ["' or 1=1 -- ", "%", "*", "carl*", "_arl@virt.test", "carl@virt.tes_", "\\", "'", "''", '"', "carl@virt.test'", ")(uid=*", "*)(objectclass=*", "\\2a", "x" * 10000, "\udcff\udcfe".encode("utf-8", "surrogateescape")]


def ask(table, key):
    """(status, value) of 'postern map -q'."""
    key = key if isinstance(key, bytes) else key.encode()
    done = subprocess.run([str(PREFIX / "sbin/postern").encode(), b"map", b"-q", key, table.encode()], capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode().rstrip("\n"), done.stderr.decode()


def check_rows(table, case=True):
    for key, value in ROWS.items():
        assert ask(table, key)[:2] == (0, value), key
    if case:
        assert ask(table, "CARL@Virt.Test")[:2] == (0, "alice@here.test")
    assert ask(table, "list@virt.test")[:2] == (0, "alice@here.test,bob@here.test")
    for key in MISSES:
        status, value, _ = ask(table, key)
        assert (status, value) == (1, ""), key


def rows():
    return [(k, v) for k, v in ROWS.items()] + [(k, v) for k, values in MANY.items() for v in values]


def write(path, text):
    path.write_text(text)
    os.chmod(path, 0o644)
    return path


def rcpt(client, address):
    client.cmd("RSET", 250)
    client.cmd("MAIL FROM:<s@there.test>", 250)
    return client.cmd(f"RCPT TO:<{address}>")


def through_outage(make, table, begin, end, waits=12):
    """A host with this table as its virtual aliases: before, during and after an outage of the server."""
    instance = make({"virtual_alias_domains": "virt.test, catch.test", "virtual_alias_maps": table, "smtpd_hard_error_limit": 1000, "smtpd_soft_error_limit": 1000})
    with instance.connect(timeout=60) as c:
        c.hello()
        assert rcpt(c, "carl@virt.test").code == 250
        assert rcpt(c, "anybody@catch.test").code == 250
        assert rcpt(c, "list@virt.test").code == 250
        assert rcpt(c, "nobody@virt.test").code == 550
        assert rcpt(c, "\"' or '1'='1\"@virt.test").code == 550
        begin()
        started = time.monotonic()
        for i in range(3):
            reply = rcpt(c, f"other{i}@virt.test")
            assert reply.text.startswith("4.3.0") and reply.code == 451, reply
        assert time.monotonic() - started < 3 * waits
        # Who needs no such table is served meanwhile.
        with instance.connect() as other:
            other.hello()
            assert rcpt(other, "alice@elsewhere.test").code in (250, 451, 554)
        end()
        assert wait_until(lambda: rcpt(c, "nobody@virt.test").code == 550, 40, 0.5), instance.log()
        assert rcpt(c, "carl@virt.test").code == 250
    instance.wait_log("is in trouble, mail that needs it waits")
    instance.wait_log("is in order again")
    assert instance.log().count("is in trouble") <= 3
    assert SECRET not in instance.log()
    return instance


# ---- SQLite

@pytest.fixture
def sqlite_table(folder):
    db = sqlite3.connect(folder / "mail.db")
    db.execute("create table users (k text, v text)")
    db.execute("create index users_k on users (k)")
    db.executemany("insert into users values (?, ?)", rows())
    db.commit()
    db.close()
    os.chmod(folder / "mail.db", 0o644)
    return write(folder / "lite.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users\n  WHERE k = '%s' ORDER BY v\n")


def test_sqlite(sqlite_table, folder):
    check_rows(f"sqlite:{sqlite_table}")
    # Parts of the key, and of the result.
    cf = write(folder / "parts.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users WHERE k = '%u@%2.%1' OR k = '%d'\nresult_format = %u+%1@%d\n")
    assert ask(f"sqlite:{cf}", "carl@virt.test")[:2] == (0, "alice+test@here.test")
    assert ask(f"sqlite:{cf}", "carl")[:2] == (1, "")
    assert ask(f"sqlite:{cf}", "upper@virt.test")[:2] == (1, "")  # a result without a domain is left out
    cf = write(folder / "domain.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users WHERE k = '%s'\ndomain = other.test, hash.test\n")
    assert ask(f"sqlite:{cf}", "carl@virt.test")[:2] == (1, "")
    # "!" keeps a domain out, whoever lists it behind that.
    for domains, found in (("!virt.test, static:all", False), ("static:all, !virt.test", False), ("!static:all, virt.test", True), ("!other.test, static:all", True), ("!inline:{virt.test=x} static:all", False)):
        cf = write(folder / "domain.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users WHERE k = '%s'\ndomain = {domains}\n")
        assert ask(f"sqlite:{cf}", "carl@virt.test")[:2] == ((0, "alice@here.test") if found else (1, "")), domains
    # So for all that is in a file. Files that name each other in a circle are no reason to die.
    ours, circle = write(folder / "ours", "virt.test\n"), write(folder / "circle", f"virt.test {folder}/circle\n")
    for domains, status in ((f"{ours}, other.test", 0), (f"!{ours}, static:all", 1), (f"{circle}", 75)):
        cf = write(folder / "domain.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users WHERE k = '%s'\ndomain = {domains}\n")
        assert ask(f"sqlite:{cf}", "carl@virt.test")[0] == status, domains
    # sqlite_table(5) takes the first column.
    cf = write(folder / "columns.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v, k FROM users WHERE k = '%s'\n")
    assert ask(f"sqlite:{cf}", "carl@virt.test")[:2] == (0, "alice@here.test")
    cf = write(folder / "limit.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users WHERE k = '%s'\nexpansion_limit = 1\n")
    assert ask(f"sqlite:{cf}", "carl@virt.test")[0] == 0
    status, _, said = ask(f"sqlite:{cf}", "list@virt.test")
    assert status == 75 and "expansion_limit" in said
    # A question that cannot be made is trouble: that somebody is unknown is not known.
    many = ", ".join(["'%s'"] * 60)
    cf = write(folder / "many.cf", f"dbpath = {folder}/mail.db\nquery = SELECT v FROM users WHERE k IN ({many})\n")
    status, _, said = ask(f"sqlite:{cf}", "'" * 1000)
    assert status == 75 and "too long" in said
    cf = write(folder / "old.cf", f"dbpath = {folder}/mail.db\ntable = users\nselect_field = v\nwhere_field = k\nadditional_conditions = AND 1=1\n")
    check_rows(f"sqlite:{cf}")


def test_a_sqlite_file_with_a_writer_and_a_log(folder):
    """WAL mode: without a writer, with one, and replaced while in use."""
    path = folder / "wal.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("pragma journal_mode=wal")
    writer.execute("create table users (k text, v text)")
    writer.execute("insert into users values ('a', '1')")
    cf = write(folder / "wal.cf", f"dbpath = {path}\nquery = SELECT v FROM users WHERE k = '%s'\n")
    for name in ("wal.db", "wal.db-wal", "wal.db-shm"):
        os.chmod(folder / name, 0o644)
    assert ask(f"sqlite:{cf}", "a")[:2] == (0, "1")
    writer.close()
    assert ask(f"sqlite:{cf}", "a")[:2] == (0, "1")


def test_sqlite_through_an_outage(make, sqlite_table, folder):
    db = folder / "mail.db"
    through_outage(make, f"sqlite:{sqlite_table}", lambda: os.rename(db, folder / "away"), lambda: os.rename(folder / "away", db))


def test_trouble_in_the_parameters_is_told_with_file_and_line(folder):
    cf = write(folder / "bad.cf", f"dbpath = {folder}/none.db\nqeury = SELECT 1\nquery = SELECT v FROM t WHERE k = %s\n")
    status, _, said = ask(f"sqlite:{cf}", "a")
    assert status == 75 and "none.db" in said and "bad.cf, line 3: query: what is put in stands outside quotes" in said
    status, _, said = ask(f"sqlite:{write(folder / 'b.cf', 'query = SELECT 1')}", "a")
    assert status == 75 and "dbpath" in said
    status, _, said = ask(f"sqlite:{write(folder / 'c.cf', 'dbpath=/x' + chr(10) + 'query = %x')}", "a")
    assert status == 75 and "%x" in said
    status, _, said = ask(f"sqlite:{folder}/absent.cf", "a")
    assert status == 75 and "absent.cf" in said


# ---- PostgreSQL

@pytest.fixture(scope="module")
def postgres(request):
    server = Postgres()
    request.addfinalizer(server.close)
    quoted = ", ".join("(" + ", ".join("'" + text.replace("'", "''") + "'" for text in row) + ")" for row in rows())
    server.sql(f"CREATE TABLE users (k text, v text); INSERT INTO users VALUES {quoted}; CREATE INDEX ON users (k);")
    return server


def pgsql_cf(folder, server, **changes):
    values = {"hosts": f"127.0.0.1:{server.port}", "user": "mail", "password": SECRET, "dbname": "postgres", "query": "SELECT v FROM users WHERE k = '%s' ORDER BY v", "timeout": "3"} | changes
    return write(folder / "pg.cf", "".join(f"{k} = {v}\n" for k, v in values.items()))


def test_postgresql(postgres, folder):
    check_rows(f"pgsql:{pgsql_cf(folder, postgres)}")
    check = ask(f"pgsql:{pgsql_cf(folder, postgres, hosts=f'127.0.0.1:1, 127.0.0.1:{postgres.port}')}", "carl@virt.test")
    assert check[:2] == (0, "alice@here.test")
    for changes, word in (({"query": "SELEC"}, "syntax error"), ({"password": "wrong"}, "authentication failed"), ({"hosts": "127.0.0.1:1"}, "refused"), ({"dbname": "none"}, "does not exist"),
                          ({"query": "SELECT v FROM users", "expansion_limit": "3"}, "expansion_limit"), ({"query": "SELECT pg_sleep(30)"}, "in time")):
        started = time.monotonic()
        status, value, said = ask(f"pgsql:{pgsql_cf(folder, postgres, **changes)}", "carl@virt.test")
        assert status == 75 and value == "" and word in said and SECRET not in said, (changes, said)
        assert time.monotonic() - started < 6


def test_postgresql_through_a_restart(make, postgres, folder):
    instance = through_outage(make, f"pgsql:{pgsql_cf(folder, postgres)}", postgres.stop, postgres.start)
    # The sandbox was made for it; a list without such tables has none of it.
    assert instance.pids("lookup")


def test_postgresql_that_says_nothing(make, postgres, folder):
    through_outage(make, f"pgsql:{pgsql_cf(folder, postgres)}", postgres.freeze, postgres.thaw)


# ---- MariaDB

@pytest.fixture(scope="module")
def mariadb(request):
    server = MariaDB()
    request.addfinalizer(server.close)
    quoted = ", ".join("(" + ", ".join("'" + text.replace("\\", "\\\\").replace("'", "''") + "'" for text in row) + ")" for row in rows())
    server.sql(f"CREATE DATABASE mail CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; USE mail; CREATE TABLE users (k varchar(200), v varchar(200), index (k)); INSERT INTO users VALUES {quoted};"
               f"CREATE USER mail IDENTIFIED BY '{SECRET.replace(chr(39), chr(39) * 2)}'; GRANT SELECT ON mail.* TO mail;")
    return server


def mysql_cf(folder, server, **changes):
    values = {"hosts": f"127.0.0.1:{server.port}", "user": "mail", "password": SECRET, "dbname": "mail", "query": "SELECT v FROM users WHERE k = '%s' ORDER BY v", "timeout": "3"} | changes
    return write(folder / "my.cf", "".join(f"{k} = {v}\n" for k, v in values.items()))


def test_mariadb(mariadb, folder):
    check_rows(f"mysql:{mysql_cf(folder, mariadb)}")
    assert ask(f"mysql:{mysql_cf(folder, mariadb, hosts=f'unix:{mariadb.home}/socket')}", "carl@virt.test")[:2] == (0, "alice@here.test")
    for changes, word in (({"query": "SELEC"}, "syntax"), ({"password": "wrong"}, "Access denied"), ({"hosts": "127.0.0.1:1"}, "onnect"), ({"dbname": "none"}, "none"),
                          ({"query": "SELECT v FROM users", "expansion_limit": "3"}, "expansion_limit"), ({"query": "SELECT sleep(30)"}, "ost connection"),
                          ({"query": "DO length('%s')"}, "no result set")):
        started = time.monotonic()
        status, value, said = ask(f"mysql:{mysql_cf(folder, mariadb, **changes)}", "carl@virt.test")
        assert status == 75 and value == "" and word in said and SECRET not in said, (changes, said)
        assert time.monotonic() - started < 8
    assert ask(f"mysql:{mysql_cf(folder, mariadb, query='DO length(' + chr(39) + '%s' + chr(39) + ')', require_result_set='no')}", "carl@virt.test")[:2] == (1, "")


def test_mariadb_through_a_restart(make, mariadb, folder):
    through_outage(make, f"mysql:{mysql_cf(folder, mariadb)}", mariadb.stop, mariadb.start)


def memory_of(table, key):
    """(what was said, kilobytes at most) of 'postern map -q'."""
    process = subprocess.Popen([PREFIX / "sbin/postern", "map", "-q", key, table], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 75, said
    return said, usage.ru_maxrss


def test_a_query_for_the_wrong_rows(postgres, mariadb, folder):
    """P05: a query without its WHERE, 150 MB in rows or in one, costs as much of that as may be an answer."""
    said, used = memory_of(f"pgsql:{pgsql_cf(folder, postgres, query='SELECT repeat(md5(k::text), 32) FROM generate_series(1, 150000) k')}", "carl@virt.test")
    assert "PostgreSQL: an answer of more than 1048576 octets" in said and used < 100000, (said, used)
    said, used = memory_of(f"mysql:{mysql_cf(folder, mariadb, query='SELECT space(1000) FROM information_schema.columns a, information_schema.columns b LIMIT 150000')}", "carl@virt.test")
    assert "MySQL: an answer of more than 1048576 octets" in said and used < 100000, (said, used)
    said, used = memory_of(f"pgsql:{pgsql_cf(folder, postgres, query='SELECT repeat(md5(1::text), 5000000)')}", "carl@virt.test")
    assert "PostgreSQL: an answer of more than 1048576 octets" in said and used < 100000, (said, used)
    cf = write(folder / "big.cf", f"dbpath = {folder}/big.db\nquery = SELECT hex(zeroblob(100000000))\n")
    sqlite3.connect(folder / "big.db").execute("create table t (v)")
    said, used = memory_of(f"sqlite:{cf}", "carl@virt.test")
    assert "string or blob too big" in said and used < 100000, (said, used)
    said, used = memory_of(f"mysql:{mysql_cf(folder, mariadb, query='SELECT space(12000000)')}", "carl@virt.test")
    assert "MySQL: an answer of more than 1048576 octets" in said and used < 100000, (said, used)


def test_a_row_that_is_too_long_is_trouble_of_its_key_alone(make, postgres, mariadb, folder):
    """P05: its server does not rest, and other keys are answered."""
    for kind, cf in ("pgsql", pgsql_cf(folder, postgres, query="SELECT CASE WHEN '%u' = 'big' THEN repeat(md5('1'), 100000) ELSE 'x' END")), ("mysql", mysql_cf(folder, mariadb, query="SELECT CASE WHEN '%u' = 'big' THEN repeat(md5('1'), 100000) ELSE 'x' END")):
        instance = make({"relay_domains": "r.test", "relay_recipient_maps": f"{kind}:{cf}", "relay_transport": "discard:"})
        with instance.connect(timeout=30) as client:
            client.hello()
            for address, code in (("big@r.test", 451), ("one@r.test", 250), ("big@r.test", 451), ("two@r.test", 250)):
                reply = rcpt(client, address)
                assert reply.code == code, (kind, address, reply)


def trickle(listener, octets):
    """Greets whoever comes with an octet in half a second."""
    try:
        while True:
            with listener.accept()[0] as s:
                for octet in octets:
                    s.sendall(bytes([octet]))
                    time.sleep(0.5)
    except OSError:
        pass


def test_databases_that_take_their_time(request, folder):
    """P05: the table's time is that of the whole question, not of each octet, and what is said before it is part of it."""
    welcome = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"
    silent = Scripted(lambda _, got: b"N" if got == b"\0\0\0\x08\x04\xd2\x16\x2f" else welcome if got.startswith(b"\0") else None)
    request.addfinalizer(silent.close)
    listener = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(lambda: stop_listening(listener))
    threading.Thread(target=trickle, args=(listener, b"\x4a\0\0\0\x0a5.5.5-10.11.9-MariaDB\0" + bytes(50)), daemon=True).start()
    slow = f"127.0.0.1:{listener.getsockname()[1]}"
    for table in (f"pgsql:{pgsql_cf(folder, silent, timeout='2')}", f"mysql:{mysql_cf(folder, silent, hosts=slow, timeout='2')}"):
        done = subprocess.run([PREFIX / "sbin/postern", "map", "-q", "a@b.test", table], stderr=subprocess.PIPE, text=True, timeout=15)
        assert done.returncode == 75, done.stderr


# ---- OpenLDAP

def ldif():
    def value(name, text):
        import base64
        return f"{name}:: {base64.b64encode(text.encode()).decode()}\n"
    out = "dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n"
    for i, (key, found) in enumerate(ROWS.items()):
        out += f"dn: uid=u{i},dc=test\nobjectClass: inetOrgPerson\ncn: u{i}\nsn: u{i}\n" + value("description", key) + value("title", found) + "\n"
    out += "dn: uid=list,dc=test\nobjectClass: inetOrgPerson\ncn: list\nsn: list\ndescription: list@virt.test\ntitle: alice@here.test\ntitle: bob@here.test\n\n"
    out += "dn: cn=group,dc=test\nobjectClass: groupOfNames\ncn: group\nmember: uid=u0,dc=test\nmember: uid=list,dc=test\nmember: cn=group,dc=test\n\n"
    for i in range(1200):
        out += f"dn: uid=m{i},dc=test\nobjectClass: inetOrgPerson\ncn: m{i}\nsn: m{i}\ntitle: alice@here.test\n\n"
    out += "dn: cn=many,dc=test\nobjectClass: groupOfNames\ncn: many\n" + "".join(f"member: uid=m{i},dc=test\n" for i in range(1200)) + "\n"
    return out + "dn: cn=nested,dc=test\nobjectClass: groupOfNames\ncn: nested\nmember: cn=many,dc=test\n\n"


@pytest.fixture(scope="module")
def slapd(request):
    server = Slapd(ldif())
    request.addfinalizer(server.close)
    return server


def ldap_cf(folder, server, **changes):
    values = {"server_host": f"ldap://127.0.0.1:{server.port}", "search_base": "dc=test", "bind_dn": "cn=admin,dc=test", "bind_pw": SECRET, "query_filter": "(description=%s)", "result_attribute": "title", "version": "3", "timeout": "3"} | changes
    return write(folder / "ldap.cf", "".join(f"{k} = {v}\n" for k, v in values.items()))


def test_openldap(slapd, folder):
    # The directory does not tell upper from lower case, and knows letters of any language.
    check_rows(f"ldap:{ldap_cf(folder, slapd)}")
    group = ldap_cf(folder, slapd, query_filter="(cn=%u)", special_result_attribute="member")
    assert ask(f"ldap:{group}", "group@virt.test")[0] == 75  # it holds itself: recursion ends, and is told
    status, _, said = ask(f"ldap:{ldap_cf(folder, slapd, cache='yes', cache_size='0', debuglevel='1')}", "carl@virt.test")
    assert status == 0 and "cache: is not supported" in said and "debuglevel: is not supported" in said and "cache_size" not in said
    base = ldap_cf(folder, slapd, search_base="uid=%u,dc=test", query_filter="(objectClass=*)", scope="base")
    assert ask(f"ldap:{base}", "u0@virt.test")[:2] == (0, "alice@here.test")
    assert ask(f"ldap:{base}", "u0,dc=x@virt.test")[:2] == (1, "")
    # Only the depth is limited: a group may have more members than that.
    large = ldap_cf(folder, slapd, query_filter="(cn=%u)", special_result_attribute="member", recursion_limit="1")
    assert ask(f"ldap:{large}", "many@virt.test")[:2] == (0, ",".join(["alice@here.test"] * 1200))
    status, _, said = ask(f"ldap:{large}", "nested@virt.test")
    assert status == 75 and "recursion_limit" in said
    for changes, word in (({"query_filter": "((description=%s)"}, "filter"), ({"bind_pw": "wrong"}, "credentials"), ({"server_host": "ldap://127.0.0.1:1"}, "contact"), ({"query_filter": "(description=*)", "expansion_limit": "3", "size_limit": "0"}, "expansion_limit"),
                          ({"query_filter": "(description=*)", "size_limit": "3"}, "ize limit"),
                          # H11: a directory without its tree knows nothing of anybody.
                          ({"search_base": "ou=absent,dc=test"}, "search base ou=absent,dc=test"), ({"search_base": "dc=other"}, "search base dc=other")):
        status, value, said = ask(f"ldap:{ldap_cf(folder, slapd, **changes)}", "carl@virt.test")
        assert status == 75 and value == "" and word in said and SECRET not in said, (changes, said)


def ber(tag, *parts):
    body = b"".join(parts)
    return bytes([tag, 0x84]) + len(body).to_bytes(4, "big") + body


ENTRY = ber(0x30, b"\x02\x01\x02", ber(0x64, b"\x04\x00", ber(0x30)))
VALUES = ber(0x30, b"\x02\x01\x02", ber(0x64, b"\x04\x00", ber(0x30, ber(0x30, b"\x04\x05title", ber(0x31, b"\x04\x00" * 200000)))))
NOTICE = ber(0x30, b"\x02\x01\x00", ber(0x78, b"\x0a\x01\x00\x04\x00\x04\x00"))


class LyingDirectory:
    """Lets everybody bind, and answers a search without an end."""

    def __init__(self, first, endless):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first, self.endless, self.sent = first, endless, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with s:
                try:
                    s.recv(4096)
                    s.sendall(ber(0x30, b"\x02\x01\x01", ber(0x61, b"\x0a\x01\x00\x04\x00\x04\x00")))
                    s.recv(4096)
                    s.sendall(self.first)
                    while True:
                        self.sent += s.send(self.endless)
                except OSError:
                    pass


@pytest.mark.parametrize("first,endless", [(b"", ENTRY * 500), (b"", NOTICE * 500), (b"", VALUES), (b"\x30\x84\x7f\xff\xff\xff\x02\x01\x02\x64", bytes(65536))], ids=["entries", "notices", "values", "length"])
def test_a_directory_that_answers_without_an_end(folder, first, endless):
    """P05: what a directory can make us keep has a bound."""
    directory = LyingDirectory(first, endless)
    status, value, said = ask(f"ldap:{ldap_cf(folder, directory, timeout='5')}", "carl@virt.test")
    stop_listening(directory.listener)
    assert (status, value) == (75, "") and "LDAP: " in said and "in time" not in said, said
    # What the sockets hold comes to it, and a second attempt.
    assert directory.sent < 24 << 20, directory.sent


def test_openldap_through_a_restart(make, slapd, folder):
    through_outage(make, f"ldap:{ldap_cf(folder, slapd)}", slapd.stop, slapd.start)


def test_openldap_that_says_nothing(make, slapd, folder):
    through_outage(make, f"ldap:{ldap_cf(folder, slapd)}", slapd.freeze, slapd.thaw)


# ---- socketmap and tcp: the server is scripted, and hostile

def netstring(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"%d:%s," % (len(data), data)


def socketmap_server(request, answers, path=None):
    table = {**{k.lower(): "OK " + v for k, v in ROWS.items()}, "list@virt.test": "OK alice@here.test,bob@here.test"}

    def answer(server, got):
        length, _, rest = got.partition(b":")
        if len(rest) < int(length) + 1:
            return None
        name, _, key = rest[:int(length)].partition(b" ")
        server.questions.append((name, key))
        if key in answers:
            return answers[key]
        return netstring(table.get(key.decode("utf-8", "replace"), "NOTFOUND "))
    server = Scripted(answer, path)
    request.addfinalizer(server.close)
    return server


HOSTILE = {b"temp": netstring("TEMP later"), b"timeout": netstring("TIMEOUT slow"), b"perm": netstring("PERM never"), b"empty": netstring(""), b"word": netstring("OKAY x"), b"unknown": netstring("MAYBE"),
           b"nocomma": b"4:OK xX", b"notanumber": b"x:OK,", b"negative": b"-1:,", b"huge": b"99999999:OK ", b"toolong": b"100001:" + b"x" * 100001 + b",", b"zeros": b"004:OK x,", b"two": netstring("OK x") * 2, b"nul": netstring("OK a\0b"),
           b"short": b"!close", b"newline": netstring("TEMP a\nb\x1b[2J")}


def test_socketmap(request, folder):
    for path in (None, folder / "socket"):
        server = socketmap_server(request, HOSTILE, path)
        table = f"socketmap:unix:{path}:aliases" if path else f"socketmap:inet:127.0.0.1:{server.port}:aliases"
        check_rows(table, case=False)
        assert server.questions[0][0] == b"aliases"
        # Case is the server's affair: an SRS address holds somebody's local part.
        ask(table, "SRS0=aBcD=Xy=There.test=Joe@virt.test")
        assert server.questions[-1][1] == b"SRS0=aBcD=Xy=There.test=Joe@virt.test"
        for key in HOSTILE:
            status, value, said = ask(table, key)
            assert status == 75 and value == "", (key, said)
            assert "\x1b" not in said
        assert "permanent" in ask(table, "perm")[2] and "temporary" in ask(table, "temp")[2]
        assert ask(table, "carl@virt.test")[0] == 0
    big = "OK " + "x" * 49000
    server = socketmap_server(request, {b"big": netstring(big), b"bigger": netstring("OK " + "x" * 60000)})
    table = f"socketmap:inet:127.0.0.1:{server.port}:m"
    assert ask(table, "big")[:2] == (0, "x" * 49000) and ask(table, "bigger")[0] == 75
    assert ask("socketmap:inet:127.0.0.1:1:m", "a")[0] == 75
    assert ask("socketmap:inet:nonsense", "a")[0] == 75


def test_socketmap_through_an_outage(request, make, folder):
    state = {}

    def end():
        state["server"] = socketmap_server(request, {}, folder / "socket")

    def begin():
        state["server"].close()
        os.unlink(folder / "socket")
    end()
    through_outage(make, f"socketmap:unix:{folder}/socket:aliases", begin, end)


def test_a_reload_and_the_death_of_the_asker_while_a_server_thinks(request, make):
    """The answer finds neither the tables of its question nor, the second time, who asked."""
    go = threading.Event()

    def answer(server, got):
        if b"slow" in got:
            server.questions.append(got)
            go.wait(10)
        return netstring("OK alice@here.test")
    server = Scripted(answer)
    request.addfinalizer(server.close)
    instance = make({"virtual_alias_domains": "virt.test", "virtual_alias_maps": f"socketmap:inet:127.0.0.1:{server.port}:m", "lookup_workers": 2})
    lookup = instance.pids("lookup")

    def slow(user, codes):
        try:
            with instance.connect(timeout=20) as c:
                c.hello()
                codes.append(rcpt(c, f"{user}@virt.test").code)
        except (OSError, EOFError, AssertionError):
            codes.append(None)

    for user, disturb in (("slow1", lambda: instance.reload(virtual_alias_maps=f"inline:{{ x=y }}, socketmap:inet:127.0.0.1:{server.port}:m")), ("slow2", lambda: [os.kill(pid, 9) for pid in instance.pids("smtpd")])):
        go.clear()
        asked, codes = len(server.questions), []
        thread = threading.Thread(target=slow, args=(user, codes))
        thread.start()
        assert wait_until(lambda: len(server.questions) > asked)
        disturb()
        go.set()
        thread.join()
        assert codes == ([250] if user == "slow1" else [None])
        assert wait_until(lambda: instance.pids("smtpd"))
        with instance.connect(timeout=20) as c:
            c.hello()
            assert rcpt(c, f"quick-{user}@virt.test").code == 250
    assert instance.pids("lookup") == lookup


def test_tcp(request):
    odd = {b"temp": b"400 later%20on\n", b"none": b"500 not here\n", b"garbage": b"hello\n", b"badescape": b"200 %zz\n", b"nulescape": b"200 %00\n", b"long": b"200 " + b"x" * 5000 + b"\n", b"two": b"200 a\n200 b\n", b"closed": b"!close", b"crlf": b"200 fine\r\n"}

    def answer(server, got):
        if not got.endswith(b"\n"):
            return None
        verb, _, key = got[:-1].partition(b" ")
        assert verb == b"get"
        from urllib.parse import quote_from_bytes, unquote_to_bytes
        plain = unquote_to_bytes(key)
        server.questions.append(plain)
        if plain in odd:
            return odd[plain]
        value = (dict(ROWS) | {"list@virt.test": "alice@here.test,bob@here.test"}).get(plain.decode("utf-8", "replace"))
        return b"200 " + quote_from_bytes(value.encode(), "@,").encode() + b"\n" if value else b"500 nobody\n"
    server = Scripted(answer)
    request.addfinalizer(server.close)
    table = f"tcp:127.0.0.1:{server.port}"
    check_rows(table, case=False)
    for key in odd:
        status, value, _ = ask(table, key)
        want = {b"none": (1, ""), b"crlf": (0, "fine")}.get(key, (75, ""))
        assert (status, value) == want, key


# ---- all kinds

def test_unknown_and_missing_kinds_are_told(make):
    instance = make({"mydestination": "here.test, nosuch:/etc/x", "smtpd_recipient_restrictions": "check_recipient_access memcache:/etc/y, permit", "transport_maps": "hash:/nonexistent/transport, nis:z"}, start=False)
    instance.write_config()
    done = instance.postern("check", check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    for word in ("unsupported dictionary type: nosuch", "memcache: Postern does not support", "/nonexistent/transport", "nis: Postern does not support"):
        assert word in said, said


def test_files_of_domains(make, folder):
    """'!/file' is the opposite of what the file says; one that cannot be read is told with its place, and no domain becomes unknown by it."""
    domains = write(folder / "domains", "# ours\nno.test !yes.test\n")
    instance = make({"relay_domains": f"!{domains}, static:all"})
    assert [instance.postern("route", f"a@{name}").stdout.split("transport ")[-1].split(",")[0] for name in ("no.test", "yes.test", "else.test")] == ["smtp", "relay", "relay"]
    assert instance.postern("check").stdout == ""
    for name in ("relay_domains", "mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "masquerade_exceptions", "myorigin"):
        instance.settings[name], kept = f"{folder}/absent", instance.settings.get(name)
        instance.write_config()
        line = 1 + [row.split(" =")[0] for row in (instance.confdir / "postern.conf").read_text().splitlines()].index(name)
        assert f"postern.conf:{line}: {name}: open {folder}/absent: No such file or directory\n" in instance.postern("check", check=False).stdout
        instance.settings[name] = kept


def test_a_reload_brings_the_first_table_of_a_library(make, folder, sqlite_table):
    """Inside the sandbox no library can be loaded: lookup starts anew for it."""
    domains = {"virtual_alias_domains": "virt.test, list.test"}
    instance = make(domains | {"virtual_alias_maps": f"sqlite:{sqlite_table}"})
    pcre = write(folder / "virtual.pcre", "/^list@list\\.test$/ alice@here.test\n")
    with instance.connect(timeout=60) as c:
        c.hello()
        assert rcpt(c, "carl@virt.test").code == 250
        instance.reload(virtual_alias_maps=f"sqlite:{sqlite_table}, pcre:{pcre}")
        assert rcpt(c, "list@list.test").code == 250, instance.log()
        assert rcpt(c, "nobody@list.test").code == 550


def test_trouble_begins_and_ends_once_in_the_log_over_a_reload(make, folder):
    table = folder / "virtual"
    instance = make({"virtual_alias_domains": "virt.test", "virtual_alias_maps": f"texthash:{table}"})
    with instance.connect(timeout=60) as c:
        c.hello()
        assert rcpt(c, "carl@virt.test").code == 451
        instance.wait_log("is in trouble, mail that needs it waits")
        instance.reload()
        write(table, "carl@virt.test alice@here.test\n")
        assert wait_until(lambda: rcpt(c, "carl@virt.test").code == 250, 20, 0.2)
        instance.wait_log("is in order again")
        os.rename(table, folder / "away")
        assert wait_until(lambda: rcpt(c, "carl@virt.test").code == 451, 20, 0.2)
        instance.wait_log("is in trouble, mail that needs it waits", count=2)
