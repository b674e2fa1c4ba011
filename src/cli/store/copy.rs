//! `tollbell store copy`

use std::path::PathBuf;

use super::super::output::{self, Moving};
use super::Exit;
use crate::secret::Secret;
use crate::store::{self, Address, Copied, CopyProgress, Place};

/// Arguments of `store copy`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The database to read: `sqlite:FILE`, or `postgres://user@host/database`
    #[arg(long, value_name = "URL", value_parser = place)]
    from: Place,
    /// The database to fill, of the other kind: empty, or with an unfinished copy of the same
    #[arg(long, value_name = "URL", value_parser = place)]
    to: Place,
    /// The schema in PostgreSQL
    #[arg(long, default_value = "tollbell", value_parser = schema)]
    schema: String,
    /// A file with the password of PostgreSQL
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file with certificate authorities that PostgreSQL's certificate may be signed by
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

fn place(url: &str) -> Result<Place, String> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(Place::Sqlite(path.into())),
        Some(("postgres" | "postgresql", _)) => {
            Address::parse(url).map(|address| Place::Postgres(Box::new(address)))
        }
        _ => Err("expected sqlite:FILE or postgres://user@host/database".to_owned()),
    }
}

fn schema(name: &str) -> Result<String, String> {
    let taken = Address::is_schema(name).then(|| name.to_owned());
    taken.ok_or_else(|| "expected small letters, digits and _, no digit first".to_owned())
}

pub(super) async fn run(mut args: Args) -> anyhow::Result<Exit> {
    let address = match (&mut args.from, &mut args.to) {
        (Place::Sqlite(_), Place::Postgres(address))
        | (Place::Postgres(address), Place::Sqlite(_)) => address,
        (Place::Sqlite(_), Place::Sqlite(_)) => {
            output::error("both are files of SQLite: use `tollbell store backup`");
            return Ok(Exit::Usage);
        }
        (Place::Postgres(_), Place::Postgres(_)) => {
            output::error("both are in PostgreSQL: use pg_dump and pg_restore");
            return Ok(Exit::Usage);
        }
    };
    address.schema.clone_from(&args.schema);
    address.password = args.password_file.map(Secret::File);
    address.ca_file = args.ca_file.or(address.ca_file.take());
    let mut moving = Moving::default();
    let copied = store::copy_store(&args.from, &args.to, |now| moving.show(&described(now))).await;
    drop(moving);
    print(&copied?, &args.to);
    Ok(Exit::Ok)
}

fn described(now: CopyProgress) -> String {
    match now.table {
        Some(table) => format!("{table}: {} of {} rows", now.rows, now.of),
        None => "verifying".to_owned(),
    }
}

fn print(copied: &Copied, to: &Place) {
    let rows: Vec<Vec<String>> = copied
        .tables
        .iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(table, rows)| vec![(*table).to_owned(), rows.to_string()])
        .collect();
    output::table(&["TABLE", "ROWS"], &rows);
    let sums: Vec<Vec<String>> = copied
        .sums
        .iter()
        .map(|((account, currency), (ledger, totals))| {
            vec![account.clone(), currency.clone(), ledger.to_string(), totals.to_string()]
        })
        .collect();
    if !sums.is_empty() {
        output::line("");
        output::table(&["ACCOUNT", "CURRENCY", "LEDGER", "TOTALS"], &sums);
    }
    let again = if copied.resumed { ", going on where a copy was cut off" } else { "" };
    output::line(&format!("\ncopied to {to}, and verified{again}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_database_and_an_error_shows_no_secret() {
        assert_eq!(place("sqlite:data/t.db"), Ok(Place::Sqlite("data/t.db".into())));
        assert!(matches!(place("postgres://t@db/t"), Ok(Place::Postgres(_))));
        for wrong in ["data/t.db", "sqlite:", "mysql://t:hunter2@db/t", "postgres://:hunter2@/t"] {
            let why = place(wrong).expect_err(wrong);
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
