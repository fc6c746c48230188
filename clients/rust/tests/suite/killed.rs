//! A service that is killed in the middle of a stream, and comes back.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lossmeter_client::{Batch, Client, Error};

use crate::told;

const READY: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(30);

/// A service of the test's own, which ends with it.
struct Service {
    command: String,
    http: u16,
    grpc: u16,
    process: Child,
}

impl Service {
    fn started(command: String) -> Self {
        let (http, grpc) = (free_port(), free_port());
        let process = begun(&command, http, grpc);
        Self {
            command,
            http,
            grpc,
            process,
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = begun(&self.command, self.http, self.grpc);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn begun(command: &str, http: u16, grpc: u16) -> Child {
    let ports = [
        "--http-port".into(),
        http.to_string(),
        "--grpc-port".into(),
        grpc.to_string(),
    ];
    let process = Command::new(command)
        .arg("serve")
        .args(ports)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + READY;
    while !is_ready(http) {
        assert!(Instant::now() < end, "the service does not start");
        sleep(PAUSE);
    }
    process
}

fn is_ready(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut answer = String::new();
    connection
        .write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
        .is_ok()
        && connection.read_to_string(&mut answer).is_ok()
        && answer
            .lines()
            .next()
            .is_some_and(|line| line.contains(" 200 "))
}

fn rows() -> Batch {
    let zeros = vec![0.0; 200_000];
    Batch::new()
        .with("predictions", zeros.clone())
        .with("targets", zeros)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_in_a_stream_is_unavailable_and_found_when_it_is_back() {
    let Some(command) = told("LOSSMETER_COMMAND") else {
        return;
    };
    let mut service = Service::started(command);
    let client = Client::connect(format!("127.0.0.1:{}", service.grpc))
        .await
        .unwrap();
    let client = client.with_timeout(DEADLINE);
    let deadly = (0..60).map(|n| {
        if n == 5 {
            service.kill();
        }
        rows()
    });
    let started = Instant::now();
    let error = client
        .evaluate_batches("squared_error", deadly)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    let error = client.evaluate("squared_error", rows()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert!(started.elapsed() < 2 * DEADLINE);
    service.start_again();
    assert_eq!(
        client
            .evaluate("squared_error", rows())
            .await
            .unwrap()
            .value,
        0.0
    );
}
