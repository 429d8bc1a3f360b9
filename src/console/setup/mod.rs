//! The first run: what the wizard gathered is checked as a whole, put in place as a whole, and then the gateway starts.

mod draft;
mod starters;

use super::people::{entry, settle};
use super::route::Route;
use super::{Console, Problem, Who};
use crate::access::Right;
use crate::config;
use crate::model::Wall;
use crate::northbound::ADAPTER_KINDS;
use crate::runtime::whole::private_dir;
use crate::runtime::{Chain, sealing};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use draft::{Draft, Written, Wrong};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starters::Fitted;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Largest configuration that the wizard may send, bytes.
const MAX_DRAFT: usize = 512 * 1024;
/// The directory of the configuration that the wizard writes, in the data directory.
pub const CONFIG_DIR: &str = "config";

/// Where the first configuration goes, and what it takes over from the first run.
#[derive(Debug, Clone)]
pub struct FirstRun {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where the console listens, now and later.
    pub listen: SocketAddr,
    /// Where the plain listener is, now and later.
    pub http: SocketAddr,
    /// The device profiles, where they are not in their usual place.
    pub profiles: Option<PathBuf>,
}

/// A gateway that nobody has set up yet.
#[derive(Debug)]
pub struct Setup {
    first: FirstRun,
    /// One at a time: it is files that are written.
    turn: Semaphore,
    done: watch::Sender<bool>,
}

/// Why a configuration is not put in place.
#[derive(Debug)]
enum Refused {
    Wrong(Vec<Wrong>),
    Done,
    Failed(io::Error),
    Sealing(sealing::SealingError),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Where the wizard is.
#[derive(Serialize, JsonSchema)]
struct Stands {
    /// The gateway has no configuration yet.
    needed: bool,
    /// claim, configure or done.
    step: &'static str,
}

/// Everything to mend; nothing when it may be applied.
#[derive(Serialize, JsonSchema)]
struct Checked {
    problems: Vec<Wrong>,
}

/// Devices whose rules are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    devices: Vec<Chosen>,
}

/// A device, as far as it matters here.
#[derive(Deserialize, JsonSchema)]
struct Chosen {
    id: String,
    profile: String,
}

/// Rules that fit.
#[derive(Serialize, JsonSchema)]
struct Fitting {
    rows: Vec<Fitted>,
}

/// The routes of the first run.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Accounts, Open};
    vec![
        Route::get("/api/v1/setup", Open, ("初次设置到哪一步", "where the first run is"), look)
            .gives::<Stands>(),
        Route::get("/api/v1/setup/destinations", Accounts, ("平台的种类", "kinds of platforms"), kinds),
        Route::post("/api/v1/setup/rules", Accounts, ("适合这些设备的规则", "rules that fit devices"), rules)
            .takes::<Asked>()
            .gives::<Fitting>()
            .bodies_up_to(MAX_DRAFT),
        Route::post("/api/v1/setup/check", Accounts, ("检查配置", "check a configuration"), check)
            .takes::<Draft>()
            .gives::<Checked>()
            .bodies_up_to(MAX_DRAFT),
        Route::post("/api/v1/setup/apply", Accounts, ("写入配置并启动", "put it in place and start"), apply)
            .takes::<Draft>()
            .gives::<Checked>()
            .answers(StatusCode::ACCEPTED)
            .bodies_up_to(MAX_DRAFT),
    ]
}

impl Setup {
    /// A first run; the second value becomes true when there is a configuration.
    #[must_use]
    pub fn new(first: FirstRun) -> (Arc<Self>, watch::Receiver<bool>) {
        let (done, told) = watch::channel(false);
        (Arc::new(Self { first, turn: Semaphore::new(1), done }), told)
    }

    /// The device profiles, where they are not in their usual place.
    #[must_use]
    pub fn profiles(&self) -> Option<&Path> {
        self.first.profiles.as_deref()
    }

    /// The tables that the wizard does not ask for.
    fn own(&self) -> String {
        let FirstRun { data_dir, listen, http, profiles } = &self.first;
        let quoted = |path: &Path| toml::Value::String(path.display().to_string());
        let mut text = format!(
            "[store]\ndir = {}\n[http]\nlisten = \"{http}\"\n[console]\nlisten = \"{listen}\"\n",
            quoted(data_dir)
        );
        if let Some(dir) = profiles {
            text.push_str(&format!("[profiles]\ndir = {}\n", quoted(dir)));
        }
        text
    }

    /// Writes everything beside its place and reads it back as any start would; what is wrong is told by field.
    fn prepared(&self, draft: &Draft, dir: &Path) -> Result<(), Refused> {
        let Written { sheets, secrets, mut wrong } = draft.written(&self.own());
        private_dir(&dir.join("conf.d"))?;
        private_dir(&dir.join(config::SECRETS_DIR))?;
        for sheet in &sheets {
            let file = fs::File::create_new(dir.join(sheet.name))?;
            io::Write::write_all(&mut &file, sheet.text.as_bytes())?;
            file.sync_all()?;
        }
        for typed in &secrets {
            let sealed = sealing::seal(&self.first.data_dir, &dir.join(&typed.file), typed.secret.expose());
            sealed.map_err(Refused::Sealing)?;
        }
        if let Err(problems) = config::load(&dir.join("gateway.toml")) {
            for problem in problems {
                let sheet = sheets.iter().find(|sheet| Path::new(&*problem.spot.file).ends_with(sheet.name));
                let field = sheet.map_or("", |sheet| sheet.field(problem.spot.line));
                let (message, advice) = (problem.message, problem.advice);
                let zh = format!("{}。{}", message.zh, advice.zh);
                wrong.push(Wrong::new(field, zh, format!("{}: {}", message.en, advice.en)));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Refused::Wrong(wrong)) }
    }

