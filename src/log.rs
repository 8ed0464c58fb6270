//! What this process logs, and how.

/// Logs at `level` and above, unless `PONTOON_LOG` says otherwise.
pub fn to<W>(to: W, level: &str)
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = tracing_subscriber::EnvFilter::try_from_env("PONTOON_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(to).with_target(false).with_ansi(false);
    // Of a log that can not be written it would tell by `eprintln!`, which panics when it can not write either.
    let subscriber = subscriber.log_internal_errors(false);
    let _ = subscriber.try_init();
}
