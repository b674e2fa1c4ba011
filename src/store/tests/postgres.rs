//! PostgreSQL stores of the tests' own.

#[path = "../../../tests/it/support/cluster.rs"]
pub(in crate::store) mod cluster;

use std::time::Duration;

use crate::event::PayloadPolicy;
use crate::store::{Address, Offer, PostgresSettings, Store};

/// A PostgreSQL store of its own, in a schema of the cluster that the tests share.
pub(in crate::store) async fn open_postgres() -> Store {
    let settings = postgres_settings();
    Store::open_postgres(&settings, Box::new(|_| ())).await.expect("opens")
}

pub(in crate::store) fn postgres_settings() -> PostgresSettings {
    let mut address = Address::parse(&cluster::shared().url()).expect("parses");
    address.schema = cluster::schema();
    address.connections = 3;
    let integrations = ["slack", "mail"].map(str::to_owned);
    PostgresSettings {
        address,
        retention: Duration::from_hours(30 * 24),
        payload: PayloadPolicy::Redacted,
        offer: Offer {
            name: "test".to_owned(),
            config: "abc".to_owned(),
            judges: true,
            integrations: integrations.into(),
        },
    }
}
