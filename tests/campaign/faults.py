"""The faults: each is done to a site under load, and returns once it is over."""

import collections
import os
import random
import signal
import sqlite3
import time

from notify import Trouble
from service import rules
from stores import Ballast

HOUR, DAY = 3600, 86_400


def kill(c):
    """kill -9, of whichever replica."""
    longest, restarts = 0.0, 0
    for _ in range(c.bounds.kills):
        time.sleep(random.uniform(0.1, 0.6))
        replica = random.choice(c.site.replicas)
        replica.kill()
        replica.spawn()
        restarts += 1
        longest = max(longest, c.site.ready(replica))
    c.site.note(f"{restarts} kills, ready again after {longest:.1f} s at most")


def takeovers(c):
    """kill -9 of the one that judges, which stays away until another judges."""
    longest = 0.0
    for _ in range(c.bounds.takeovers):
        judge = until_someone_judges(c)
        other = c.site.other(judge)
        begin = time.monotonic()
        judge.kill()
        longest = max(longest, c.site.takeover(other, begin))
        judge.spawn()
        c.site.ready(judge)
        time.sleep(0.5)
    c.site.note(f"{c.bounds.takeovers} kills, takeover after {longest:.1f} s at most")


def stand_still(c):
    """SIGSTOP and SIGCONT, of the one that judges."""
    replica = until_someone_judges(c)
    other = c.site.other(replica)
    begin = time.monotonic()
    replica.signal(signal.SIGSTOP)
    try:
        if other:
            c.site.note(f"takeover after {c.site.takeover(other, begin):.1f} s")
        time.sleep(max(0, begin + c.bounds.stop - time.monotonic()))
    finally:
        replica.signal(signal.SIGCONT)
    c.site.flows()


def until_someone_judges(c, within=20):
    until = time.monotonic() + within
    while time.monotonic() < until:
        if judge := c.site.judge():
            return judge
        time.sleep(0.05)
    raise Trouble(f"nobody judges within {within} s")


def restart(c):
    """PostgreSQL is restarted, as by its package."""
    c.cluster.control("restart", "-m", "fast")
    c.site.flows()


def crash(c):
    """PostgreSQL is killed, and away for a while; then one of its processes is killed, and it recovers by itself."""
    c.cluster.control("stop", "-m", "immediate")
    time.sleep(c.bounds.away)
    c.cluster.control("start")
    c.site.flows()
    strike_backend(c, None)
    c.site.flows()


def drop_connections(c):
    """All connections are dropped, again and again."""
    dropped, until = 0, time.monotonic() + c.bounds.away
    while time.monotonic() < until:
        dropped += c.cluster.drop_connections()
        time.sleep(random.uniform(0.05, 0.4))
    c.site.note(f"{dropped} connections dropped")
    c.site.flows()


def fail_over(c):
    """The primary is killed; after a while the standby is promoted."""
    begin = time.monotonic()
    c.cluster.control("stop", "-m", "immediate")
    time.sleep(1)
    c.standby.control("promote")
    promoted = time.monotonic()
    c.site.flows()
    now = time.monotonic()
    c.site.note(f"acknowledging {now - begin:.1f} s after the fault, {now - promoted:.1f} s after the promotion")


def fail_over_to_one_behind(c):
    """The standby is down, so that commits wait for it, and connections are dropped: what came is on the primary alone.

    What is sent again then is known there. When the primary is lost, an answer of 200 was a lie.
    """
    c.standby.control("stop", "-m", "immediate")
    before, until = len(c.world.acknowledged), time.monotonic() + c.bounds.away
    while time.monotonic() < until:
        time.sleep(0.5)
        c.cluster.drop_connections()
    time.sleep(c.bounds.away)
    c.site.note(f"{len(c.world.acknowledged) - before} acknowledged without the standby")
    c.cluster.control("stop", "-m", "immediate")
    c.standby.control("start")
    c.standby.control("promote")
    c.site.flows()


def restart_pooler(c):
    c.pooler.stop()
    time.sleep(c.bounds.away)
    c.pooler.start()
    c.site.flows()


def fill_disk(c):
    ballast = Ballast(c.disk)
    ballast.hold(c.bounds.away + 2)
    ballast.free()
    begin = time.monotonic()
    c.site.flows()
    c.site.note(f"acknowledging {time.monotonic() - begin:.1f} s after there was room")


def fill_disk_of_the_cluster(c):
    """PostgreSQL ends when it cannot write its log, and is started again as a supervisor would."""
    ballast = Ballast(c.disk)
    ballast.hold(c.bounds.away + 2)
    ballast.free()
    try:
        c.cluster.sql("SELECT 1")
    except Trouble:
        c.cluster.control("start")
        c.site.note("PostgreSQL ended and was started again")
    c.site.flows()


