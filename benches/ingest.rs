//! Positions acknowledged a second, one by one and in batches: the gateway, which decodes, stores
//! and syncs before it answers, beside a server that only appends and syncs and beside the floor,
//! under the same load in the same run, one after the other and then again.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{error::Error, process::ExitCode, time::Duration};

use benchmarks::servers::{Kind, Server, is_measuring, number_of, own_cpu_s, serve_if_asked};
use tools::load::{self, LoadConfig, LoadReport, raise_file_limit};

const KINDS: [Kind; 3] = [Kind::Gateway, Kind::Thin, Kind::Floor];

/// Messages that a terminal has in flight, and reports in each; `load=N` measures one of them alone.
const LOADS: [(usize, u32); 3] = [(1, 1), (8, 1), (1, 20)];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    serve_if_asked()?;
    let (connections, rounds, duration, warm_up) = if is_measuring() {
        (1_000, 2, Duration::from_secs(5), Duration::from_secs(1))
    } else {
        (
            50,
            1,
            Duration::from_millis(300),
            Duration::from_millis(100),
        )
    };
    raise_file_limit(4_096)?;
    let mut is_whole = true;
    let only = number_of("load");
    for (number, (in_flight, batch)) in (1..).zip(LOADS) {
        if only.is_some_and(|only| (only - f64::from(number)).abs() > 0.5) {
            continue;
        }
        println!("{connections} connections, {in_flight} in flight, {batch} reports in each");
        let config = LoadConfig {
            connections,
            in_flight,
            batch,
            duration,
            warm_up,
            ..LoadConfig::new(([127, 0, 0, 1], 0).into())
        };
        let mut means = [0.0; KINDS.len()];
        for _ in 0..rounds {
            for (kind, mean) in KINDS.into_iter().zip(&mut means) {
                match measure(kind, &config) {
                    Ok(report) => *mean += report.acknowledged_per_s / f64::from(rounds),
                    Err(error) => {
                        println!("  {kind:<9} {error}");
                        is_whole = false;
                    }
                }
            }
        }
        let [gateway, thin, floor] = means;
        println!(
            "  gridtrace / thin {:.2}   gridtrace / floor {:.2}   floor / thin {:.2}",
            gateway / thin,
            gateway / floor,
            floor / thin
        );
        // At half of what it can: how long a terminal waits when nothing is at its limit.
        let half = LoadConfig {
            in_flight: 8,
            rate: Some((gateway / 2.0 / f64::from(batch)).max(1.0)),
            ..config
        };
        println!("  at half the load of gridtrace");
        for kind in [Kind::Gateway, Kind::Floor] {
            is_whole &= measure(kind, &half).is_ok();
        }
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn measure(kind: Kind, config: &LoadConfig) -> Result<LoadReport, Box<dyn Error>> {
    let server = Server::start(kind)?;
    let own_before_s = own_cpu_s()?;
    let report = load::run(&LoadConfig {
        target: server.address,
        ..config.clone()
    })?;
    #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds")]
    let each = |cpu_s: f64| cpu_s * 1e6 / report.acknowledged.max(1) as f64;
    let (server_us, load_us) = (each(server.cpu_s()?), each(own_cpu_s()? - own_before_s));
    println!(
        "  {kind:<9} {:>9.0}/s   p50 {:>6.2} ms   p99 {:>6.2} ms   CPU a message: server {server_us:>5.2} µs, load {load_us:>5.2} µs{}",
        report.acknowledged_per_s,
        report.latency.p50_ms,
        report.latency.p99_ms,
        if report.refused + report.unanswered + report.unsent > 0 {
            format!(
                "   {} refused, {} unanswered, {} unsent",
                report.refused, report.unanswered, report.unsent
            )
        } else {
            String::new()
        }
    );
    if let Some(rate) = config.rate {
        println!(
            "            asked {:>9.0}/s   sent late: p99 {:>6.2} ms",
            rate * f64::from(config.batch),
            report.lateness.p99_ms
        );
    }
    Ok(report)
}
