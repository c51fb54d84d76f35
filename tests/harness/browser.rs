//! Headless Chromium, driven by chromedriver: a driver, a browser and a profile of their own for
//! each test, all gone when the value is dropped.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fantoccini::{
    Client, ClientBuilder,
    actions::{InputSource as _, MOUSE_BUTTON_LEFT, MouseActions, PointerAction},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Set to `1`, a missing browser is a failure and not a skipped test.
const REQUIRED: &str = "GRIDTRACE_REQUIRE_BROWSER";
const WINDOW: &str = "--window-size=1600,900";
const POLL: Duration = Duration::from_millis(100);

/// A browser with one open tab.
#[derive(Debug)]
pub struct Browser {
    /// The WebDriver session.
    pub client: Client,
    session: String,
    // Dropped in this order: the driver ends the browser before the profile is removed.
    driver: Driver,
    _profile: TempDir,
}

/// What is seen in a screenshot.
#[derive(Clone, Copy, Debug)]
pub struct Colors {
    /// Different colours, in steps of 16 on each channel.
    pub distinct: u64,
    /// The share of the most frequent one.
    pub largest_share: f64,
}

impl Browser {
    /// Starts driver and browser; `None`, said loudly, where they are not installed.
    ///
    /// # Panics
    /// When they are not installed though they are required, or do not start.
    pub async fn start() -> Option<Self> {
        let chromium = installed(&["chromium", "chromium-browser", "google-chrome"]);
        let chromedriver = installed(&["chromedriver"]);
        let (Some(chromium), Some(chromedriver)) = (chromium, chromedriver) else {
            let is_required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
            assert!(
                !is_required,
                "chromium and chromedriver are required, and not installed"
            );
            eprintln!("SKIPPED: chromium or chromedriver is not installed; the page is NOT tested");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start(&chromedriver);
        let capabilities = capabilities(&chromium, profile.path());
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        Some(Self {
            client,
            session,
            driver,
            _profile: profile,
        })
    }

    /// Runs a script: the body of a function, which returns a value.
    ///
    /// # Panics
    /// When it throws.
    pub async fn run(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Runs a script again and again until it returns something true, and gives that.
    ///
    /// # Panics
    /// When that takes longer than the limit; says what the console said.
    pub async fn wait(&self, what: &str, limit: Duration, script: &str) -> Value {
        let started = Instant::now();
        loop {
            let value = self.run(script).await;
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            if started.elapsed() > limit {
                panic!(
                    "{what}: not within {limit:?}; console: {:?}",
                    self.console_errors()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Clicks at a point of the page, in CSS pixels from the top left.
    ///
    /// # Panics
    /// When the point is outside the window.
    pub async fn click_at(&self, x: f64, y: f64) {
        let mouse = MouseActions::new("mouse".to_owned())
            .then(PointerAction::MoveTo {
                duration: None,
                x,
                y,
            })
            .then(PointerAction::Down {
                button: MOUSE_BUTTON_LEFT,
            })
            .then(PointerAction::Up {
                button: MOUSE_BUTTON_LEFT,
            });
        self.client.perform_actions(mouse).await.unwrap();
    }

    /// What the console said since the last call, warnings and worse: failed requests, breaches of
    /// the content security policy, uncaught errors.
    ///
    /// # Panics
    /// When the driver does not answer.
    #[must_use]
    pub fn console_errors(&self) -> Vec<String> {
        let path = format!("/session/{}/se/log", self.session);
        let answer = self
            .driver
            .request("POST", &path, r#"{"type":"browser"}"#)
            .unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let entries = answer["value"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")))
            .map(|entry| entry["message"].to_string())
            // A software renderer says that reading back is slow; that is no fault of the page.
            .filter(|message| !message.contains("GPU stall due to ReadPixels"))
            .collect()
    }

    /// Takes a screenshot, keeps it as `artifacts/NAME.png`, and says what is seen in it.
    ///
    /// # Panics
    /// When it cannot be taken or written.
    pub async fn screenshot(&self, name: &str) -> Colors {
        let png = self.client.screenshot().await.unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .join("artifacts");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), &png).unwrap();
        let image = json!(format!("data:image/png;base64,{}", BASE64.encode(&png)));
        let counted = self
            .client
            .execute_async(COUNT_COLORS, vec![image])
            .await
            .unwrap();
        Colors {
            distinct: counted["distinct"].as_u64().unwrap(),
            largest_share: counted["largest_share"].as_f64().unwrap(),
        }
    }
}

/// The browser itself decodes its screenshot, which saves a decoder here.
const COUNT_COLORS: &str = r"
    const [source, done] = arguments;
    const image = new Image();
    image.onload = () => {
        const canvas = document.createElement('canvas');
        canvas.width = image.width;
        canvas.height = image.height;
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
        const counts = new Map();
        for (let i = 0; i < data.length; i += 4) {
            const color = (data[i] >> 4 << 8) | (data[i + 1] >> 4 << 4) | (data[i + 2] >> 4);
            counts.set(color, (counts.get(color) ?? 0) + 1);
        }
        const largest = Math.max(...counts.values());
        done({ distinct: counts.size, largest_share: largest / (data.length / 4) });
    };
    image.onerror = () => done(null);
    image.src = source;
";

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser with all its processes, also when the test has panicked.
        drop(
            self.driver
                .request("DELETE", &format!("/session/{}", self.session), ""),
        );
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless=new",
        // Tests run as root in containers, where the sandbox cannot be set up.
        "--no-sandbox",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--disable-sync",
        "--no-first-run",
        "--lang=en",
        WINDOW,
        &profile,
    ];
    json!({
        "goog:chromeOptions": {"binary": chromium, "args": arguments},
        "goog:loggingPrefs": {"browser": "ALL"},
    })
}

/// The first of these programs that is in the search path.
fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let everywhere = |name: &&str| folders.iter().map(|f| f.join(name)).find(|p| p.is_file());
    names.iter().find_map(everywhere)
}

#[derive(Debug)]
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    fn start(program: &Path) -> Self {
        let mut child = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The line is "ChromeDriver was started successfully on port 40123."
        let output = BufReader::new(child.stdout.take().unwrap());
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            line.rsplit_once("successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        let Some(port) = port else {
            drop(child.kill());
            panic!(
                "{} did not say its port: {:?}",
                program.display(),
                child.wait()
            );
        };
        Self { child, port }
    }

    /// The body of the answer.
    fn request(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (port, length) = (self.port, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        // The driver keeps the connection open: the body ends where its length says.
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = String::new();
        reader.take(length).read_to_string(&mut body)?;
        Ok(body)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