def step_clocks(c, replicas=None):
    for name, seconds in (("+1 h", HOUR), ("-1 h", -HOUR), ("+3 d", 3 * DAY), ("-3 d", -3 * DAY), ("back", 0)):
        before = len(c.world.acknowledged)
        for replica in replicas or c.site.replicas:
            replica.step(seconds)
        time.sleep(c.bounds.step)
        if len(c.world.acknowledged) == before:
            c.site.note(f"nothing acknowledged at {name}")


def step_one_clock(c):
    """Only the clock of the replica that judges is set, so that the replicas disagree."""
    step_clocks(c, [until_someone_judges(c)])


def step_other_clock(c):
    """Only the clock of a replica that does not judge is set."""
    step_clocks(c, [c.site.other(until_someone_judges(c))])


def set_clock_while_down(c):
    """As at the boot of a machine: killed, its clock set, started; deliveries and judgements are under way each time."""
    for seconds in (HOUR, 0, 3 * DAY, 0, -3 * DAY, 0):
        c.world.refusing.add("slack")
        time.sleep(c.bounds.step / 2)
        for replica in c.site.replicas:
            replica.kill()
            replica.step(seconds)
        c.world.refusing.clear()
        for replica in c.site.replicas:
            replica.spawn()
        for replica in c.site.replicas:
            c.site.ready(replica)
        time.sleep(c.bounds.step / 2)
    c.site.flows()


def refuse(c):
    """Slack and the webhook answer 503."""
    c.world.refusing.update({"slack", "hook"})
    time.sleep(c.bounds.away)
    c.world.refusing.clear()
    c.site.note(f"{c.world.refused} sends refused")


def anything(c):
    """Faults at random, some while another lasts."""
    kinds = {"kill": strike_kill, "stop": strike_stop, "peer": strike_peer, "reload": strike_reload}
    if c.cluster:
        kinds |= {"connections": strike_connections, "backend": strike_backend, "restart": strike_restart}
    else:
        kinds |= {"lock": strike_lock}
    done, until = collections.Counter(), time.monotonic() + c.bounds.anything
    while time.monotonic() < until:
        name = random.choice(list(kinds))
        kinds[name](c, random.choice(c.site.replicas))
        done[name] += 1
        time.sleep(random.choice((0, 0.2, 0.5, 2)))
    c.world.refusing.clear()
    c.site.note(" ".join(f"{name} {count}" for name, count in sorted(done.items())))
    c.site.flows()


def strike_kill(c, replica):
    replica.kill()
    time.sleep(random.choice((0, 0, 1, 5)))
    replica.spawn()
    # A SIGHUP that comes before it listens to signals ends it, as it ends any process.
    wait_for_signals(replica)


def wait_for_signals(replica, within=30):
    until = time.monotonic() + within
    while replica.process.poll() is None and "tollbell is ready" not in replica.log_since_start():
        if time.monotonic() > until:
            return
        time.sleep(0.05)


def strike_stop(c, replica):
    replica.signal(signal.SIGSTOP)
    time.sleep(random.choice((0.2, 1, 3, 6)))
    replica.signal(signal.SIGCONT)


def strike_peer(c, replica):
    """Begins to refuse, or ends it."""
    c.world.refusing.symmetric_difference_update({random.choice(("slack", "hook", "grouped"))})


def strike_reload(c, replica):
    (replica.folder / "rules.yaml").write_text(rules(word=f"word {random.random()}"))
    replica.signal(signal.SIGHUP)


def strike_connections(c, replica):
    c.cluster.drop_connections()


def strike_backend(c, replica):
    clients = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1"
    if pid := c.cluster.sql(clients):
        os.kill(int(pid), signal.SIGKILL)
    c.cluster.recovered()


def strike_restart(c, replica):
    c.cluster.control("restart", "-m", random.choice(("fast", "immediate")))


def strike_lock(c, replica):
    """Another process holds the lock of whoever writes."""
    writer = sqlite3.connect(replica.database, isolation_level=None, timeout=10)
    writer.execute("BEGIN IMMEDIATE")
    time.sleep(random.choice((0.2, 1.5, 3)))
    writer.execute("ROLLBACK")
    writer.close()


