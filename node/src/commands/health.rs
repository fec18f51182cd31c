//! `bigbrotr health`: asks the node that runs here whether it does its work. It is what a
//! container's health check runs, so that the image needs no other program for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::Options;
use crate::limits::{HEALTH_TIMEOUT, MAX_HEALTH_BYTES};

/// Prints what the node says of itself; the exit code is 0 when it is ready.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let metrics = super::quiet(options)?.metrics;
    if !metrics.enabled {
        bail!("metrics.enabled is false, so the node does not say how it is. Hint: set it to true");
    }
    let address = reachable(metrics.listen);
    let asked = tokio::time::timeout(HEALTH_TIMEOUT, ask(address)).await;
    let (status, text) = asked
        .with_context(|| format!("no answer from {address} within {HEALTH_TIMEOUT:?}"))?
        .with_context(|| {
            format!(
                "no node answers at {address}. Hint: --metrics-listen must be as the node has it"
            )
        })?;
    println!("{}", text.trim_end());
    Ok(if status == StatusCode::OK {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Where a listener can be reached from here: one on all addresses by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let question = Request::get("/health/ready")
        .header("host", address.to_string())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(question).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_HEALTH_BYTES);
        let body = body.collect().await.map_err(anyhow::Error::from_boxed)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        anyhow::Ok((status, text))
    };
    // The connection does the reading and writing, and ends with the answer.
    let (answer, connection) = tokio::join!(answer, connection);
    let answer = answer?;
    connection?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_by_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.1.2.3:1", "10.1.2.3:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
