//! `tollbell store backup`

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::{live, notified, number, post, routing, rows, run_in};
use crate::support::http::HttpSink;
use crate::support::load::{self, Load, Site};
use crate::support::wait::{SOON, eventually};

/// What makes the database larger than one step of a backup.
const FILLING: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
     INSERT INTO journal (at, fingerprint, group_key, what, detail) \
     SELECT n, 'f', 'g', 'began', hex(randomblob(300)) FROM n";

fn put_back(backup: &Path, database: &Path) {
    for suffix in ["-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{suffix}", database.display())));
    }
    std::fs::copy(backup, database).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_whole_and_a_restored_one_notifies_nobody_twice() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    live(&site, 3).await;
    rusqlite::Connection::open(site.database()).unwrap().execute_batch(FILLING).unwrap();
    let mut running = site.service().start().await;
    let to = running.addresses().public;
    let load = Load::start(to, &site.signer, 4, Duration::from_millis(5), 1_000_000);
    eventually(SOON, || load.acknowledged() > 20).await;

    let file = site.dir().join("backup.db");
    let path = file.display().to_string();
    let (before, begun) = (load.acknowledged(), rows(site.database(), IDS));
    let said = run_in(&site, &["store", "backup", &path]).ok();
    let after = load.acknowledged();
    assert!(after > before, "events were acknowledged meanwhile");
    let kept = number(&file, "SELECT count(*) FROM inbox");
    assert!(
        said.starts_with(&format!("{path}: "))
            && said.contains(&format!(", {kept} events, the newest received ")),
        "{said}"
    );
    assert_eq!(rows(&file, "PRAGMA integrity_check"), ["Text([111, 107])"]);
    let ids: BTreeSet<String> = rows(&file, IDS).into_iter().collect();
    assert!(begun.iter().all(|id| ids.contains(id)), "what was there before it began is in it");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!site.dir().join("backup.db.partial").exists());
    let refused = run_in(&site, &["store", "backup", &path]).fails(1);
    assert!(refused.contains("exists already, and is not overwritten"), "{refused}");

    let later = site.post(to, "later", "p").await;
    assert_eq!(later.status, 200);
    let tally = load.stop().await;
    assert_eq!(tally.refused, [], "nobody was held up");
    load::drained(&running, SOON).await;
    assert!(running.terminate(SOON).await.success(), "{}", running.log());
    assert_eq!((notified(&hook, "later"), notified(&hook, "e1")), (1, 1));

    put_back(&file, site.database());
    let config = site.dir().join("tollbell.yaml").display().to_string();
    let args = ["serve", "--config", &config, "--restored"];
    let program = Path::new(env!("CARGO_BIN_EXE_tollbell"));
    let mut running = site.service().program(program, &args).start().await;
    let to = running.addresses().public;
    assert!(running.log().contains("was a backup restored?"), "{}", running.log());
    for id in ["e1", "later"] {
        assert_eq!(post(&site, to, &site.event(id, "p").1).await, 200);
    }
    assert_eq!(site.post(to, "news", "p").await.status, 200);
    eventually(SOON, || notified(&hook, "news") == 1).await;
    load::drained(&running, SOON).await;
    assert!(running.terminate(SOON).await.success(), "{}", running.log());
    let once = |id: &str| {
        let sql = format!("SELECT count(*) FROM inbox WHERE id = '{id}'");
        (notified(&hook, id), number(site.database(), &sql))
    };
    assert_eq!(once("e1"), (1, 1), "it is in the backup, and known");
    assert_eq!(once("news"), (1, 1));
}

const IDS: &str = "SELECT id FROM inbox";

#[test]
fn a_store_in_postgresql_is_left_to_its_own_tools() {
    let site = Site::new("route: {receiver: nobody}\nreceivers:\n  - name: nobody")
        .postgres("postgres://tollbell@127.0.0.1:1/t", "bell");
    let [public, private] = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
    let addresses = crate::support::process::Addresses { public, private };
    std::fs::write(site.dir().join("tollbell.yaml"), site.service().yaml(addresses)).unwrap();
    let said = run_in(&site, &["store", "backup", "b.db"]).fails(2);
    assert!(said.contains("pg_dump --format=custom --schema=bell --file=b.db"), "{said}");
}
