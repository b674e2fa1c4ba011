"""What a row runs on: one process with SQLite, or two replicas with PostgreSQL, and what is special about the place."""

import contextlib
import itertools

from network import DATABASE, PEERS, Network, addresses
from service import Replica, Site, folder
from stores import Cluster, Pooler, small_disk

SCHEMAS = itertools.count()


class Context:
    """What one row has: its site, and the parts that its fault strikes."""

    def __init__(self, campaign, place, stack):
        self.campaign, self.place, self.stack = campaign, place, stack
        self.world, self.bounds = campaign.world, campaign.bounds
        self.cluster = self.standby = self.pooler = self.disk = None
        self.networks, self.beside = [], ""
        self.site = Site(self.world, place, campaign.rate)

    def replica(self, store, number=0, active_for="10m", network=None, database=None):
        peer_host = PEERS if network else "127.0.0.1"
        peer = f"{peer_host}:{self.world.peer(peer_host)}"
        made = Replica(self.campaign.binary, self.place / f"replica{number}{self.beside}", store, peer, active_for, network)
        made.database = database
        return made

    def on_sqlite(self, at=None, **options):
        database = (at or self.place) / "tollbell.db"
        return [self.replica(f'url: "sqlite:{database}"', database=database, **options)]

    def on_postgres(self, url, networks=(None, None), **options):
        self.schema = f"s{next(SCHEMAS)}"
        store = f'url: "{url}", schema: {self.schema}'
        # The replicas of the site come first; others are beside it.
        self.beside = f"-{self.schema}" if self.site.replicas else ""
        return [self.replica(store, number, network=network, **options) for number, network in enumerate(networks)]


class Shared:
    """The cluster of all rows that need none of their own."""

    def __init__(self):
        self.stack, self.made = contextlib.ExitStack(), None

    def get(self):
        if self.made is None:
            place = self.stack.enter_context(folder(lambda: False))
            self.made = Cluster(place / "shared").make()
            self.stack.callback(self.made.stop)
        return self.made


def sqlite(context):
    return context.on_sqlite()


def postgres(context):
    context.cluster = context.campaign.shared.get()
    return context.on_postgres(context.cluster.url())


def pooled(context):
    context.cluster = context.campaign.shared.get()
    context.pooler = Pooler(context.place / "pooler", context.cluster).start()
    context.stack.callback(context.pooler.stop)
    return context.on_postgres(context.pooler.url())


def with_standby(context):
    """A commit waits for the standby: else a failover may lose what was acknowledged a moment before, as documented."""
    cluster = context.cluster = Cluster(context.place / "primary", "synchronous_standby_names = 'standby'")
    context.stack.callback(cluster.stop)
    # Before the standby is there nothing would commit.
    cluster.settings[-1] = "synchronous_standby_names = ''"
    cluster.make()
    standby = context.standby = Cluster(context.place / "standby", "synchronous_standby_names = ''")
    context.stack.callback(standby.stop)
    standby.copy_of(cluster)
    cluster.configure("synchronous_standby_names = 'standby'")
    cluster.control("reload")
    ports = f"127.0.0.1:{cluster.port},127.0.0.1:{standby.port}"
    return context.on_postgres(f"postgres://tollbell@{ports}/postgres?target_session_attrs=read-write")


def sqlite_on_a_small_disk(context):
    context.disk = context.stack.enter_context(small_disk(32))
    return context.on_sqlite(at=context.disk)


def postgres_on_a_small_disk(context):
    context.disk = context.stack.enter_context(small_disk(160))
    settings = ("max_wal_size = 8MB", "min_wal_size = 2MB")
    context.cluster = Cluster(context.disk / "cluster", *settings, segment=1)
    context.stack.callback(context.cluster.stop)
    return context.on_postgres(context.cluster.make().url())


def sqlite_with_a_clock(context):
    (replica,) = context.on_sqlite(active_for="366d")
    replica.fake_clock()
    return [replica]


def postgres_with_clocks(context):
    context.cluster = context.campaign.shared.get()
    replicas = context.on_postgres(context.cluster.url(), active_for="366d")
    for replica in replicas:
        replica.fake_clock()
    return replicas


def postgres_by_cables(context):
    context.stack.enter_context(addresses())
    for number in range(2):
        network = Network(number)
        context.stack.callback(network.remove)
        context.networks.append(network)
    context.cluster = Cluster(context.place / "far", listen="*")
    context.stack.callback(context.cluster.stop)
    url = f"postgres://tollbell@{DATABASE}:{context.cluster.make().port}/postgres?sslmode=disable"
    return context.on_postgres(url, networks=context.networks)
