//! Whether the database is missing, or what it was told is wrong.

use sqlx::Error;

/// Classes and codes of SQLSTATE that pass by themselves: connections (08), transactions that
/// have to be tried again (40), no resources (53), a server that stops, crashed or starts (57P0x).
const PASSING: [&str; 4] = ["08", "40", "53", "57P0"];

/// True if the same statement may well succeed a little later.
pub(crate) fn is_away(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => true,
        Error::Database(error) => error
            .code()
            .is_some_and(|code| PASSING.iter().any(|passing| code.starts_with(passing))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, PgPool};

    use super::*;

    #[sqlx::test(migrations = false)]
    async fn what_passes_by_itself_is_told_from_what_is_wrong(pool: PgPool) {
        for (code, away) in [
            ("08006", true),
            ("40001", true),
            ("40P01", true),
            ("53300", true),
            ("57P01", true),
            ("57014", false),
            ("23505", false),
            ("22021", false),
        ] {
            let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
            let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await;
            let error = error.expect_err("raised");
            assert_eq!(is_away(&error), away, "{code}");
        }
        assert!(is_away(&Error::PoolTimedOut));
        assert!(is_away(&Error::Tls("handshake".into())));
        assert!(!is_away(&Error::RowNotFound));
    }
}
