//! A database that goes away: PostgreSQL behind a relay of the test's own, which
//! cuts, freezes or has the server hang up; SQLite while somebody else writes.

use domain::storage::Location;
use sqlx::{Connection as _, Executor as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use url::Url;

use crate::instances::dice;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Nothing passes, and nobody is told.
    Frozen,
    /// Connections end, and new ones are not served.
    Cut,
}

/// A database that can be taken away, and given back.
pub enum Outages {
    Sqlite {
        path: std::path::PathBuf,
        writing: Mutex<Option<sqlx::SqliteConnection>>,
    },
    Postgres {
        server: String,
        behind: Url,
        way: watch::Sender<Way>,
    },
}

impl Outages {
    pub async fn new(location: &Location) -> Self {
        match location {
            Location::Sqlite(path) => Self::Sqlite {
                path: path.clone(),
                writing: Mutex::new(None),
            },
            Location::Postgres(server) => {
                let mut behind = Url::parse(server).unwrap();
                let to = (
                    behind.host_str().unwrap().to_owned(),
                    behind.port().unwrap_or(5432),
                );
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let here = listener.local_addr().unwrap();
                behind.set_host(Some("127.0.0.1")).unwrap();
                behind.set_port(Some(here.port())).unwrap();
                let (way, told) = watch::channel(Way::Open);
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        if *told.borrow() != Way::Cut {
                            tokio::spawn(pass(stream, to.clone(), told.clone()));
                        }
                    }
                });
                Self::Postgres {
                    server: server.clone(),
                    behind,
                    way,
                }
            }
        }
    }

    /// Where those whose database goes away find it.
    pub fn location(&self) -> Location {
        match self {
            Self::Sqlite { path, .. } => Location::Sqlite(path.clone()),
            Self::Postgres { behind, .. } => Location::Postgres(behind.to_string()),
        }
    }

    /// The database goes away, one way or another.
    pub async fn begin(&self) {
        match self {
            Self::Sqlite { path, writing } => {
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(path)
                    .busy_timeout(std::time::Duration::from_secs(60));
                let mut connection = sqlx::SqliteConnection::connect_with(&options)
                    .await
                    .unwrap();
                connection.execute("begin immediate").await.unwrap();
                *writing.lock().await = Some(connection);
            }
            Self::Postgres { server, way, .. } => match dice(3) {
                0 => {
                    way.send_replace(Way::Frozen);
                }
                1 => {
                    way.send_replace(Way::Cut);
                }
                _ => {
                    hang_up(server).await;
                    way.send_replace(Way::Cut);
                }
            },
        }
    }

    /// It is back.
    pub async fn end(&self) {
        match self {
            Self::Sqlite { writing, .. } => {
                if let Some(mut connection) = writing.lock().await.take() {
                    connection.execute("rollback").await.unwrap();
                    connection.close().await.unwrap();
                }
            }
            Self::Postgres { way, .. } => {
                // What was frozen ends now and then instead of going on.
                if dice(2) == 0 {
                    way.send_replace(Way::Cut);
                }
                way.send_replace(Way::Open);
            }
        }
    }
}

/// The server ends every connection to this database.
async fn hang_up(server: &str) {
    let database = Url::parse(server).unwrap().path()[1..].to_owned();
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
    )
    .bind(database)
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
}

async fn pass(stream: TcpStream, to: (String, u16), told: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (stream.set_nodelay(true), server.set_nodelay(true));
    let (from_them, to_them) = stream.into_split();
    let (from_server, to_server) = server.into_split();
    // The end of one direction is the end of both.
    tokio::select! {
        () = copy(from_them, to_server, told.clone()) => {}
        () = copy(from_server, to_them, told) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut told: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16_384];
    let mut seen = told.clone();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = seen.wait_for(|way| *way == Way::Cut) => return,
        };
        let Ok(count @ 1..) = read else { return };
        match told.wait_for(|way| *way != Way::Frozen).await {
            Ok(way) if *way == Way::Open => {}
            _ => return,
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