def cut(c):
    """The cable between the database and the replica that judges is cut for longer than a lease, then that of all."""
    judge = until_someone_judges(c)
    at = c.site.replicas.index(judge)
    begin = time.monotonic()
    c.networks[at].cut()
    c.site.note(f"takeover after {c.site.takeover(c.site.other(judge), begin):.1f} s")
    time.sleep(c.bounds.away)
    c.networks[at].mend()
    c.site.flows()
    time.sleep(1)
    for network in c.networks:
        network.cut()
    time.sleep(c.bounds.away)
    for network in c.networks:
        network.mend()
    c.site.flows()


def reload_storm(c):
    """SIGHUP, POST /-/reload and files rewritten in place, where they stay empty and cut: mostly for a moment."""
    until, answers, rewritten = time.monotonic() + c.bounds.storm, collections.Counter(), 0
    while time.monotonic() < until:
        for replica in c.site.replicas:
            whole = rules(word=f"word {rewritten}")
            # Within a word: what is there then is no rule file.
            at = whole.index("annotations") + 5
            with (replica.folder / "rules.yaml").open("r+") as file:
                file.truncate(0)
                time.sleep(0.002)
                file.write(whole[:at])
                file.flush()
                replica.signal(signal.SIGHUP)
                time.sleep(0.005)
                if rewritten % 4 == 0:
                    answers[c.world.ask(replica.target, "/-/reload", "POST", timeout=30)[0]] += 1
                file.write(whole[at:])
            rewritten += 1
            replica.signal(signal.SIGHUP)
            answers[c.world.ask(replica.target, "/-/reload", "POST", timeout=30)[0]] += 1
    if len(answers) < 2:
        raise Trouble(f"no reload was refused, or none taken: {answers}")
    said = ", ".join(f"{count} answered {status}" for status, count in sorted(answers.items()))
    c.site.note(f"{rewritten} rewritten in place; of reloads by POST {said}")
    c.site.flows()


def begin_together(c):
    """Beside the load: replicas start at once on an empty database, and one is killed while it makes the tables."""
    longest = 0.0
    for _ in range(c.bounds.starts):
        schema, replicas = c.schema, c.on_postgres(c.cluster.url())
        try:
            for replica in replicas:
                replica.spawn()
            time.sleep(random.uniform(0, 0.3))
            replicas[0].kill()
            replicas[0].spawn()
            longest = max(longest, *(c.site.ready(replica) for replica in replicas))
        finally:
            codes = [replica.stop() for replica in replicas]
        if codes != [0, 0]:
            raise Trouble(f"ended with {codes}: " + "".join(replica.log()[-500:] for replica in replicas))
        c.schema = schema
    c.site.note(f"{c.bounds.starts} times, both ready after {longest:.1f} s at most")
    c.site.flows()


def read_long(c):
    """A reader holds its snapshot, so that the write-ahead log cannot start over; then a writer holds its lock."""
    (replica,) = c.site.replicas
    reader = sqlite3.connect(f"file:{replica.database}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    (count,) = reader.execute("SELECT count(*) FROM inbox").fetchone()
    time.sleep(c.bounds.away + 2)
    (after,) = reader.execute("SELECT count(*) FROM inbox").fetchone()
    reader.execute("COMMIT")
    if count != after:
        raise Trouble("the reader has no snapshot: the row tests nothing")
    wal = replica.database.with_name("tollbell.db-wal").stat().st_size / (1 << 20)
    reader.close()
    writer = sqlite3.connect(replica.database, isolation_level=None, timeout=10)
    writer.execute("BEGIN IMMEDIATE")
    time.sleep(c.bounds.away)
    writer.execute("ROLLBACK")
    writer.close()
    c.site.note(f"write-ahead log {wal:.0f} MiB")
    c.site.flows()


def take_away(c):
    """The database's files are moved away for a while, and back."""
    (replica,) = c.site.replicas
    away = replica.database.with_name("away")
    away.mkdir()
    move(replica.database, away)
    time.sleep(c.bounds.away)
    move(away / replica.database.name, replica.database.parent)
    c.site.flows()


def move(database, folder):
    for suffix in ("", "-wal", "-shm"):
        file = database.with_name(database.name + suffix)
        if file.exists():
            file.rename(folder / file.name)


def replace(c):
    """Another file takes the place of the database: a backup of the same moment, so that nothing may be missing."""
    (replica,) = c.site.replicas
    # What is acknowledged between a backup and its use is in no file, and no fault of anybody's.
    c.world.pause()
    c.drained()
    copy = replica.database.with_name("copy.db")
    done = replica.run("store", "backup", copy)
    if done.returncode:
        raise Trouble(f"store backup: {done.stderr[-500:]}")
    away = replica.database.with_name("away")
    away.mkdir()
    move(replica.database, away)
    copy.rename(replica.database)
    c.world.resume()
    c.site.flows()
