//! Memory of an idle connection: resident memory of the server's process before and after many
//! terminals have connected, registered and authenticated, and said nothing for a while.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{error::Error, process::ExitCode, thread, time::Duration};

use benchmarks::servers::{Kind, Server, is_measuring, serve_if_asked};
use tools::load::{Idle, LoadConfig, raise_file_limit};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    serve_if_asked()?;
    let (connections, pause) = if is_measuring() {
        (10_000, Duration::from_secs(3))
    } else {
        (100, Duration::from_millis(100))
    };
    let limit = raise_file_limit(24_000)?;
    println!("{connections} idle connections, authenticated; at most {limit} open files");
    let mut per_connection = [None; 2];
    for (kind, kib) in [Kind::Gateway, Kind::Thin]
        .into_iter()
        .zip(&mut per_connection)
    {
        match measure(kind, connections, pause) {
            Ok(bytes) => *kib = Some(bytes / 1_024.0),
            Err(error) => println!("  {kind:<9} {error}"),
        }
    }
    let [Some(gateway), Some(thin)] = per_connection else {
        return Ok(ExitCode::FAILURE);
    };
    println!("  gridtrace / thin {:.2}", gateway / thin);
    Ok(ExitCode::SUCCESS)
}

/// Bytes a connection.
#[expect(clippy::cast_precision_loss, reason = "bytes of a process")]
fn measure(kind: Kind, connections: usize, pause: Duration) -> Result<f64, Box<dyn Error>> {
    let server = Server::start(kind)?;
    thread::sleep(pause);
    let before = server.resident_bytes()?;
    let target = server.address;
    let config = LoadConfig {
        connections,
        ..LoadConfig::new(target)
    };
    let mut idle = Idle::open(&config, true)?;
    thread::sleep(pause);
    let after = server.resident_bytes()?;
    let alive = idle.alive()?;
    if alive < connections {
        return Err(format!("{} connections were closed", connections - alive).into());
    }
    let bytes = after.saturating_sub(before) as f64 / connections as f64;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    println!(
        "  {kind:<9} {:>6.2} KiB a connection   ({:.1} MiB before, {:.1} MiB after)",
        bytes / 1_024.0,
        mib(before),
        mib(after)
    );
    Ok(bytes)
}
