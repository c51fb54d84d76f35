//! The fan-out to MQTT subscribers, which goes through rumqttd's router, beside two plain loops over
//! the same mailboxes: one over all of them, one over those of a county. A round is 1,000 vehicles of
//! nine counties that move, and ends when 200 subscribers have taken every message that is theirs: 180
//! follow a county each, 20 everything. The contenders take turns; of many rounds the shortest counts.
//!
//! `cargo bench -p benchmarks --bench fanout`

use std::{
    collections::HashMap,
    error::Error,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use benchmarks::{
    city::show,
    servers::{is_measuring, own_cpu_s},
};
use bytes::Bytes;
use gateway::{
    config::{Config, Raw, Scope},
    http::view::{PositionView, Reading, Subject},
    metrics::Metrics,
    outlets::fanout::{
        Fanout, Subscriber,
        mailbox::{Letter, Mailbox, Put},
        topic::{self, Filter, Kind},
    },
    session::control::{Control, Order},
};

const COUNTIES: usize = 9;
const OF_COUNTIES: usize = 180;
const OF_EVERYTHING: usize = 20;
const TOPICS_MAX: usize = 20_000;
/// Nothing may be lost: a round that takes so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const USERS: &str = r#"[{name = "a", password_sha256 = "00000000:0000000000000000000000000000000000000000000000000000000000000000", jurisdictions = ["*"]}]"#;

/// One way from positions to mailboxes.
trait Contender {
    fn publish(&mut self, views: &[PositionView]);
    /// How many messages were taken.
    fn take(&mut self) -> usize;
}

/// The product's.
struct Router {
    fanout: Arc<Fanout>,
    subscribers: Vec<Subscriber>,
}

impl Contender for Router {
    fn publish(&mut self, views: &[PositionView]) {
        self.fanout.positions(views);
    }

    fn take(&mut self) -> usize {
        let taken = self.subscribers.iter();
        taken
            .map(|one| std::iter::from_fn(|| one.take()).count())
            .sum()
    }
}

/// A loop: what the fan-out does before and behind the router, without it.
struct Loop {
    subscribers: Vec<Reader>,
    /// Whom a message of a county goes to; none is everybody.
    by_county: Option<HashMap<String, Vec<usize>>>,
    last: HashMap<String, Bytes>,
}

struct Reader {
    scope: Scope,
    filter: Filter,
    mailbox: Mailbox,
    control: Control,
}

impl Reader {
    fn deliver(&self, topic: &str, text: &Bytes) {
        if topic::is_allowed(&self.scope, topic) && self.filter.matches(topic) {
            let put = self
                .mailbox
                .put(topic, Letter::news(text.clone(), true, false));
            assert_eq!(put, Put::Waits, "nothing is lost or replaced");
            self.control.tell(Order::Send);
        }
    }
}

impl Contender for Loop {
    fn publish(&mut self, views: &[PositionView]) {
        for view in views {
            let area = topic::area(view.reading.unit_grid.as_deref());
            let topic = topic::live_topic(&area, &view.subject.phone, topic::POSITION);
            let Ok(text) = serde_json::to_vec(view) else {
                continue;
            };
            let text = Bytes::from(text);
            match &self.by_county {
                None => {
                    for reader in &self.subscribers {
                        reader.deliver(&topic, &text);
                    }
                }
                Some(by_county) => {
                    for place in by_county.get(topic::county(&topic)).into_iter().flatten() {
                        if let Some(reader) = self.subscribers.get(*place) {
                            reader.deliver(&topic, &text);
                        }
                    }
                }
            }
            self.last.insert(topic, text);
        }
    }

    fn take(&mut self) -> usize {
        let taken = self.subscribers.iter();
        taken
            .map(|one| std::iter::from_fn(|| one.mailbox.take()).count())
            .sum()
    }
}

fn county(number: usize) -> String {
    format!("14010{}", number % COUNTIES + 1)
}

/// The filter and the scope of each subscriber.
fn wishes() -> Vec<(String, Scope)> {
    let scope = |text: String| Scope::new(&[text]).unwrap_or_else(|what| panic!("{what}"));
    let of_counties = (0..OF_COUNTIES).map(county).map(|county| {
        let filter = topic::of(Kind::Live, &county, "#");
        (filter, scope(county))
    });
    let of_everything =
        (0..OF_EVERYTHING).map(|_| ("gridtrace/live/#".to_owned(), scope("*".to_owned())));
    of_counties.chain(of_everything).collect()
}

fn views(count: usize) -> Vec<PositionView> {
    let view = |number: usize| PositionView {
        subject: Subject {
            phone: (13_800_000_000 + number).to_string(),
            vehicle: Some(format!("V{number}")),
            plate: Some(format!("晋AR{number:04}")),
            work_kind: Some("refuse_truck"),
            fleet: Some("F1".to_owned()),
        },
        reading: Reading {
            fixed_at: "2026-11-28T08:00:00Z".to_owned(),
            received_at: "2026-11-28T08:00:01Z".to_owned(),
            lat: 37.871_234,
            lon: 112.550_123,
            speed_kmh: 36.5,
            heading_deg: 90,
            altitude_m: Some(780),
            positioned: true,
            unit_grid: Some(format!("{}001002003", county(number))),
            alarm: 0,
            status: 3,
            satellites: Some(11),
            odometer_km: Some(1_234.5),
        },
        acc: true,
        online: true,
        state: "moving",
    };
    (0..count).map(view).collect()
}

async fn router() -> Result<Router, Box<dyn Error>> {
    let mut raw = Raw::default();
    raw.add_flag("bench", "mqtt.users", Some(USERS.to_owned()));
    let config = Config::from_raw(raw).map_err(|mistakes| format!("{mistakes:?}"))?;
    let fanout = Arc::new(Fanout::start(&config.mqtt, Arc::new(Metrics::new()?))?);
    let mut subscribers = Vec::new();
    for (number, (filter, scope)) in (0_u64..).zip(wishes()) {
        let control = Arc::default();
        let client = number.to_string();
        let subscriber = fanout.join("a", &client, &scope, &control, number).await;
        let subscriber = subscriber.ok_or("no place for a subscriber")?;
        if !subscriber.add(&filter, true) {
            return Err("a filter is refused".into());
        }
        subscribers.push(subscriber);
    }
    Ok(Router {
        fanout,
        subscribers,
    })
}

fn plain(has_counties: bool) -> Result<Loop, Box<dyn Error>> {
    let mut by_county: HashMap<String, Vec<usize>> = HashMap::new();
    let mut subscribers = Vec::new();
    for (filter, scope) in wishes() {
        let filter = Filter::granted(&filter, &scope).ok_or("a filter is refused")?;
        let all = (0..COUNTIES).map(county).collect();
        for county in filter.counties.clone().unwrap_or(all) {
            by_county.entry(county).or_default().push(subscribers.len());
        }
        subscribers.push(Reader {
            scope,
            filter,
            mailbox: Mailbox::new(TOPICS_MAX),
            control: Control::default(),
        });
    }
    Ok(Loop {
        subscribers,
        by_county: has_counties.then_some(by_county),
        last: HashMap::new(),
    })
}

/// Publishes, and takes until all of it is there.
fn round(contender: &mut dyn Contender, views: &[PositionView], expected: usize) -> Duration {
    let begun = Instant::now();
    contender.publish(views);
    let mut taken = contender.take();
    while taken < expected {
        assert!(begun.elapsed() < PATIENCE, "{taken} of {expected} came");
        thread::sleep(Duration::from_micros(200));
        taken += contender.take();
    }
    let took = begun.elapsed();
    assert_eq!(taken, expected);
    took
}

/// A contender, and what its rounds took.
struct Entry {
    name: &'static str,
    contender: Box<dyn Contender>,
    times_ms: Vec<f64>,
    cpu_s: f64,
}

impl Entry {
    fn new(name: &'static str, contender: impl Contender + 'static) -> Self {
        Self {
            name,
            contender: Box::new(contender),
            times_ms: Vec::new(),
            cpu_s: 0.0,
        }
    }

    fn least_ms(&self) -> f64 {
        self.times_ms.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (vehicles, rounds) = if is_measuring() { (1_000, 60) } else { (90, 2) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let views = views(vehicles);
    let expected = views.len() * (OF_COUNTIES / COUNTIES + OF_EVERYTHING);
    let mut router = runtime.block_on(router())?;
    // The first messages of a vehicle say that it is online as well, and come to whom the router knows
    // by then: they are let go.
    router.publish(&views);
    thread::sleep(Duration::from_secs(1));
    let first = router.take();
    assert!(first > 0, "nothing comes");
    let mut entries = [
        Entry::new("rumqttd's router", router),
        Entry::new("a loop over all", plain(false)?),
        Entry::new("a loop by county", plain(true)?),
    ];
    for _ in 0..rounds {
        for entry in &mut entries {
            let before = own_cpu_s()?;
            let took = round(entry.contender.as_mut(), &views, expected);
            entry.cpu_s += own_cpu_s()? - before;
            entry.times_ms.push(took.as_secs_f64() * 1_000.0);
        }
    }
    show(&format!(
        "{vehicles} updates to {} subscribers, {expected} messages, {rounds} rounds",
        OF_COUNTIES + OF_EVERYTHING
    ));
    show("                       least ms   median ms   cpu ms a round   least beside the router");
    let router = entries.first().map_or(f64::NAN, Entry::least_ms);
    for entry in &mut entries {
        entry.times_ms.sort_by(f64::total_cmp);
        let median = entry.times_ms.get(entry.times_ms.len() / 2);
        let (least, median) = (entry.least_ms(), median.copied().unwrap_or(f64::NAN));
        let cpu = entry.cpu_s * 1_000.0 / f64::from(rounds);
        show(&format!(
            "{:20} {least:10.2} {median:11.2} {cpu:16.2} {:25.2}",
            entry.name,
            least / router
        ));
    }
    Ok(())
}
