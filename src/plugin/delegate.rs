//! [`Delegate`]: another plugin that gives addresses, executed as a runtime executes us.
//!
//! It is asked in the configuration's version. One that does not speak that is asked again in the newest that it does; what is said to
//! us is told in ours. Before there were GC and STATUS there was nothing to forward: who asks for them is told so.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cni::call::Attachment;
use cni::configuration::{Configuration, MAX_INPUT};
use cni::{Code, Failure, Outcome, Version};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::cause_of;

/// A plugin that gives addresses.
#[derive(Debug)]
pub struct Delegate<'a> {
    kind: &'a str,
    program: PathBuf,
    configuration: &'a Configuration,
}

/// What a delegate says went wrong.
#[derive(Deserialize)]
struct Told {
    code: u32,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    details: String,
}

impl<'a> Delegate<'a> {
    /// The plugin that a configuration names, if it names one.
    ///
    /// # Errors
    /// If it is nowhere in `CNI_PATH`.
    pub fn of(configuration: &'a Configuration, path: &[PathBuf]) -> Result<Option<Self>, Failure> {
        let Some(kind) = configuration.delegate.as_deref() else { return Ok(None) };
        let wrong = |why: String| Failure::new(Code::InvalidConfiguration, format_args!("ipam.type '{kind}': {why}"));
        if kind.contains('/') || kind.contains('\0') || kind == ".." {
            return Err(wrong("it is no plugin's name".into()));
        }
        let program = path.iter().map(|directory| directory.join(kind)).find(|program| is_executable(program));
        let program = program.ok_or_else(|| {
            let path: Vec<String> = path.iter().map(|directory| directory.display().to_string()).collect();
            wrong(format!("there is no such plugin in CNI_PATH ({})", path.join(", ")))
        })?;
        Ok(Some(Delegate { kind, program, configuration }))
    }

    /// Takes an address.
    ///
    /// # Errors
    /// What it says. It may have taken one: DEL has to follow.
    pub fn add(&self) -> Result<Outcome, Failure> {
        let said = self.ask("ADD", None)?;
        let outcome = Outcome::deserialize(&said);
        outcome.map_err(|why| Failure::new(Code::Decode, format_args!("{}: read its result: {why}", self.kind)))
    }

    /// Gives it back.
    ///
    /// # Errors
    /// What it says.
    pub fn del(&self) -> Result<(), Failure> {
        self.ask("DEL", None).map(drop)
    }

    /// Gives back what another attachment, of which there is no more, had.
    ///
    /// # Errors
    /// What it says.
    pub fn del_of(&self, attachment: &Attachment) -> Result<(), Failure> {
        self.ask("DEL", Some(attachment)).map(drop)
    }

    /// Asks whether all is as it was left, where that can be asked.
    ///
    /// # Errors
    /// That it is not.
    pub fn check(&self) -> Result<(), Failure> {
        self.ask("CHECK", None).map(drop)
    }

    /// Asks it to give back all but what is listed in the configuration. Whether it can do that.
    ///
    /// # Errors
    /// What it says.
    pub fn gc(&self) -> Result<bool, Failure> {
        self.forward("GC")
    }

    /// Asks whether it could serve an ADD, if it can tell.
    ///
    /// # Errors
    /// That it could not.
    pub fn status(&self) -> Result<bool, Failure> {
        self.forward("STATUS")
    }

    fn forward(&self, command: &str) -> Result<bool, Failure> {
        if self.versions()?.contains(&self.configuration.version) {
            self.execute(command, None, self.configuration.version).map(|_| true)
        } else {
            Ok(false)
        }
    }

    fn ask(&self, command: &str, of: Option<&Attachment>) -> Result<Value, Failure> {
        match self.execute(command, of, self.configuration.version) {
            Err(failure) if failure.code == Code::IncompatibleVersion => {
                let newest = self.versions()?.into_iter().filter(|version| *version < self.configuration.version).max();
                match newest {
                    Some(version) if command != "CHECK" || version >= Version::V0_4_0 => {
                        self.execute(command, of, version)
                    }
                    Some(_) => Ok(Value::Null),
                    None => Err(failure),
                }
            }
            answer => answer,
        }
    }

    /// The versions that both of us speak.
    fn versions(&self) -> Result<Vec<Version>, Failure> {
        #[derive(Deserialize)]
        struct Versions {
            #[serde(rename = "supportedVersions")]
            supported: Vec<String>,
        }
        let asked = json!({ "cniVersion": Version::V1_0_0.as_str() });
        let said = self.run("VERSION", None, &asked)?;
        let said = Versions::deserialize(&said);
        let said =
            said.map_err(|why| Failure::new(Code::Decode, format_args!("{}: read its versions: {why}", self.kind)))?;
        Ok(said.supported.iter().filter_map(|version| Version::parse(version)).collect())
    }

    fn execute(&self, command: &str, of: Option<&Attachment>, version: Version) -> Result<Value, Failure> {
        let mut configuration = self.configuration.whole.clone();
        configuration["cniVersion"] = json!(version.as_str());
        // What is in a configuration is in its version.
        if let Some(previous) = self.configuration.previous.as_ref().filter(|_| version != self.configuration.version) {
            configuration["prevResult"] = previous.to_json(version);
        }
        self.run(command, of, &configuration)
    }

    fn run(&self, command: &str, of: Option<&Attachment>, stdin: &Value) -> Result<Value, Failure> {
        let io = |what: &'static str| {
            move |why: std::io::Error| Failure::new(Code::Io, format_args!("{}: {what}: {}", self.kind, cause_of(&why)))
        };
        let mut process = Command::new(&self.program);
        process.env("CNI_COMMAND", command);
        if let Some(attachment) = of {
            process.env("CNI_CONTAINERID", &attachment.container).env("CNI_IFNAME", attachment.ifname.as_str());
            process.env_remove("CNI_NETNS").env_remove("CNI_ARGS");
        }
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = process.spawn().map_err(io("execute it"))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let stdin = stdin.to_string();
        let mut said = Vec::new();
        let heard = std::thread::scope(|scope| {
            // It need not read all of that, nor before it writes.
            scope.spawn(move || to.map(|mut to| to.write_all(stdin.as_bytes())));
            let most = u64::try_from(MAX_INPUT).unwrap_or(u64::MAX);
            from.map_or(Ok(0), |from| from.take(most).read_to_end(&mut said))
        });
        let status = child.wait().map_err(io("wait for its end"))?;
        heard.map_err(io("read what it says"))?;
        if status.success() {
            if said.trim_ascii().is_empty() {
                return Ok(Value::Null);
            }
            let said = serde_json::from_slice(&said);
            return said
                .map_err(|why| Failure::new(Code::Decode, format_args!("{}: read its answer: {why}", self.kind)));
        }
        Err(match serde_json::from_slice::<Told>(&said) {
            Ok(told) => {
                let code = Code::from_number(told.code).unwrap_or(Code::Delegate);
                Failure::new(code, format_args!("{}: {}", self.kind, told.msg)).with_details(told.details)
            }
            Err(_) => Failure::new(Code::Delegate, format_args!("{}: it failed without a word ({status})", self.kind)),
        })
    }
}

fn is_executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
