//! Signing in at a real provider of OpenID Connect (oidc-provider under Node), as a browser does, and at one that goes
//! wrong.

use crate::daemon::{Daemon, School, until};
use crate::rig::{free_port, root};
use reqwest::header::{ACCEPT, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Certificate, Method, Response, Url};
use schoolgate::runtime::tls::install_provider;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a long way to the gate";

type Told = Lines<BufReader<ChildStdout>>;
#[expect(clippy::disallowed_types, reason = "a test may hold it while it waits")]
type Pipes = tokio::sync::Mutex<(ChildStdin, Told)>;

/// The provider.
struct Provider {
    dir: TempDir,
    _child: Child,
    pipes: Pipes,
    issuer: String,
}

impl Provider {
    async fn start(gateway: u16, alg: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let mut made = Command::new("openssl");
        made.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=provider", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert);
        let made = made_by(&mut made).await;
        assert!(made, "openssl makes a certificate");
        let peer = root().join("tests/peers/oidc");
        let mut child = Command::new("node")
            .arg(peer.join("provider.mjs"))
            .args([&cert, &key])
            .arg(format!("https://127.0.0.1:{gateway}/api/v1/session/oidc/callback"))
            .arg(alg)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs (scripts/setup test)");
        let orders = child.stdin.take().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        // It makes keys first, which takes a slow machine its time.
        let line = timeout(3 * PATIENCE, told.next_line()).await.expect("in time").unwrap();
        let issuer = line.expect("the provider starts (scripts/setup test installs its packages)");
        Self { dir, _child: child, pipes: Pipes::new((orders, told)), issuer }
    }

    async fn goes_wrong(&self, how: &str) {
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(format!("{how}\n").as_bytes()).await.unwrap();
        while heard(&mut pipes.1).await != format!("goes wrong: {how}") {}
    }

    /// It is down.
    async fn stop(&self) {
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(b"down\n").await.unwrap();
        while timeout(PATIENCE, pipes.1.next_line()).await.expect("in time").unwrap().is_some() {}
    }

    fn certificate(&self) -> Certificate {
        Certificate::from_pem(&std::fs::read(self.dir.path().join("cert.pem")).unwrap()).unwrap()
    }
}

async fn heard(told: &mut Told) -> String {
    timeout(PATIENCE, told.next_line()).await.expect("in time").unwrap().expect("it runs")
}

async fn made_by(command: &mut Command) -> bool {
    command.output().await.expect("openssl runs").status.success()
}

/// As much of a browser as the way to a session needs: cookies, with their host and path.
struct Browser {
    client: reqwest::Client,
    cookies: Vec<(String, String, String, String)>,
}

impl Browser {
    fn new(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        install_provider();
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_merge(certificates)
            .timeout(PATIENCE);
        Self { client: client.build().unwrap(), cookies: Vec::new() }
    }

