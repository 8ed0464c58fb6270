//! Wrong usage, help and version: no daemon is asked, no privilege needed.

use std::process::{Command, Stdio};

use super::{Said, tests};

tests![
    wrong_usage_ends_with_2,
    the_version_is_told,
    help_tells_of_every_command,
    a_command_that_needs_a_daemon_says_that_there_is_none,
    the_demo_runs_in_the_simulator,
    the_simulators_demo_shows_what_is_behind_it,
    a_shell_can_complete_every_command,
    every_command_has_a_man_page,
    the_doctor_tells_whoever_asks,
];

fn wrong_usage_ends_with_2() {
    let wrong: &[&[&str]] = &[
        &[],
        &["fly"],
        &["run"],
        &["run", "--network", "container:", "--", "true"],
        &["run", "--network", "a b", "--", "true"],
        &["run", "--name", "-x", "--", "true"],
        &["run", "--ip", "300.1.1.1", "--", "true"],
        &["run", "--mac-address", "02:42", "--", "true"],
        &["run", "--mtu", "many", "--", "true"],
        &["run", "-e", "=value", "--", "true"],
        &["kill", "-s", "NONSENSE", "web"],
        &["kill", "-s", "65", "web"],
        &["stop"],
        &["exec", "web"],
        &["bridge", "fdb", "show", "br"],
        &["bridge", "fdb", "delete"],
        &["port"],
        &["port", "add", "pontoon0"],
        &["port", "add", "pontoon0", ""],
        &["port", "add", "pontoon0", "a b"],
        &["port", "add", "pontoon0", "a/b"],
        &["port", "add", "pontoon0", "a:b"],
        &["port", "add", "pontoon0", ".."],
        &["port", "add", "pontoon0", "name-of-16-bytes"],
        &["port", "add", "pontoon0", "veth1", "veth2"],
        &["port", "del", "pontoon0"],
        &["explain"],
        &["explain", "web"],
        &["explain", "web", "ff", "g"],
        &["explain", "web", "--from", "db"],
        &["up", "--bip", "172.30.0.0/16"],
        &["up", "--bip", "172.30.0.1/31"],
        &["demo", "--world", "mars"],
        &["completions"],
        &["completions", "dos"],
        &["man"],
    ];
    for arguments in wrong {
        let said = pontoon(arguments);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "pontoon {}: {}", arguments.join(" "), said.stderr);
        assert!(!said.stderr.is_empty(), "pontoon {}", arguments.join(" "));
    }
}

