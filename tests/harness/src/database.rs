//! The private Postgres, for assertions: what the services wrote, not what they say; and databases
//! on a server of the tester's.

use anyhow::Result;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use uuid::Uuid;

/// A connection as the superuser.
pub struct Database {
    pool: PgPool,
}

impl Database {
    pub(crate) async fn connect(address: &str, password: &str) -> Result<Self> {
        let (host, port) = address.split_once(':').unwrap_or((address, "5432"));
        let options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(port.parse()?)
            .username("holdfast")
            .password(password)
            .database("holdfast")
            .ssl_mode(PgSslMode::Disable);
        let limit = std::time::Duration::from_secs(10);
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(limit)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// Changes rows, as time or a defect would; `$1` is `id`. Returns how many.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn change(&self, sql: &'static str, id: Uuid) -> Result<u64> {
        let done = sqlx::query(AssertSqlSafe(sql)).bind(id);
        Ok(done.execute(&self.pool).await?.rows_affected())
    }

    /// Several statements without parameters, as one transaction.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn execute(&self, sql: &str) -> Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&self.pool).await?;
        Ok(())
    }

    /// One column of text; `$1` is `id`.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn texts(&self, sql: &'static str, id: Uuid) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id)
            .fetch_all(&self.pool)
            .await?)
    }
}

/// Two new databases on a server, and the roles that `db init` makes for them.
pub struct Scratch {
    server: String,
    names: [String; 2],
}

impl Scratch {
    /// Makes them on the server of `url`, whose user must be allowed to.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn new(url: &str) -> Result<Self> {
        let id = Uuid::new_v4().simple().to_string();
        let names = ["a", "b"].map(|nth| format!("holdfast_e2e_{}_{nth}", &id[..12]));
        let mut connection = PgConnection::connect(url).await?;
        for name in &names {
            let sql = format!("CREATE DATABASE {name}");
            connection.execute(AssertSqlSafe(sql)).await?;
        }
        connection.close().await?;
        let server = url.to_owned();
        Ok(Self { server, names })
    }

    /// How the server's user reaches each.
    pub fn urls(&self) -> [String; 2] {
        let base = self.server.rsplit_once('/').map_or("", |(base, _)| base);
        [0, 1].map(|nth| format!("{base}/{}", self.names[nth]))
    }

    /// Removes databases and roles.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn remove(self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.server).await?;
        for name in &self.names {
            let sql = format!("DROP DATABASE {name} WITH (FORCE)");
            connection.execute(AssertSqlSafe(sql)).await?;
        }
        let roles: Vec<String> = sqlx::query_scalar(
            "SELECT rolname::text FROM pg_catalog.pg_roles WHERE starts_with(rolname, $1) OR starts_with(rolname, $2)",
        )
        .bind(format!("{}_", self.names[0]))
        .bind(format!("{}_", self.names[1]))
        .fetch_all(&mut connection)
        .await?;
        for role in roles {
            let sql = format!("DROP ROLE {role}");
            connection.execute(AssertSqlSafe(sql)).await?;
        }
        Ok(connection.close().await?)
    }
}
