//! `metrics`: what a monitoring system needs to know of this instance's metrics.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use reqwest::Client;

use super::{Error, output};
use crate::config::{self, Env, Listen};
use crate::disk::Disk;

/// It is a process of this machine that answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to print.
#[derive(Debug, Subcommand)]
pub(super) enum MetricsCommand {
    /// Print what '/metrics' of the 'run' that is up tells now
    Show,
    /// Print alert rules for Prometheus, as YAML
    Alerts,
    /// Print a dashboard for Grafana, as JSON
    Dashboard,
}

pub(super) fn metrics(disk: &dyn Disk, env: &Env, command: &MetricsCommand) -> Result<(), Error> {
    match command {
        MetricsCommand::Show => output::print(&show(disk, env)?),
        MetricsCommand::Alerts => output::print(include_str!("metrics/alerts.yaml")),
        MetricsCommand::Dashboard => output::print(include_str!("metrics/dashboard.json")),
    }
}

fn show(disk: &dyn Disk, env: &Env) -> Result<String, Error> {
    let (config, _) = config::load(disk, env)?;
    let Some(listen) = config.nymvisor.metrics_listen else {
        let text = "no metrics are told: set nymvisor.metrics_listen, or \
                    NYMVISOR_METRICS_LISTEN, to 127.0.0.1:9184 for example, and start `run` again";
        return Err(Error::Refused(text.to_owned()));
    };
    if let Listen::Tcp(address) = &listen
        && address.port() == 0
    {
        let text = "port 0 is another one in each run, and its log says which: ask that one, or \
                    name one in nymvisor.metrics_listen";
        return Err(Error::Refused(text.to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start the runtime on", Path::new("this machine")))?;
    runtime.block_on(ask(&listen)).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Error::Refused(format!("{listen} tells nothing: {text}; is `run` up, and since it is set?"))
    })
}

async fn ask(listen: &Listen) -> Result<String, reqwest::Error> {
    let client = Client::builder().timeout(PATIENCE).no_proxy().tls_certs_only([]);
    let (client, host) = match listen {
        Listen::Tcp(address) => (client, address.to_string()),
        Listen::Unix(path) => (client.unix_socket(path.as_path()), "localhost".to_owned()),
    };
    let asked = client.build()?.get(format!("http://{host}/metrics")).send().await?;
    asked.error_for_status()?.text().await
}
