//! What this process logs, and how: as text for people, or as JSON, one object a line.

use std::sync::OnceLock;

use clap::ValueEnum;

/// The variable that says how to log, as `--log-format` does: so the processes that are started know.
pub const VARIABLE: &str = "PONTOON_LOG_FORMAT";

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object a line
    Json,
}

static FORMAT: OnceLock<Format> = OnceLock::new();

impl Format {
    /// How this process logs.
    pub fn current() -> Self {
        FORMAT.get().copied().unwrap_or_default()
    }

    /// What the variable says; nonsense in it is for the command to complain of.
    pub fn from_variable() -> Self {
        let said = std::env::var(VARIABLE).unwrap_or_default();
        Format::from_str(&said, false).unwrap_or_default()
    }

    /// As the variable has it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
        }
    }
}

/// Logs at `level` and above, unless `PONTOON_LOG` says otherwise.
pub fn to<W>(to: W, level: &str, format: Format)
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let _ = FORMAT.set(format);
    let filter = tracing_subscriber::EnvFilter::try_from_env("PONTOON_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to).with_target(false);
    // Of a log that can not be written it would tell by `eprintln!`, which panics when it can not write either.
    let subscriber = subscriber.with_ansi(false).log_internal_errors(false);
    let _ = match format {
        Format::Text => subscriber.try_init(),
        Format::Json => subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}
