"""The fault campaign: faults are done to the real binary under load, and nothing that was acknowledged may be lost.

    scripts/tools.sh
    nice .tools/venv/bin/python tests/campaign/run.py [--only WORD,WORD] [--keep] BINARY

Against both stores: SQLite with one process, PostgreSQL with two replicas. For each row tollbell starts afresh on an empty
database; signed webhooks come throughout (50 a second), what is not acknowledged is sent again, as Telnyx does. Every second
event notifies Slack, the others a webhook, each by itself; one of fifty notifies another webhook as a member of one group.
Those peers keep every event id and idempotency key. `--only` looks for its words in the names of stores and faults. The
columns:

    acked       events that were answered 200
    refused     answers other than 200, and none within 8 s; a row whose fault should refuse some, and does not, fails
    once        of these: arrived once
    twice       arrived more than once, under the same key: a crash between a peer's "ok" and the commit
    2 keys      arrived more than once, under different keys: an effect twice, which fails the row
    dead        deliveries that were given up, which nothing here gives a reason for: fails the row
    lost        acknowledged, and not arrived within a minute after the fault ended, dead or not: fails the row
    slowest     seconds from an acknowledgement to its arrival, at most
    after       seconds from the end of the fault to the arrival of what was acknowledged before, at most
    yes, no     readiness: for how many seconds it said yes while every webhook of that replica was refused, and no, or
                nothing, while every one was acknowledged. Either fails the row above 2 s

A row also fails when a process ends otherwise than by the fault or not properly on SIGTERM, panics, or leaves a store that
`tollbell store check` finds unsound; and when this machine cannot do it (no namespaces, no tmpfs, no libfaketime, not root):
it is then named, and nothing is skipped. The exit code is 1 when any row failed. What failed is kept, and its folder named.

Short by default, some five minutes. By environment variable, in seconds where nothing else is said:

    CAMPAIGN_KILLS      kill -9 of any replica, count (5)            CAMPAIGN_RATE     webhooks a second, count (50)
    CAMPAIGN_TAKEOVERS  kill -9 of the one that judges, count (1)    CAMPAIGN_STOP     SIGSTOP until SIGCONT (7)
    CAMPAIGN_AWAY       database, network or peer is away (3)        CAMPAIGN_STEP     at each setting of the clock (2)
    CAMPAIGN_STORM      reloads (4)                                  CAMPAIGN_BOUND    until all has arrived (60)
    CAMPAIGN_STARTS     started on an empty database, count (3)      CAMPAIGN_ANYTHING faults at random (10)

Everything is on this machine's loopback and in network namespaces of its own, in temporary folders; the key that signs is
known to everyone. It needs root.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import sys
import time
import traceback

import builds
import faults
from service import Trouble, folder
from traffic import World, profile_of
from truth import lies

LIE_MAX = 2.0

# `refuses`: the fault keeps webhooks from being taken, else nothing was done.
Row = collections.namedtuple("Row", "store name build fault refuses", defaults=[False])

ROWS = [
    Row("sqlite", "kill -9", builds.sqlite, faults.kill, True),
    Row("postgres", "kill -9", builds.postgres, faults.kill, True),
    Row("postgres", "kill -9 of the judge", builds.postgres, faults.takeovers, True),
    Row("sqlite", "SIGSTOP, SIGCONT", builds.sqlite, faults.stand_still),
    Row("postgres", "SIGSTOP, SIGCONT", builds.postgres, faults.stand_still),
    Row("postgres", "database restarted", builds.postgres, faults.restart, True),
    Row("postgres", "database killed", builds.postgres, faults.crash, True),
    Row("postgres", "connections dropped", builds.postgres, faults.drop_connections, True),
    Row("postgres", "failover to a standby", builds.with_standby, faults.fail_over, True),
    Row("postgres", "failover to one behind", builds.with_standby, faults.fail_over_to_one_behind, True),
    Row("postgres", "pgbouncer restarted", builds.pooled, faults.restart_pooler, True),
    Row("postgres", "network cut", builds.postgres_by_cables, faults.cut, True),
    Row("sqlite", "disk full", builds.sqlite_on_a_small_disk, faults.fill_disk, True),
    Row("postgres", "disk full", builds.postgres_on_a_small_disk, faults.fill_disk_of_the_cluster, True),
    Row("sqlite", "clock set", builds.sqlite_with_a_clock, faults.step_clocks),
    Row("postgres", "clock set", builds.postgres_with_clocks, faults.step_clocks),
    Row("postgres", "clock of the judge set", builds.postgres_with_clocks, faults.step_one_clock),
    Row("postgres", "clock of the other set", builds.postgres_with_clocks, faults.step_other_clock),
    Row("sqlite", "clock set while down", builds.sqlite_with_a_clock, faults.set_clock_while_down),
    Row("postgres", "clock set while down", builds.postgres_with_clocks, faults.set_clock_while_down),
    Row("sqlite", "Slack, webhook refuse", builds.sqlite, faults.refuse),
    Row("postgres", "Slack, webhook refuse", builds.postgres, faults.refuse),
    Row("sqlite", "reload storm", builds.sqlite, faults.reload_storm),
    Row("postgres", "reload storm", builds.postgres, faults.reload_storm),
    Row("postgres", "started together, empty", builds.postgres, faults.begin_together),
    Row("sqlite", "long reader and writer", builds.sqlite, faults.read_long),
    Row("sqlite", "database taken away", builds.sqlite, faults.take_away, True),
    Row("sqlite", "database replaced", builds.sqlite, faults.replace),
    Row("sqlite", "anything", builds.sqlite, faults.anything),
    Row("postgres", "anything", builds.postgres, faults.anything),
]

# With their widths.
COLUMNS = {
    "store": 8, "fault": 24, "acked": 6, "refused": 7, "once": 6, "twice": 5, "2 keys": 6, "dead": 4, "lost": 4,
    "slowest": 7, "after": 5, "yes": 4, "no": 4, "": 0,
}


class Bounds:
    """How long, and how often."""

    def __init__(self):
        number = lambda name, usual: float(os.environ.get(f"CAMPAIGN_{name}", usual))
        self.kills, self.takeovers = int(number("KILLS", 5)), int(number("TAKEOVERS", 1))
        self.stop, self.away, self.step = number("STOP", 7), number("AWAY", 3), number("STEP", 2)
        self.anything = number("ANYTHING", 10)
        self.starts = int(number("STARTS", 3))
        self.storm, self.bound = number("STORM", 4), number("BOUND", 60)
        self.rate = number("RATE", 50)


class Campaign:
    def __init__(self, binary):
        self.binary, self.world, self.shared, self.bounds = binary, World(), builds.Shared(), Bounds()
        self.rate = self.bounds.rate


def drained(context):
    """Waits until all that was acknowledged has arrived, as long as is allowed; then until nothing is under way."""
    world, until = context.world, time.monotonic() + context.bounds.bound
    while any(event not in world.arrived for event in list(world.acknowledged)) and time.monotonic() < until:
        time.sleep(0.05)
    until = time.monotonic() + 20
    names = ["tollbell_inbox_lag_events"] + [f'tollbell_deliveries{{state="{state}"}}' for state in ("pending", "sending")]
    while time.monotonic() < until:
        judge = context.site.judge()
        shown = world.metrics(judge.target) if judge else {}
        if all(shown.get(name) == 0 for name in names):
            return shown
        time.sleep(0.1)
    context.site.note("not drained")
    return {}


def ended(context):
    """What is wrong with how the processes ended and what they left."""
    wrong = []
    for number, replica in enumerate(context.site.replicas):
        if replica.exits:
            wrong.append(f"replica {number} ended by itself {replica.exits} times")
        if (code := replica.stop()) != 0:
            wrong.append(f"replica {number} ended with {code}")
        for word in ("panicked", "a background task", "a listener failed"):
            if line := next((line for line in replica.log().splitlines() if word in line), None):
                wrong.append(line[:200])
    replica = context.site.replicas[0]
    check = replica.run("store", "check")
    if check.returncode:
        wrong.append("store check: " + (check.stdout + check.stderr).strip()[-300:].replace("\n", " / "))
    return wrong


def measure(context, row, over):
    """The figures of a row, once its fault is over; and what is wrong."""
    world = context.world
    world.pause()
    shown = drained(context)
    world.stop()
    wrong = ended(context)
    acked = dict(world.acknowledged)
    arrived = {event: world.arrived[event] for event in acked if event in world.arrived}
    keys = {event: {arrival.key for arrival in found} for event, found in world.arrived.items()}
    # A group's message names again what it named before.
    often = {event for event, found in world.arrived.items() if len(found) > 1 and profile_of(event) != "grouped"}
    two = {event for event in often if len(keys[event]) > 1}
    lost = sorted(set(acked) - set(arrived))
    told = [lies(target.posts, target.probes) for target in world.targets]
    yes, no = max(lie.yes for lie in told), max(lie.no for lie in told)
    slowest = max((found[0].at - acked[event] for event, found in arrived.items()), default=0.0)
    before = [found[0].at for event, found in arrived.items() if acked[event] < over]
    after = max(0.0, max(before, default=0.0) - over)
    dead = int(shown.get('tollbell_deliveries{state="dead"}', 0))
    refused = sum(post.status != 200 for target in world.targets for post in target.posts)
    if row.refuses and not refused:
        wrong.append("no webhook was refused: the row tests nothing")
    if not acked:
        wrong.append("nothing was acknowledged: the row tests nothing")
    if lost:
        wrong.append(f"lost: {' '.join(lost[:5])}")
    if dead:
        wrong.append(f"{dead} deliveries were given up")
    if two:
        wrong.append(f"two keys: {' '.join(sorted(two)[:5])}")
    if max(yes, no) > LIE_MAX:
        wrong.append("readiness was wrong for too long")
    if wrong:
        evidence(context, lost, two)
    figures = (len(acked), refused, len(set(arrived) - often), len(often - two), len(two), dead, len(lost))
    return [*map(str, figures), f"{slowest:.1f}", f"{after:.1f}", f"{yes:.1f}", f"{no:.1f}"], wrong


def evidence(context, lost, two):
    """Beside logs and database: what was posted, acknowledged and arrived, of what went wrong."""
    world = context.world
    with (context.place / "events").open("w") as file:
        for event in [*lost, *sorted(two)]:
            print(event, "acknowledged", world.acknowledged.get(event), "arrived", world.arrived.get(event), file=file)
    for number, target in enumerate(world.targets):
        with (context.place / f"replica{number}" / "seen").open("w") as file:
            seen = [(post.begin, "post", *post[1:]) for post in target.posts]
            seen += [(probe.begin, "probe", *probe[1:]) for probe in target.probes]
            for one in sorted(seen, key=lambda one: one[0]):
                print(*one, file=file)
    if context.cluster:
        with contextlib.suppress(Trouble), (context.place / "database.sql").open("w") as file:
            file.write(context.cluster.dump(context.schema))


def run(campaign, row, keep):
    failed = [False]
    with folder(lambda: keep or failed[0]) as place, contextlib.ExitStack() as stack:
        figures, wrong = ["-"] * (len(COLUMNS) - 3), []
        context = builds.Context(campaign, place, stack)
        context.drained = lambda: drained(context)
        try:
            replicas = row.build(context)
            stack.callback(lambda: ([replica.stop() for replica in replicas], campaign.world.stop()))
            context.site.begin(replicas)
            context.site.flows(50)
            row.fault(context)
            over = time.monotonic()
            figures, wrong = measure(context, row, over)
        except (Trouble, OSError, TimeoutError) as error:
            wrong = [f"could not run: {error}".replace("\n", " / ")]
        except Exception:
            wrong = [traceback.format_exc()]
        context.site.ending.set()
        failed[0] = bool(wrong)
        where = [f"kept in {place}"] if wrong or keep else []
        show(row.store, row.name, *figures, "; ".join(["FAILED"] * bool(wrong) + wrong + context.site.notes + where))
    return not wrong


def show(*cells):
    places = zip(cells, COLUMNS.values(), strict=True)
    print(" ".join(cell.ljust(width) if n < 2 else cell.rjust(width) for n, (cell, width) in enumerate(places)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose store and fault hold one of these, by commas")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all rows")
    parser.add_argument("binary", type=pathlib.Path)
    args = parser.parse_args()
    words = args.only.split(",")
    rows = [row for row in ROWS if any(word in f"{row.store} {row.name}" for word in words)]
    if not rows:
        parser.error("no row has such a name")
    campaign = Campaign(args.binary.resolve())
    begin = time.monotonic()
    show(*COLUMNS)
    with campaign.shared.stack:
        good = [run(campaign, row, args.keep) for row in rows]
    print(f"{sum(good)} of {len(good)} rows passed in {time.monotonic() - begin:.0f} s")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
