//! The relay over real sockets, on a real Postgres.

mod auth;
mod connections;
mod count;
mod database;
mod fan_out;
mod helper;
mod info;
mod publish;
mod reconcile;
mod rubbish;
mod sdk;
mod subscribe;

#[tokio::test]
#[ignore = "temporary"]
async fn zz_watch() {
    let server = bigbrotr_schema::embedded::testing::TestServer::shared().await;
    for _ in 0..25 {
        let out = std::process::Command::new("psql").arg(server.maintenance_url()).args(["-Atc", "select now()::time(0), datname, pid, state, wait_event_type, wait_event, round(extract(epoch from now()-query_start)), left(query,70) from pg_stat_activity where query !~ 'pg_stat_activity' and (state <> 'idle' or backend_type <> 'client backend') and coalesce(wait_event,'') !~ 'Main' "]).output().unwrap();
        eprintln!("{}", String::from_utf8_lossy(&out.stdout));
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
}
