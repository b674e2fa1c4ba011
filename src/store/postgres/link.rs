//! Connections: dialled, lent, bounded in time, and never lent on with a transaction open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::failure::{Failure, describe};
use super::sql::{Parameter, named, params};
use crate::secret::Secret;
use crate::store::OpenError;

/// How long dialling one host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a transaction may stand still at our side: a leader that was stopped must not hold the lock on its lease for
/// longer than the lease lasts.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(3);
/// How much longer an operation may take than its statements, from the wish for a connection on.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// How long what was sent may stay unacknowledged by the other side's TCP.
const TCP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may be silent before its other side is asked for a sign of life, and how often then.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// A pool of connections to one database.
#[derive(Debug)]
pub(super) struct Link {
    pool: Pool,
    /// Our schema as a statement names it, with the dot behind it.
    pub(super) schema: String,
    begin: String,
    begin_reading: String,
    answer_within: Duration,
}

impl Link {
    /// Dials nobody yet. Must be called within the runtime that outlives the store.
    pub(super) fn new(address: &Address, connections: usize) -> Result<Self, OpenError> {
        let failed =
            |reason: String| OpenError::Unreachable { database: address.to_string(), reason };
        let mut config = address.config.clone();
        config
            .application_name("tollbell")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(TCP_TIMEOUT)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .keepalives_retries(3);
        let tls = crate::tls::client_config(address.ca_file.as_deref())
            .map_err(|error| failed(error.to_string()))?;
        let dialler = Dialler {
            tls: MakeRustlsConnect::new(tls),
            password: address.password.clone(),
            runtime: Handle::current(),
        };
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, dialler, recycling);
        let pool = Pool::builder(manager)
            .max_size(connections)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let (statement, lock) = (address.statement_timeout, address.lock_timeout);
        let limits = format!(
            "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}",
            statement.as_millis(),
            lock.as_millis(),
            IDLE_IN_TRANSACTION.as_millis()
        );
        Ok(Self {
            pool,
            schema: format!("\"{}\".", address.schema),
            begin: format!("BEGIN; {limits}; {DURABLE}"),
            begin_reading: format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}"),
            answer_within: statement.saturating_add(ANSWER_MARGIN),
        })
    }

    /// The key of an advisory lock: of ours, not of another tollbell's in the same database.
    pub(super) fn lock(&self, name: [u8; 4]) -> i64 {
        let schema = Sha256::digest(self.schema.as_bytes());
        let mut key = [0; 8];
        for (byte, from) in key.iter_mut().zip(name.iter().chain(&schema)) {
            *byte = *from;
        }
        i64::from_be_bytes(key)
    }

    /// Runs one statement in a transaction of its own.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        self.lend().await?.query(sql, parameters).await
    }

    /// Begins a transaction that writes. What is not committed is rolled back.
    pub(super) async fn begin(&self) -> Result<Lent<'_>, Failure> {
        self.begun(&self.begin).await
    }

    /// Begins a transaction that only reads, all of it as of one moment.
    pub(super) async fn begin_reading(&self) -> Result<Lent<'_>, Failure> {
        self.begun(&self.begin_reading).await
    }

    async fn begun(&self, sql: &str) -> Result<Lent<'_>, Failure> {
        let mut lent = self.lend().await?;
        lent.in_transaction = true;
        lent.batch(sql).await?;
        Ok(lent)
    }

    async fn lend(&self) -> Result<Lent<'_>, Failure> {
        let until = Instant::now() + self.answer_within;
        match timeout_at(until, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(Lent {
                connection: Some(connection),
                link: self,
                until,
                in_transaction: false,
                spoiled: AtomicBool::new(false),
            }),
            Ok(Err(deadpool_postgres::PoolError::Backend(error))) => {
                Err(Failure::unavailable(describe(&error)))
            }
            Ok(Err(deadpool_postgres::PoolError::Closed)) => {
                Err(Failure::Other(crate::store::StoreError::Closed))
            }
            Ok(Err(error)) => Err(Failure::unavailable(error.to_string())),
            Err(_elapsed) => Err(Failure::unavailable("no connection to the database is free")),
        }
    }

    /// Lends nothing more.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// Has a commit wait for the disk, whatever is set for the role or the database.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// [`DURABLE`], as an expression within a statement that is a transaction of its own.
