//! Signing in with the time in hand: guesses, ends of sessions, restarts, and a disk that takes nothing.

use super::*;
use crate::access::{IDLE_LIMIT, KIOSK_LIMIT, Right};
use crate::model::{Secret, Wall};
use crate::runtime::ManualClock;
use std::net::{IpAddr, Ipv4Addr};
use tempfile::TempDir;

const NOON: Wall = Wall(1_790_000_000_000);
const GOOD: &str = "门口的桂花八月开放今年很香";
const BETTER: &str = "操场边的银杏十一月变黄真好看";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));

struct Scene {
    dir: TempDir,
    clock: Arc<ManualClock>,
    tally: Arc<Tally>,
    accounts: Arc<Accounts>,
    /// Rows have somewhere to wait.
    _notes: Notes,
}

fn secret(text: &str) -> Secret {
    Secret::from_file_text(text)
}

fn by() -> Actor {
    Actor::named("root").unwrap()
}

impl Scene {
    fn over(dir: TempDir, clock: Arc<ManualClock>) -> Self {
        let tally = Arc::new(Tally::default());
        let (accounts, notes) =
            Accounts::open(dir.path(), Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&tally)).unwrap();
        Self { dir, clock, tally, accounts, _notes: notes }
    }

    fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(NOON)))
    }

    /// With an administrator `admin` and a guard `zhang`, both by the same password.
    async fn claimed() -> Self {
        tokio::time::pause();
        let scene = Self::new();
        for (name, role) in [("admin", Role::Admin), ("zhang", Role::Guard)] {
            scene.accounts.add(&by(), (name.into(), role, secret(GOOD))).await.unwrap();
        }
        scene
    }

    /// Another process over the same files.
    fn restarted(self) -> Self {
        let clock = Arc::new(ManualClock::new(self.clock.now().wall));
        Self::over(self.dir, clock)
    }

    fn pass(&self, secs: u64) {
        for _ in 0..secs / 1000 {
            self.clock.advance_ms(1_000_000);
        }
        self.clock.advance_ms(u32::try_from(secs % 1000 * 1000).unwrap());
    }

    async fn sign_in(&self, name: &str, password: &str, kiosk: bool) -> Result<Opened, Problem> {
        self.accounts
            .sign_in(SignIn { name: name.into(), password: secret(password), kiosk }, HERE, None)
            .await
    }

    fn asks(&self, opened: &Opened) -> Option<Known> {
        self.asks_so(opened, false)
    }

    fn asks_so(&self, opened: &Opened, by_itself: bool) -> Option<Known> {
        let id = opened.cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("theme=dark; {id}; lang=zh").parse().unwrap());
        self.accounts.identify(&headers, by_itself).unwrap()
    }
}

#[tokio::test]
async fn of_a_thousand_guesses_ten_a_minute_are_looked_at_and_the_right_one_must_wait_as_well() {
    let scene = Scene::claimed().await;
    for name in ["zhang", "nobody"] {
        let scene = scene_with(&scene, name).await;
        let (mut looked_at, mut waits) = (Vec::new(), Vec::new());
        for n in 0..1_000_u64 {
            let refused = scene.sign_in(name, &format!("a wrong guess {n}"), false).await.unwrap_err();
            match refused.status {
                StatusCode::UNAUTHORIZED => looked_at.push(n * 100),
                StatusCode::TOO_MANY_REQUESTS => waits.push(refused.retry_secs.expect("a wait")),
                other => panic!("{other}"),
            }
            scene.clock.advance_ms(100);
        }
        let within = |from: &u64| looked_at.iter().filter(|at| (*from..from + 60_000).contains(at)).count();
        let most = looked_at.iter().map(within).max().unwrap();
        assert!((5..=10).contains(&most), "{name}: {most}");
        assert_eq!(looked_at.len() + waits.len(), 1_000);
        assert!(waits.iter().all(|secs| (1..=900).contains(secs)), "{waits:?}");
        let hashed = scene.tally.password_hashes.get();
        assert_eq!(hashed, u64::try_from(looked_at.len()).unwrap(), "what is refused costs no hash");
        let locked = scene.sign_in(name, GOOD, false).await.unwrap_err();
        assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(scene.tally.sign_ins.of(&"locked").get(), u64::try_from(waits.len()).unwrap() + 1);
    }
}

