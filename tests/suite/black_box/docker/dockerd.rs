//! A stand-in for dockerd: it says what dockerd was observed to say, and does to an interface what libnetwork does.

use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::lab::linux::inside::Inside;
use crate::lab::linux::{Linux, PATIENCE, text, waited_for};

/// A network's id.
pub const NET: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// An endpoint's id.
pub fn endpoint_id(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

/// The plugin, as dockerd sees it.
pub struct Plugin {
    pub socket: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Plugin {
    /// Starts a daemon that serves Docker.
    pub fn up(lab: &Linux) -> Self {
        Plugin::up_with(lab, &[])
    }

    /// The same, in this environment.
    pub fn up_with(lab: &Linux, environment: &[(&str, &str)]) -> Self {
        let socket = lab.dir().join("pontoon-plugin.sock");
        let api = lab.dir().join("docker.sock");
        let arguments = [format!("--docker={}", socket.display()), format!("--docker-api={}", api.display())];
        let mut up = lab.command(&["up", "--detach", &arguments[0], &arguments[1]]);
        let up = up.envs(environment.iter().copied()).output().expect("run pontoon");
        assert!(up.status.success(), "{}", text(&up.stderr));
        Plugin { socket }
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("connect to the plugin");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
        stream
    }

    /// As Go's client posts.
    pub fn post(&self, method: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST /{method} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
             Accept: application/vnd.docker.plugins.v1.2+json\r\nConnection: close\r\n\r\n",
            body.len()
        );
        self.say(&[head.as_bytes(), body].concat())
    }

    /// Says something, and hears the answer.
    pub fn say(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        match stream.write_all(request) {
            // It did not hear the whole of it.
            Err(why) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            said => said.expect("say it"),
        }
        Answer::hear(stream)
    }

    /// A call that is carried out; what is answered.
    pub fn call(&self, method: &str, body: &Value) -> Value {
        let answer = self.post(&format!("NetworkDriver.{method}"), body.to_string().as_bytes());
        assert_eq!((answer.status, answer.body.get("Err")), (200, None), "{method} {body}");
        answer.body
    }

    /// A call that is refused; why.
    pub fn refuses(&self, method: &str, body: &Value) -> String {
        let answer = self.post(&format!("NetworkDriver.{method}"), body.to_string().as_bytes());
        let why = answer.body.get("Err").and_then(Value::as_str).map(str::to_owned);
        assert_eq!(answer.status, 200, "{method} {body}");
        why.unwrap_or_else(|| panic!("{method} {body} is not refused: {}", answer.body))
    }

    pub fn is_alive(&self) {
        let answer = self.post("Plugin.Activate", b"");
        assert_eq!((answer.status, answer.body), (200, json!({"Implements": ["NetworkDriver"]})));
    }

    pub fn create_endpoint(&self, number: u8, ip: &str) -> Value {
        let interface = json!({"Address": ip, "AddressIPv6": "", "MacAddress": ""});
        self.call("CreateEndpoint", &with(&about(number), &json!({"Interface": interface, "Options": {}})))
    }

    pub fn join(&self, number: u8) -> Value {
        self.call("Join", &with(&about(number), &json!({"SandboxKey": "/run/docker/netns/x", "Options": {}})))
    }

    pub fn program(&self, number: u8, ports: &Value) {
        self.call("ProgramExternalConnectivity", &program(number, ports));
    }

    /// What dockerd says of an endpoint that goes, and libnetwork does between.
    pub fn take_down(&self, number: u8, sandbox: Sandbox, source: &str) {
        self.call("RevokeExternalConnectivity", &about(number));
        self.call("Leave", &about(number));
        sandbox.give_back("eth0", source);
        self.call("DeleteEndpoint", &about(number));
    }
}

impl Answer {
    pub fn hear(mut stream: impl Read) -> Self {
        let mut heard = Vec::new();
        match stream.read_to_end(&mut heard) {
            Err(why) if why.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.expect("the door is closed")),
        }
        let heard = text(&heard);
        let (head, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {heard:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let is_json = head.to_ascii_lowercase().contains("content-type: application/vnd.docker.plugins.v1.2+json");
        let body = if is_json { serde_json::from_str(body).expect("JSON") } else { Value::Null };
        Answer { status, body }
    }
}

/// The ids of an endpoint.
pub fn about(number: u8) -> Value {
    json!({"NetworkID": NET, "EndpointID": endpoint_id(number)})
}

/// One object and more of it.
pub fn with(one: &Value, more: &Value) -> Value {
    let mut whole = one.clone();
    let fields = more.as_object().expect("an object").clone();
    whole.as_object_mut().expect("an object").extend(fields);
    whole
}

pub fn network() -> Value {
    json!({
        "NetworkID": NET,
        "Options": {"com.docker.network.enable_ipv6": false, "com.docker.network.generic": {"com.docker.network.driver.mtu": "1400"}},
        "IPv4Data": [{"AddressSpace": "LocalDefault", "Gateway": "10.77.0.1/24", "Pool": "10.77.0.0/24"}],
        "IPv6Data": []
    })
}

pub fn program(number: u8, ports: &Value) -> Value {
    with(
        &about(number),
        &json!({"Options": {"com.docker.network.endpoint.exposedports": [], "com.docker.network.portmap": ports}}),
    )
}

/// `-p HOST:CONTAINER`.
pub fn port(host: u16, container: u16) -> Value {
    json!([{"Proto": 6, "IP": "", "Port": container, "HostIP": "", "HostPort": host, "HostPortEnd": host}])
}

/// A network namespace as Docker makes one for a container.
pub struct Sandbox {
    keeper: Child,
}

impl Sandbox {
    pub fn new() -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = unshare.spawn().expect("run unshare");
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let theirs = format!("/proc/{}/ns/net", keeper.id());
        let is_there = || std::fs::read_link(&theirs).is_ok_and(|other| other != own).then_some(());
        assert!(waited_for(is_there).is_some(), "it has a namespace of its own");
        Sandbox { keeper }
    }

    pub fn inside(&self) -> Inside {
        Inside::of(self.keeper.id().cast_signed())
    }

    /// Takes an interface of the host as libnetwork does.
    pub fn take(&self, source: &str, name: &str, address: &str, gateway: Option<Ipv4Addr>) {
        Inside::here().ip(&["link", "set", source, "netns", &self.keeper.id().to_string()]);
        let inside = self.inside();
        inside.ip(&["link", "set", source, "name", name]);
        inside.ip(&["address", "add", address, "dev", name]);
        inside.ip(&["link", "set", "lo", "up"]);
        inside.ip(&["link", "set", name, "up"]);
        if let Some(gateway) = gateway {
            inside.ip(&["route", "add", "default", "via", &gateway.to_string()]);
        }
    }

    /// Gives it back: down, under its first name, to the host.
    pub fn give_back(&self, name: &str, source: &str) {
        let inside = self.inside();
        inside.ip(&["link", "set", name, "down"]);
        inside.ip(&["link", "set", name, "name", source]);
        inside.ip(&["link", "set", source, "netns", &std::process::id().to_string()]);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// The engine's own API, which knows names and what is there.
pub struct Api {
    network: Arc<Mutex<Said>>,
    containers: Arc<Mutex<Value>>,
    listeners: Arc<Mutex<Vec<UnixStream>>>,
}

/// What it says of the network, and how often it has said that.
struct Said {
    status: &'static str,
    body: Value,
    times: usize,
}

impl Api {
    /// Serves it; the network is called so.
    pub fn serve(at: &Path, network: &str) -> Self {
        let listener = UnixListener::bind(at).expect("a socket for the engine");
        let containers = Arc::new(Mutex::new(json!([])));
        let listeners = Arc::new(Mutex::new(Vec::new()));
        let listening = Arc::clone(&listeners);
        let known = Arc::clone(&containers);
        let body = json!({"Name": network, "Id": NET, "Driver": "pontoon"});
        let network = Arc::new(Mutex::new(Said { status: "200 OK", body, times: 0 }));
        let of_network = Arc::clone(&network);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accept");
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
                    head.push(byte[0]);
                }
                let head = text(&head);
                let path = head.split(' ').nth(1).unwrap_or_default();
                if path.starts_with("/events?filters=") {
                    write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").expect("begin to tell");
                    listening.lock().expect("a list").push(stream);
                    continue;
                }
                let (status, body) = match path {
                    "/containers/json?all=1" => ("200 OK", known.lock().expect("a list").clone()),
                    _ if path == format!("/networks/{NET}") => {
                        let mut said = of_network.lock().expect("what is said");
                        said.times += 1;
                        (said.status, said.body.clone())
                    }
                    _ => ("404 Not Found", json!({"message": "page not found"})),
                };
                let body = body.to_string();
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Api { network, containers, listeners }
    }

    /// From now on it says this of the network.
    fn says(&self, status: &'static str, body: Value) {
        *self.network.lock().expect("what is said") = Said { status, body, times: 0 };
    }

    /// These are the network's endpoints.
    pub fn lists(&self, name: &str, endpoints: &[u8]) {
        let members: serde_json::Map<String, Value> = endpoints
            .iter()
            .map(|number| (format!("{number}"), json!({"Name": "x", "EndpointID": endpoint_id(*number)})))
            .collect();
        self.says("200 OK", json!({"Name": name, "Id": NET, "Driver": "pontoon", "Containers": members}));
    }

    /// It can not say what is there.
    pub fn is_broken(&self) {
        self.says("500 Internal Server Error", json!({"message": "no"}));
    }

    /// There is no such network.
    pub fn has_no_network(&self) {
        self.says("404 Not Found", json!({"message": format!("network {NET} not found")}));
    }

    /// Waits until it has said what it says of the network so often.
    pub fn is_asked(&self, times: usize) {
        let is_asked = || (self.network.lock().expect("what is said").times >= times).then_some(());
        assert!(waited_for(is_asked).is_some(), "it is not asked {times} times");
    }

    /// A container of this name has these endpoints.
    pub fn has(&self, name: &str, endpoints: &[u8]) {
        let networks: serde_json::Map<String, Value> = endpoints
            .iter()
            .map(|number| (format!("net{number}"), json!({"EndpointID": endpoint_id(*number)})))
            .collect();
        let container = json!({"Id": "0", "Names": [format!("/{name}")], "NetworkSettings": {"Networks": networks}});
        self.containers.lock().expect("a list").as_array_mut().expect("a list").push(container);
    }

    /// `docker rename` of the only container.
    pub fn rename(&self, name: &str) {
        self.containers.lock().expect("a list")[0]["Names"] = json!([format!("/{name}")]);
        let is_heard = || (!self.listeners.lock().expect("a list").is_empty()).then_some(());
        assert!(waited_for(is_heard).is_some(), "nobody listens");
        let listeners = self.listeners.lock().expect("a list");
        for mut listener in listeners.iter() {
            let _ = listener.write_all(b"3\r\n{}\n\r\n");
        }
    }
}