fn the_version_is_told() {
    assert_eq!(pontoon(&["version"]).stdout, format!("pontoon {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(pontoon(&["--version"]).stdout, format!("pontoon {}\n", env!("CARGO_PKG_VERSION")));
    let json = pontoon(&["version", "--json"]).stdout;
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(read, serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
}

fn help_tells_of_every_command() {
    let said = pontoon(&["--help"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    for command in [
        "run",
        "exec",
        "ps",
        "stop",
        "kill",
        "inspect",
        "logs",
        "rm",
        "network",
        "show",
        "bridge",
        "port",
        "stats",
        "explain",
        "demo",
        "up",
        "down",
        "status",
        "doctor",
        "completions",
        "man",
        "version",
    ] {
        assert!(said.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {}", said.stdout);
        let own = pontoon(&[command, "--help"]);
        assert_eq!((own.status, own.stderr.as_str()), (0, ""), "{command}");
        // In either way; and what is a command's own comes first.
        assert_eq!(pontoon(&["help", command]).stdout, own.stdout, "{command}");
        let (at, global) = own.stdout.split_once("\nOptions of every command:\n").expect("a heading");
        assert!(global.contains("--runtime-dir <DIR>") && !at.contains("--runtime-dir"), "{}", own.stdout);
    }
    assert_eq!(pontoon(&["help"]).stdout, said.stdout);
    assert_eq!(pontoon(&["help", "network", "create"]).stdout, pontoon(&["network", "create", "--help"]).stdout);
}

fn a_command_that_needs_a_daemon_says_that_there_is_none() {
    let hint = if is_left_to_root() {
        "to start one takes root: `sudo pontoon up`; without it there is `pontoon demo`"
    } else {
        "`pontoon up` starts one; `pontoon run` and `pontoon network` do so by themselves"
    };
    for arguments in [&["ps"][..], &["show"], &["explain", "web", "ff"], &["stats"], &["status"], &["inspect", "web"]] {
        let said = pontoon(arguments);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "pontoon {}", arguments.join(" "));
        let expected = format!("pontoon: no daemon listens in /nowhere/run\nhint: {hint}\n");
        assert_eq!(said.stderr, expected, "pontoon {}", arguments.join(" "));
    }
    // Who could end one is told that there is nothing to end, and that is what was wanted.
    let down = pontoon(&["down"]);
    assert_eq!((down.status, down.stdout.as_str()), (i32::from(is_left_to_root()), ""), "{}", down.stderr);
}

fn the_simulators_demo_shows_what_is_behind_it() {
    let traced = |seed: &str| {
        let said = pontoon(&["sim", "demo", "--seed", seed, "--trace"]);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        said.stdout
    };
    let (tale, trace) = {
        let told = traced("7");
        let (tale, trace) = told.split_once("== The trace").expect("it has a chapter of its own");
        (tale.to_owned(), trace.to_owned())
    };
    assert!(tale.contains("(seed 7)"), "{tale}");
    let decided = " web.eth0 local to pontoon0: ";
    assert!(trace.contains(decided), "{}", trace.lines().take(40).collect::<Vec<_>>().join("\n"));
    assert_eq!(traced("7"), traced("7"), "equal seeds, equal worlds");
    assert_ne!(traced("7"), traced("8"));
    // A section header and the magic of a pcapng file, in the order of this machine's bytes.
    let file = std::env::temp_dir().join(format!("pontoon-sim-demo-{}.pcapng", std::process::id()));
    let path = file.display().to_string();
    assert_eq!(pontoon(&["sim", "demo", "--pcap", &path]).status, 0);
    let bytes = std::fs::read(&file).expect("it was written");
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!((&bytes[..4], &bytes[8..12]), (&[0x0a, 0x0d, 0x0d, 0x0a][..], &0x1a2b_3c4d_u32.to_ne_bytes()[..]));
    let said = pontoon(&["sim", "demo", "--pcap", "/nowhere/x"]);
    let told = "pontoon: write the capture to /nowhere/x: No such file or directory\n";
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (1, "", told));
}

fn the_demo_runs_in_the_simulator() {
    let said = pontoon(&["demo", "--world", "sim"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    for heading in ["bridge", "host", "container:web", "none"] {
        assert!(said.stdout.contains(&format!("== {heading}")), "{heading}: {}", said.stdout);
    }
    assert_eq!(pontoon(&["demo", "--world", "sim"]).stdout, said.stdout, "and tells the same every time");
}

fn a_shell_can_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = pontoon(&["completions", shell]);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{shell}");
        for word in ["run", "network", "doctor", "--runtime-dir", "--mac-address", "--drops"] {
            // Some shells' scripts have an option without its dashes.
            assert!(said.stdout.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
    }
}

fn every_command_has_a_man_page() {
    let directory = std::env::temp_dir().join(format!("pontoon-man-{}", std::process::id()));
    let said = pontoon(&["man", &directory.join("man1").display().to_string()]);
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
    let pages = std::fs::read_dir(directory.join("man1")).expect("a directory");
    let pages: std::collections::BTreeMap<String, String> = pages
        .map(|entry| {
            let entry = entry.expect("an entry");
            let page = std::fs::read_to_string(entry.path()).expect("a page");
            (entry.file_name().to_string_lossy().into_owned(), page)
        })
        .collect();
    for (page, line) in [
        ("pontoon.1", "pontoon \\- A floating bridge"),
        ("pontoon-run.1", "pontoon\\-run \\- Run a command in a new container"),
        ("pontoon-network-ls.1", "pontoon\\-network\\-ls \\- List networks"),
        ("pontoon-doctor.1", "pontoon\\-doctor \\- Check whether this machine has what containers take"),
    ] {
        let text = pages.get(page).unwrap_or_else(|| panic!("{page} is not there: {:?}", pages.keys()));
        assert!(text.contains(line), "{page}: {text}");
    }
    let is_wanted = |page: &String| page.starts_with("pontoon") && !page.contains("__") && !page.contains("-help");
    assert!(pages.keys().all(is_wanted), "{:?}", pages.keys());
    // Written again, they are the same; where nothing can be written, that is said.
    let nowhere = directory.join("man1/pontoon.1/man1").display().to_string();
    let said = pontoon(&["man", &nowhere]);
    let expected = format!("pontoon: make the directory {nowhere}: Not a directory\n");
    assert_eq!((said.status, said.stderr), (1, expected));
    std::fs::remove_dir_all(&directory).expect("delete the pages");
}

fn the_doctor_tells_whoever_asks() {
    let words = pontoon(&["doctor"]);
    let json = pontoon(&["doctor", "--json"]);
    assert_eq!((words.stderr.as_str(), json.stderr.as_str()), ("", ""));
    let findings: Vec<serde_json::Value> = serde_json::from_str(&json.stdout).expect("an array");
    let mut text = String::new();
    let mut fails = false;
    for finding in &findings {
        let keys: Vec<&str> = finding.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["check", "finding", "hint", "status"]);
        let word = |key: &str| finding[key].as_str().unwrap_or_else(|| panic!("{finding}")).to_owned();
        let status = word("status");
        assert!(["ok", "warn", "fail"].contains(&status.as_str()), "{finding}");
        assert_eq!(
            finding["hint"].is_null(),
            status == "ok",
            "a remedy for what is ill, and for nothing else: {finding}"
        );
        fails |= status == "fail";
        text.push_str(&format!("{status:4}  {}: {}\n", word("check"), word("finding")));
        text.extend(finding["hint"].as_str().map(|hint| format!("      hint: {hint}\n")));
    }
    assert_eq!(words.stdout, text);
    assert_eq!((words.status, json.status), (i32::from(fails), i32::from(fails)));
    let checks: Vec<String> =
        findings.iter().map(|finding| finding["check"].as_str().unwrap_or("").to_owned()).collect();
    for check in [
        "/dev/net/tun",
        "TAP",
        "CAP_NET_ADMIN",
        "CAP_SYS_ADMIN",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_KILL",
        "namespaces",
        "user namespaces",
        "nft",
        "net.ipv4.ip_forward",
        "name resolution",
        "kernel",
        "pidfd",
        "io_uring",
    ] {
        assert!(checks.iter().any(|own| own == check), "{check}: {checks:?}");
    }
}

/// Whether this user is not root, and lacks CAP_NET_ADMIN or CAP_SYS_ADMIN.
fn is_left_to_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("read a status");
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("a line on capabilities");
    let held = u64::from_str_radix(held, 16).expect("a mask");
    !nix::unistd::geteuid().is_root() && [12, 21].iter().any(|bit| held & (1 << bit) == 0)
}

/// Runs `pontoon` where no daemon can be.
fn pontoon(arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pontoon"));
    command.env("PONTOON_RUNTIME_DIR", "/nowhere/run").env("PONTOON_STATE_DIR", "/nowhere/state");
    command.args(arguments).stdin(Stdio::null()).output().expect("run pontoon").into()
}
