//! Moving, backing up and checking a real store that was lived in.

mod backup;
mod check;
mod copy;

use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use super::{Ran, run};
use crate::support::http::HttpSink;
use crate::support::load::{self, PATH, Site};
use crate::support::raw;
use crate::support::telnyx;
use crate::support::wait::SOON;

/// Everything to one webhook, without pause.
fn routing(hook: &HttpSink) -> String {
    format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      - {{url: \"{}\", \
         rate_limit: {{per_second: 1000, burst: 1000}}}}\n",
        crate::support::app::route("hook"),
        hook.url("/hook"),
    )
}

/// How often an event was notified.
fn notified(hook: &HttpSink, id: &str) -> usize {
    let requests = hook.requests("/hook");
    requests.iter().filter(|request| request.text().contains(&format!("<{id}>"))).count()
}

/// Posts a signed body.
async fn post(site: &Site, to: SocketAddr, body: &[u8]) -> u16 {
    let headers = site.signer.headers(Timestamp::now(), body);
    raw::request(to, "POST", PATH, &headers, body).await.unwrap().status
}

/// A service that took events, notified, and booked calls with their numbers; it has ended.
async fn live(site: &Site, events: usize) {
    let mut running = site.service().start().await;
    let (to, now) = (running.addresses().public, Timestamp::now());
    for n in 0..events {
        let (headers, body) = site.event(&format!("e{n}"), "p");
        assert_eq!(raw::request(to, "POST", PATH, &headers, &body).await.unwrap().status, 200);
    }
    for (n, cost) in ["0.1", "0.20", "0.0000001"].into_iter().enumerate() {
        let leg = format!("leg-{n}");
        let call = json!({"call_leg_id": leg, "call_control_id": leg, "direction": "incoming",
            "from": format!("+1555010{n}00"), "to": "+15550999999", "connection_id": "c",
            "call_session_id": "s", "state": "parked"});
        let begun = telnyx::event(&format!("call-{n}"), "call.initiated", now, &call);
        assert_eq!(post(site, to, &begun).await, 200);
        let cost = telnyx::call_cost(&format!("cost-{n}"), now, &leg, Some(cost));
        assert_eq!(post(site, to, &cost).await, 200);
    }
    load::drained(&running, SOON).await;
    assert!(running.terminate(SOON).await.success(), "{}", running.log());
}

/// All rows of a query as text.
fn rows(database: &Path, sql: &str) -> Vec<String> {
    let conn = Connection::open(database).unwrap();
    let mut statement = conn.prepare(sql).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        Ok((0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect::<Vec<_>>())
    };
    let rows = statement.query_map((), row).unwrap();
    rows.map(|row| row.unwrap().join("|")).collect()
}

fn number(database: &Path, sql: &str) -> i64 {
    Connection::open(database).unwrap().query_row(sql, (), |row| row.get(0)).unwrap()
}

/// Runs a command in the site's folder, with its configuration.
fn run_in(site: &Site, args: &[&str]) -> Ran {
    run(site.dir(), &super::with_config(args))
}
