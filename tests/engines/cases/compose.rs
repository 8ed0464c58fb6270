//! Compose files, unchanged but for one word.

use std::process::Command;

use super::cases;
use crate::docker::{COMPOSE, DRIVER};
use crate::host::{DIR, Host, fetched, waited_for};
use crate::said::Said;

cases![three_services_come_up_and_go_down];

/// Where the file is that a user copies.
const PAGE: &str = include_str!("../../../docs/compose.md");

/// The file: three services on two networks.
fn file() -> String {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("    version:"));
    let lines = lines.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n"));
    lines.collect()
}

fn compose(arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command
        .args(["120", COMPOSE, "--project-name", "shop", "--file"])
        .arg(format!("{DIR}/compose.yml"))
        .args(arguments);
    Said::by(command.env("DOCKER_HOST", "unix:///run/docker.sock"))
}

fn three_services_come_up_and_go_down(host: &mut Host) {
    let docker = &host.docker;
    std::fs::write(format!("{DIR}/compose.yml"), file()).expect("write");
    let up = compose(&["up", "--detach", "--timeout", "1"]);
    assert!(up.is_well(), "{up:?}");
    let shop = || (fetched("127.0.0.1:8080")? == "shop").then_some(());
    assert!(waited_for(shop).is_some());
    assert_eq!(docker.asks("shop_web_1", "app"), "data");
    assert_eq!(docker.asks("shop_web_1", "data"), "data");
    assert_eq!(docker.asks("shop_visitor_1", "web"), "shop");
    assert!(!docker.reaches("shop_visitor_1", "10.73.0.50"), "the visitor is on one network only");
    assert!(!docker.reaches("shop_app_1", "198.51.100.2"), "the other is internal");
    let listed = docker.does(&[
        "network",
        "ls",
        "--filter",
        "label=com.docker.compose.project=shop",
        "--format",
        "{{.Name}} {{.Driver}}",
    ]);
    assert_eq!(listed, format!("shop_back {DRIVER}\nshop_front {DRIVER}"));
    let down = compose(&["down", "--timeout", "0"]);
    assert!(down.is_well(), "{down:?}");
    assert_eq!(docker.does(&["network", "ls", "--filter", &format!("driver={DRIVER}"), "--quiet"]), "");
    drop(std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free"));
}
