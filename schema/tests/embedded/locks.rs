//! One node per data directory, any number of commands, and the last one stops the server.

use bigbrotr_schema::embedded::{EmbeddedError, EmbeddedPostgres, Owner};

use crate::helper::{Other, Scratch, answers};

#[tokio::test]
async fn a_second_node_refuses_and_names_the_first() {
    let scratch = Scratch::new();
    let first = Other::start("node", &scratch.data_dir());
    let error = EmbeddedPostgres::start(scratch.config()).await.unwrap_err();
    let EmbeddedError::NodeRunning { pid, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*pid, Some(first.pid()));
    assert!(error.to_string().contains(&first.pid().to_string()));
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_command_joins_the_node_and_leaves_it_alone() {
    let scratch = Scratch::new();
    let node = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let command = EmbeddedPostgres::join_or_start(scratch.config(), Owner::Command)
        .await
        .unwrap();
    assert!(!command.owned());
    assert_eq!(command.connection_url(), node.connection_url());
    assert_eq!(command.bin_dir(), node.bin_dir());
    assert_eq!(command.version(), node.version());
    command.stop().await.unwrap();
    assert!(answers(&node).await);
    node.stop().await.unwrap();
    assert_eq!(scratch.server(), None);
}

#[tokio::test]
async fn a_command_of_another_configuration_does_not_disturb_the_node() {
    let scratch = Scratch::new();
    let node = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let mut config = scratch.config();
    config.port = 1;
    config.settings.insert("work_mem".into(), "9MB".into());
    let command = EmbeddedPostgres::join_or_start(config, Owner::Command)
        .await
        .unwrap();
    assert_eq!(command.port(), node.port());
    drop(command);
    assert!(answers(&node).await);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_takes_over_from_a_command_that_ends_first() {
    let scratch = Scratch::new();
    let mut command = Other::start("command", &scratch.data_dir());
    let node = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(!node.owned());
    assert_eq!(node.connection_url(), command.url);
    command.finish();
    assert!(answers(&node).await);
    node.stop().await.unwrap();
    assert_eq!(scratch.server(), None);
}

#[tokio::test]
async fn a_command_outlives_its_node() {
    let scratch = Scratch::new();
    let mut node = Other::start("node", &scratch.data_dir());
    let command = EmbeddedPostgres::join_or_start(scratch.config(), Owner::Command)
        .await
        .unwrap();
    node.finish();
    assert!(answers(&command).await);
    command.stop().await.unwrap();
    assert_eq!(scratch.server(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once_shares_one_server() {
    let scratch = Scratch::new();
    for _ in 0..3 {
        let mut users = tokio::task::JoinSet::new();
        for number in 0..6 {
            let config = scratch.config();
            let owner = if number == 0 {
                Owner::Node
            } else {
                Owner::Command
            };
            users.spawn(async move {
                let postgres = EmbeddedPostgres::join_or_start(config, owner)
                    .await
                    .unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(number * 40)).await;
                assert!(answers(&postgres).await);
                let port = postgres.port();
                postgres.stop().await.unwrap();
                port
            });
        }
        users.join_all().await;
        assert_eq!(scratch.server(), None);
    }
}
