//! The pages for users of the engines, followed to the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::cases;
use crate::docker::DOCKER;
use crate::host::{BUSYBOX, DIR, Host, IMAGE, fetched, waited_for};
use crate::pontoon::COMMAND;
use crate::said::Said;

cases![the_page_for_docker_can_be_followed, the_page_for_podman_can_be_followed];

const PAGE: &str = include_str!("../../../docs/docker.md");
const PODMANS_PAGE: &str = include_str!("../../../docs/podman.md");

/// The commands of a section: its lines that are set in.
fn commands<'a>(page: &'a str, section: &str) -> Vec<&'a str> {
    let heading = format!("## {section}\n");
    let (_, rest) = page.split_once(&heading).unwrap_or_else(|| panic!("the page has a section {section}"));
    let section = rest.split("\n## ").next().unwrap_or(rest);
    section.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

/// A place with the programs that the pages call, whatever this machine calls so.
fn programs() -> PathBuf {
    let place = Path::new(DIR).join("bin");
    if !place.exists() {
        std::fs::create_dir(&place).expect("make a directory");
        for (name, program) in [("docker", DOCKER), ("pontoon", COMMAND), ("wget", BUSYBOX)] {
            std::os::unix::fs::symlink(program, place.join(name)).expect("make a link");
        }
    }
    place
}

fn begin(line: &str) -> Child {
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("timeout");
    shell.args(["60", "sh", "-c", line]).env("PATH", path);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run a shell")
}

fn end(line: &str, shell: Child) -> String {
    Said::from(shell.wait_with_output().expect("wait for a shell")).printed(line)
}

fn the_page_for_docker_can_be_followed(host: &mut Host) {
    // No registry is to be reached: what serves on port 80 will do.
    host.docker.does(&["tag", "busybox", "nginx"]);
    for line in commands(PAGE, "Use") {
        let serving = line.replace(" nginx", " nginx sh -c 'echo shop >/www/index.html; exec httpd -f -p 80 -h /www'");
        let mut shell = begin(&serving);
        if line.starts_with("pontoon capture") {
            let has_ended = waited_for(|| {
                let _ = fetched("127.0.0.1:8080");
                shell.try_wait().expect("look at a shell").map(|_| ())
            });
            assert!(has_ended.is_some(), "{line}");
        }
        let said = end(line, shell);
        if line.contains("wget") {
            assert_eq!(said, "shop", "{line}");
        } else if line.starts_with("pontoon ") {
            assert!(said.contains("shop"), "{line}: {said}");
        }
        if line.starts_with("docker run -d") {
            assert!(waited_for(|| fetched("127.0.0.1:8080")).is_some());
            let is_named = || host.pontoon.does(&["ps"]).contains(" shop ").then_some(());
            assert!(waited_for(is_named).is_some());
        }
    }
    let back = commands(PAGE, "How to go back");
    let is_there = |line: &&&str| line.starts_with("docker ");
    for line in back.iter().filter(is_there) {
        end(line, begin(line));
    }
    assert_eq!(host.docker.inspects("web", "{{.Driver}}"), "bridge");
    host.docker.does(&["image", "rm", "nginx"]);
}

fn the_page_for_podman_can_be_followed(host: &mut Host) {
    const IMAGES: [&str; 2] = ["docker.io/library/nginx", "docker.io/library/busybox"];
    host.podman.write_script(&programs().join("podman"));
    IMAGES.iter().for_each(|name| drop(host.podman.does(&["tag", IMAGE, name])));
    let lines = commands(PODMANS_PAGE, "Use");
    assert_eq!(lines.len(), 4);
    for line in lines {
        let serving = line.replace("/nginx", "/nginx sh -c 'echo shop >/www/index.html; exec httpd -f -p 80 -h /www'");
        let said = end(line, begin(&serving));
        if line.starts_with("podman run -d") {
            assert!(waited_for(|| fetched("127.0.0.1:8080").filter(|said| said == "shop")).is_some());
        } else if line.contains("wget") {
            assert_eq!(said, "shop", "{line}");
        } else {
            assert!(said.contains("web"), "{line}: {said}");
        }
    }
    host.podman.does(&["rm", "--force", "--time=0", "web"]);
    IMAGES.iter().for_each(|name| drop(host.podman.does(&["untag", IMAGE, name])));
}
