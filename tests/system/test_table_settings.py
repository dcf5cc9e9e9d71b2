"""Tables of databases whose parameters stand in postern.conf itself: sqlite:people with people_dbpath, people_query ..."""
import os, sqlite3

from harness.authenticate import b64
from harness.databases import SECRET
from harness.instance import AS_ROOT
from harness.memory import writable


def database(folder, **tables):
    with sqlite3.connect(folder / "mail.db") as db:
        for name, rows in tables.items():
            db.execute(f"create table {name} (k text, v text)")
            db.executemany(f"insert into {name} values (?, ?)", rows.items())
    db.close()
    os.chmod(folder / "mail.db", 0o644)
    return str(folder / "mail.db")


def rcpt(instance, address):
    with instance.connect() as c:
        c.hello()
        c.cmd("MAIL FROM:<s@there.test>", 250)
        return c.cmd(f"RCPT TO:<{address}>").code


def test_they_answer_follow_a_reload_and_stay_with_lookup(make, folder):
    path = database(folder, old={"a@virt.test": "alice@here.test"}, new={"b@virt.test": "bob@here.test"})
    instance = make({
        "virtual_alias_domains": "virt.test", "virtual_alias_maps": "proxy:sqlite:people, unionmap:{sqlite:people_all}", "people_dbpath": path, "people_query": "SELECT v FROM old WHERE k = '%s'",
        "people_all_dbpath": "$people_dbpath", "people_all_query": "SELECT v FROM old WHERE k = '%d'",
        "relocated_maps": "ldap:crowd", "crowd_server_host": "ldap://127.0.0.1:1", "crowd_search_base": "dc=test", "crowd_bind_pw": SECRET, "crowd_timeout": "1", "crowd_domain": "crowd.test"})
    assert rcpt(instance, "a@virt.test") == 250 and rcpt(instance, "b@virt.test") == 550
    assert instance.postern("map", "-q", "a@virt.test", "sqlite:people").stdout == "alice@here.test\n"
    assert "alice@here.test" in instance.postern("route", "a@virt.test").stdout
    instance.reload(people_query="SELECT v FROM new WHERE k = '%s'")
    assert rcpt(instance, "a@virt.test") == 550 and rcpt(instance, "b@virt.test") == 250
    # The password of one is with the process that opens tables, and with master; whoever talks to strangers has none of it.
    for role in () if not AS_ROOT else ("lookup", "smtpd", "delivery", "local", "queue", "pickup", "resolver"):
        assert any(SECRET.encode() in writable(pid) for pid in instance.pids(role)) == (role == "lookup"), role
    assert SECRET not in instance.log()


def test_check_and_config(make, folder):
    path = database(folder, users={"a@virt.test": "alice@here.test"})
    instance = make({"virtual_alias_maps": "sqlite:people", "people_dbpath": path, "people_query": "SELECT v FROM users WHERE k = '%s'"}, start=False)
    assert "people" not in instance.postern("check", check=False).stdout
    instance.settings |= {"people_qeury": "SELECT 1", "virtual_mailbox_maps": "pgsql:nobody", "peple_dbpath": path, "relocated_maps": "ldap:crowd", "crowd_bind_pw": SECRET}
    instance.write_config()
    said = instance.postern("check", check=False).stdout
    for words in ("unknown parameter people_qeury", "nobody: need the absolute path of a file with the parameters of this table, or parameters nobody_... in postern.conf", "unknown parameter peple_dbpath",
                  "crowd_bind_pw: everybody on this host may read this password: the parameters of crowd may stand in a file of their own"):
        assert words in said, said
    assert SECRET not in said
    listed = instance.postern("config", "-n").stdout
    assert SECRET not in listed and "# crowd_bind_pw is a password: not shown\n" in listed and "people_dbpath = " in listed
    assert instance.postern("config", "-h", "crowd_bind_pw").stdout == SECRET + "\n"


def test_passwords_are_asked_for_passwords_alone(make, folder):
    path = database(folder, users={"alice": "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "alice@here.test": "REJECT"})
    query = "SELECT v FROM users WHERE k = '%s'"
    instance = make({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "table", "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noanonymous", "smtpd_sasl_path": "sqlite:logins", "logins_dbpath": path, "logins_query": query, "rules_dbpath": path, "rules_query": query,
                                  "smtpd_recipient_restrictions": "check_recipient_access unionmap:{sqlite:logins}"})
    with instance.connect() as c:
        c.hello()
        c.cmd("AUTH PLAIN " + b64("\0alice\0secret"), 235)
    assert rcpt(instance, "alice@here.test") == 451
    instance.wait_log("a table of passwords is asked for passwords alone")
    instance.reload(smtpd_recipient_restrictions="check_recipient_access sqlite:rules")
    assert rcpt(instance, "alice@here.test") == 554