/// The same accounts with no failures yet.
async fn scene_with(scene: &Scene, _name: &str) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(scene.dir.path().join("access.json"), dir.path().join("access.json")).unwrap();
    Scene::over(dir, Arc::new(ManualClock::new(NOON)))
}

#[tokio::test]
async fn a_thousand_guesses_at_the_same_moment_are_no_way_around_it() {
    let scene = Scene::claimed().await;
    let before = scene.tally.password_hashes.get();
    let all =
        futures_util::future::join_all((0..1_000).map(|_| scene.sign_in("zhang", "a wrong guess", false)))
            .await;
    assert!(all.iter().all(Result::is_err));
    assert!(scene.tally.password_hashes.get() - before <= 10);
}

#[tokio::test]
async fn an_answer_does_not_tell_whether_there_is_an_account() {
    let scene = Scene::claimed().await;
    scene.accounts.add(&by(), ("li".into(), Role::Guard, secret(GOOD))).await.unwrap();
    scene.accounts.alter(&by(), "li".into(), (None, Some(true), None)).await.unwrap();
    let mut told = Vec::new();
    for (name, password) in [("zhang", "a wrong guess"), ("nobody", "a wrong guess"), ("li", GOOD), ("", "")]
    {
        let before = scene.tally.password_hashes.get();
        let refused = scene.sign_in(name, password, false).await.unwrap_err();
        told.push((refused, scene.tally.password_hashes.get() - before));
    }
    assert!(told.iter().all(|(refused, hashes)| *refused == told[0].0 && *hashes == 1), "{told:?}");
}

#[tokio::test]
async fn a_session_gets_a_new_id_at_sign_in_and_with_a_new_password() {
    let scene = Scene::claimed().await;
    let first = scene.sign_in("Zhang", GOOD, false).await.unwrap();
    let known = scene.asks(&first).expect("in");
    assert_eq!(
        (known.who.name.as_str(), known.who.role, known.who.via),
        ("zhang", Role::Guard, Via::Session)
    );
    let given = SignIn { name: "zhang".into(), password: secret(GOOD), kiosk: false };
    let second = scene.accounts.sign_in(given, HERE, known.session()).await.unwrap();
    assert!(scene.asks(&first).is_none(), "the id from before is of no use");
    assert_ne!((&first.cookie, &first.csrf), (&second.cookie, &second.csrf));
    let elsewhere = scene.sign_in("zhang", GOOD, false).await.unwrap();

    let known = scene.asks(&second).expect("in");
    let change = |old: &str, new: &str| {
        let (accounts, known) = (Arc::clone(&scene.accounts), known.clone());
        let passwords = (secret(old), secret(new));
        async move { accounts.change_password(&known, passwords, HERE).await.map_err(|problem| problem.status) }
    };
    assert_eq!(change("a wrong guess", BETTER).await.unwrap_err(), StatusCode::FORBIDDEN);
    assert_eq!(change(GOOD, "zhangzhangzhang").await.unwrap_err(), StatusCode::BAD_REQUEST);
    assert!(scene.asks(&second).is_some(), "nothing was changed");
    let third = change(GOOD, BETTER).await.unwrap();
    assert!(scene.asks(&third).is_some());
    assert!(scene.asks(&second).is_none() && scene.asks(&elsewhere).is_none());
    assert!(scene.sign_in("zhang", GOOD, false).await.is_err());
    assert!(scene.sign_in("zhang", BETTER, false).await.is_ok());
}