pub(super) const DURABLE_HERE: &str = "set_config('synchronous_commit', \
     CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' \
     ELSE current_setting('synchronous_commit') END, true)";

/// A connection that is lent, and the time that its operation has.
///
/// Goes back to the pool only when nothing is open on it and nothing went wrong with it: else it is closed, and the server
/// rolls back.
pub(super) struct Lent<'l> {
    connection: Option<Object>,
    link: &'l Link,
    until: Instant,
    in_transaction: bool,
    spoiled: AtomicBool,
}

impl Lent<'_> {
    pub(super) fn link(&self) -> &Link {
        self.link
    }

    fn client(&self) -> &Client {
        self.connection.as_ref().expect("is lent until dropped")
    }

    /// So long it may take from now on.
    pub(super) fn is_given(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    /// Takes an advisory lock until the transaction ends.
    pub(super) async fn lock(&self, name: [u8; 4]) -> Result<(), Failure> {
        let key = self.link.lock(name);
        self.query("SELECT pg_advisory_xact_lock($1)", params![key]).await.map(drop)
    }

    /// Takes an advisory lock together with others who share it, until the transaction ends.
    pub(super) async fn lock_shared(&self, name: [u8; 4]) -> Result<(), Failure> {
        let key = self.link.lock(name);
        self.query("SELECT pg_advisory_xact_lock_shared($1)", params![key]).await.map(drop)
    }

    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let sql = named(sql, &self.link.schema);
        self.bounded(self.client().query_typed(&sql, parameters)).await
    }

    /// The first row, if there is one.
    pub(super) async fn first(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    /// How many rows it changed.
    pub(super) async fn execute(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, Failure> {
        let sql = named(sql, &self.link.schema);
        self.bounded(self.client().execute_typed(&sql, parameters)).await
    }

    /// Several statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        let sql = named(sql, &self.link.schema);
        self.bounded(self.client().batch_execute(&sql)).await
    }

    /// Commits. After an error it is not known whether it did.
    pub(super) async fn commit(mut self) -> Result<(), Failure> {
        self.batch("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back for a reason that is no fault of the connection's.
    pub(super) async fn refuse<T>(mut self, reason: impl Into<Failure>) -> Result<T, Failure> {
        self.batch("ROLLBACK").await?;
        self.in_transaction = false;
        Err(reason.into())
    }

    async fn bounded<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        // Until it is answered: a future that is dropped leaves the statement running.
        let before = self.spoiled.swap(true, Ordering::Relaxed);
        match timeout_at(self.until, asked).await {
            Ok(Ok(answer)) => {
                self.spoiled.store(before, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                // Outside a transaction a statement of its own fault leaves nothing behind.
                let kept = failure.is_own_fault() && !self.in_transaction;
                self.spoiled.store(before || !kept, Ordering::Relaxed);
                Err(failure)
            }
            Err(_elapsed) => Err(Failure::unavailable("the database does not answer")),
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if (self.in_transaction || self.spoiled.load(Ordering::Relaxed))
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection));
        }
    }
}

/// Dials, each time with the password of that moment.
struct Dialler {
    tls: MakeRustlsConnect,
    password: Option<Secret>,
    /// Connections live here, whoever asks for them.
    runtime: Handle,
}

type Dialled = (Client, JoinHandle<()>);

impl deadpool_postgres::Connect for Dialler {
    fn connect(
        &self,
        config: &Config,
    ) -> futures_util::future::BoxFuture<'_, Result<Dialled, tokio_postgres::Error>> {
        let mut config = config.clone();
        match self.password.as_ref().map(Secret::read) {
            Some(Ok(password)) => {
                config.password(password.expose_secret());
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the password of the database cannot be read");
            }
            None => {}
        }
        let (tls, runtime) = (self.tls.clone(), self.runtime.clone());
        Box::pin(async move {
            let dialled = runtime.spawn(async move { config.connect(tls).await }).await;
            let (client, connection) = dialled
                .unwrap_or_else(|_stopped| Err(tokio_postgres::Error::__private_api_timeout()))?;
            let served = runtime.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(
                        reason = describe(&error),
                        "a connection to the database ended"
                    );
                }
            });
            Ok((client, served))
        })
    }
}
