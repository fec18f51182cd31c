//! A database of every earlier version, with something in it, becomes one of this version: what was
//! in it is there, counted, and nothing tells it from a new one.

use std::path::PathBuf;

use bigbrotr_schema::embedded::testing::TestServer;
use bigbrotr_testkit::population::SimEvent;
use bigbrotr_testkit::{Population, PopulationConfig};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::helper::connect;

/// The first migration after which there is a table of events.
const TABLES: usize = 2;

/// The first one after which there are procedures that fill it.
const PROCEDURES: usize = 6;

/// Tables, views, columns, indexes, constraints, functions, triggers and rights, a line each.
const SHAPE: &str = "
    select string_agg(line, E'\\n' order by line) from (
        select format('%s %s %s', c.relkind, c.relname, c.relacl) as line from pg_class c
            where relnamespace = 'public'::regnamespace
        union all
        select format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
            from pg_attribute a join pg_class c on c.oid = a.attrelid
            left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
        union all
        select pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indexrelid
            where relnamespace = 'public'::regnamespace
        union all
        select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint
            where connamespace = 'public'::regnamespace
        union all
        select format('%s %s %s', p.oid::regprocedure, md5(prosrc), proacl) from pg_proc p
            where pronamespace = 'public'::regnamespace
        union all
        select pg_get_triggerdef(t.oid) from pg_trigger t where not tgisinternal
        union all
        select format('%s %s', c.relname, pg_get_viewdef(c.oid)) from pg_class c
            where relkind = 'v' and relnamespace = 'public'::regnamespace
    ) lines";

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Brings an empty database to an earlier version, as the program of that time did.
async fn migrate(connection: &mut PgConnection, files: &[PathBuf]) {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let migrator = Migrator::new(folder.path()).await.unwrap();
    migrator.run_direct(None, connection, false).await.unwrap();
}

/// Two relays and some events, each had by one of them.
fn rows(version: usize, events: &[SimEvent]) -> String {
    if version < TABLES {
        return String::new();
    }
    if version < PROCEDURES {
        let mut sql = String::from(
            "insert into relays (url, network, discovered_at) values
                ('wss://one.example.com', 'clearnet', 1), ('wss://two.example.com', 'clearnet', 1);",
        );
        for (n, event) in events.iter().enumerate() {
            sql.push_str(&format!(
                "insert into events (num, created_at, kind, id, pubkey) overriding system value
                 values ({n}, {}, {}, '\\x{}', '\\x{}');
                 insert into events_relays (event_num, relay_id, first_seen_at) values ({n}, {}, 1);",
                event.created_at(),
                event.kind(),
                event.id(),
                event.pubkey(),
                1 + n % 2
            ));
        }
        return sql;
    }
    let list = |item: &dyn Fn(usize, &SimEvent) -> String| {
        let items: Vec<String> = events.iter().enumerate().map(|(n, e)| item(n, e)).collect();
        format!("array[{}]", items.join(", "))
    };
    let ids = list(&|_, event| format!("'\\x{}'::bytea", event.id()));
    format!(
        "select insert_relay(array['wss://one.example.com', 'wss://two.example.com'],
            array['clearnet', 'clearnet'], 1);
         select insert_event({ids}, {}, {}, {}, {}, {}, {}, {ids}, {}, {});",
        list(&|_, event| format!("'\\x{}'::bytea", event.pubkey())),
        list(&|_, event| format!("{}::bigint", event.created_at())),
        list(&|_, event| event.kind().to_string()),
        list(&|_, _| "'[]'".to_owned()),
        list(&|_, _| "'\"\"'".to_owned()),
        list(&|_, _| format!("'\\x{}'::bytea", "00".repeat(64))),
        list(&|n, _| (1 + n % 2).to_string()),
        list(&|_, _| "1::bigint".to_owned()),
    )
}

async fn shape(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let shape = sqlx::query_scalar(SHAPE).fetch_one(&mut connection).await;
    connection.close().await.unwrap();
    shape.unwrap()
}

#[tokio::test]
async fn every_earlier_version_becomes_this_one() {
    let server = TestServer::shared().await;
    let fresh = server.empty_database().await;
    let store = connect(&fresh.url()).await;
    store.migrate().await.unwrap();
    store.close().await;
    let expected = shape(&fresh.url()).await;
    let population = Population::generate(&PopulationConfig::new(12, 60, 1_750_000_000));
    let events = population.events();
    let files = files();
    for version in 0..files.len() {
        let database = server.empty_database().await;
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        migrate(&mut connection, &files[..version]).await;
        sqlx::raw_sql(AssertSqlSafe(rows(version, events)))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("version {version}: {error}"));
        connection.close().await.unwrap();

        let store = connect(&database.url()).await;
        let upgraded = store.migrate().await;
        assert!(upgraded.is_ok(), "from version {version}: {upgraded:?}");
        store.rollup_to_end().await.unwrap();
        let differences = store.verify_statistics(5).await.unwrap();
        assert_eq!(differences, [], "from version {version}");
        let counted = store.count_events().await.unwrap();
        let there = if version < TABLES {
            0
        } else {
            events.len() as u64
        };
        assert_eq!(counted, there, "from version {version}");
        if version >= TABLES {
            let relays = store
                .list_event_relays(&events[1].event().id)
                .await
                .unwrap();
            assert_eq!(relays, ["wss://two.example.com"], "from version {version}");
        }
        store.close().await;
        assert!(
            shape(&database.url()).await == expected,
            "from version {version}"
        );
    }
}