#[tokio::test]
async fn sessions_end_when_quiet_old_or_signed_out_and_a_screens_survives_restarts() {
    let scene = Scene::claimed().await;
    let (opened, screen) = (
        scene.sign_in("zhang", GOOD, false).await.unwrap(),
        scene.sign_in("zhang", GOOD, true).await.unwrap(),
    );
    assert_eq!(screen.who.role, Role::Kiosk, "a screen is good for the desk alone");
    assert!(!screen.who.may(Right::Hush));
    assert!(screen.cookie.to_str().unwrap().contains("Max-Age=34560000"), "{:?}", screen.cookie);
    let known = scene.asks(&opened).expect("in");
    scene.pass(IDLE_LIMIT.as_secs() - 1);
    assert!(scene.accounts.holds(&known.proof), "asking so keeps nothing alive");
    assert!(scene.asks_so(&opened, true).is_some(), "nor does what a page asks by itself");
    scene.pass(1);
    assert!(!scene.accounts.holds(&known.proof) && scene.asks(&opened).is_none());
    let opened = scene.sign_in("zhang", GOOD, false).await.unwrap();
    let known = scene.asks(&opened).expect("in");
    scene.accounts.sign_out(&known).await;
    assert!(scene.asks(&opened).is_none());

    let refused = scene.accounts.add(&by(), ("viewer".into(), Role::Viewer, secret(GOOD))).await;
    refused.unwrap();
    let refused = scene.sign_in("viewer", GOOD, true).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a screen may what a viewer may not");

    Arc::clone(&scene.accounts).save().await;
    let scene = scene.restarted();
    assert_eq!(scene.asks(&screen).expect("still in").who.role, Role::Kiosk);
    scene.pass(KIOSK_LIMIT.as_secs() - IDLE_LIMIT.as_secs());
    assert!(scene.asks(&screen).is_none());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_lets_people_in_and_changes_no_account() {
    let scene = Scene::claimed().await;
    // A directory in the way of every write.
    std::fs::create_dir(scene.dir.path().join("access.json.new")).unwrap();
    let opened = scene.sign_in("zhang", GOOD, false).await.expect("in");
    assert!(scene.asks(&opened).is_some());
    assert!(!Arc::clone(&scene.accounts).save().await);
    let refused = scene.accounts.remove(&by(), "zhang".into()).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(scene.asks(&opened).is_some(), "nothing was changed");
    std::fs::remove_dir(scene.dir.path().join("access.json.new")).unwrap();
    scene.accounts.remove(&by(), "zhang".into()).await.unwrap();
    assert!(scene.asks(&opened).is_none());
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_opens_nothing() {
    let scene = Scene::claimed().await;
    let opened = scene.sign_in("admin", GOOD, false).await.unwrap();
    Arc::clone(&scene.accounts).save().await;
    let file = scene.dir.path().join("access.json");
    let half: String = std::fs::read_to_string(&file).unwrap().chars().take(200).collect();
    std::fs::write(&file, &half).unwrap();
    let scene = scene.restarted();
    assert!(!scene.accounts.claimed() && scene.asks(&opened).is_none());
    assert_eq!(std::fs::read_to_string(scene.dir.path().join("access.json.damaged")).unwrap(), half);
    assert_eq!(scene.sign_in("admin", GOOD, false).await.unwrap_err().status, StatusCode::UNAUTHORIZED);
    let claim = scene.accounts.claim(String::new(), ("mallory".into(), secret(GOOD)), HERE).await;
    assert_eq!(claim.unwrap_err().status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_gateway_is_claimed_once_by_its_own_code() {
    tokio::time::pause();
    let (one, other) = (Scene::new(), Scene::new());
    let (code, foreign) =
        (one.accounts.new_claim(&by()).await.unwrap(), other.accounts.new_claim(&by()).await.unwrap());
    assert_ne!(code, foreign);
    let claim = async |code: &str, name: &str| {
        one.accounts
            .claim(code.into(), (name.into(), secret(GOOD)), HERE)
            .await
            .map_err(|problem| problem.status)
    };
    assert_eq!(claim(&foreign, "mallory").await.unwrap_err(), StatusCode::FORBIDDEN);
    let weak = one.accounts.claim(code.clone(), ("admin".into(), secret("password1234")), HERE).await;
    assert_eq!(weak.unwrap_err().status, StatusCode::BAD_REQUEST);
    let opened = claim(&code.to_lowercase(), "admin").await.unwrap();
    assert_eq!(one.asks(&opened).expect("in").who.role, Role::Admin);
    assert_eq!(claim(&code, "mallory").await.unwrap_err(), StatusCode::CONFLICT);
    assert_eq!(one.accounts.new_claim(&by()).await.unwrap_err().status, StatusCode::CONFLICT);
    let tokens =
        [&one, &other].map(|scene| std::fs::read_to_string(scene.dir.path().join(LOCAL_TOKEN)).unwrap());
    assert_ne!(tokens[0], tokens[1]);
    let one = one.restarted();
    assert_ne!(
        tokens[0],
        std::fs::read_to_string(one.dir.path().join(LOCAL_TOKEN)).unwrap(),
        "new at each start"
    );
}

#[tokio::test]
async fn guesses_of_the_claim_code_are_few() {
    tokio::time::pause();
    let scene = Scene::new();
    let mut looked_at = 0;
    for n in 0..1_000 {
        let claim = scene.accounts.claim(format!("code {n}"), ("mallory".into(), secret(GOOD)), HERE).await;
        looked_at += u32::from(claim.unwrap_err().status == StatusCode::FORBIDDEN);
    }
    assert!(looked_at <= 10, "{looked_at}");
    assert_eq!(scene.tally.password_hashes.get(), 0);
}

#[tokio::test]
async fn who_comes_by_anothers_word_is_in_and_never_by_the_name_of_an_account() {
    let scene = Scene::claimed().await;
    let li = Actor::named("li").unwrap();
    let opened = scene.accounts.open_session(&li, Role::Technician, false).unwrap();
    let known = scene.asks(&opened).expect("in");
    assert_eq!((known.who.role, known.who.via), (Role::Technician, Via::Session));
    let changed = scene.accounts.change_password(&known, (secret(GOOD), secret(BETTER)), HERE).await;
    assert_eq!(changed.unwrap_err().status, StatusCode::CONFLICT);
    let taken = scene.accounts.open_session(&Actor::named("Admin").unwrap(), Role::Viewer, false);
    assert_eq!(taken.unwrap_err().status, StatusCode::CONFLICT);
    // The account of that name that is made later is another person's.
    scene.accounts.add(&by(), ("Li".into(), Role::Admin, secret(GOOD))).await.unwrap();
    assert!(scene.asks(&opened).is_none());
}

#[tokio::test]
async fn what_is_no_token_lets_nobody_in_and_cookies_beside_a_token_do_not_count() {
    let scene = Scene::claimed().await;
    let opened = scene.sign_in("admin", GOOD, false).await.unwrap();
    let until = NOON.plus_ms(60_000);
    let token = scene.accounts.add_token(&by(), ("scada".into(), Role::Viewer, until)).await.unwrap();
    let cookie = opened.cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
    let ask = |authorization: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        let known = scene.accounts.identify(&headers, false).map_err(|problem| problem.status.as_u16())?;
        Ok(known.map(|known| (known.who.name.as_str().to_owned(), known.who.role)))
    };
    let local = std::fs::read_to_string(scene.dir.path().join(LOCAL_TOKEN)).unwrap();
    assert_eq!(ask(&format!("Bearer {token}")), Ok(Some(("scada".into(), Role::Viewer))));
    assert_eq!(ask(&format!("Bearer {local}")), Ok(Some(("local".into(), Role::Admin))));
    for wrong in ["Bearer ", "Bearer x", "Basic YWRtaW46eA==", &token, &format!("bearer {token}x")] {
        assert_eq!(ask(wrong), Err(401), "{wrong}");
    }
    scene.pass(60);
    assert_eq!(ask(&format!("Bearer {token}")), Err(401), "expired");
}