    async fn ask(&mut self, method: Method, url: &Url, form: Option<&str>) -> Response {
        let mut request = self.client.request(method, url.clone());
        let sent = self
            .cookies
            .iter()
            .filter(|(host, path, ..)| host == url.authority() && url.path().starts_with(path));
        let sent: Vec<String> = sent.map(|(_, _, name, value)| format!("{name}={value}")).collect();
        if !sent.is_empty() {
            request = request.header(COOKIE, sent.join("; "));
        }
        if let Some(form) = form {
            request =
                request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let answer = request.send().await.expect("an answer");
        for set in answer.headers().get_all(SET_COOKIE) {
            let mut parts = set.to_str().unwrap().split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let path = parts.find_map(|part| part.strip_prefix("path=").or(part.strip_prefix("Path=")));
            let path = path.unwrap_or("/").to_owned();
            let same = |(host, other, known, _): &(String, String, String, String)| {
                host == url.authority() && known == name && *other == path
            };
            self.cookies.retain(|cookie| !same(cookie));
            if !value.is_empty() {
                self.cookies.push((url.authority().to_owned(), path, name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// Follows redirects from `url`, signing in and agreeing where it is asked; stops before the gateway is asked again.
    async fn until_the_callback(&mut self, begin: &str, login: &str) -> Url {
        let mut url: Url = begin.parse().unwrap();
        let mut answer = self.ask(Method::GET, &url, None).await;
        for _ in 0..12 {
            match answer.headers().get(LOCATION) {
                Some(next) => {
                    url = url.join(next.to_str().unwrap()).unwrap();
                    if url.path() == "/api/v1/session/oidc/callback" {
                        return url;
                    }
                    answer = self.ask(Method::GET, &url, None).await;
                }
                None => {
                    let status = answer.status();
                    let page = answer.text().await.unwrap();
                    assert!(status.is_success(), "{url}: {status}: {page}");
                    let prompt = if page.contains("value=\"login\"") { "login" } else { "consent" };
                    let form = format!("prompt={prompt}&login={login}&password=any");
                    answer = self.ask(Method::POST, &url, Some(&form)).await;
                }
            }
        }
        panic!("the provider sends nobody back: {url}");
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(_, _, known, _)| known == name).map(|(_, _, _, value)| value.as_str())
    }
}

/// A gateway that trusts a provider.
struct Scene {
    school: School,
    provider: Provider,
    door: u16,
}

impl Scene {
    async fn new(alg: &str) -> Self {
        let door = free_port();
        let provider = Provider::start(door, alg).await;
        let ca = provider.dir.path().join("cert.pem");
        let school = School::new(&format!(
            "[console]\nlisten = '127.0.0.1:{door}'\n[console.oidc]\nissuer = '{}'\nclient_id = 'schoolgate'\n\
             client_secret_file = 'oidc-secret'\nname = '区教育局'\nrole_claim = 'groups'\nca_file = '{}'\n\
             roles = {{ 'school-guards' = 'guard', 'school-it' = 'technician' }}\n",
            provider.issuer,
            ca.display(),
        ));
        private(&school.config().with_file_name("oidc-secret"), "hunter2-oidc");
        Self { school, provider, door }
    }

    fn at(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.door)
    }

    async fn browser(&self) -> Browser {
        let ca = self.school.client().get(self.school.url("/ca.crt")).send().await.unwrap();
        let ca = Certificate::from_pem(&ca.bytes().await.unwrap()).unwrap();
        Browser::new([ca, self.provider.certificate()])
    }

    /// Starts the gateway and makes its first administrator.
    async fn claimed(&self) -> Daemon<'_> {
        let daemon = self.school.start().await;
        let code = until("the claim code is in the log", async || {
            let log = self.school.log();
            let from = log.split("\"code\":\"").nth(1)?;
            from.split('"').next().map(str::to_owned)
        })
        .await;
        let body = json!({"code": code, "name": "admin", "password": PASSWORD});
        let answer = self.post("/api/v1/claim", &body).await;
        assert!(answer.status().is_success(), "{} for {code}", answer.text().await.unwrap());
        daemon
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let browser = self.browser().await;
        let request = browser.client.post(self.at(path)).header(ORIGIN, self.at("")).json(body);
        request.send().await.unwrap()
    }

    /// Somebody signs in: the answer at the callback, and the browser they did it with.
    async fn sign_in(&self, login: &str) -> (Response, Browser) {
        let mut browser = self.browser().await;
        let url = browser.until_the_callback(&self.at("/api/v1/session/oidc"), login).await;
        (browser.ask(Method::GET, &url, None).await, browser)
    }
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

async fn session(scene: &Scene, browser: &mut Browser) -> Value {
    let url = scene.at("/api/v1/session").parse().unwrap();
    browser.ask(Method::GET, &url, None).await.json().await.unwrap()
}

#[tokio::test]
async fn people_sign_in_at_the_provider_with_the_role_that_it_tells() {
    for alg in ["RS256", "PS256", "ES256"] {
        let scene = Scene::new(alg).await;
        let daemon = scene.claimed().await;
        let told = session(&scene, &mut scene.browser().await).await;
        assert_eq!(told["oidc"], json!({"name": "区教育局"}));
        for (login, name, role) in [
            ("wang", "oidc:王老师", "guard"),
            ("it", "oidc:it", "technician"),
            ("nameless", "oidc:nameless", "guard"),
        ] {
            let (answer, mut browser) = scene.sign_in(login).await;
            let status = answer.status().as_u16();
            assert_eq!(status, 303, "{alg} {login}: {}", answer.text().await.unwrap());
            assert!(browser.cookie("__Host-sg").is_some() && browser.cookie("__Host-sg-oidc").is_none());
            let told = session(&scene, &mut browser).await;
            assert_eq!((&told["name"], &told["role"]), (&json!(name), &json!(role)), "{alg}: {told}");
        }
        let (answer, browser) = scene.sign_in("visitor").await;
        assert_eq!((answer.status().as_u16(), browser.cookie("__Host-sg")), (403, None), "no role");
        assert!(!scene.school.log().contains("hunter2") && !scene.school.log().contains("王老师"));
        daemon.kill().await;
    }
}

#[tokio::test]
async fn tokens_that_are_wrong_let_nobody_in() {
    let scene = Scene::new("ES256").await;
    let _daemon = scene.claimed().await;
    for how in ["nonce", "expired", "audience", "issuer", "stranger", "none"] {
        scene.provider.goes_wrong(how).await;
        let (answer, browser) = scene.sign_in("wang").await;
        assert_eq!((answer.status().as_u16(), browser.cookie("__Host-sg")), (403, None), "{how}");
    }
}

#[tokio::test]
async fn a_key_that_is_new_is_asked_for_and_a_provider_that_is_down_keeps_nobody_from_their_account() {
    let scene = Scene::new("RS256").await;
    let daemon = scene.claimed().await;
    let (answer, _) = scene.sign_in("wang").await;
    assert_eq!(answer.status().as_u16(), 303);
    scene.provider.goes_wrong("rotated").await;
    let (answer, _) = scene.sign_in("wang").await;
    assert_eq!(answer.status().as_u16(), 303, "the new key was asked for");
    scene.provider.stop().await;
    let mut browser = scene.browser().await;
    let begun = scene.at("/api/v1/session/oidc").parse().unwrap();
    // What is known of the provider is kept, so people are sent there and find it down themselves; a start asks anew.
    assert_eq!(browser.ask(Method::GET, &begun, None).await.status().as_u16(), 303);
    daemon.kill().await;
    let _daemon = scene.school.start().await;
    let mut browser = scene.browser().await;
    let answer = browser.ask(Method::GET, &begun, None).await;
    assert_eq!(answer.status().as_u16(), 502);
    assert!(answer.text().await.unwrap().contains("sign in with an account of this gateway"));
    let page = browser
        .client
        .get(scene.at("/api/v1/session/oidc"))
        .header(ACCEPT, "text/html")
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("没有登录"));
    let signed = scene.post("/api/v1/session", &json!({"name": "admin", "password": PASSWORD})).await;
    assert_eq!(signed.status().as_u16(), 200);
}

#[tokio::test]
async fn an_answer_counts_once_in_the_browser_where_it_began() {
    let scene = Scene::new("ES256").await;
    let _daemon = scene.claimed().await;
    let begin = scene.at("/api/v1/session/oidc");
    let mut honest = scene.browser().await;
    let url = honest.until_the_callback(&begin, "wang").await;
    let changed = |name: &str, value: &str| {
        let kept: Vec<(String, String)> =
            url.query_pairs().filter(|(key, _)| key != name).map(|(k, v)| (k.into(), v.into())).collect();
        let mut other = url.clone();
        other.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
        other
    };
    let mut victim = scene.browser().await;
    assert_eq!(victim.ask(Method::GET, &url, None).await.status().as_u16(), 400, "nothing began here");
    victim.until_the_callback(&begin, "it").await;
    assert_eq!(
        victim.ask(Method::GET, &url, None).await.status().as_u16(),
        400,
        "another sign-in began here"
    );
    for (name, value, status) in
        [("state", "x", 400), ("iss", "https://evil.example", 403), ("error", "access_denied", 400)]
    {
        // Each answer ends the sign-in that it is for.
        let kept = honest.cookies.clone();
        let answer = honest.ask(Method::GET, &changed(name, value), None).await;
        assert_eq!((answer.status().as_u16(), honest.cookie("__Host-sg")), (status, None), "{name}");
        assert_eq!(honest.cookie("__Host-sg-oidc"), None, "{name}");
        honest.cookies = kept;
    }
    let kept = honest.cookies.clone();
    assert_eq!(honest.ask(Method::GET, &url, None).await.status().as_u16(), 303);
    honest.cookies = kept;
    let again = honest.ask(Method::GET, &url, None).await;
    assert_eq!(again.status().as_u16(), 502, "the provider takes a code once");
    let mut forged = scene.browser().await;
    forged.cookies = honest.cookies.clone();
    for cookie in forged.cookies.iter_mut().filter(|cookie| cookie.2 == "__Host-sg-oidc") {
        cookie.3 = cookie.3.replace(['A', 'b', '7'], "x");
    }
    assert_eq!(forged.ask(Method::GET, &url, None).await.status().as_u16(), 400, "a cookie that was changed");
}
