//! Compose files, unchanged but for one word.

use std::process::Command;

use super::cases;
use crate::docker::{COMPOSE, DRIVER};
use crate::host::{DIR, Host, fetched, waited_for};
use crate::said::Said;

cases![three_services_come_up_and_go_down];

/// Three services on two networks. The word is the driver's name.
const FILE: &str = r#"
version: "3"
services:
  web:
    image: busybox
    command: sh -c "echo shop >/www/index.html; exec httpd -f -p 80 -h /www"
    ports: ["8080:80"]
    networks: [front, back]
  app:
    image: busybox
    command: sh -c "echo data >/www/index.html; exec httpd -f -p 80 -h /www"
    networks:
      back:
        aliases: [data]
        ipv4_address: 10.73.0.50
  visitor:
    image: busybox
    command: sleep 1000000
    stop_grace_period: 0s
    networks: [front]
networks:
  front:
    driver: DRIVER
  back:
    driver: DRIVER
    internal: true
    ipam:
      config:
        - subnet: 10.73.0.0/24
"#;

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
    std::fs::write(format!("{DIR}/compose.yml"), FILE.replace("DRIVER", DRIVER)).expect("write");
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