    fn check(&self, draft: &Draft) -> Result<(), Refused> {
        let dir = self.first.data_dir.join("config.check");
        clear(&dir)?;
        let checked = self.prepared(draft, &dir);
        clear(&dir)?;
        checked
    }

    fn apply(&self, draft: &Draft) -> Result<(), Refused> {
        let place = self.first.data_dir.join(CONFIG_DIR);
        if *self.done.borrow() || place.join("gateway.toml").exists() {
            return Err(Refused::Done);
        }
        let dir = self.first.data_dir.join("config.new");
        clear(&dir)?;
        if let Err(refused) = self.prepared(draft, &dir) {
            clear(&dir)?;
            return Err(refused);
        }
        for dir in [dir.join("conf.d"), dir.join(config::SECRETS_DIR), dir.clone()] {
            fs::File::open(dir)?.sync_all()?;
        }
        // An empty one is in nobody's way; what somebody put there is not taken away.
        match fs::remove_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::rename(&dir, &place)?;
        fs::File::open(&self.first.data_dir)?.sync_all()?;
        Ok(())
    }
}

fn clear(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn setup(console: &Console) -> Result<Arc<Setup>, Problem> {
    console.setup.clone().ok_or_else(done)
}

fn done() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "网关已有配置，初次设置已完成；以后修改配置文件",
        "the gateway has a configuration, so the first run is over; change its files from now on",
    )
}

fn given<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    // What is wrong with it is not repeated: there may be secrets in it.
    body.map(|Json(given)| given).map_err(|error| {
        Problem::new(
            error.status(),
            r#"请提交 {"site": {…}, "places": […], "buses": […], "devices": […], "rules": […], "destination": {…} 或 null}"#,
            r#"send {"site": {…}, "places": […], "buses": […], "devices": […], "rules": […], "destination": {…} or null}"#,
        )
    })
}

async fn look(State(console): State<Console>) -> Json<Stands> {
    let step = match &console.setup {
        None => "done",
        Some(_) if !console.accounts.claimed() => "claim",
        Some(_) => "configure",
    };
    Json(Stands { needed: console.setup.is_some(), step })
}

async fn kinds() -> Json<Value> {
    let row = |kind: &crate::northbound::AdapterKind| {
        let example: Option<toml::Table> = kind.example.parse().ok();
        json!({"kind": kind.name, "doc": kind.doc, "example": example.and_then(|table| table.get("destination").cloned())})
    };
    Json(json!({"rows": ADAPTER_KINDS.iter().map(row).collect::<Vec<_>>()}))
}

async fn rules(
    State(console): State<Console>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Json<Fitting>, Problem> {
    let (setup, asked) = (setup(&console)?, given(body)?);
    let profiles = setup.first.profiles.clone();
    let found = tokio::task::spawn_blocking(move || {
        let dir = profiles.unwrap_or_else(|| config::DEFAULT_PROFILES_DIR.into());
        let set = config::load_profiles(Path::new(""), Some(&dir)).ok()?;
        let devices: Vec<_> = asked
            .devices
            .iter()
            .filter_map(|device| Some((device.id.as_str(), set.get(&device.profile)?)))
            .collect();
        Some(starters::fitting(&devices))
    });
    let rows = found.await.ok().flatten().ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "设备模板无法读取，请重新安装",
            "the device profiles cannot be read: install the gateway again",
        )
    })?;
    Ok(Json(Fitting { rows }))
}

async fn check(
    State(console): State<Console>,
    body: Result<Json<Draft>, JsonRejection>,
) -> Result<Json<Checked>, Problem> {
    let (setup, draft) = (setup(&console)?, given(body)?);
    let problems = match turn(setup, move |setup| setup.check(&draft)).await? {
        Ok(()) => Vec::new(),
        Err(refused) => wrong(refused)?,
    };
    Ok(Json(Checked { problems }))
}

async fn apply(
    State(console): State<Console>,
    who: Who,
    body: Result<Json<Draft>, JsonRejection>,
) -> Result<(StatusCode, Json<Checked>), Problem> {
    let (setup, draft) = (setup(&console)?, given(body)?);
    let signal = Arc::clone(&setup);
    if let Err(refused) = turn(setup, move |setup| setup.apply(&draft)).await? {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(Checked { problems: wrong(refused)? })));
    }
    let at: Wall = console.clock.now().wall;
    settle(&console, vec![entry(at, &who.name, "setup", "configuration".into(), String::new())]).await?;
    tracing::info!("the first configuration is in place; the gateway starts with it");
    signal.done.send_replace(true);
    Ok((StatusCode::ACCEPTED, Json(Checked { problems: Vec::new() })))
}

/// Does something with files, one at a time.
async fn turn<T: Send + 'static>(
    setup: Arc<Setup>,
    work: impl FnOnce(&Setup) -> T + Send + 'static,
) -> Result<T, Problem> {
    let failed = || {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "设置失败，请查看日志", "setup failed; see the log")
    };
    let kept = Arc::clone(&setup);
    let _turn = setup.turn.acquire().await.map_err(|_| failed())?;
    tokio::task::spawn_blocking(move || work(&kept)).await.map_err(|_| failed())
}

fn wrong(refused: Refused) -> Result<Vec<Wrong>, Problem> {
    let error: &(dyn std::error::Error + 'static) = match &refused {
        Refused::Wrong(wrong) => return Ok(wrong.clone()),
        Refused::Done => return Err(done()),
        Refused::Failed(error) => error,
        Refused::Sealing(error) => error,
    };
    tracing::error!(error = %Chain(error), "the first configuration cannot be written");
    Err(Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "配置无法写入磁盘，请查看日志",
        "the configuration cannot be written; the log says why",
    ))
}
